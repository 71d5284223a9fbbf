package wasm

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/internal/files"
	"github.com/godwit-run/godwit/mpi"
)

// farTree is a directory of this host that looks like another host's.
type farTree struct {
	files.Tree

	before   func() error // what a request to write does first
	requests atomic.Int32
	reads    atomic.Int32 // requests to read
	narrow   atomic.Bool  // it may have too little room
}

func (t *farTree) Open(path string, flags int) (files.File, error) {
	f, err := t.Tree.Open(path, flags)
	if err != nil {
		return nil, err
	}
	return &farFile{f, t}, nil
}

type farFile struct {
	files.File

	tree *farTree
}

func (f *farFile) Ahead() bool { return !f.tree.narrow.Load() }

func (f *farFile) Shut() error { return f.Close() }

func (f *farFile) WriteAhead(p []byte, at int64) (int64, error) {
	if at < 0 {
		_, end, err := f.Append(p)
		return end, err
	}
	n, err := f.WriteAt(p, at)
	return int64(n), err
}

func (f *farFile) WriteAt(p []byte, at int64) (int, error) {
	f.tree.requests.Add(1)
	if err := f.tree.before(); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, at)
}

func (f *farFile) ReadAt(p []byte, at int64) (int, error) {
	f.tree.reads.Add(1)
	return f.File.ReadAt(p, at)
}

func (f *farFile) Append(p []byte) (int, int64, error) {
	f.tree.requests.Add(1)
	if err := f.tree.before(); err != nil {
		return 0, 0, err
	}
	return f.File.Append(p)
}

// Reader is for files without a name, as the tree's own have it.
func (f *farFile) Reader() (*os.File, error) {
	return f.File.(interface{ Reader() (*os.File, error) }).Reader()
}

// farGuest has a file of another host open, and the calls that a program makes.
type farGuest struct {
	*Guest

	t    *testing.T
	tree *farTree
	dir  string
	fd   uint32
}

const farMemory = 4096 // where the calls' arguments are

func newFarGuest(t *testing.T, fdflags uint64) *farGuest {
	dir := t.TempDir()
	tree := &farTree{Tree: mountLocal(t, "/work", dir, false).Tree, before: func() error { return nil }}
	guest, err := compile(t, "files").New(context.Background(), GuestConfig{Mounts: []Mount{{"/work", tree}}, Dir: "/work"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, guest.Close(context.Background())) })
	guest.presence.enter()
	guest.files.behind.knowsRoom(guest.files.mounts[1]) // as if it had written already
	g := &farGuest{Guest: guest, t: t, tree: tree, dir: dir}
	copy(g.memory.Bytes()[farMemory:], "work/out")
	require.Zero(t, pathOpen(g.call(3, 0, farMemory, 8, openCreate, rightRead|rightWrite, 0, fdflags, farMemory+64)))
	g.fd = binary.LittleEndian.Uint32(g.memory.Bytes()[farMemory+64:])
	return g
}

func (g *farGuest) call(args ...uint64) wasiCall { return wasiCall{g.Guest, g.memory, args} }

// write has the program write a text.
func (g *farGuest) write(text string) errno {
	m := g.memory.Bytes()[farMemory:]
	binary.LittleEndian.PutUint32(m, farMemory+16)
	binary.LittleEndian.PutUint32(m[4:], uint32(len(text)))
	copy(m[16:], text)
	return fdWrite(g.call(uint64(g.fd), farMemory, 1, farMemory+8))
}

// hasWindows has the program be one that has windows.
func (g *farGuest) hasWindows() {
	m := *g.module // others run the same
	m.info.windows = true
	g.module = &m
}

func (g *farGuest) tell() int64 {
	require.Zero(g.t, fdTell(g.call(uint64(g.fd), farMemory)))
	return int64(binary.LittleEndian.Uint64(g.memory.Bytes()[farMemory:]))
}

func (g *farGuest) content() string {
	text, err := os.ReadFile(filepath.Join(g.dir, "out"))
	require.NoError(g.t, err)
	return string(text)
}

// asked is a Host that looks at what there is when it is called.
type asked func()

func (a asked) Invoke(*mpi.Call, []uint64) (uint64, error) { a(); return 0, nil }

