package wasm

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// asks has the program call a function that the host has, and returns its result.
func (g *farGuest) asks(name string, args ...uint64) errno {
	for _, f := range hostFunctions() {
		if f.module == moduleWASI && f.name == name {
			stack := append(args, make([]uint64, 8)...)
			f.call(context.Background(), g.Guest, stack)
			return errno(stack[0])
		}
	}
	g.t.Fatal("no function ", name)
	return 0
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
		require.LessOrEqual(t, len(g.files.readAhead.room), maxReadAhead)
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

// What was read ahead is gone at whatever else the program calls, also where the calls are for another descriptor, and behind a callback.
func TestReadAheadIsDropped(t *testing.T) {
	g := newFarGuest(t, 0)
	copy(g.memory.Bytes()[farMemory:], "work/out")
	require.Zero(t, pathOpen(g.call(3, 0, farMemory, 8, 0, rightRead, 0, 0, farMemory+64)))
	other := binary.LittleEndian.Uint32(g.memory.Bytes()[farMemory+64:])
	plain := g.module
	old, changed := strings.Repeat("a", 10000), strings.Repeat("b", 10000)
	for what, do := range map[string]func(){
		"a clock":          func() { g.asks("clock_time_get", 0, 0, farMemory) },
		"yield":            func() { g.asks("sched_yield") },
		"a place":          func() { g.asks("fd_tell", uint64(g.fd), farMemory) },
		"the other":        func() { g.read(other, 1) },
		"no descriptor":    func() { g.asks("fd_read", 99, farMemory, 1, farMemory+8); g.asks("fd_fdstat_get", 99, farMemory) },
		"what MPI calls":   func() { g.files.readAhead.of = g.files.open[g.fd]; _ = g.stand() },
		"memory in common": func() { g.memory.shared.Store(true) },
		"a write":          func() { g.asks("fd_write", uint64(other), farMemory, 0, farMemory+8) },
		"a sync":           func() { g.asks("fd_sync", uint64(g.fd)) },
		"a migration point": func() {
			hostFunction{module: moduleGodwit, call: func(context.Context, *Guest, []uint64) {}}.forgetting()(context.Background(), g.Guest, nil)
		},
		"a seek to the same": func() { g.asks("fd_seek", uint64(g.fd), 0, 1, farMemory) },
		"a window":           func() { g.hasWindows() },
	} {
		g.memory.shared.Store(false)
		g.module = plain
		g.has(old)
		require.Zero(t, g.asks("fd_seek", uint64(g.fd), 0, 0, farMemory))
		require.Equal(t, "aa", g.read(g.fd, 1)+g.read(g.fd, 1))
		g.has(changed)
		require.Equal(t, "a", g.read(g.fd, 1), "read ahead")
		do()
		require.Equal(t, "b", g.read(g.fd, 1), what)
	}
	for _, f := range hostFunctions() { // each of them
		g.files.readAhead.of = g.files.open[g.fd]
		func() {
			defer func() { _ = recover() }() // most need more than this
			f.call(context.Background(), g.Guest, make([]uint64, 32))
		}()
		if !f.reads() {
			require.Nil(t, g.files.readAhead.of, f.name)
		}
	}
}
