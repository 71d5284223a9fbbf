package sdk

import (
	"path"
	"slices"
	"strings"
)

// What users are told about options that promise something a guest cannot have.
const (
	anyCPU    = "guests run on any CPU"
	notOurs   = "what this machine has for its own programs is not for guests"
	oneThread = "a rank has one thread"
)

// dropped lists options that a guest has no use for, with the note that the user gets. An empty note
// means that nothing is lost.
var dropped = map[string]string{ //nolint:gochecknoglobals // an immutable lookup table
	"-lmpi": "", "-lmpicxx": "", "-lmpi_cxx": "", "-lmpich": "", "-lmpichcxx": "", "-lmpl": "", "-lopa": "",
	"-lopen-rte": "", "-lopen-pal": "", "-lpmpi": "", "-lgcc": "", "-lgcc_s": "", "-latomic": "", "-lnsl": "",
	"-lquadmath": "", "-fconserve-space": "",
	"-fconcepts": "-std=c++20 and later have concepts", "-fconcepts-ts": "-std=c++20 and later have concepts",
	"-lgomp": "", "-lomp": "", "-liomp5": "",
	"-static": "", "-rdynamic": "", "-static-libgcc": "", "-static-libstdc++": "", "-static-intel": "",
	"-pthread": oneThread, "-pthreads": oneThread, "-mt": oneThread,
	"-fopenmp-simd": "",
	"-fcommon":      "", "-fno-common": "", // common.go
	"-frounding-math": "WebAssembly rounds to the nearest",
	"-fno-plt":        "", "-no-pie": "", "-pie": "", "-static-pie": "", "-fpie": "", "-fPIE": "", "-fPIC": "", "-fpic": "", "-fno-pic": "", "-fno-PIC": "",
	"-fno-pie": "", "-fno-PIE": "",
	"-fmodules-ts": "modules are made by the compiler that guests are compiled with, which has them by -std=c++20", "-fno-modules-ts": "",
	"-fno-enforce-eh-specs": "", "-fenforce-eh-specs": "", "-frepo": "", "-fno-repo": "", "-fweak": "", "-fno-weak": "",
	"-pg": "guests are not profiled this way", "-p": "guests are not profiled this way", "--coverage": "guests are not counted in", "-coverage": "guests are not counted in",
	"-fprofile-arcs": "guests are not counted in", "-ftest-coverage": "",
}

// renamed are options that have another name here, and libraries.
var renamed = map[string][]string{ //nolint:gochecknoglobals // an immutable lookup table
	"-lstdc++":        {"-lc++", "-lc++abi"},
	"-lsupc++":        {"-lc++abi"},
	"-lstdc++fs":      {"-lc++", "-lc++abi"},
	"-fwrapv-pointer": {"-fwrapv"},
	"-fopenmp":        openMP, "-openmp": openMP, "-qopenmp": openMP,
	"-fopenmp=libomp": openMP, "-fopenmp=libgomp": openMP, "-fopenmp=libiomp5": openMP, // CMake asks clang for the first
}

// openMP has a program believe in OpenMP, and leaves its pragmas out: each region runs once, on the one thread.
var openMP = []string{"-D_OPENMP=201511", "-Wno-unknown-pragmas"} //nolint:gochecknoglobals // an immutable list

// refused are the beginnings of options without which a program is another than the user asks for.
var refused = []struct { //nolint:gochecknoglobals // an immutable lookup table
	prefix string
	why    error
}{
	{"-fwasm-exceptions", errEngine},
	{"-mexception-handling", errEngine},
	{"-matomics", errEngine},
}

// droppedPrefixes are the beginnings of families of such options. Those of gcc's optimisers are the ones that clang does not know.
var droppedPrefixes = []struct{ prefix, note string }{ //nolint:gochecknoglobals // an immutable lookup table
	{"-fopenmp-", ""},
	{"-fuse-ld=", ""},
	{"-fstack-protector", ""},
	{"-fstack-clash-protection", ""},
	{"-fcf-protection", ""},
	{"-fno-sanitize", ""},
	{"-flto", ""}, // wasm-opt sees the whole program
	{"-fno-lto", ""},
	{"-ffat-lto-objects", ""},
	{"-fno-fat-lto-objects", ""},
	{"-fuse-linker-plugin", ""},
	{"-fno-use-linker-plugin", ""},
	{"-fprofile-", "guests are not counted in"},
	{"-lmpi_", ""}, // of Open MPI for Fortran and the tools
	{"-lmpifort", ""},
}

