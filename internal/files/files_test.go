package files

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

func local(t *testing.T, dir string, readOnly bool) *Local {
	t.Helper()
	l, err := OpenLocal(dir, readOnly)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l
}

// direct asks a Server in this process. Every so many requests it does twice, as one whose answer was lost is.
type direct struct {
	server *Server
	random *rand.Rand
	number uint64
	handle uint64
	client uint64
	never  bool // not even that
	again  bool // what finds no room is asked once more, as executors do
}

func (d *direct) Handle() uint64 { d.handle++; return d.handle }

func (d *direct) Ask(req *apiv1.FilesRequest) (*apiv1.FilesResponse, error) {
	d.number++
	req.Client, req.Lane, req.Number = d.client, 1, d.number
	res := d.server.Do(proto.CloneOf(req))
	if !d.never && d.random.IntN(3) == 0 {
		res = d.server.Do(proto.CloneOf(req))
	}
	if d.again && res.Errno == int32(syscall.ENOSPC) && res.Done == 0 && AsksForRoom(req) {
		d.number++
		req.Number = d.number
		res = d.server.Do(proto.CloneOf(req))
	}
	return res, nil
}

// trees are the same directory, asked in two ways.
func trees(t *testing.T, f func(t *testing.T, tree Tree, dir string)) {
	t.Run("local", func(t *testing.T) { dir := t.TempDir(); f(t, local(t, dir, false), dir) })
	t.Run("by parts", func(t *testing.T) { dir := t.TempDir(); f(t, localBy(t, dir, false, true), dir) })
	t.Run("remote", func(t *testing.T) {
		dir := t.TempDir()
		input, err := NewInput(t.TempDir())
		require.NoError(t, err)
		s := NewServer(local(t, dir, false), local(t, t.TempDir(), false), input)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		f(t, NewRemote(&direct{server: s, random: rand.New(rand.NewPCG(1, 2))}, false), dir)
	})
}

func TestTree(t *testing.T) {
	trees(t, func(t *testing.T, tree Tree, dir string) {
		f, err := tree.Open("a", unix.O_RDWR|unix.O_CREAT|unix.O_EXCL)
		require.NoError(t, err)
		_, err = tree.Open("a", unix.O_RDWR|unix.O_CREAT|unix.O_EXCL)
		require.Equal(t, syscall.EEXIST, err)
		big := bytes.Repeat([]byte("0123456789"), PieceBytes/5)
		n, err := f.WriteAt(big, 3)
		require.NoError(t, err)
		require.Equal(t, len(big), n)
		_, end, err := f.Append([]byte("end"))
		require.NoError(t, err)
		require.Equal(t, int64(len(big)+6), end)
		got := make([]byte, len(big)+100)
		n, err = f.ReadAt(got, 3)
		require.Equal(t, io.EOF, err)
		require.Equal(t, len(big)+3, n)
		require.True(t, bytes.Equal(append(big, "end"...), got[:n]))
		require.NoError(t, f.Truncate(5))
		info, err := f.Stat()
		require.NoError(t, err)
		require.Equal(t, int64(5), info.Size)
		require.NoError(t, f.Allocate(0, 100))
		require.NoError(t, tree.Rename("a", "b"))
		at, err := f.Path()
		require.NoError(t, err)
		require.Equal(t, "b", at, "it is known by the name that it has now")
		require.NoError(t, tree.Link("b", "c"))
		require.NoError(t, tree.Unlink("b"))
		require.NoError(t, tree.Unlink("c"))
		at, err = f.Path()
		require.NoError(t, err)
		require.Empty(t, at)
		require.NoError(t, f.Sync())
		require.NoError(t, f.SetTimes(Times{Changed: time.Unix(5, 0)}))
		require.NoError(t, f.Close())

		require.NoError(t, tree.Mkdir("d"))
		require.Equal(t, syscall.EISDIR, first(errnoOnly(tree.Unlink("d")), syscall.EPERM, syscall.EISDIR))
		require.Equal(t, syscall.EEXIST, tree.Mkdir("d"))
		for i := range 20 {
			require.NoError(t, tree.Symlink("x", fmt.Sprintf("d/%02d", i)))
		}
		require.Equal(t, syscall.ENOTEMPTY, tree.Rmdir("d"))
		open, err := tree.Open("d", unix.O_RDONLY|unix.O_DIRECTORY)
		require.NoError(t, err)
		list, err := open.List()
		require.NoError(t, err)
		require.Len(t, list, 20)
		require.Equal(t, "07", list[7].Name)
		require.Equal(t, Link, list[7].Kind)
		require.NoError(t, open.Close())
		text, err := tree.Readlink("d/03")
		require.NoError(t, err)
		require.Equal(t, "x", text)
		_, err = tree.Stat("d/03", true)
		require.Equal(t, syscall.ENOENT, err)
		require.NoError(t, tree.SetTimes("d", true, Times{Accessed: time.Unix(3, 0), Changed: time.Unix(4, 0)}))
		info, err = tree.Stat("d", true)
		require.NoError(t, err)
		require.Equal(t, int64(4e9), info.Changed)
	})
}

