package sdk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Stack of a guest, in bytes: what Linux gives a process. Overridden by -Wl,-z,stack-size=N, since the user's options come later.
const stackSize = "8388608"

// defaultOutput is what a link without -o writes: the name that configure scripts look for.
const defaultOutput = "a.out"

// emulated are wasi-libc's stand-ins for what WASI lacks. clock() and times() need the clocks; the
// others let programs that merely mention signals, mmap or getpid build.
var emulated = []string{"signal", "process-clocks", "getpid", "mman"} //nolint:gochecknoglobals // an immutable list

// paths are the files that the commands of one run name.
type paths struct {
	drivers    [len(languages)]string // by language
	wasmOpt    string
	driverArgs []string // of the compiler that the user chose, before all others
	sysroot    string   // empty: clang's own default
	sdk        string   // where the SDK was unpacked
	cxx        string   // where the C++ library is; empty: clang's own default
	work       string   // where the user's command runs
	scratch    string   // where intermediate files go
}

func (p paths) scratchFile(name string) string { return filepath.Join(p.scratch, name) }

// linked is what the linker makes, before wasm-opt has it.
func (p paths) linked() string { return p.scratchFile("linked.wasm") }

// target is what everything is compiled for.
const target = "--target=wasm32-wasi"

// targetFlags make any clang compile for a guest. Vectors are off (vectors.go).
func targetFlags(p paths) []string {
	flags := []string{
		target, "-O3", "-mbulk-memory", "-mmutable-globals",
		"-ftls-model=local-exec", // a guest is one thread and one module; clang 14 cannot compile errno otherwise
		"-Wno-unused-command-line-argument",
		"-Wno-unknown-warning-option", "-Wno-ignored-optimization-argument", // gcc has others
		"-Werror=implicit-function-declaration", // what is called without a prototype may be of another type, which traps
	}
	// How exceptions and setjmp are compiled: lib/godwit_try.h.
	flags = append(flags, "-mllvm", "-enable-emscripten-cxx-exceptions", "-mllvm", "-enable-emscripten-sjlj")
	if p.sysroot != "" {
		flags = append(flags, "--sysroot="+p.sysroot)
	}
	for _, name := range emulated {
		macro := strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		flags = append(flags, "-D_WASI_EMULATED_"+macro)
	}
	return append(flags, "-I"+filepath.Join(p.sdk, "include"))
}

// compileFlags come before the user's arguments, so that the user's win.
func compileFlags(lang Lang, p paths) []string {
	flags := append(glueFlags(p), "-ffile-prefix-map="+p.work+"=.", "-D__unix__=1", "-D__unix=1", // the macros are clang's on other systems with POSIX
		"-Wno-error=wasm-exception-spec", // that throw(X) is not looked at, in C++ before 2017
		"-Wno-error=register")            // as g++ has it
	flags = append(flags, builtinJumps()...)
	for _, name := range removed() {
		flags = append(flags, "-D_LIBCPP_ENABLE_"+name)
	}
	names := madeCalls()
	if lang == C {
		names = append(names, takenCalls()...)
		for _, name := range warnedOf() {
			flags = append(flags, "-Wno-error="+name)
		}
	}
	for _, name := range names {
		flags = append(flags, "-fno-builtin-"+name)
	}
	return flags
}

// warnedOf are what old C does, of which gcc 12 warns and clang makes errors. Pointers are all of one type to a guest, and a callback that is of another type is told when it is called.
func warnedOf() []string {
	return []string{"implicit-int", "int-conversion", "return-mismatch", "incompatible-function-pointer-types"}
}

// removed are the parts of old C++ that the library has by its macros of these names, and that g++'s has in any C++.
func removed() []string {
	return []string{
		"CXX17_REMOVED_AUTO_PTR", "CXX17_REMOVED_BINDERS", "CXX17_REMOVED_RANDOM_SHUFFLE", "CXX17_REMOVED_UNARY_BINARY_FUNCTION", "CXX20_REMOVED_BINDER_TYPEDEFS",
		"CXX20_REMOVED_NEGATORS", "CXX20_REMOVED_RAW_STORAGE_ITERATOR", "CXX20_REMOVED_SHARED_PTR_UNIQUE", "CXX20_REMOVED_TYPE_TRAITS",
	}
}

// madeCalls are functions of the C library that clang calls where the source has others, as exp2(x) for pow(2, x), and gcc does not: a program may have one of its own by that name, which means something else, or is made of the other. (ldexp, for pow(2, i), is called whatever is said: madecalls.go.)
func madeCalls() []string {
	return []string{
		"exp2", "exp2f", "exp2l", "exp10", "exp10f", "exp10l", "stpcpy", "stpncpy", "bcmp", "memrchr", "memccpy", "mempcpy", "strnlen", "cabs", "sincos", "sincosf",
	}
}

// takenCalls are functions of the C library of which clang takes for granted that they change nothing that the program sees: one of the program's own may count its calls. C++ needs to know them, or it takes no declaration of them
// without noexcept.
func takenCalls() []string {
	return []string{"malloc", "calloc", "realloc", "free", "strdup", "strndup", "aligned_alloc", "memalign"}
}

