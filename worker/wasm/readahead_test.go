package wasm

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// ofWASI are the functions that programs call, by name.
var ofWASI = sync.OnceValue(func() map[string]hostFunction {
	functions := map[string]hostFunction{}
	for _, f := range hostFunctions() {
		if f.module == moduleWASI {
			functions[f.name] = f
		}
	}
	return functions
})

// asks has the program call a function that the host has, and returns its result.
func (g *farGuest) asks(name string, args ...uint64) errno {
	f, ok := ofWASI()[name]
	require.True(g.t, ok, name)
	stack := append(args, make([]uint64, 8)...)
	f.call(context.Background(), g.Guest, stack)
	return errno(stack[0])
}

// read has the program read so many bytes, and returns them.
func (g *farGuest) read(fd uint32, size int) string {
	m := g.memory.Bytes()[farMemory:]
	binary.LittleEndian.PutUint32(m, farMemory+16)
	binary.LittleEndian.PutUint32(m[4:], uint32(size))
	require.Zero(g.t, g.asks("fd_read", uint64(fd), farMemory, 1, farMemory+8))
	return string(m[16 : 16+binary.LittleEndian.Uint32(m[8:])])
}

// has the file have a text, without the program.
func (g *farGuest) has(text string) {
	require.NoError(g.t, os.WriteFile(filepath.Join(g.dir, "out"), []byte(text), 0o600))
}

// Small reads that follow each other are few requests, and give what is there; a large one asks for itself.
func TestReadsAhead(t *testing.T) {
	g := newFarGuest(t, 0)
	random := rand.New(rand.NewPCG(1, 2))
	whole := make([]byte, 1<<20)
	for i := range whole {
		whole[i] = byte(random.Uint32())
	}
	g.has(string(whole))
	var got strings.Builder
	for len(got.String()) < len(whole) {
		got.WriteString(g.read(g.fd, 1+random.IntN(128)))
		require.LessOrEqual(t, len(g.files.open[g.fd].readAhead.room), maxReadAhead)
	}
	require.True(t, string(whole) == got.String())
	require.Less(t, g.tree.reads.Load(), int32(16), "of some 16,000")
	require.EqualValues(t, len(whole), g.tell())

	before := g.tree.reads.Load()
	require.Empty(t, g.read(g.fd, 10))
	require.Equal(t, before+1, g.tree.reads.Load(), "the end is asked for")
	g.has(string(whole) + "more")
	require.Equal(t, "more", g.read(g.fd, 10), "the file has grown")
}

// opens has the program open another file, or the same again.
func (g *farGuest) opens(name string, fdflags uint64) uint32 {
	copy(g.memory.Bytes()[farMemory:], "work/"+name)
	require.Zero(g.t, pathOpen(g.call(3, 0, farMemory, uint64(len("work/"+name)), openCreate, rightRead|rightWrite, 0, fdflags, farMemory+64)))
	return binary.LittleEndian.Uint32(g.memory.Bytes()[farMemory+64:])
}

// writeTo has the program write a text.
func (g *farGuest) writeTo(fd uint32, text string) {
	before := g.fd
	defer func() { g.fd = before }()
	g.fd = fd
	require.Zero(g.t, g.write(text))
}

// dated is a file in two states.
const (
	oldText = "a"
	newText = "b"
)

// readsOld has the program read a file twice from its beginning, so that more of it is read ahead, changes all of it, and has it read once more.
func (g *farGuest) readsOld() {
	g.has(strings.Repeat(oldText, 10000))
	require.Zero(g.t, g.asks("fd_seek", uint64(g.fd), 0, 0, farMemory))
	require.Equal(g.t, "aa", g.read(g.fd, 1)+g.read(g.fd, 1))
	g.has(strings.Repeat(newText, 10000))
	require.Equal(g.t, oldText, g.read(g.fd, 1), "read ahead")
}

