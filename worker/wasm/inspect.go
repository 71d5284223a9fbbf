package wasm

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/godwit-run/godwit/internal/bytecode"
)

// ErrModule is returned when bytes are not a module that this engine can run. The text says why.
var ErrModule = errors.New("unusable module")

// ErrMemoryLimit is returned when a module needs more memory to start than a guest may have.
var ErrMemoryLimit = errors.New("too little memory")

// Names that tie a guest to the host. They are part of the guest ABI.
const (
	exportStart   = "_start"
	exportMemory  = "memory"
	exportUnwind  = "godwit_unwind_area"
	exportWords   = "godwit_last_words"
	exportThrown  = "godwit_thrown"
	exportReads   = "godwit_read_freezes"
	exportPreempt = "godwit_preempt_wanted"
	exportDeliver = "godwit_delivers"
	moduleMPI     = "mpi_abi"
	moduleWASI    = "wasi_snapshot_preview1"
	moduleGodwit  = "godwit_v1"
	asyncifyState = 2 // mutable globals that asyncify keeps to itself
)

// asyncifyExports are the functions that asyncify adds, and their number of i32 parameters.
var asyncifyExports = map[string]int{ //nolint:gochecknoglobals // an immutable lookup table
	"asyncify_start_unwind": 1, "asyncify_stop_unwind": 0,
	"asyncify_start_rewind": 1, "asyncify_stop_rewind": 0,
}

// maxMemoryPages is the most that 32-bit addresses reach, in pages of 64 KiB.
const maxMemoryPages = 1 << 16

// Info describes a module, without compiling it.
type Info struct {
	Imports        []string // "mpi_abi.MPI_Send", in the module's order
	Migratable     bool     // its ranks can be frozen and moved
	Reason         string   // why not, for humans; empty if migratable
	MemoryMinPages uint32   // at start, pages of 64 KiB
	MemoryMaxPages uint32   // the module's own limit; 65,536 if it states none

	globals    []string // exported mutable globals, in index order: what an image has to hold
	unwindArea uint32   // address of struct godwit_unwind_area
	lastWords  uint32   // address of what the program says last; 0: nowhere
	directory  uint32   // address of the pointer to the current directory's path; 0: nowhere
	reads      bool     // it can be frozen in fd_read, too
	preempt    uint32   // address of the word at which loops look whether the rank is to stop; 0: they do not
	delivers   uint32   // address of the pointer to the function that a signal is told to, null as long as the program has no handlers; 0: it never has
	windows    bool     // it may have memory that others read and write while it makes no call (MPI 4.1, chapter 12)
	thrown     uint32   // address of the word that is not 0 while an exception or a jump unwinds the stack; 0: there are none
}

// Inspect describes the bytes of a module. It decodes only what it needs, never panics, and takes time
// and memory in proportion to the input. Errors are ErrModule with the reason; a module without error
// here may still fail in Compile.
func Inspect(wasm []byte) (Info, error) {
	sections, err := decodeSections(wasm)
	if err != nil {
		return Info{}, fmt.Errorf("%w: %w", ErrModule, err)
	}
	if err := sections.runnable(); err != nil {
		return Info{}, fmt.Errorf("%w: %w", ErrModule, err)
	}
	info := Info{
		Imports: sections.imports, MemoryMinPages: sections.memoryMin, MemoryMaxPages: sections.memoryMax,
		lastWords: sections.address(exportWords), thrown: sections.address(exportThrown), directory: sections.address(exportDirectory),
		reads: sections.address(exportReads) != 0, preempt: sections.address(exportPreempt), delivers: sections.address(exportDeliver),
		windows: slices.ContainsFunc(sections.imports, makesWindow),
	}
	if err := sections.migratable(&info); err != nil {
		info.Reason = err.Error()
	} else {
		info.Migratable = true
	}
	return info, nil
}

// makesWindow says whether an imported function makes a window.
func makesWindow(imported string) bool {
	name, ok := strings.CutPrefix(imported, moduleMPI+".")
	name = strings.TrimPrefix(name, "P")
	return ok && (strings.HasPrefix(name, "MPI_Win_create") || strings.HasPrefix(name, "MPI_Win_allocate")) && !strings.Contains(name, "errhandler") && !strings.Contains(name, "keyval")
}

