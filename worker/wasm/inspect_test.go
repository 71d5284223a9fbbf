package wasm

import (
	"bytes"
	"context"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// section encodes one section with its id and length.
func section(id byte, body ...byte) []byte {
	return append(binary.AppendUvarint([]byte{id}, uint64(len(body))), body...)
}

// vector encodes a name or any other vector of bytes.
func vector(s string) []byte { return append(binary.AppendUvarint(nil, uint64(len(s))), s...) }

// assemble makes a module of sections.
func assemble(sections ...[]byte) []byte {
	return append([]byte("\x00asm\x01\x00\x00\x00"), bytes.Join(sections, nil)...)
}

// Sections of the smallest command: a _start that does nothing, and a memory of one page.
func command() (types, functions, memory, exports, code []byte) {
	names := append([]byte{2}, append(vector(exportStart), kindFunction, 0)...)
	names = append(names, append(vector(exportMemory), kindMemory, 0)...)
	return section(1, 1, 0x60, 0, 0), section(3, 1, 0), section(5, 1, 0, 1), section(7, names...), section(10, 1, 2, 0, 0x0b)
}

func TestInspect(t *testing.T) {
	info, err := Inspect(read(t, "hello"))
	require.NoError(t, err)
	require.True(t, info.Migratable, info.Reason)
	require.Contains(t, info.Imports, "mpi_abi.MPI_Send")
	require.EqualValues(t, maxMemoryPages, info.MemoryMaxPages)
	require.Positive(t, info.MemoryMinPages)
	require.Equal(t, []string{"__stack_pointer"}, info.globals)

	info, err = Inspect(read(t, "noasync"))
	require.NoError(t, err)
	require.False(t, info.Migratable)
	require.Equal(t, "not instrumented by asyncify: build it with godwit cc", info.Reason)
}

func TestMakesWindow(t *testing.T) {
	for imported, want := range map[string]bool{
		"mpi_abi.MPI_Win_create": true, "mpi_abi.MPI_Win_allocate_c": true, "mpi_abi.PMPI_Win_create_dynamic": true, "mpi_abi.MPI_Win_allocate_shared": true,
		"mpi_abi.MPI_Win_create_keyval": false, "mpi_abi.MPI_Win_create_errhandler": false, "mpi_abi.MPI_Win_fence": false, "env.MPI_Win_create": false,
	} {
		require.Equal(t, want, makesWindow(imported), imported)
	}
}

func TestRefusals(t *testing.T) {
	types, functions, memory, exports, code := command()
	imports := append([]byte{3}, append(vector("env"), append(vector("f"), kindFunction, 0)...)...)
	imports = append(imports, append(vector(moduleMPI), append(vector("MPI_No_such"), kindFunction, 0)...)...)
	imports = append(imports, append(vector(moduleMPI), append(vector("MPI_Barrier"), kindFunction, 0)...)...)
	mistyped := append([]byte{1}, append(vector(moduleMPI), append(vector("MPI_Barrier"), kindFunction, 0)...)...)
	noMemory := section(7, append([]byte{1}, append(vector(exportStart), kindFunction, 0)...)...)
	startIsMemory := section(7, append([]byte{1}, append(vector(exportStart), kindMemory, 0)...)...)
	atomic := section(10, 1, 6, 0, 0xfe, 0x03, 0x00, 0x0b, 0x0b)
	hello := read(t, "hello")
	for _, tt := range []struct {
		name   string
		module []byte
		want   string
	}{
		{"empty", nil, "empty"},
		{"text", []byte("(module)"), "bad magic"},
		{"native", []byte("\x7fELF\x02\x01\x01"), "native program"},
		{"component", []byte("\x00asm\x0d\x00\x01\x00"), "component"},
		{"version 2", []byte("\x00asm\x02\x00\x00\x00"), "version"},
		{"cut in the magic", hello[:3], "truncated"},
		{"cut in a section", hello[:len(hello)/2], "truncated"},
		{"cut before the code", assemble(types, functions, memory, exports), "0 of 1 functions have code"},
		{"nothing but the preamble", assemble(), "no _start"},
		{"_start is a memory", assemble(types, functions, memory, startIsMemory, code), "no _start"},
		{"memory is private", assemble(types, functions, memory, noMemory, code), "not exported"},
		{"shared memory", assemble(types, functions, section(5, 1, 3, 1, 1), exports, code), "shared"},
		{"two memories", assemble(types, functions, section(5, 2, 0, 1, 0, 1), exports, code), "2 memories"},
		{"impossible memory", assemble(types, functions, section(5, 1, 1, 2, 1), exports, code), "over its limit"},
		{"out of order", assemble(functions, types, memory, exports, code), "out of order"},
		{"unknown section", assemble(section(77)), "unknown section 77"},
		{
			"unknown imports", assemble(types, section(2, imports...), functions, memory, exports, code),
			"unknown imports: env.f, mpi_abi.MPI_No_such",
		},
		{
			"mistyped import", assemble(types, section(2, mistyped...), functions, memory, exports, code),
			"mpi_abi.MPI_Barrier", // and _start, whose index now names the import
		},
		{"threads", assemble(types, functions, memory, exports, atomic), "threads"},
		{"bad code", assemble(types, functions, memory, exports, section(10, 1, 2, 0, 0xff)), "section code"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := newEngine(t, Config{}).Compile(context.Background(), tt.module)
			require.ErrorIs(t, err, ErrModule)
			require.ErrorContains(t, err, tt.want)
		})
	}
	_, err := newEngine(t, Config{}).Compile(context.Background(), assemble(types, functions, memory, exports, code))
	require.NoError(t, err, "the base of these cases must be good")
}