// What was read ahead is gone at whatever else may tell the program of others, also where the calls are for another descriptor, and around a callback.
func TestReadAheadIsDropped(t *testing.T) {
	g := newFarGuest(t, 0)
	other, appends, again := g.opens("other", 0), g.opens("appended", flagAppend), g.opens("out", 0)
	plain := g.module
	for what, do := range map[string]func(){
		"a clock":          func() { g.asks("clock_time_get", 0, 0, farMemory) },
		"yield":            func() { g.asks("sched_yield") },
		"a read to a size": func() { g.asks("fd_seek", uint64(other), 0, 2, farMemory) },
		"where appends go": func() { g.asks("fd_tell", uint64(appends), farMemory) },
		"a seek from there": func() {
			g.asks("fd_seek", uint64(appends), 0, 1, farMemory)
		},
		"flags":                     func() { g.asks("fd_fdstat_get", 99, farMemory) },
		"a stand":                   func() { require.NoError(t, g.stand()) },
		"memory in common":          func() { g.memory.shared.Store(true) },
		"a write to it":             func() { g.asks("fd_pwrite", uint64(g.fd), farMemory, 0, 0, farMemory+8) },
		"a write by the other":      func() { g.asks("fd_pwrite", uint64(again), farMemory, 0, 0, farMemory+8) },
		"a write elsewhere":         func() { g.writeTo(other, "y") }, // as whoever takes turns by flags in files does
		"an append":                 func() { g.writeTo(appends, "y") },
		"a line":                    func() { g.writeTo(1, "line\n") },
		"a read elsewhere":          func() { g.read(other, 1) },
		"a sync":                    func() { g.asks("fd_sync", uint64(g.fd)) },
		"standard input":            func() { g.asks("fd_read", 0, farMemory, 0, farMemory+8) },
		"a callback":                func() { g.callsBack(func() {}) },
		"what a callback waits for": func() { g.callsBack(func() { g.readsOld() }) },
		"a migration point": func() {
			hostFunction{module: moduleGodwit, call: func(context.Context, *Guest, []uint64) {}}.meeting()(context.Background(), g.Guest, nil)
		},
		"a window": func() { g.hasWindows() },
	} {
		g.memory.shared.Store(false)
		g.module = plain
		g.readsOld()
		do()
		require.Equal(t, newText, g.read(g.fd, 1), what)
	}
	g.memory.shared.Store(false)
	g.module = plain
	for _, f := range hostFunctions() { // each of them
		g.readsOld()
		func() {
			defer func() { _ = recover() }() // most need more than this
			f.call(context.Background(), g.Guest, make([]uint64, 32))
		}()
		keeps := f.module == moduleWASI && slices.Contains([]string{"fd_pread", "fd_seek", "fd_tell"}, f.name) // these fail, of standard input
		require.Equal(t, keeps, len(g.files.open[g.fd].readAhead.data) > 0, f.name)
	}
}

// calledBack is a function of the guest.
type calledBack func()

func (f calledBack) CallWithStack(context.Context, []uint64) error { f(); return nil }

// callsBack has MPI call a function of the program.
func (g *farGuest) callsBack(f func()) {
	g.nested = nestedCaller(context.Background())
	g.presence.leave()
	_, err := g.enter(calledBack(f), nil)
	g.presence.enter()
	require.NoError(g.t, err)
}

// Where the program is in files, and jumps to where it has been and is about to be, leave what was read ahead. And a read that needs no request tells nothing of the room that there is.
func TestReadAheadStays(t *testing.T) {
	g := newFarGuest(t, 0)
	other := g.opens("other", 0)
	for what, do := range map[string]func(){
		"a place":       func() { g.asks("fd_tell", uint64(g.fd), farMemory) },
		"a jump":        func() { g.asks("fd_seek", uint64(g.fd), 50, 1, farMemory) },
		"a jump back":   func() { g.asks("fd_seek", uint64(g.fd), 2, 0, farMemory) },
		"another's":     func() { g.asks("fd_seek", uint64(other), 0, 1, farMemory) },
		"no descriptor": func() { g.asks("fd_read", 99, farMemory, 1, farMemory+8) },
	} {
		g.readsOld()
		do()
		require.Equal(t, strings.Repeat(oldText, 5), g.read(g.fd, 5), what)
	}
	g.readsOld()
	g.files.behind.knowsRoom(g.files.mounts[1])
	g.read(g.fd, 1)
	require.NotEmpty(t, g.files.behind.roomy)
	g.read(g.fd, 1<<20)
	require.Empty(t, g.files.behind.roomy)
}