// builtinJumps are gcc's __builtin_setjmp and __builtin_longjmp, which no compiler has for WebAssembly, by the C library's: their buffer, of five words, has room for what a guest's jump needs.
func builtinJumps() []string {
	return []string{
		`-D__builtin_setjmp(at)=(__extension__({extern int godwit_setjmp(void*)__asm__("setjmp")__attribute__((__returns_twice__));godwit_setjmp(at);}))`,
		`-D__builtin_longjmp(at,value)=(__extension__({extern void godwit_longjmp(void*,int)__asm__("longjmp")__attribute__((__noreturn__));godwit_longjmp(at,value);}))`,
	}
}

// glueFlags are those of the glue, which is the same wherever the user's command runs.
func glueFlags(p paths) []string {
	return append(targetFlags(p), "-fdebug-compilation-dir=.", "-ffile-prefix-map="+p.sdk+"=godwit")
}

// memoryFlags lay a guest's memory out: the stack first.
func memoryFlags() []string {
	return []string{"-Wl,--stack-first", "-Wl,-z,stack-size=" + stackSize}
}

// linkFlags come before the user's arguments as well. The entry is the glue's (godwit_start.c), not wasi-libc's. The functions in probes.txt are those that configure scripts look for,
// without mpi.h, by linking a call of them: that link has to work. A program gets them as imports of mpi_abi, by mpi.h. Those in wrapped.txt look at their FILE first (godwit_null.c), but for those of godwit_files.c, godwit_mmap.c, godwit_system.c, godwit_date.c, godwit_stdio.c and godwit_locale.c.
// What is debugging is left out here, and not by wasm-opt, unless it was asked for: names stay.
func linkFlags(a arguments, p paths) []string {
	flags := append(memoryFlags(), "-B"+filepath.Join(p.sdk, filepath.FromSlash(clangTools)))
	if !a.debug || a.strip {
		flags = append(flags, "-Wl,--strip-debug")
	}
	if p.cxx != "" {
		flags = append(flags, "-L"+filepath.Join(p.cxx, "lib"))
	}
	if a.preempt {
		flags = append(flags, preemptFlags()...)
	}
	return append(flags, "-nostartfiles", "-Wl,--export=__stack_pointer", "-Wl,--export=godwit_unwind_area", "-Wl,--export=godwit_read_freezes", "-Wl,--export-if-defined=godwit_last_words", "-Wl,--export-if-defined=godwit_thrown", "-Wl,--export-if-defined=godwit_delivers", "-Wl,--export-if-defined=__wasilibc_cwd",
		"-Wl,@"+filepath.Join(p.sdk, "lib", wrappedFile), "-Wl,--allow-undefined-file="+filepath.Join(p.sdk, "lib", "probes.txt"))
}

// libraries come last, so that they serve every object before them.
func libraries() []string {
	libs := make([]string, 0, len(emulated)+1)
	for _, name := range emulated {
		libs = append(libs, "-lwasi-emulated-"+name)
	}
	return append(libs, "-lm", "-lc-printscan-long-double")
}

// optimiseFlags are wasm-opt's. The list of imports makes asyncify leave code alone that cannot reach
// a call in which a rank can be stopped.
func optimiseFlags(a arguments) []string {
	level := "-O2"
	if a.optimise == "-O0" {
		level = "-O1"
	}
	// clang has inlined what is worth it. What wasm-opt inlines besides, since it has one caller only, be it main, cannot be told in the
	// stack of a trap any more, and is instrumented with its caller.
	flags := []string{
		level, "--one-caller-inline-max-function-size=0", "--asyncify", "--pass-arg=asyncify-imports@mpi_abi.*,godwit_v1.*,wasi_snapshot_preview1.fd_read",
		"--enable-simd", "--enable-bulk-memory", "--enable-mutable-globals",
	}
	switch {
	case a.strip:
		return append(flags, "--strip-debug", "--strip-producers")
	case a.debug:
		return append(flags, "-g")
	}
	return append(flags, "-g", "--strip-dwarf", "--strip-producers") // the names of functions are for the stack of a trap
}

// target is the file that a link writes.
func (a arguments) target() string {
	if a.output != "" {
		return a.output
	}
	return defaultOutput
}

// checkTarget says why there can be no file of the link's name.
func (a arguments) checkTarget() error {
	st, err := os.Stat(filepath.Dir(a.target()))
	switch {
	case err != nil:
		return fmt.Errorf("output %s: %w", a.target(), errors.Unwrap(err))
	case !st.IsDir():
		return fmt.Errorf("output %s: %s is no directory", a.target(), filepath.Dir(a.target()))
	}
	if st, err := os.Stat(a.target()); err == nil && st.IsDir() {
		return fmt.Errorf("output %s: it is a directory", a.target())
	}
	return nil
}

// quote renders a command for a shell.
func quote(command []string) string {
	words := make([]string, len(command))
	for i, word := range command {
		if word == "" || strings.ContainsAny(word, " \t\n\"'\\$`*?[]{}()<>|&;#~!") {
			word = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
		words[i] = word
	}
	return strings.Join(words, " ")
}
