package executor

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/files"
	"github.com/godwit-run/godwit/internal/transport"
)

// homeService is another host, which is the app's home.
type homeService struct {
	apiv1connect.UnimplementedDataHandler

	server *files.Server
	before func(req *apiv1.FilesRequest) syscall.Errno // what a request meets with; null: nothing
}

func (s homeService) Files(_ context.Context, req *apiv1.FilesRequest) (*apiv1.FilesResponse, error) {
	if s.before != nil {
		if why := s.before(req); why != 0 {
			return &apiv1.FilesResponse{Errno: int32(why)}, nil
		}
	}
	return s.server.Do(req), nil
}

// otherHome is the address of another host which is an app's home.
func otherHome(t *testing.T, before func(*apiv1.FilesRequest) syscall.Errno) string {
	t.Helper()
	tree, err := files.OpenLocal(t.TempDir(), false)
	require.NoError(t, err)
	input, err := files.NewInput(t.TempDir())
	require.NoError(t, err)
	server := files.NewServer(tree, tree, input)
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
	require.NoError(t, err)
	s := connect.NewServer()
	apiv1connect.RegisterDataHandler(s, homeService{server: server, before: before})
	mux := http.NewServeMux()
	transport.Mount(mux, s)
	served := make(chan error, 1)
	go func() { served <- transport.Serve(t.Context(), l, mux) }()
	t.Cleanup(func() {
		require.NoError(t, <-served)
		_ = server.Close()
	})
	return l.Addr().String()
}

// TestRankComesAgain: what a rank asks of the home on a host where it has been before is new, whatever it asked there then.
func TestRankComesAgain(t *testing.T) {
	e := &Executor{life: &life{home: newHome("a", 1, func() {}, slog.New(slog.DiscardHandler))}}
	require.NoError(t, e.home.set(&apiv1.ExecHome{Host: "other", Addr: otherHome(t, nil)}))
	for _, name := range []string{"one", "two", "three"} { // stays of the rank
		tree := e.rankMounts(t.Context(), 1)[0].Tree
		for _, end := range []string{"a", "b"} {
			_, err := tree.Open(name+end, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY)
			require.NoError(t, err, name)
		}
	}
}

// TestWhoAsksForAFileIsShown: while a rank's request to another host is under way, that host is known.
func TestWhoAsksForAFileIsShown(t *testing.T) {
	silent, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close() //nolint:errcheck // nobody is answered
	e := &Executor{life: &life{home: newHome("a", 1, func() {}, slog.New(slog.DiscardHandler))}}
	require.NoError(t, e.home.set(&apiv1.ExecHome{Host: "other", Addr: silent.Addr().String()}))
	ctx, cancel := context.WithCancel(t.Context())
	tree, done := e.rankMounts(ctx, 1)[0].Tree, make(chan error, 1)
	require.Empty(t, e.home.asksAt(1))
	go func() { _, err := tree.Stat("x", true); done <- err }()
	require.Eventually(t, func() bool { return e.home.asksAt(1) == "other" }, time.Minute, time.Millisecond)
	require.Empty(t, e.home.asksAt(2))
	cancel()
	require.Error(t, <-done)
	require.Empty(t, e.home.asksAt(1))
}

// TestHomeComesHere: what a rank asks for is on this host's disk once the home is here, and on another host again when it has left.
func TestHomeComesHere(t *testing.T) {
	h := newHome("a", 0, func() {}, slog.New(slog.DiscardHandler))
	homes := [2]string{t.TempDir(), t.TempDir()}
	for _, dir := range homes {
		for _, part := range []string{apiv1.HomeKept, apiv1.HomeScratch} {
			require.NoError(t, os.Mkdir(filepath.Join(dir, part), 0o700))
		}
		require.NoError(t, h.set(&apiv1.ExecHome{Host: "other", Addr: "127.0.0.1:1"}))
		tree := &homeTree{&homeLane{home: h, ctx: t.Context()}, nil, 0}
		now, err := tree.tree()
		require.NoError(t, err)
		require.IsType(t, (*files.Remote)(nil), now)
		require.NoError(t, h.set(&apiv1.ExecHome{Host: "here", Addr: "127.0.0.1:1", Dir: dir}))
		require.NoError(t, tree.Mkdir("d"))
		require.DirExists(t, filepath.Join(dir, apiv1.HomeKept, "d"))
	}
}

// TestKeptForCheckpoints: a file without a name is kept once, however often its rank is captured, the rank that goes on uses it as before, and who is made of the capture has it, too.
func TestKeptForCheckpoints(t *testing.T) {
	addr := otherHome(t, nil)
	treeOf := func(client uint64) files.Tree {
		e := &Executor{life: &life{home: newHome("a", client, func() {}, slog.New(slog.DiscardHandler))}}
		require.NoError(t, e.home.set(&apiv1.ExecHome{Host: "other", Addr: addr}))
		return e.rankMounts(t.Context(), 1)[0].Tree
	}
	tree := treeOf(1)
	f, err := tree.Open("x", unix.O_CREAT|unix.O_EXCL|unix.O_RDWR)
	require.NoError(t, err)
	require.NoError(t, tree.Unlink("x"))
	text := make([]byte, 1)
	var keeper, kept uint64
	for i := range byte(3) {
		k, number, err := f.(files.Keeper).Keep()
		require.NoError(t, err)
		if i > 0 {
			require.Equal(t, keeper, k)
			require.Equal(t, kept, number)
		}
		keeper, kept = k, number
		_, err = f.WriteAt([]byte{i}, 0)
		require.NoError(t, err)
		_, err = f.ReadAt(text, 0)
		require.NoError(t, err)
		require.Equal(t, i, text[0])
	}
	other, err := treeOf(2).(files.Adopter).Adopt(keeper, kept, unix.O_RDWR)
	require.NoError(t, err)
	_, err = other.ReadAt(text, 0)
	require.NoError(t, err)
	require.EqualValues(t, 2, text[0])
	_, err = f.WriteAt([]byte{7}, 0)
	require.NoError(t, err)
	k, number, err := f.(files.Keeper).Keep()
	require.NoError(t, err)
	require.Equal(t, []uint64{keeper, kept}, []uint64{k, number})
}