// Small writes to another host go ahead, few requests have all of them, and whatever others may see of the program comes after them.
func TestWritesGoAhead(t *testing.T) {
	for name, flags := range map[string]uint64{"at a place": 0, "at the end": flagAppend} {
		t.Run(name, func(t *testing.T) {
			g := newFarGuest(t, flags)
			reached := map[string]func(){
				"an MPI call": func() {
					g.Bind(asked(func() { require.Equal(t, strings.Repeat("line\n", 1000), g.content()) }))
					_, err := g.invoke(&mpi.Call{}, nil)
					require.NoError(t, err)
				},
				"another file": func() { require.Zero(t, fdFilestat(g.call(3, farMemory))) },
				"sync":         func() { require.Zero(t, fdSync(g.call(uint64(g.fd)))) },
				"output":       func() { _, _ = output{g.Guest, new(bytes.Buffer)}.Write(nil) },
			}
			for what, reach := range reached {
				require.NoError(t, os.Truncate(filepath.Join(g.dir, "out"), 0))
				require.Zero(t, fdSeek(g.call(uint64(g.fd), 0, 0, farMemory)))
				g.files.behind.knowsRoom(g.files.mounts[1])
				began, held := make(chan struct{}, 1000), make(chan struct{})
				g.tree.requests.Store(0)
				g.tree.before = func() error { began <- struct{}{}; <-held; return nil }
				require.Zero(t, g.write("line\n"))
				within(t, "the first request", began)
				for range 999 {
					require.Zero(t, g.write("line\n")) // and nobody answers the first
				}
				require.Empty(t, g.content())
				close(held)
				reach()
				require.Equal(t, strings.Repeat("line\n", 1000), g.content(), what)
				require.EqualValues(t, 2, g.tree.requests.Load(), what)
				require.EqualValues(t, 5000, g.tell())
			}
		})
	}
}

// What a function writes that the MPI library calls back is done when it returns: the call that it is inside of tells others.
func TestCallbacksWrite(t *testing.T) {
	g := newFarGuest(t, 0)
	g.nested = func(function, []uint64) error { require.Zero(t, g.write("line\n")); return nil }
	_, err := g.enter(nil, nil)
	require.NoError(t, err)
	require.Equal(t, "line\n", g.content())
}

// However much a program writes, what is not done is bounded; and large writes are done when they return.
func TestWritesThatGoAheadAreBounded(t *testing.T) {
	g := newFarGuest(t, 0)
	most := 0
	g.tree.before = func() error {
		g.files.behind.mu.Lock()
		defer g.files.behind.mu.Unlock()
		most = max(most, g.files.behind.bytes)
		return nil
	}
	part := strings.Repeat("x", 1000)
	for range 5000 {
		require.Zero(t, g.write(part))
	}
	require.Zero(t, g.write(strings.Repeat("y", maxGathered+1)))
	require.Len(t, g.content(), 5000*1000+maxGathered+1)
	require.LessOrEqual(t, most, maxBehind)
	require.False(t, g.files.behind.busy.Load())
}

// What cannot be written though the program was told so ends it: at its next call, whatever that is, or where it stands.
func TestWritesThatFailEndTheProgram(t *testing.T) {
	next := map[string]func(*farGuest){
		"writes": func(g *farGuest) {
			for range 1 << 20 { // until the host has answered the first
				g.write("b")
			}
		},
		"a write": func(g *farGuest) { g.write(strings.Repeat("b", maxGathered+1)) },
		"close":   func(g *farGuest) { fdClose(g.call(uint64(g.fd))) },
		"MPI":     func(g *farGuest) { _, _ = g.invoke(&mpi.Call{}, nil) },
		"output":  func(g *farGuest) { _, _ = output{g.Guest, new(bytes.Buffer)}.Write(nil) },
	}
	for what, do := range next {
		t.Run(what, func(t *testing.T) {
			g := newFarGuest(t, 0)
			g.Bind(asked(func() { t.Error("others hear of the program") }))
			g.tree.before = func() error { return syscall.ENOSPC }
			require.Zero(t, g.write("a"))
			require.PanicsWithError(t, errEnded.Error(), func() { do(g) })
			require.EqualError(t, g.stopped, "not all that it wrote to /work/out is there: no space left on device")
			require.ErrorIs(t, g.stand(), syscall.ENOSPC)
			require.Empty(t, g.content())
		})
	}
}

// A program that only writes does not keep others from a moment without guests, nor from cancelling it.
func TestWritersLetOthersIn(t *testing.T) {
	g := newFarGuest(t, 0)
	held := make(chan struct{})
	g.tree.before = func() error { <-held; return nil }
	defer close(held)
	ran := make(chan struct{})
	go func() {
		for !g.presence.activity.TryExclusive(func() {}) {
			runtime.Gosched()
		}
		close(ran)
	}()
	for done := false; !done; {
		g.tree.narrow.Store(false)
		if g.files.behind.bytes < maxBehind/2 {
			require.Zero(t, g.write("a"))
		} else { // as a write that goes ahead begins
			g.presence.leave()
			g.presence.enter()
		}
		select {
		case <-ran:
			done = true
		default:
		}
	}
	g.Cancel(syscall.EINTR)
	require.PanicsWithError(t, errEnded.Error(), func() { g.write("b") })
}