func errnoOnly(err error) syscall.Errno { return numberOf(err) }

// first is want, if got is one of those that stand for the same.
func first(got, same, want syscall.Errno) syscall.Errno {
	if got == same {
		return want
	}
	return got
}

// Nothing leads out of a tree, whatever is in it and whoever changes it meanwhile.
func TestNothingLeadsOut(t *testing.T) {
	trees(t, func(t *testing.T, tree Tree, dir string) {
		outside := filepath.Join(filepath.Dir(dir), "outside-"+filepath.Base(dir))
		require.NoError(t, os.Mkdir(outside, 0o700))
		defer os.RemoveAll(outside) //nolint:errcheck // a temporary directory
		require.NoError(t, os.WriteFile(filepath.Join(outside, "secret"), []byte("s"), 0o600))
		require.NoError(t, tree.Mkdir("in"))
		require.NoError(t, tree.Symlink(outside, "abs"))
		require.NoError(t, tree.Symlink("../"+filepath.Base(outside), "rel"))
		require.NoError(t, tree.Symlink("../../"+filepath.Base(outside), "in/deep"))
		up := "../" + filepath.Base(outside)
		for _, way := range []string{"abs", "rel", "in/deep", up, "in/../" + up, "in/../../" + filepath.Base(outside)} {
			_, err := tree.Open(way+"/secret", unix.O_RDONLY)
			require.Equal(t, syscall.EACCES, err, way)
			_, err = tree.Open(way+"/new", unix.O_WRONLY|unix.O_CREAT)
			require.Equal(t, syscall.EACCES, err, way)
			_, err = tree.Stat(way+"/secret", true)
			require.Equal(t, syscall.EACCES, err, way)
			require.Error(t, tree.Unlink(way+"/secret"), way)
			require.Error(t, tree.Mkdir(way+"/new"), way)
			require.Error(t, tree.Rename("in", way+"/in"), way)
			require.Error(t, tree.Rename(way+"/secret", "mine"), way)
			require.Error(t, tree.Link(way+"/secret", "mine"), way)
			require.Error(t, tree.Symlink("x", way+"/new"), way)
			require.Error(t, tree.SetTimes(way+"/secret", true, Times{Changed: time.Unix(1, 0)}), way)
			require.Error(t, tree.Rmdir(way+"/"), way)
			require.Error(t, tree.Unlink(way+"/"), way)
			require.Error(t, tree.Mkdir(way+"/"), way)
			require.Error(t, tree.Rename("in", way+"/"), way)
			require.Error(t, tree.Link(way+"/", "mine"), way)
			_, err = tree.Open(way+"/", unix.O_RDONLY)
			require.Equal(t, syscall.EACCES, err, way)
		}
		require.NoError(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
		_, err := tree.Open("fifo", unix.O_RDONLY)
		require.Equal(t, syscall.ENXIO, err, "it would wait for ever")
		left, err := os.ReadDir(outside)
		require.NoError(t, err)
		require.Len(t, left, 1)
	})
}

// A directory that somebody exchanges for a link again and again leads nobody out.
func TestNothingLeadsOutInARace(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(outside, "f"), []byte("secret"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "real"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "real", "f"), []byte("mine"), 0o600))
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "link")))
	tree := local(t, dir, false)
	stop := make(chan struct{})
	var swapping sync.WaitGroup
	swapping.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_ = unix.Renameat2(unix.AT_FDCWD, filepath.Join(dir, "real"), unix.AT_FDCWD, filepath.Join(dir, "link"), unix.RENAME_EXCHANGE)
			}
		}
	})
	read := 0
	for range 3000 {
		f, err := tree.Open("real/f", unix.O_RDONLY)
		if err != nil {
			continue
		}
		b := make([]byte, 10)
		n, _ := f.ReadAt(b, 0)
		require.Equal(t, "mine", string(b[:n]))
		require.NoError(t, f.Close())
		read++
	}
	close(stop)
	swapping.Wait()
	require.NotZero(t, read)
}