// TestWhatIsClosedGivesRoom: nobody waits for a close, but a write that finds the disk full is tried again when all that was closed before it is.
func TestWhatIsClosedGivesRoom(t *testing.T) {
	var closed atomic.Bool
	tried := make(chan struct{}, 10)
	addr := otherHome(t, func(req *apiv1.FilesRequest) syscall.Errno {
		switch req.Op {
		case apiv1.FilesRequest_OP_CLOSE:
			<-tried // not before the write
			closed.Store(true)
		case apiv1.FilesRequest_OP_WRITE:
			tried <- struct{}{}
			if !closed.Load() {
				return syscall.ENOSPC
			}
		default:
		}
		return 0
	})
	e := &Executor{life: &life{home: newHome("a", 1, func() {}, slog.New(slog.DiscardHandler))}}
	require.NoError(t, e.home.set(&apiv1.ExecHome{Host: "other", Addr: addr}))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.home.run(ctx) }()
	tree := e.rankMounts(t.Context(), 1)[0].Tree
	large, err := tree.Open("large", unix.O_CREAT|unix.O_WRONLY)
	require.NoError(t, err)
	small, err := tree.Open("small", unix.O_CREAT|unix.O_WRONLY)
	require.NoError(t, err)
	require.NoError(t, large.Close())
	n, err := small.WriteAt([]byte("text"), 0)
	require.NoError(t, err)
	require.Equal(t, 4, n)
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
}

// TestCloseIsWaitedForWithoutRoom: who has closed a file tells others, on other hosts, and those find the room that it had; where the host has said that there is enough nobody waits.
func TestCloseIsWaitedForWithoutRoom(t *testing.T) {
	asked, closed := make(chan struct{}), make(chan struct{})
	var slow atomic.Bool
	addr := otherHome(t, func(req *apiv1.FilesRequest) syscall.Errno {
		switch {
		case req.Op == apiv1.FilesRequest_OP_CLOSE && slow.Load():
			close(asked)
			<-closed
		case req.Op == apiv1.FilesRequest_OP_WRITE:
			return syscall.EIO
		}
		return 0
	})
	e := &Executor{life: &life{home: newHome("a", 1, func() {}, slog.New(slog.DiscardHandler))}}
	require.NoError(t, e.home.set(&apiv1.ExecHome{Host: "other", Addr: addr}))
	tree := e.rankMounts(t.Context(), 1)[0].Tree
	open := func() files.Distant {
		f, err := tree.Open("file", unix.O_CREAT|unix.O_WRONLY)
		require.NoError(t, err)
		return f.(files.Distant) //nolint:forcetypeassert // it is on another host
	}
	require.Eventually(t, func() bool { // the word of an open counts for a second
		require.NoError(t, open().Shut())
		return len(e.home.close) == 1
	}, 10*time.Second, time.Millisecond, "nobody closes it yet")
	slow.Store(true)
	one, two := open(), open()
	_, err := one.WriteAt([]byte("text"), 0)
	require.ErrorIs(t, err, syscall.EIO)
	require.False(t, one.Ahead(), "nothing is known of room")
	done := make(chan error, 1)
	go func() { done <- one.Shut() }()
	<-asked
	require.Empty(t, done)
	close(closed)
	require.NoError(t, <-done)
	slow.Store(false)
	require.NoError(t, two.Close(), "a program's end waits for nobody")
	require.Len(t, e.home.close, 2)
}

// TestShortWriteIsNotAskedAgain: a write of which a part is done says so; it is not made once more.
func TestShortWriteIsNotAskedAgain(t *testing.T) {
	asked := 0
	lane := &homeLane{lane: 1, ctx: t.Context(), home: newHome("a", 1, func() {}, slog.New(slog.DiscardHandler))}
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
	require.NoError(t, err)
	s := connect.NewServer()
	apiv1connect.RegisterDataHandler(s, fullService{asked: &asked})
	mux := http.NewServeMux()
	transport.Mount(mux, s)
	served := make(chan error, 1)
	go func() { served <- transport.Serve(t.Context(), l, mux) }()
	t.Cleanup(func() { require.NoError(t, <-served) })
	require.NoError(t, lane.home.set(&apiv1.ExecHome{Host: "other", Addr: l.Addr().String()}))
	for _, op := range []apiv1.FilesRequest_Op{apiv1.FilesRequest_OP_WRITE, apiv1.FilesRequest_OP_APPEND} {
		asked = 0
		res, err := lane.Ask(&apiv1.FilesRequest{Op: op, Data: []byte("text")})
		require.NoError(t, err)
		require.EqualValues(t, syscall.ENOSPC, res.Errno)
		require.Equal(t, 1, asked, op)
	}
}

// fullService is a home whose disk takes a part of each write.
type fullService struct {
	apiv1connect.UnimplementedDataHandler

	asked *int
}

func (s fullService) Files(_ context.Context, req *apiv1.FilesRequest) (*apiv1.FilesResponse, error) {
	*s.asked++
	res := &apiv1.FilesResponse{Errno: int32(syscall.ENOSPC), At: 2}
	if req.Op == apiv1.FilesRequest_OP_APPEND {
		res.Done = 2
	}
	return res, nil
}
