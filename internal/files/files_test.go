package files

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
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
}

func (d *direct) Handle() uint64 { d.handle++; return d.handle }

func (d *direct) Ask(req *apiv1.FilesRequest) (*apiv1.FilesResponse, error) {
	d.number++
	req.Client, req.Lane, req.Number = 7, 1, d.number
	res := d.server.Do(proto.CloneOf(req))
	if d.random.IntN(3) == 0 {
		res = d.server.Do(proto.CloneOf(req))
	}
	return res, nil
}

// trees are the same directory, asked in two ways.
func trees(t *testing.T, f func(t *testing.T, tree Tree, dir string)) {
	t.Run("local", func(t *testing.T) { dir := t.TempDir(); f(t, local(t, dir, false), dir) })
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
		end, err := f.Append([]byte("end"))
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
		space, err := tree.Space()
		require.NoError(t, err)
		require.NotZero(t, space.FreeBytes)
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
	_, err = f.Append([]byte("y"))
	require.Error(t, err)
	require.NoError(t, f.Close())
	for _, flags := range []int{unix.O_WRONLY, unix.O_RDWR, unix.O_RDONLY | unix.O_TRUNC, unix.O_WRONLY | unix.O_CREAT} {
		_, err := tree.Open("f", flags)
		require.Equal(t, syscall.EROFS, err)
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

func TestErrnos(t *testing.T) {
	require.Equal(t, syscall.EIO, numberOf(errors.New("other")))
	require.Equal(t, syscall.ENOSPC, numberOf(fmt.Errorf("write: %w", syscall.ENOSPC)))
}