func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "f"), []byte("x"), 0o600))
	tree := local(t, dir, true)
	f, err := tree.Open("f", unix.O_RDONLY)
	require.NoError(t, err)
	require.Equal(t, syscall.EROFS, f.SetTimes(Times{Changed: time.Unix(1, 0)}))
	require.Error(t, f.Truncate(0))
	require.Error(t, f.Allocate(0, 10))
	_, err = f.WriteAt([]byte("y"), 0)
	require.Error(t, err)
	_, _, err = f.Append([]byte("y"))
	require.Error(t, err)
	require.NoError(t, f.Close())
	for _, flags := range []int{unix.O_WRONLY, unix.O_RDWR, unix.O_RDONLY | unix.O_TRUNC, unix.O_WRONLY | unix.O_CREAT} {
		_, err := tree.Open("f", flags)
		require.Equal(t, syscall.EROFS, err)
	}
	there, err := tree.Open("f", unix.O_RDONLY|unix.O_CREAT) // as Linux has it
	require.NoError(t, err)
	require.NoError(t, there.Close())
	require.NoError(t, os.Mkdir(filepath.Join(dir, "sub"), 0o700))
	require.NoError(t, os.Symlink("nowhere", filepath.Join(dir, "dangling")))
	for _, c := range []struct {
		name  string
		flags int
		want  syscall.Errno
	}{
		{"f", unix.O_RDWR | unix.O_CREAT | unix.O_EXCL, syscall.EEXIST},
		{"dangling", unix.O_RDWR | unix.O_CREAT | unix.O_EXCL, syscall.EEXIST},
		{"new", unix.O_RDWR | unix.O_CREAT | unix.O_EXCL, syscall.EROFS},
		{"new", unix.O_RDWR, syscall.ENOENT},
		{"sub", unix.O_RDONLY | unix.O_CREAT, syscall.EISDIR},
		{"sub/", unix.O_RDONLY | unix.O_CREAT, syscall.EISDIR},
		{"sub", unix.O_WRONLY, syscall.EISDIR},
		{"f/", unix.O_RDONLY | unix.O_CREAT, syscall.EISDIR},
	} {
		_, err := tree.Open(c.name, c.flags)
		require.Equal(t, c.want, err, "%s %#x", c.name, c.flags)
	}
	for _, err := range []error{
		tree.Mkdir("d"), tree.Rmdir("f"), tree.Unlink("f"), tree.Rename("f", "g"), tree.Link("f", "g"), tree.Symlink("f", "g"),
		tree.SetTimes("f", true, Times{Changed: time.Unix(1, 0)}),
	} {
		require.Equal(t, syscall.EROFS, err)
	}
	require.Equal(t, syscall.EEXIST, tree.Mkdir("f"))
}

// An input is read from anywhere, by anybody, as often as wanted; who sends it waits for who reads.
func TestInput(t *testing.T) {
	in, err := NewInput(t.TempDir())
	require.NoError(t, err)
	defer in.Close() //nolint:errcheck // a temporary file
	write := func(at int64, data string, end int64) *apiv1.FilesResponse {
		return in.do(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_INPUT_WRITE, At: at, Data: []byte(data), Size: end})
	}
	read := func(at int64) *apiv1.FilesResponse {
		return in.do(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_INPUT_READ, At: at, Size: 100})
	}
	require.Equal(t, int64(5), write(0, "hello", 0).At)
	require.Equal(t, int64(5), write(0, "hello", 0).At, "sent again, since no answer came")
	require.Equal(t, int64(8), write(3, "lo wo", 0).At, "a part of it is new")
	require.Equal(t, "hello wo", string(read(0).Data))
	require.Equal(t, "lo wo", string(read(3).Data))
	require.NotZero(t, write(20, "x", 0).Errno, "something before it is missing")
	waits := make(chan *apiv1.FilesResponse)
	go func() { waits <- read(8) }()
	require.Equal(t, int64(11), write(8, "rld", 0).At)
	require.Equal(t, "rld", string((<-waits).Data))
	res := write(11, "", 1)
	require.True(t, res.End)
	require.True(t, read(11).End)
	require.False(t, read(0).End)
}

