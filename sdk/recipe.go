package sdk

import (
	"path/filepath"
	"slices"
	"strings"
)

// Stack of a guest, in bytes. Overridden by -Wl,-z,stack-size=N, since the user's options come later.
const stackSize = "1048576"

// defaultOutput is what a link without -o writes: the name that configure scripts look for.
const defaultOutput = "a.out"

// emulated are wasi-libc's stand-ins for what WASI lacks. clock() and times() need the clocks; the
// others let programs that merely mention signals, mmap or getpid build.
var emulated = []string{"signal", "process-clocks", "getpid", "mman"} //nolint:gochecknoglobals // an immutable list

// paths are the files that the commands of one run name.
type paths struct {
	clang, clangXX, wasmOpt string
	driverArgs              []string // of the compiler that the user chose, before all others
	sysroot                 string   // empty: clang's own default
	sdk                     string   // where the SDK was unpacked
	work                    string   // where the user's command runs
	glue, linked            string   // intermediate files
}

// target is what everything is compiled for.
const target = "--target=wasm32-wasi"

// targetFlags make any clang compile for a guest. Vectors are off (vectors.go).
func targetFlags(p paths) []string {
	flags := []string{
		target, "-O3", "-mbulk-memory", "-mmutable-globals", "-fno-exceptions",
		"-ftls-model=local-exec", // a guest is one thread and one module; clang 14 cannot compile errno otherwise
		"-Wno-unused-command-line-argument",
	}
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
func compileFlags(p paths) []string {
	return append(targetFlags(p), "-fdebug-compilation-dir=.",
		"-ffile-prefix-map="+p.sdk+"=godwit", "-ffile-prefix-map="+p.work+"=.")
}

// memoryFlags lay a guest's memory out: the stack first.
func memoryFlags() []string {
	return []string{"-Wl,--stack-first", "-Wl,-z,stack-size=" + stackSize}
}

// linkFlags come before the user's arguments as well. The entry is the glue's (godwit_start.c), not wasi-libc's. The functions in probes.txt are those that configure scripts look for,
// without mpi.h, by linking a call of them: that link has to work. A program gets them as imports of mpi_abi, by mpi.h.
// What is debugging is left out here, and not by wasm-opt, unless it was asked for: names stay.
func linkFlags(a arguments, p paths) []string {
	flags := append(memoryFlags(), "-B"+filepath.Join(p.sdk, filepath.FromSlash(clangTools)))
	if !a.debug {
		flags = append(flags, "-Wl,--strip-debug")
	}
	return append(flags, "-nostartfiles", "-Wl,--export=__stack_pointer", "-Wl,--export=godwit_unwind_area",
		"-Wl,--allow-undefined-file="+filepath.Join(p.sdk, "lib", "probes.txt"))
}

// libraries come last, so that they serve every object before them.
func libraries() []string {
	libs := make([]string, 0, len(emulated)+1)
	for _, name := range emulated {
		libs = append(libs, "-lwasi-emulated-"+name)
	}
	return append(libs, "-lm")
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
		level, "--one-caller-inline-max-function-size=0", "--asyncify", "--pass-arg=asyncify-imports@mpi_abi.*,godwit_v1.*",
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

// commands are the programs to run, in order, for a.
func commands(lang Lang, a arguments, p paths) [][]string {
	driver := p.clang
	if lang == CXX {
		driver = p.clangXX
	}
	compile := slices.Concat([]string{driver}, p.driverArgs, compileFlags(p), userHeaderFlags(a, p, driver))
	switch a.mode {
	case modeAsk:
		return [][]string{slices.Concat([]string{driver}, p.driverArgs, []string{target}, a.rest)}
	case modePartial:
		command := append(compile, a.rest...)
		if a.output != "" {
			command = append(command, "-o", a.output)
		}
		return [][]string{command}
	case modeLink:
	}
	glue := slices.Concat([]string{p.clang}, compileFlags(p), headerFlags(p, p.clang))
	if a.unwind != "" {
		glue = append(glue, a.unwind)
	}
	glue = append(glue, "-c", filepath.Join(p.sdk, "lib", "godwit_glue.c"), "-o", p.glue)
	// The glue is first: it takes the first place of the function table.
	link := slices.Concat(compile, linkFlags(a, p), []string{p.glue}, a.rest, libraries(), []string{"-o", p.linked})
	optimise := slices.Concat([]string{p.wasmOpt}, optimiseFlags(a), []string{p.linked, "-o", a.target()})
	return [][]string{glue, link, optimise}
}

// made are the files that a command has made of the user's, before wasm-opt has them.
func made(command []string, a arguments, p paths) []string {
	if a.mode == modeLink && command[0] != p.wasmOpt && slices.Contains(command, p.linked) {
		return []string{p.linked}
	}
	return a.objects()
}

// target is the file that a link writes.
func (a arguments) target() string {
	if a.output != "" {
		return a.output
	}
	return defaultOutput
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
