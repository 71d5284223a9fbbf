package mpi

import (
	"io"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/layout"
)

// disk is files in tests, by name; a number is 1 more than a place in the list of what is open.
type disk struct {
	files map[string]*diskFile
	open  []*diskFile
	full  bool // nothing can be written
}

type diskFile struct {
	id    uint64
	data  []byte
	disk  *disk
	syncs int
}

func newDisk() *disk { return &disk{files: map[string]*diskFile{}} }

func (d *disk) OpenFile(name string, flags int) (uint32, error) {
	f := d.files[name]
	switch {
	case f == nil && flags&syscall.O_CREAT == 0:
		return 0, syscall.ENOENT
	case f == nil:
		f = &diskFile{id: uint64(len(d.files)) + 1, disk: d}
		d.files[name] = f
	case flags&syscall.O_EXCL != 0:
		return 0, syscall.EEXIST
	}
	d.open = append(d.open, f)
	return uint32(len(d.open)), nil
}

func (d *disk) OpenedFile(number uint32) File {
	if number < 1 || int(number) > len(d.open) || d.open[number-1] == nil {
		return nil
	}
	return d.open[number-1]
}

func (d *disk) CloseFile(number uint32, remove bool) error {
	if d.OpenedFile(number) == nil {
		return syscall.EBADF
	}
	for name, f := range d.files {
		if remove && f == d.open[number-1] {
			delete(d.files, name)
		}
	}
	d.open[number-1] = nil
	return nil
}

func (d *disk) RemoveFile(name string) error {
	if d.files[name] == nil {
		return syscall.ENOENT
	}
	delete(d.files, name)
	return nil
}