// What all have read of an input takes no room any more; what one of them may still ask for does.
func TestInputIsForgotten(t *testing.T) {
	in, err := NewInput(t.TempDir())
	require.NoError(t, err)
	defer in.Close() //nolint:errcheck // a temporary file
	room := func() int64 {
		st, err := in.file.Stat()
		require.NoError(t, err)
		return st.Sys().(*syscall.Stat_t).Blocks * 512
	}
	part := make([]byte, PieceBytes)
	read := func(rank int32, at int64) *apiv1.FilesResponse {
		return in.do(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_INPUT_READ, Lane: rank, At: at, Size: PieceBytes, Flags: 2})
	}
	const parts = 64
	for i := range parts {
		for k := range part {
			part[k] = byte(i + k)
		}
		at := int64(i) * PieceBytes
		require.Equal(t, at+PieceBytes, in.do(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_INPUT_WRITE, At: at, Data: part}).At)
		require.Equal(t, part, read(0, at).Data)
		if i >= 8 { // the other is behind
			require.Equal(t, byte(i-8), read(1, at-8*PieceBytes).Data[0])
			require.Equal(t, byte(i-8), read(1, at-8*PieceBytes).Data[0], "it has moved, and asks again")
		}
		require.LessOrEqual(t, room(), int64(12*PieceBytes))
	}
	require.NotZero(t, read(1, 0).Errno, "a late one")
	require.Equal(t, byte(parts-1), read(1, (parts-1)*PieceBytes).Data[0])
}

// A file is known by the name that it has, whatever it is called, and whichever of its names was removed.
func TestPath(t *testing.T) {
	trees(t, func(t *testing.T, tree Tree, dir string) {
		open := func(name string) File {
			f, err := tree.Open(name, unix.O_RDWR|unix.O_CREAT)
			require.NoError(t, err)
			return f
		}
		at := func(f File) string {
			name, err := f.Path()
			require.NoError(t, err)
			return name
		}
		odd := open("odd (deleted)")
		require.Equal(t, "odd (deleted)", at(odd))
		require.NoError(t, tree.Unlink("odd (deleted)"))
		require.Empty(t, at(odd))
		require.NoError(t, odd.Close())
		f := open("one")
		require.NoError(t, tree.Mkdir("d"))
		require.NoError(t, tree.Link("one", "d/two"))
		require.NoError(t, tree.Unlink("one"))
		require.Equal(t, "d/two", at(f))
		other := open("one")
		require.Equal(t, "one", at(other))
		require.Equal(t, "d/two", at(f), "its old name is another's")
		require.NoError(t, tree.Mkdir("full"))
		require.NoError(t, tree.Mkdir("empty"))
		require.NoError(t, tree.Mkdir("full/sub"))
		require.Equal(t, syscall.EISDIR, tree.Rename("one", "empty"))
		require.Equal(t, syscall.ENOTDIR, tree.Rename("empty", "one"))
		require.Equal(t, syscall.ENOTDIR, tree.Rename("one", "two/"))
		require.Equal(t, syscall.ENOTEMPTY, tree.Rename("empty", "full"))
		require.Equal(t, syscall.EINVAL, tree.Rename("full", "full/sub/x"))
		require.NoError(t, tree.Rename("full", "empty/"), "as everywhere, an empty directory makes room")
		info, err := tree.Stat("empty/sub", true)
		require.NoError(t, err)
		require.Equal(t, Directory, info.Kind)
		require.NoError(t, tree.Rmdir("empty/sub"))
		require.NoError(t, tree.Rmdir("empty"))
		require.NoError(t, tree.Rename("d/two", "d/three"))
		require.Equal(t, "d/three", at(f))
		require.NoError(t, os.Rename(filepath.Join(dir, "d/three"), filepath.Join(dir, "..", "outside-"+filepath.Base(dir))))
		_, err = f.Path()
		require.Equal(t, syscall.ESTALE, errnoOnly(err), "it was moved out of the tree")
		require.NoError(t, f.Close())
		require.NoError(t, other.Close())
		require.NoError(t, os.Remove(filepath.Join(dir, "..", "outside-"+filepath.Base(dir))))
	})
}