// What asks for no more than it needs is read into the program's memory at once.
func TestReadsThatAskForThemselves(t *testing.T) {
	g := newFarGuest(t, 0)
	g.has(strings.Repeat(oldText, 300000))
	for range 3 {
		g.asks("sched_yield") // as whoever speaks with others between
		require.Len(t, g.read(g.fd, 1000), 1000)
		require.Nil(t, g.files.open[g.fd].readAhead.room)
	}
}

// One read gives what a file had at one time: it is none that is half of what was read ahead, and the end is where it is now.
func TestReadAheadIsWhole(t *testing.T) {
	g := newFarGuest(t, 0)
	g.readsOld()
	require.Equal(t, strings.Repeat(newText, 9000), g.read(g.fd, 9000))
	g.readsOld()
	require.NoError(t, os.Truncate(filepath.Join(g.dir, "out"), 0))
	require.Empty(t, g.read(g.fd, 9000))
}

// What a program reads again and again, until another has written there, it finds anew.
func TestReadAheadIsNotPolled(t *testing.T) {
	g := newFarGuest(t, 0)
	pread := func() string {
		m := g.memory.Bytes()[farMemory:]
		binary.LittleEndian.PutUint32(m, farMemory+16)
		binary.LittleEndian.PutUint32(m[4:], 1)
		require.Zero(t, g.asks("fd_pread", uint64(g.fd), farMemory, 1, 5, farMemory+8))
		return string(m[16:17])
	}
	rewind := func() string {
		require.Zero(t, g.asks("fd_seek", uint64(g.fd), 1, 0, farMemory))
		return g.read(g.fd, 1)
	}
	for what, look := range map[string]func() string{"pread": pread, "seek and read": rewind} {
		g.has(strings.Repeat(oldText, 10000))
		g.asks("sched_yield")
		for range 100 {
			require.Equal(t, oldText, look(), what)
		}
		g.has(strings.Repeat(newText, 10000))
		require.Equal(t, newText, look(), what)
	}
}

// A library that reads again what it has, since the program jumps by a bit, makes few requests; and a second file that is looked into here and there costs nothing but its own.
func TestReadAheadOfJumps(t *testing.T) {
	g := newFarGuest(t, 0)
	g.has(strings.Repeat("0123456789", 100000))
	for at := 0; at < 900000; at += 300 {
		require.Zero(t, g.asks("fd_seek", uint64(g.fd), uint64(at), 0, farMemory))
		require.Len(t, g.read(g.fd, 1024), 1024)
	}
	require.Less(t, g.tree.reads.Load(), int32(200), "of 3,000")

	require.NoError(t, os.WriteFile(filepath.Join(g.dir, "data"), make([]byte, 1<<20), 0o600))
	data := g.opens("data", 0)
	random := rand.New(rand.NewPCG(1, 1))
	require.Zero(t, g.asks("fd_seek", uint64(g.fd), 0, 0, farMemory))
	g.tree.reads.Store(0)
	for i := range 1000 {
		require.Equal(t, "0123456789", g.read(g.fd, 10))
		require.Zero(t, g.asks("fd_seek", uint64(data), random.Uint64N(1<<20-100), 0, farMemory))
		g.read(data, 16)
		require.LessOrEqual(t, len(g.files.open[g.fd].readAhead.room), minReadAhead, i)
	}
	require.LessOrEqual(t, g.tree.reads.Load(), int32(2000), "one for each")
}