func (f *diskFile) ReadAt(p []byte, at int64) (int, error) {
	if at >= int64(len(f.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.data[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *diskFile) WriteAt(p []byte, at int64) (int, error) {
	if f.disk.full || at+int64(len(p)) > 1<<20 {
		return 0, syscall.ENOSPC
	}
	if need := int(at) + len(p); need > len(f.data) {
		f.data = append(f.data, make([]byte, need-len(f.data))...)
	}
	return copy(f.data[at:], p), nil
}

func (f *diskFile) Describe() (uint64, int64, error) { return f.id, int64(len(f.data)), nil }

func (f *diskFile) Truncate(size int64) error {
	if size > 1<<20 {
		return syscall.EFBIG
	}
	f.data = append(f.data[:min(int64(len(f.data)), size)], make([]byte, max(0, size-int64(len(f.data))))...)
	return nil
}

func (f *diskFile) Allocate(at, size int64) error {
	if at+size > int64(len(f.data)) {
		return f.Truncate(at + size)
	}
	return nil
}

func (f *diskFile) Sync() error { f.syncs++; return nil }

// filed is a program that has files.
type filed struct {
	Guest
	Files
}

// withFile is a rank alone that has a file open, at 2048: its handle.
func withFile(t testing.TB) (*guest, *disk, int) {
	w := NewWorld(smallConfig(1), sink{})
	g := begun(t, w, 0, arenaBytes)
	d := newDisk()
	g.p.Bind(filed{g.program, d})
	copy(g.mem[1024:], "some file\x00")
	require.Zero(t, g.call("MPI_File_open", abi.CommWorld, 1024, abi.ModeCreate|abi.ModeRdwr, abi.InfoNull, 2048))
	return g, d, g.int(2048)
}

// TestFileSyncs: what changes a file is on the disk after MPI_File_sync (MPI 5.0 section 14.6.1), its size too; where nothing has changed nobody waits for a disk.
func TestFileSyncs(t *testing.T) {
	g, d, fh := withFile(t)
	synced := func(want int, name string, args ...int) {
		t.Helper()
		require.Zero(t, g.call(name, args...))
		require.Zero(t, g.call("MPI_File_sync", fh))
		require.Zero(t, g.call("MPI_File_sync", fh))
		require.Equal(t, want, d.files["some file"].syncs, name)
	}
	synced(1, "MPI_File_write_at", fh, 0, 4096, 4, tInt, 0)
	synced(2, "MPI_File_set_size", fh, 100)
	synced(3, "MPI_File_preallocate", fh, 1000)
	synced(3, "MPI_File_read_at", fh, 0, 4096, 4, tInt, 0)
}

// Errors of the system's have the classes of MPI 5.0 section 14.7, in a status and as a call's result.
func TestFileErrors(t *testing.T) {
	g, d, fh := withFile(t)
	d.full = true
	require.EqualValues(t, abi.ErrNoSpace, g.call("MPI_File_write_at", fh, 0, 4096, 4, tInt, 0))
	require.Zero(t, g.call("MPI_File_iwrite_at", fh, 0, 4096, 4, tInt, 2052))
	require.EqualValues(t, abi.ErrNoSpace, g.call("MPI_Wait", 2052, 0))
	require.EqualValues(t, abi.RequestNull, g.int(2052))
	require.Zero(t, g.call("MPI_File_write_all_begin", fh, 4096, 4, tInt))
	require.EqualValues(t, abi.ErrOther, g.call("MPI_File_set_size", fh, 0))
	require.EqualValues(t, abi.ErrNoSpace, g.call("MPI_File_write_all_end", fh, 4096, 0))
	require.EqualValues(t, abi.ErrFile, g.call("MPI_File_sync", fh+1))
	require.EqualValues(t, abi.ErrNoSpace, g.call("MPI_File_set_size", fh, 1<<30))
	for errno, class := range map[error]int{
		syscall.ENOENT: abi.ErrNoSuchFile, syscall.EEXIST: abi.ErrFileExists, syscall.EACCES: abi.ErrAccess, syscall.EROFS: abi.ErrReadOnly,
		syscall.EDQUOT: abi.ErrQuota, syscall.EISDIR: abi.ErrBadFile, syscall.ETXTBSY: abi.ErrFileInUse, syscall.EIO: abi.ErrIO, io.ErrShortWrite: abi.ErrIO,
	} {
		require.Equal(t, class, fileClass(errno), "%v", errno)
	}
	g.setInts(2048, fh)
	require.Zero(t, g.call("MPI_File_close", 2048))
	require.EqualValues(t, abi.FileNull, g.int(2048))
	require.Zero(t, g.call("MPI_File_delete", 1024, abi.InfoNull))
	require.EqualValues(t, abi.ErrNoSuchFile, g.call("MPI_File_delete", 1024, abi.InfoNull))
	require.Nil(t, d.open[0])
}

// A program without files hears so.
func TestNoFiles(t *testing.T) {
	w := NewWorld(smallConfig(1), sink{})
	g := begun(t, w, 0, arenaBytes)
	copy(g.mem[1024:], "some file\x00")
	require.EqualValues(t, abi.ErrIO, g.call("MPI_File_open", abi.CommWorld, 1024, abi.ModeRdonly, abi.InfoNull, 2048))
	require.EqualValues(t, abi.ErrIO, g.call("MPI_File_delete", 1024, abi.InfoNull))
}

// What was written is on the disk when the file is closed, and nothing is synced in vain (MPI 5.0 section 14.2.2).
func TestFileSync(t *testing.T) {
	g, d, fh := withFile(t)
	g.call("MPI_File_sync", fh)
	require.Zero(t, d.files["some file"].syncs)
	g.call("MPI_File_write", fh, 4096, 4, tInt, 0)
	g.call("MPI_File_sync", fh)
	g.call("MPI_File_sync", fh)
	require.Equal(t, 1, d.files["some file"].syncs)
	g.call("MPI_File_write", fh, 4096, 4, tInt, 0)
	g.call("MPI_File_close", 2048)
	require.Equal(t, 2, d.files["some file"].syncs)
	require.Len(t, d.files["some file"].data, 32)
}

// Reads take near pieces at once, and count what was there of them.
func TestSieve(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		data := make([]byte, rnd.IntN(100000))
		for i := range data {
			data[i] = byte(rnd.IntN(256))
		}
		m := &medium{file: &diskFile{data: data}, sieve: rnd.IntN(4) > 0}
		step := int64(1 + rnd.IntN(30000))
		length := 1 + rnd.Int64N(step)
		block, err := layout.Build(layout.Contents{Combiner: abi.CombinerContiguous, Ints: []int64{length}, Types: []*layout.Type{layout.Predefined()[abi.TypeByte]}})
		require.NoError(t, err)
		tile, err := layout.Build(layout.Contents{Combiner: abi.CombinerResized, Addrs: []int64{0, step}, Types: []*layout.Type{block}})
		require.NoError(t, err)
		m.view = &placing{disp: rnd.Int64N(50), inFile: tile}
		from, got := rnd.Int64N(2*length), make([]byte, rnd.IntN(60000))
		n, err := m.read(from, got)
		require.NoError(t, err)
		want := []byte{}
		for k := from; len(want) < len(got); k++ {
			at := m.view.disp + k/length*step + k%length
			require.Equal(t, k, m.view.before(at))
			if at >= int64(len(data)) {
				break
			}
			want = append(want, data[at])
		}
		require.Equal(t, want, got[:n])
	}
}

func TestCoverage(t *testing.T) {
	rnd := rand.New(rand.NewPCG(2, 2))
	for range 300 {
		end := 1 + rnd.Int64N(500)
		c, marks := coverage{bits: make([]uint64, (end+63)/64)}, make([]bool, end)
		for range rnd.IntN(8) {
			at := rnd.Int64N(end)
			n := 1 + rnd.Int64N(end-at)
			c.add(at, n)
			for i := at; i < at+n; i++ {
				marks[i] = true
			}
		}
		found := make([]bool, end)
		for at, n := c.next(0, end); n > 0; at, n = c.next(at+n, end) {
			for i := at; i < at+n; i++ {
				found[i] = true
			}
			require.True(t, at+n == end || !marks[at+n])
		}
		require.Equal(t, marks, found)
	}
}