// checkPreamble tells apart the ways in which a file is not a core module.
func checkPreamble(wasm []byte) error {
	magic, version := []byte("\x00asm"), []byte{1, 0, 0, 0}
	head := wasm[:min(len(wasm), 4)]
	switch {
	case len(wasm) == 0:
		return errors.New("the file is empty")
	case !bytes.Equal(head, magic[:len(head)]):
		if bytes.HasPrefix(wasm, []byte("\x7fELF")) {
			return errors.New("a native program, not WebAssembly: build it with godwit cc")
		}
		return errors.New("not WebAssembly (bad magic number): build it with godwit cc")
	case len(wasm) < 8:
		return bytecode.ErrTruncated
	case bytes.Equal(wasm[6:8], []byte{1, 0}):
		return errors.New("a WebAssembly component: only core modules run here, build it with godwit cc")
	case !bytes.Equal(wasm[4:8], version):
		return fmt.Errorf("WebAssembly version %x is not supported", wasm[4:8])
	}
	return nil
}

// runnable says why the module is no WASI command.
func (s *sections) runnable() error {
	if e, ok := s.exports[exportStart]; !ok || e.kind != kindFunction {
		return errors.New("no _start function: not a WASI command")
	}
	if e, ok := s.exports[exportMemory]; !ok || e.kind != kindMemory {
		return errors.New("the memory is not exported as \"memory\"")
	}
	if s.memories != 1 {
		return fmt.Errorf("%d memories: exactly one is supported", s.memories)
	}
	if len(s.foreign) > 0 {
		return fmt.Errorf("imports %s, which is no function", s.foreign[0])
	}
	return nil
}

// address is that of an exported variable of the program; 0: there is none.
func (s *sections) address(name string) uint32 {
	e, ok := s.exports[name]
	if !ok || e.kind != kindGlobal || int(e.index) >= len(s.globals) || s.globals[e.index].mutable || !s.globals[e.index].isConst {
		return 0
	}
	return uint32(s.globals[e.index].value)
}

// migratable says why ranks of the module cannot be frozen; else it fills in what freezing needs.
func (s *sections) migratable(info *Info) error {
	for name := range asyncifyExports {
		if e, ok := s.exports[name]; !ok || e.kind != kindFunction {
			return errors.New("not instrumented by asyncify: build it with godwit cc")
		}
	}
	if s.hasStart {
		return errors.New("has a start function, which would run again in a restored rank")
	}
	area, ok := s.exports[exportUnwind]
	if !ok || area.kind != kindGlobal || int(area.index) >= len(s.globals) {
		return errors.New("no unwind area (export godwit_unwind_area): build it with godwit cc")
	}
	if g := s.globals[area.index]; g.mutable || !g.isConst {
		return errors.New("export godwit_unwind_area is not a constant address")
	}
	info.unwindArea = uint32(s.globals[area.index].value)

	exported := make(map[uint32]string)
	for name, e := range s.exports {
		if old, ok := exported[e.index]; e.kind == kindGlobal && (!ok || name < old) {
			exported[e.index] = name
		}
	}
	hidden := 0
	for i, g := range s.globals {
		name, ok := exported[uint32(i)]
		switch {
		case !g.mutable:
		case !ok && g.isConst && g.value == 0:
			hidden++
		case !ok:
			return fmt.Errorf("mutable global %d is not exported, so it cannot be captured", i)
		case !slices.Contains([]byte{0x7f, 0x7e, 0x7d, 0x7c}, g.valueType):
			return fmt.Errorf("mutable global %s is neither an integer nor a float", name)
		default:
			info.globals = append(info.globals, name)
		}
	}
	if hidden != asyncifyState {
		return fmt.Errorf("%d mutable globals are not exported, so they cannot be captured", hidden-asyncifyState)
	}
	if what := changesTables(s.code); what != "" {
		return fmt.Errorf("changes a table while it runs (%s), which cannot be captured", what)
	}
	return nil
}

// changesTables reads the code of a module, and names the first instruction that changes a table: what a table has is not in an image. clang writes none, unless a
// program asks for it. What cannot be read the compiler refuses.
func changesTables(code []byte) string {
	const (
		tableSet  = 0x26
		tableInit = 12
		tableCopy = 14
		tableGrow = 15
		tableFill = 17
	)
	bulk := map[uint32]string{tableInit: "table.init", tableCopy: "table.copy", tableGrow: "table.grow", tableFill: "table.fill"}
	r := newReader(code)
	for range r.U32() {
		f := &reader{r.Sized()}
		f.Vector(func() { f.U32(); f.Byte() }) // locals
		for len(f.Data) > 0 && f.Err == nil {
			switch f.Data[0] {
			case tableSet:
				return "table.set"
			case opBulk:
				if what := bulk[newReader(f.Data[1:]).U32()]; what != "" {
					return what
				}
			}
			f.instruction()
		}
		if r.Err != nil || f.Err != nil {
			return ""
		}
	}
	return ""
}