// ours are the options of machines that mean something for guests: all others that begin with -m are a native CPU's.
var ours = []string{ //nolint:gochecknoglobals // an immutable list
	"-mllvm", "-msimd128", "-mno-simd128", "-mrelaxed-simd", "-mno-relaxed-simd", "-mbulk-memory", "-mno-bulk-memory", "-mmutable-globals",
	"-mno-mutable-globals", "-msign-ext", "-mno-sign-ext", "-mnontrapping-fptoint", "-mno-nontrapping-fptoint", "-mmultivalue", "-mno-multivalue",
	"-mreference-types", "-mno-reference-types", "-mextended-const", "-mno-extended-const", "-mtail-call", "-mno-tail-call", "-mexec-model=command",
}

// gccOnly are the beginnings of the names of gcc's options, behind -f or -fno-, that clang does not know: how its optimisers go about it, what they tell, and
// what a native object has.
//
//nolint:gochecknoglobals // an immutable list
var gccOnly = strings.Fields(`abi-version aggressive-loop-optimizations allocation-dce allow-store-data-races analyzer argument-alias argument-noalias
	auto-inc-dec auto-profile bit-tests branch- btr-bb-exclusive call-saved call-used caller-saves callgraph-info check-data-deps checking code-hoisting
	combine-stack-adjustments compare-debug compare-elim conserve-stack cprop-registers crossjumping cse-follow-jumps cse-skip-blocks dbg-cnt dce
	delayed-branch delete-dead-exceptions devirtualize diagnostics-column diagnostics-escape diagnostics-format diagnostics-generate diagnostics-minimum
	diagnostics-path-format diagnostics-plain-output diagnostics-show-caret diagnostics-show-cwe diagnostics-show-labels diagnostics-show-path
	diagnostics-urls disable- dse dump- early-inlining eliminate-dwarf2-dups emit-class-debug enable- excess-precision fixed- fold-simple-inlines forward-propagate
	fp-int-builtin-inexact function-cse gcse gnat-encodings gnu-tm gnu-unique graphite guess-branch-probability handle-exceptions harden- hoist-adjacent-loads if-conversion
	indirect-inlining inhibit-size-directive inline-atomics inline-functions-called-once inline-limit inline-small-functions instrument-functions-exclude ipa- ira- isolate-erroneous-paths
	ivopts keep-gc-roots-live keep-static-functions large-source-files leading-underscore lifetime-dse limit-function-alignment live-patching
	live-range-shrinkage loop- lra-remat mem-report merge-debug-strings modulo-sched move-loop nothrow-opt offload opt-info optimize-register-move
	optimize-strlen partial-inlining pcc-struct-return peel-loops peephole permitted-flt-eval-methods plugin post-ipa pre-ipa predictive-commoning
	prefetch-loop-arrays printf-return-value random-seed record-gcc-switches ree reg-struct-return regmove rename-registers reorder- report-bug rerun-
	reschedule- sched sched2 schedule section-anchors sel-sched selective-scheduling self-test shrink-wrap simd-cost-model single-precision-constant
	split-ivs split-loops split-paths split-wide-types ssa- stack-check stack-limit stack-reuse stdarg-opt store-merging strict-volatile-bitfields
	sync-libcalls thread-jumps time-report-details toplevel-reorder tracer trampolines tree- unconstrained-commons unroll-completely
	use-linker-plugin var-tracking variable-expansion vect-cost-model version-loops vpt vtable-verify vtv web whole-program zee zero-call-used-regs`)

// forVectors are parts of the names of options by which a native compiler makes faster code.
var forVectors = []string{"avx", "sse", "fma", "arch=", "cpu=", "f16c", "bmi", "sve", "neon", "altivec", "vsx"} //nolint:gochecknoglobals // an immutable list