// What a program may have heard by ends the host's word: the next write waits for a new one.
func TestRoomIsAskedForAnew(t *testing.T) {
	g := newFarGuest(t, 0)
	for _, f := range hostFunctions() {
		g.files.behind.knowsRoom(g.files.mounts[1])
		func() {
			defer func() { _ = recover() }() // most need more than this
			f.call(context.Background(), g.Guest, make([]uint64, 32))
		}()
		quiet := f.module == moduleMPI && strings.Contains(f.name, "MPI_Wti") || f.module == moduleWASI && slices.Contains([]string{"fd_write", "fd_pwrite", "fd_pread", "fd_seek", "fd_tell", "clock_time_get"}, f.name)
		require.Equal(t, quiet, len(g.files.behind.roomy) > 0, f.name)
	}
	g = newFarGuest(t, 0)
	g.files.behind.knowsNoRoom()
	g.tree.before = func() error { return syscall.ENOSPC } // others have filled it, and have said so
	require.Equal(t, errnoOf(syscall.ENOSPC), g.write("a"))
	g.tree.before = func() error { return nil }
	require.Zero(t, g.write("b"))
	require.NoError(t, g.catchUp())
	require.Equal(t, "b", g.content())
}

// Where the room may not do, or another rank sees this one's memory, writes are done when they return.
func TestWritesThatDoNotGoAhead(t *testing.T) {
	for what, narrow := range map[string]func(*farGuest){
		"little room":   func(g *farGuest) { g.tree.narrow.Store(true) },
		"shared memory": func(g *farGuest) { g.memory.shared.Store(true) },
		"a window":      func(g *farGuest) { g.hasWindows() },
	} {
		g := newFarGuest(t, 0)
		require.Zero(t, g.write("a"))
		narrow(g)
		require.Zero(t, g.write("b"))
		require.Equal(t, "ab", g.content(), what)
		g.tree.before = func() error { return syscall.EDQUOT }
		require.Equal(t, errnoOf(syscall.EDQUOT), g.write("c"), what)
		require.NoError(t, g.stand())
	}
}

// Each file has what was written to it, in whatever turns; and where a program is in one is known behind an append, a seek and a move.
func TestPlacesBehindWrites(t *testing.T) {
	g := newFarGuest(t, flagAppend)
	copy(g.memory.Bytes()[farMemory:], "work/two")
	require.Zero(t, pathOpen(g.call(3, 0, farMemory, 8, openCreate, rightRead|rightWrite, 0, flagAppend, farMemory+64)))
	one, two := g.fd, binary.LittleEndian.Uint32(g.memory.Bytes()[farMemory+64:])
	began, held := make(chan struct{}, 1000), make(chan struct{})
	g.tree.before = func() error { began <- struct{}{}; <-held; return nil }
	for range 100 {
		g.fd = one
		require.Zero(t, g.write("1"))
		g.fd = two
		require.Zero(t, g.write("22"))
	}
	within(t, "the first request", began)
	close(held)
	require.NoError(t, g.stand())
	require.Equal(t, strings.Repeat("1", 100), g.content())
	text, err := os.ReadFile(filepath.Join(g.dir, "two"))
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("2", 200), string(text))
	require.EqualValues(t, 100, g.files.open[one].at, "an image says so")
	require.EqualValues(t, 200, g.tell())

	require.Zero(t, g.write("x"))
	require.Zero(t, fdSeek(g.call(uint64(two), 7, 0, farMemory)))
	require.EqualValues(t, 7, g.tell())
	require.Zero(t, g.write("y"))
	require.Zero(t, fdSeek(g.call(uint64(two), ^uint64(0), 1, farMemory))) // back by one
	require.EqualValues(t, 201, g.tell())
}

// Files mean what POSIX says where writes go ahead, too, whenever ranks move.
func TestFilesOfAnotherHost(t *testing.T) {
	for _, every := range []int{0, 100} {
		slow := func() error { runtime.Gosched(); return nil }
		w := &world{
			t: t, module: compile(t, "files"), args: []string{"files"}, every: every, dir: "/work",
			mounts: []Mount{
				{"/work", &farTree{Tree: mountLocal(t, "/work", t.TempDir(), false).Tree, before: slow}},
				{"/tmp", &farTree{Tree: mountLocal(t, "/tmp", t.TempDir(), false).Tree, before: slow}},
			},
		}
		for rank, r := range w.run(3) {
			require.Equal(t, Exit{}, r.exit, "rank %d: %s", rank, &r.stderr)
		}
	}
}

// TestRoomOfAnotherTree: what is written elsewhere says nothing of the room that a host has: who has heard since that it has none is told so.
func TestRoomOfAnotherTree(t *testing.T) {
	g := newFarGuest(t, 0)
	copy(g.memory.Bytes()[farMemory:], "dev/null")
	require.Zero(t, pathOpen(g.call(3, 0, farMemory, 8, 0, rightRead|rightWrite, 0, 0, farMemory+64)))
	null := binary.LittleEndian.Uint32(g.memory.Bytes()[farMemory+64:])
	require.Zero(t, g.write("a"))
	require.NoError(t, g.catchUp())
	g.meets() // another rank fills the disk, and says so by a message
	g.tree.before = func() error { return syscall.ENOSPC }
	g.writeTo(null, "x")
	require.Equal(t, errnoOf(syscall.ENOSPC), g.write("b"))
	require.Equal(t, errnoOf(syscall.ENOSPC), g.write("b"), "nor does one that failed")
	require.NoError(t, g.catchUp())
}