// What a client has open is bounded, and closed when it has left; it is not served any more then, nor is what comes late of it.
func TestClientsLeave(t *testing.T) {
	dir := t.TempDir()
	input, err := NewInput(t.TempDir())
	require.NoError(t, err)
	s := NewServer(local(t, dir, false), local(t, t.TempDir(), false), input)
	number := uint64(0)
	do := func(client uint64, lane int32, op apiv1.FilesRequest_Op, handle uint64) syscall.Errno {
		number++
		return syscall.Errno(s.Do(&apiv1.FilesRequest{
			Client: client, Lane: lane, Number: number, Op: op, Handle: handle, Path: "f", Flags: unix.O_RDWR | unix.O_CREAT, Data: []byte("x"),
		}).Errno)
	}
	const open, write, shut = apiv1.FilesRequest_OP_OPEN, apiv1.FilesRequest_OP_WRITE, apiv1.FilesRequest_OP_CLOSE
	for h := range uint64(3) {
		require.Zero(t, do(1, 0, open, h))
	}
	require.Equal(t, syscall.EBADF, do(1, 1, open, 2), "the number is in use")
	require.Zero(t, do(2, 0, open, 1))
	require.Equal(t, 4, s.files)
	require.Equal(t, 3, s.lanes)
	require.Zero(t, do(1, -1, shut, 0))
	require.Equal(t, syscall.EBADF, do(1, 0, write, 0))
	s.clients[1].lanes[0].files = maxLaneFiles
	require.Equal(t, syscall.EMFILE, do(1, 0, open, 10))
	s.clients[1].lanes[0].files = 2
	file := s.clients[1].files[1].File
	late := &apiv1.FilesRequest{Client: 1, Lane: 0, Number: number, Op: apiv1.FilesRequest_OP_MKDIR, Path: "late"}
	require.Zero(t, do(1, 0, apiv1.FilesRequest_OP_LEAVE, 0))
	require.Zero(t, do(1, 0, apiv1.FilesRequest_OP_LEAVE, 0))
	lock := &apiv1.FilesRequest{Client: 1, Number: 9, Op: apiv1.FilesRequest_OP_LOCK, Lock: lockOf(lockSet, exclusive, 0, 9)}
	require.EqualValues(t, syscall.EIO, s.Do(lock).Errno, "nobody would let it go")
	_, err = file.Stat()
	require.Equal(t, syscall.EBADF, err)
	require.Equal(t, 1, s.files)
	require.Equal(t, 1, s.lanes)
	require.Equal(t, int32(syscall.EIO), s.Do(late).Errno)
	require.NoFileExists(t, filepath.Join(dir, "late"))
	require.Zero(t, do(2, 0, write, 1))
	require.NoError(t, s.Close())
	require.Zero(t, s.files)
	require.Equal(t, syscall.EIO, do(2, 0, open, 2))
}

// counted counts how often a directory is listed.
type counted struct {
	Tree
	lists int
}

type countedFile struct {
	File
	tree *counted
}

func (c *counted) Open(name string, flags int) (File, error) {
	f, err := c.Tree.Open(name, flags)
	return countedFile{f, c}, err
}

func (f countedFile) List() ([]Entry, error) { f.tree.lists++; return f.File.List() }

// A large directory is listed once, however many requests its list takes, and again where that is asked for.
func TestRemoteLists(t *testing.T) {
	dir := t.TempDir()
	for i := range 2*maxEntries + 10 {
		require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%05d", i)), nil, 0o600))
	}
	input, err := NewInput(t.TempDir())
	require.NoError(t, err)
	tree := &counted{Tree: local(t, dir, false)}
	s := NewServer(tree, local(t, t.TempDir(), false), input)
	defer s.Close() //nolint:errcheck // only read
	d, err := NewRemote(&direct{server: s, random: rand.New(rand.NewPCG(1, 3)), never: true}, false).Open(".", unix.O_RDONLY|unix.O_DIRECTORY)
	require.NoError(t, err)
	for n := range 3 {
		list, err := d.List()
		require.NoError(t, err)
		require.Len(t, list, 2*maxEntries+10)
		require.True(t, slices.IsSortedFunc(list, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) }))
		require.Equal(t, n+1, tree.lists)
	}
}

