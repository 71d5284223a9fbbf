package wasm

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
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
		"flags":                func() { g.asks("fd_fdstat_get", 99, farMemory) },
		"a stand":              func() { require.NoError(t, g.stand()) },
		"memory in common":     func() { g.memory.shared.Store(true) },
		"a write to it":        func() { g.asks("fd_pwrite", uint64(g.fd), farMemory, 0, 0, farMemory+8) },
		"a write by the other": func() { g.asks("fd_pwrite", uint64(again), farMemory, 0, 0, farMemory+8) },
		"a write that fails": func() {
			g.tree.before = func() error { return syscall.ENOSPC }
			g.files.behind.roomy = false
			g.failsToWrite(other)
		},
		"a sync":                    func() { g.asks("fd_sync", uint64(g.fd)) },
		"standard input":            func() { g.asks("fd_read", 0, farMemory, 0, farMemory+8) },
		"a callback":                func() { g.callsBack(func() {}) },
		"what a callback waits for": func() { g.callsBack(func() { g.readsOld() }) },
		"a migration point": func() {
			hostFunction{module: moduleGodwit, call: func(context.Context, *Guest, []uint64) {}}.forgetting()(context.Background(), g.Guest, nil)
		},
		"a window": func() { g.hasWindows() },
	} {
		g.memory.shared.Store(false)
		g.module = plain
		g.tree.before = func() error { return nil }
		g.readsOld()
		do()
		require.Equal(t, newText, g.read(g.fd, 1), what)
	}
	for _, f := range hostFunctions() { // each of them
		g.readsOld()
		func() {
			defer func() { _ = recover() }() // most need more than this
			f.call(context.Background(), g.Guest, make([]uint64, 32))
		}()
		keeps := f.module == moduleWASI && slices.Contains([]string{"fd_write", "fd_pwrite", "fd_pread", "fd_seek", "fd_tell"}, f.name) // of standard input, in these
		require.Equal(t, keeps, len(g.files.open[g.fd].readAhead.data) > 0, f.name)
		require.Equal(t, keeps, len(g.files.ahead) > 0, f.name)
	}
}

// failsToWrite has the program write what cannot be.
func (g *farGuest) failsToWrite(fd uint32) {
	before := g.fd
	defer func() { g.fd = before }()
	g.fd = fd
	require.Equal(g.t, errnoOf(syscall.ENOSPC), g.write("x"))
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

// What tells nothing of others leaves what was read ahead: where the program is, jumps to where it has been and is about to be, and what it writes to other files and prints. And a read that needs no request tells nothing of the room that there is.
func TestReadAheadStays(t *testing.T) {
	g := newFarGuest(t, 0)
	other, appends := g.opens("other", 0), g.opens("appended", flagAppend)
	g.writeTo(other, "x")
	for what, do := range map[string]func(){
		"a place":           func() { g.asks("fd_tell", uint64(g.fd), farMemory) },
		"a jump":            func() { g.asks("fd_seek", uint64(g.fd), 50, 1, farMemory) },
		"a jump back":       func() { g.asks("fd_seek", uint64(g.fd), 2, 0, farMemory) },
		"an other's":        func() { g.asks("fd_seek", uint64(other), 0, 1, farMemory) },
		"a write elsewhere": func() { g.writeTo(other, "y") },
		"an append":         func() { g.writeTo(appends, "y") },
		"a line":            func() { g.writeTo(1, "line\n") },
		"no descriptor":     func() { g.asks("fd_read", 99, farMemory, 1, farMemory+8) },
	} {
		g.readsOld()
		do()
		require.Equal(t, oldText, g.read(g.fd, 1), what)
		require.NoError(t, g.catchUp())
	}
	g.readsOld()
	g.files.behind.roomy = true
	g.read(g.fd, 1)
	require.True(t, g.files.behind.roomy)
	g.read(g.fd, 1<<20)
	require.False(t, g.files.behind.roomy)
}

// A program that reads some files in turn makes few requests, and finds in none of them what is older than what it has found in another.
func TestReadsSomeFilesAhead(t *testing.T) {
	for _, n := range []int{2, 3, maxReadsAhead, maxReadsAhead + 2} {
		g := newFarGuest(t, 0)
		names, fds := make([]string, n), make([]uint32, n)
		const size = 400000
		for i := range names {
			names[i] = fmt.Sprint("file", i)
			require.NoError(t, os.WriteFile(filepath.Join(g.dir, names[i]), bytes.Repeat([]byte{0}, size), 0o600))
			fds[i] = g.opens(names[i], 0)
		}
		random := rand.New(rand.NewPCG(uint64(n), 1))
		before, generation, heard := g.tree.reads.Load(), byte(0), byte(0)
		for read := 0; read < size/200; read++ {
			if random.IntN(100) == 0 && generation < 255 { // others write, one file after the other
				generation++
				for _, name := range names {
					require.NoError(t, os.WriteFile(filepath.Join(g.dir, name), bytes.Repeat([]byte{generation}, size), 0o600))
				}
			}
			for i, fd := range fds {
				text := g.read(fd, 200-100*(i&1))
				for _, c := range []byte(text) {
					if c < heard {
						t.Fatalf("file %d gives what it had at %d, when another has given what it had at %d", i, c, heard)
					}
					heard = c
				}
			}
		}
		require.LessOrEqual(t, len(g.files.ahead), maxReadsAhead)
		requests := int(g.tree.reads.Load() - before)
		t.Logf("%d files: %d requests for %d reads", n, requests, n*size/200)
		if n <= maxReadsAhead {
			require.Less(t, requests, 50*n)
		}
		require.Less(t, requests, n*size/200+2*maxReadDebt*n, "never many more than it reads")
	}
}

// What a program jumps over is not asked for again and again, and a second file that it looks into here and there costs it little of the first.
func TestReadsAheadOfAnIndex(t *testing.T) {
	g := newFarGuest(t, 0)
	g.has(strings.Repeat("0123456789", 10000))
	require.NoError(t, os.WriteFile(filepath.Join(g.dir, "data"), make([]byte, 1<<20), 0o600))
	data := g.opens("data", 0)
	random := rand.New(rand.NewPCG(1, 1))
	for i := range 1000 {
		require.Equal(t, "0123456789", g.read(g.fd, 10))
		require.Zero(t, g.asks("fd_seek", uint64(data), random.Uint64N(1<<20-100), 0, farMemory))
		g.read(data, 16)
		require.LessOrEqual(t, len(g.files.open[g.fd].readAhead.room), minReadAhead, i)
	}
	require.Less(t, g.tree.reads.Load(), int32(2100), "two for each")
}
