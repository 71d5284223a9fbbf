package sdk

import (
	"slices"
	"strings"
)

// What users are told about options that promise something a guest cannot have.
const (
	anyCPU    = "guests run on any CPU"
	oneThread = "a rank has one thread"
)

// dropped lists options that a guest has no use for, with the note that the user gets. An empty note
// means that nothing is lost.
var dropped = map[string]string{ //nolint:gochecknoglobals // an immutable lookup table
	"-lmpi": "", "-lmpicxx": "", "-lmpi_cxx": "", "-lmpich": "", "-lmpichcxx": "", "-lmpl": "", "-lopa": "",
	"-lopen-rte": "", "-lopen-pal": "", "-lpmpi": "", "-lgcc": "", "-lgcc_s": "", "-latomic": "", "-lnsl": "",
	"-lgomp": "", "-lomp": "", "-liomp5": "",
	"-static": "", "-rdynamic": "", "-static-libgcc": "", "-static-libstdc++": "", "-static-intel": "",
	"-pthread": oneThread, "-pthreads": oneThread, "-mt": oneThread,
	"-fopenmp": oneThread + ", OpenMP's pragmas have no effect", "-openmp": oneThread, "-qopenmp": oneThread,
	"-fopenmp-simd": "",
	"-fexceptions":  "guests are built without exceptions",
	"-m64":          "", "-m32": "", "-mx32": "",
	"-fno-plt": "", "-no-pie": "", "-pie": "", "-fpie": "", "-fPIE": "", "-fPIC": "", "-fpic": "",
	"-pg": "guests are not profiled this way", "--coverage": "guests have no files to count in",
	"-fprofile-arcs": "guests have no files to count in", "-ftest-coverage": "",
}

// renamed are libraries that have another name here.
var renamed = map[string][]string{ //nolint:gochecknoglobals // an immutable lookup table
	"-lstdc++": {"-lc++", "-lc++abi"},
	"-lsupc++": {"-lc++abi"},
}

// droppedPrefixes are the beginnings of families of such options.
var droppedPrefixes = []struct{ prefix, note string }{ //nolint:gochecknoglobals // an immutable lookup table
	{"-march=", anyCPU},
	{"-mtune=", ""},
	{"-mcpu=", anyCPU},
	{"-mavx", anyCPU},
	{"-msse", anyCPU},
	{"-mfma", anyCPU},
	{"-mf16c", anyCPU},
	{"-mbmi", anyCPU},
	{"-mcmodel=", ""},
	{"-mprefer-vector-width=", ""},
	{"-fopenmp=", oneThread + ", OpenMP's pragmas have no effect"},
	{"-fuse-ld=", ""},
	{"-fstack-protector", ""},
	{"-fstack-clash-protection", ""},
	{"-fcf-protection", ""},
	{"-fsanitize=", "guests have no sanitizers; a bad access traps by itself where it leaves the memory"},
	{"-fno-sanitize", ""},
	{"-lmpi_", ""}, // of Open MPI for Fortran and the tools
	{"-lmpifort", ""},
}

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
	return "", false
}

// linkerOptions goes through the words given to a native linker, by -Wl, or -Xlinker, and keeps those that mean something
// to wasm-ld. It remembers an option whose value has yet to come: -Xlinker gives words one by one.
type linkerOptions struct {
	drop bool   // the next word is the value of an option that was dropped
	held string // an option that is kept or not by its value
}

// Of GNU ld's options: those that are dropped with their value, those without one, and those that carry it behind a "=".
var (
	ldWithValue = []string{ //nolint:gochecknoglobals // an immutable list
		"rpath", "R", "rpath-link", "soname", "h", "dynamic-linker", "I", "version-script", "dynamic-list", "T",
	}
	ldAlone = []string{ //nolint:gochecknoglobals // an immutable list
		"enable-new-dtags", "disable-new-dtags", "as-needed", "no-as-needed", "Bsymbolic", "Bsymbolic-functions", "Bstatic", "Bdynamic",
		"static", "dn", "dy", "start-group", "end-group", "(", ")", "sort-common", "warn-common", "build-id", "eh-frame-hdr",
		"no-undefined", "allow-multiple-definition", "export-dynamic", "E", "relax", "no-relax", "copy-dt-needed-entries",
		"no-copy-dt-needed-entries", "add-needed", "no-add-needed", "pie", "no-keep-memory", "strip-debug", "S", "x", "X", "discard-all",
		"dead_strip", "icf=safe", "icf=all", "Qy",
	}
	ldWithEquals = []string{ //nolint:gochecknoglobals // an immutable list
		"rpath", "rpath-link", "soname", "dynamic-linker", "version-script", "dynamic-list", "hash-style", "build-id", "sort-section",
		"compress-debug-sections", "plugin-opt",
	}
)

// keep returns the words that stay, each as an option for clang.
func (l *linkerOptions) keep(words []string) []string {
	var out []string
	for _, w := range words {
		name := strings.TrimLeft(w, "-")
		key, _, equals := strings.Cut(name, "=")
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
		default:
			out = append(out, "-Wl,"+w)
		}
	}
	return out
}