// droppedNote says whether an option is dropped, and what the user is told.
func droppedNote(arg string) (note string, ok bool) {
	if note, ok = dropped[arg]; ok {
		return note, true
	}
	for _, d := range droppedPrefixes {
		if strings.HasPrefix(arg, d.prefix) {
			return d.note, true
		}
	}
	switch {
	case ofMachine(arg):
		return notOurs, true
	case len(arg) > 2 && strings.HasPrefix(arg, "-x") && arg[2] >= 'A' && arg[2] <= 'Z', strings.HasPrefix(arg, "-ax"): // Intel's -xHost
		return anyCPU, true
	case strings.HasPrefix(arg, "-m") && !slices.Contains(ours, arg):
		if !strings.HasPrefix(arg, "-mno-") && slices.ContainsFunc(forVectors, func(part string) bool { return strings.Contains(arg, part) }) {
			return anyCPU, true
		}
		return "", true
	case strings.HasPrefix(arg, "-f"):
		name := strings.TrimPrefix(arg[len("-f"):], "no-")
		return "", name != "tree-vectorize" && name != "tree-slp-vectorize" && slices.ContainsFunc(gccOnly, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
	}
	return "", false
}

// linkerOptions goes through the words given to a native linker, by -Wl, or -Xlinker, and keeps those that mean something
// to wasm-ld. It remembers an option whose value has yet to come: -Xlinker gives words one by one.
type linkerOptions struct {
	drop  bool   // the next word is the value of an option that was dropped
	held  string // an option that is kept or not by its value
	asked string // the next word is a symbol that is to be linked: by this option
}

// Of GNU ld's options: those that are dropped with their value, those without one, and those that carry it behind a "=".
var (
	ldWithValue = []string{ //nolint:gochecknoglobals // an immutable list
		"rpath", "R", "rpath-link", "soname", "h", "dynamic-linker", "I", "version-script", "dynamic-list", "exclude-libs",
	}
	ldAlone = []string{ //nolint:gochecknoglobals // an immutable list
		"enable-new-dtags", "disable-new-dtags", "as-needed", "no-as-needed", "Bsymbolic", "Bsymbolic-functions", "Bstatic", "Bdynamic",
		"static", "dn", "dy", "start-group", "end-group", "(", ")", "sort-common", "warn-common", "build-id", "eh-frame-hdr",
		"no-undefined", "allow-multiple-definition", "export-dynamic", "E", "relax", "no-relax", "copy-dt-needed-entries",
		"no-copy-dt-needed-entries", "add-needed", "no-add-needed", "pie", "no-keep-memory", "strip-debug", "S", "x", "X", "discard-all",
		"dead_strip", "compress-relocations", "icf=safe", "icf=all", "Qy", "push-state", "pop-state", "stats", "cref", "noinhibit-exec", "q", "emit-relocs",
		"allow-shlib-undefined", "no-allow-shlib-undefined", "unresolved-symbols=report-all",
		"fatal-warnings", // what the linker warns of by itself is told in our words, or adapted
	}
	ldWithEquals = []string{ //nolint:gochecknoglobals // an immutable list
		"rpath", "rpath-link", "soname", "dynamic-linker", "version-script", "dynamic-list", "hash-style", "build-id", "sort-section",
		"compress-debug-sections", "plugin-opt", "exclude-libs",
	}
)

// ldAsks are the options that have a symbol linked that nobody calls.
var ldAsks = []string{"undefined", "require-defined"} //nolint:gochecknoglobals // an immutable list

// undefinedOptions have a symbol linked, and what its file does before main: wasm-ld leaves that out where nobody uses the file.
func undefinedOptions(symbol string) []string {
	return []string{"-Wl,--undefined=" + symbol, "-Wl,--export-if-defined=" + symbol}
}

// askedOptions are what an option that asks for a symbol comes to: --require-defined fails where nobody has it.
func askedOptions(option, symbol string) []string {
	if option == "require-defined" {
		return []string{"-Wl,--undefined=" + symbol, "-Wl,--export=" + symbol}
	}
	return undefinedOptions(symbol)
}

// keep returns the words that stay, each as an option for clang.
func (l *linkerOptions) keep(words []string) []string {
	var out []string
	for _, w := range words {
		name := strings.TrimLeft(w, "-")
		key, value, equals := strings.Cut(name, "=")
		switch {
		case l.drop:
			l.drop = false
		case l.held != "":
			if strings.HasPrefix(w, "stack-size=") {
				out = append(out, "-Wl,"+l.held+","+w)
			}
			l.held = ""
		case w == "-z":
			l.held = w
		case strings.HasPrefix(w, "-z") && !strings.HasPrefix(w, "-zstack-size="):
		case w == "" || slices.Contains(ldAlone, name) || (equals && slices.Contains(ldWithEquals, key)):
		case slices.Contains(ldWithValue, name):
			l.drop = true
		case l.asked != "":
			out, l.asked = append(out, askedOptions(l.asked, w)...), ""
		case strings.HasPrefix(w, "-u") && len(w) > 2 && !slices.Contains(ldAsks, key): // -uSYMBOL
			out = append(out, undefinedOptions(w[2:])...)
		case name == "u" || slices.Contains(ldAsks, name):
			l.asked = name
		case equals && slices.Contains(ldAsks, key):
			out = append(out, askedOptions(key, value)...)
		default:
			out = append(out, "-Wl,"+w)
		}
	}
	return out
}

// ofMachine says whether an option has the compiler look where this machine's own headers and libraries are. A native one does so anyway, so that Makefiles may say it.
func ofMachine(arg string) bool {
	for _, o := range [...]struct{ option, dir string }{{"-I", "/usr/include"}, {"-isystem", "/usr/include"}, {"-idirafter", "/usr/include"}, {"-L", "/usr/lib"}, {"-L", "/lib"}, {"-L", "/usr/lib64"}, {"-L", "/lib64"}} {
		at, ok := strings.CutPrefix(arg, o.option)
		if at = path.Clean(at); ok && (at == o.dir || path.Dir(at) == o.dir && strings.HasSuffix(at, "-linux-gnu")) {
			return true
		}
	}
	return false
}