// What the compiler refuses in a custom section Inspect refuses already, with the same sentence: servers ask it before they take a module.
func TestCustomSections(t *testing.T) {
	types, functions, memory, exports, code := command()
	named := func(parts ...[]byte) []byte { return section(0, append(vector("name"), bytes.Join(parts, nil)...)...) }
	one := append([]byte{1, 0}, vector("f")...)
	for _, tt := range []struct {
		name string
		last []byte
		want string // "": it is taken
	}{
		{"another", section(0, append(vector("producers"), 0xff, 0xff)...), ""},
		{"names", named(section(0, vector("m")...), section(1, one...), section(2, append([]byte{1, 0}, one...)...), section(9, 0xff)), ""},
		{"empty", section(0), "truncated"},
		{"a name longer than the section", section(0, 9, 'n'), "truncated"},
		{"a name that is no text", section(0, 1, 0xff), "not UTF-8"},
		{"more functions than bytes", named(section(1, 0xff, 0xff, 0xff, 0xff, 0x0f)), "truncated"},
		{"more locals than bytes", named(section(2, 1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f)), "truncated"},
		{"a part that is cut", named([]byte{1, 9, 0}), "truncated"},
		{"a part that is too long", named(section(1, append(bytes.Clone(one), 7)...)), "1 bytes too many"},
		{"names twice", append(named(section(1, one...)), named()...), "two of them"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			module := assemble(types, functions, memory, exports, code, tt.last)
			_, seen := Inspect(module)
			_, err := newEngine(t, Config{}).Compile(context.Background(), module)
			if tt.want == "" {
				require.NoError(t, seen)
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, seen, ErrModule)
			require.ErrorContains(t, seen, "section 0: ")
			require.ErrorContains(t, seen, tt.want)
			require.EqualError(t, err, seen.Error())
		})
	}
}

// No prefix of a module passes for a module, except where its data section begins: nothing in the format
// tells that one is missing.
func TestEveryPrefix(t *testing.T) {
	for _, name := range []string{"hello", "noasync"} {
		module := read(t, name)
		passed := 0
		for n := range module {
			if _, err := Inspect(module[:n]); err == nil {
				passed++
			} else {
				require.ErrorIs(t, err, ErrModule)
			}
		}
		require.LessOrEqual(t, passed, 3, name)
	}
}

// The compiler survives modules that Inspect lets through.
func TestCompileDamaged(t *testing.T) {
	engine, random := newEngine(t, Config{}), seed(t)
	module := read(t, "noasync")
	for range 40 {
		damaged := bytes.Clone(module)
		damaged[random.IntN(len(damaged))] ^= byte(1 + random.IntN(255))
		if _, err := engine.Compile(context.Background(), damaged); err != nil {
			require.ErrorIs(t, err, ErrModule)
		}
		_, err := engine.Compile(context.Background(), module[:random.IntN(len(module)*3/4)])
		require.ErrorIs(t, err, ErrModule)
	}
}

// A module that calls a function of a type that it has not: wazero panics.
func TestCompileWithoutType(t *testing.T) {
	types, _, memory, exports, _ := command()
	engine := newEngine(t, Config{})
	code := section(10, 2, 4, 0, 0x10, 1, 0x0b, 2, 0, 0x0b) // the first calls the second
	_, err := engine.Compile(context.Background(), assemble(types, section(3, 2, 0, 0), memory, exports, code))
	require.NoError(t, err)
	_, err = engine.Compile(context.Background(), assemble(types, section(3, 2, 0, 61), memory, exports, code))
	require.ErrorIs(t, err, ErrModule)
	require.ErrorContains(t, err, "the module is damaged")
}

func FuzzInspect(f *testing.F) {
	types, functions, memory, exports, code := command()
	f.Add(assemble(types, functions, memory, exports, code))
	f.Add(read(f, "hello"))
	f.Add([]byte(strings.Repeat("\x80", 64)))
	f.Fuzz(func(t *testing.T, module []byte) {
		info, err := Inspect(module)
		require.True(t, err != nil || info.Migratable == (info.Reason == ""))
	})
}