// An append from another host is one, also where it takes several requests.
func TestAppendsAreOne(t *testing.T) {
	input, err := NewInput(t.TempDir())
	require.NoError(t, err)
	tree := local(t, t.TempDir(), false)
	s := NewServer(tree, local(t, t.TempDir(), false), input)
	defer s.Close() //nolint:errcheck // read below
	const each, times = 3*PieceBytes + 100, 5
	var wg sync.WaitGroup
	for rank := range byte(3) {
		wg.Go(func() {
			var at Tree = tree
			if rank > 0 {
				at = NewRemote(&direct{server: s, random: rand.New(rand.NewPCG(1, uint64(rank))), client: uint64(rank)}, false)
			}
			f, err := at.Open("f", unix.O_WRONLY|unix.O_CREAT)
			require.NoError(t, err)
			for range times {
				n, end, err := f.Append(bytes.Repeat([]byte{rank + 1}, each))
				require.Equal(t, each, n)
				require.NoError(t, err)
				require.Zero(t, end%each)
			}
			require.NoError(t, f.Close())
		})
	}
	wg.Wait()
	f, err := tree.Open("f", unix.O_RDONLY)
	require.NoError(t, err)
	defer f.Close() //nolint:errcheck // only read
	got := make([]byte, 3*times*each)
	_, err = f.ReadAt(got, 0)
	require.NoError(t, err)
	for ; len(got) > 0; got = got[each:] {
		require.Equal(t, bytes.Repeat(got[:1], each), got[:each])
	}
}

// A disk that has room for a part of an append only takes that, and says how much it was: who hears of nothing would write it again.
func TestAppendInParts(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("godwit-test", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("no file system of a small size can be mounted: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	input, err := NewInput(t.TempDir())
	require.NoError(t, err)
	tree := local(t, dir, false)
	s := NewServer(tree, local(t, t.TempDir(), false), input)
	defer s.Close() //nolint:errcheck // of a test
	far := NewRemote(&direct{server: s, random: rand.New(rand.NewPCG(1, 2))}, false)
	again := NewRemote(&direct{server: s, random: rand.New(rand.NewPCG(1, 3)), client: 1, again: true}, false)
	for what, at := range map[string]Tree{"here": tree, "at another host": far, "asked again": again} {
		for _, each := range []int{100_001, 1_500_000} {
			f, err := at.Open("f", unix.O_RDWR|unix.O_CREAT|unix.O_TRUNC)
			require.NoError(t, err)
			told := int64(0)
			for err == nil {
				var n int
				var end int64
				n, end, err = f.Append(make([]byte, each))
				if told += int64(n); n > 0 {
					require.Equal(t, told, end, what)
				}
				require.Equal(t, err == nil, n == each)
			}
			require.ErrorIs(t, err, syscall.ENOSPC, what)
			info, err := f.Stat()
			require.NoError(t, err)
			require.Equal(t, info.Size, told, "%s, by %d", what, each)
			require.Greater(t, told%int64(each), int64(0), "a part of one")
			require.NoError(t, f.Close())
			require.NoError(t, at.Unlink("f"))
		}
	}
}

// An error says what is wrong: only what leads out of a tree may not be reached.
func TestErrorsAreThose(t *testing.T) {
	trees(t, func(t *testing.T, tree Tree, _ string) {
		f, err := tree.Open("f", unix.O_RDWR|unix.O_CREAT)
		require.NoError(t, err)
		_, err = f.ReadAt(make([]byte, 1), -1)
		require.Equal(t, syscall.EINVAL, err)
		_, err = f.WriteAt(make([]byte, 1), -1)
		require.Equal(t, syscall.EINVAL, err)
		require.Equal(t, syscall.EINVAL, f.Truncate(-1))
		require.NoError(t, f.Close())
		_, err = tree.Stat("../x", true)
		require.Equal(t, syscall.EACCES, err)
		require.Equal(t, syscall.EACCES, tree.Mkdir("../x"))
	})
	require.Equal(t, syscall.EIO, errno(io.ErrShortWrite))
	require.Equal(t, syscall.EINVAL, errno(os.ErrInvalid))
}

func TestErrnos(t *testing.T) {
	require.Equal(t, syscall.EIO, numberOf(errors.New("other")))
	require.Equal(t, syscall.ENOSPC, numberOf(fmt.Errorf("write: %w", syscall.ENOSPC)))
}
