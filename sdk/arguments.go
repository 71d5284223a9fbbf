package sdk

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// mode is how far a compilation goes.
type mode uint8

const (
	modeLink    mode = iota // to a finished guest
	modePartial             // -c, -S, -E and their like: clang alone does it
	modeAsk                 // no inputs: --version and the like, or a mistake that clang explains
)

// Errors of a command line.
var (
	// errNoInput is returned for an empty command line.
	errNoInput = errors.New("no input files; name C or C++ sources, objects or archives, as in hello.c -o hello.wasm (-showme:help lists more)")
	// errSanitizer is returned for what would have a program checked as it runs.
	errSanitizer = errors.New("guests have no sanitizers' runtime: check the program natively; of undefined behaviour the place is told by " +
		"-fsanitize=undefined -fsanitize-trap=undefined, and an access outside of the memory traps by itself")
	// errEngine is returned for what the engine that guests run in does not have.
	errEngine = errors.New("guests run where WebAssembly's own exceptions and threads are not there; exceptions work without an option")
	// errDefsym is returned for an option that gives a symbol an address.
	errDefsym = errors.New("--defsym: what the linker knows of a guest's symbols is no address that it could be told: define a function or a variable by that name, or give it " +
		"another name in the source by __attribute__((alias(\"NAME\")))")
	// errAddress is returned for an option that gives sections an address.
	errAddress = errors.New("a guest's code and data have no address that could be chosen: leave the option out (the stack's size is -Wl,-z,stack-size=BYTES)")
	// errShared is returned for -shared and its kin.
	errShared = errors.New("-shared: a guest cannot load shared libraries; make a static one and link that " +
		"(meson -Ddefault_library=static, cmake -DBUILD_SHARED_LIBS=OFF, configure --disable-shared; by hand ar rcs libNAME.a FILE.o...)")
)

// arguments are a cc command line, understood as far as the recipe needs it.
type arguments struct {
	mode      mode
	show      show
	bare      bool     // nothing to compile or link was named, beside -show
	driver    string   // -cc=CMD or -cxx=CMD, empty if not given
	output    string   // -o, empty if not given
	debug     bool     // some -g other than -g0
	strip     bool     // -s: not even the names of functions are kept
	vectors   string   // the last of -msimd128 and its like, empty if none or taken back
	inputs    []string // the files to compile or link
	headers   bool     // -x says that the files are headers, to be compiled for others
	noObjects bool     // -S, -E and their like: less than -c makes
	optimise  string   // the last -O, empty if not given
	fast      int      // 1 and where in rest -Ofast's own flag is, if that is the last -O
	unwind    string   // the last -DGODWIT_UNWIND_BYTES=N, whole
	common    bool     // what several files define without a value is one variable
	preempt   bool     // loops can be stopped in (preempt.go)
	rest      []string // for clang, in order, without -o and without what was dropped
	notes     []string // for stderr: what was dropped
	linkNotes []string // for stderr, once a program: what it will be without
	wrong     error    // with what the linker is given
}

// takesValue lists the options whose value is the next argument.
var takesValue = map[string]bool{ //nolint:gochecknoglobals // an immutable lookup table
	"-I": true, "-D": true, "-U": true, "-L": true, "-l": true, "-x": true, "-T": true, "-u": true,
	"-e": true, "-include": true, "-imacros": true, "-isystem": true, "-iquote": true,
	"-idirafter": true, "-isysroot": true, "--sysroot": true, "-MF": true, "-MT": true, "-MQ": true,
	"-Xclang": true, "-Xpreprocessor": true, "-Xassembler": true, "-mllvm": true,
	"--param": true, "-target": true,
}

// partial lists the options that stop clang before the link.
var partial = map[string]bool{ //nolint:gochecknoglobals // an immutable lookup table
	"-c": true, "-S": true, "-E": true, "-M": true, "-MM": true, "-fsyntax-only": true, mergesObjects: true,
}

// mergesObjects is the option that has the linker make one object of several.
const mergesObjects = "-r"

// parse understands args. It fails on a response file that cannot be read, and on what no guest can be.
func parse(args []string) (arguments, error) {
	args, err := expand(args, 0)
	if err != nil {
		return arguments{}, err
	}
	if len(args) == 0 {
		return arguments{}, errNoInput
	}
	var a arguments
	var linker linkerOptions
	for i := 0; i < len(args); i++ {
		arg := args[i]
		hasValue := i+1 < len(args)
		switch {
		case arg == "-o" && hasValue:
			i++
			a.output = args[i]
		case (arg == "-Xlinker" || arg == "-z") && hasValue:
			i++
			words := []string{args[i]}
			if arg == "-z" {
				words = []string{"-z", args[i]}
			}
			a.linker(linker.keep(words))
		case (arg == "-rpath" || arg == "-R" || arg == "-soname") && hasValue:
			i++
		case strings.HasPrefix(arg, "-Wl,"):
			a.linker(linker.keep(strings.Split(arg[len("-Wl,"):], ",")))
		case takesValue[arg] && hasValue:
			i++
			if a.drop(arg + args[i]) {
				continue
			}
			if arg == "-u" {
				a.rest = append(a.rest, undefinedOptions(args[i])...)
				continue
			}
			if libs, ok := renamed[arg+args[i]]; ok {
				a.rest = append(a.rest, libs...)
				continue
			}
			a.option(arg + args[i])
			a.rest = append(a.rest, arg, args[i])
		case strings.HasPrefix(arg, "-u") && len(arg) > 2 && arg != "-undef":
			a.rest = append(a.rest, undefinedOptions(arg[2:])...)
		case arg == "-" || !strings.HasPrefix(arg, "-"):
			if fortran(arg) {
				return arguments{}, fmt.Errorf("%s: %s", arg, Unsupported)
			}
			a.inputs = append(a.inputs, arg)
			a.rest = append(a.rest, arg)
		case strings.HasPrefix(arg, "-o") && len(arg) > 2 && !strings.HasPrefix(arg, "-object"):
			a.output = arg[2:]
		case arg == "-shared" || arg == "-dynamiclib" || arg == "-qmkshrobj":
			return arguments{}, errShared
		default:
			if err := refusal(arg, args); err != nil {
				return arguments{}, fmt.Errorf("%s: %w", arg, err)
			}
			a.plain(arg)
		}
	}
	a.compileHeaders()
	if len(a.inputs) == 0 && a.show == showNothing {
		a.mode = modeAsk
	}
	a.bare = len(a.inputs) == 0 && a.show != showNothing
	a.followLinker()
	return a, a.wrong
}

// followLinker follows what the linker is given by texts; a compilation has none.
func (a *arguments) followLinker() {
	switch {
	case a.mode == modePartial && !slices.Contains(a.rest, mergesObjects):
		a.wrong = nil
	case a.mode == modeLink && a.wrong == nil:
		a.rest, a.wrong = followScripts(a.rest)
	}
}

// refusal is why an option is not taken.
func refusal(arg string, all []string) error {
	for _, r := range refused {
		if strings.HasPrefix(arg, r.prefix) {
			return r.why
		}
	}
	if strings.HasPrefix(arg, "-fsanitize=") && !slices.ContainsFunc(all, func(o string) bool {
		return strings.HasPrefix(o, "-fsanitize-trap") || o == "-fsanitize-undefined-trap-on-error"
	}) {
		return errSanitizer
	}
	return nil
}

// plain takes one option without a separate value.
func (a *arguments) plain(arg string) {
	if arg == "-fcommon" || arg == "-fno-common" {
		a.common = arg == "-fcommon"
	}
	if a.drop(arg) {
		return
	}
	name := strings.TrimLeft(arg, "-")
	if arg == preemptible || arg == preemptible[1:] {
		a.preempt = true
		return
	}
	if s, ok := shows[name]; ok {
		a.show = s
		return
	}
	if key, cmd, ok := strings.Cut(name, "="); ok && (key == "cc" || key == "cxx" || key == "CC" || key == "CXX") {
		a.driver = cmd
		return
	}
	if words, ok := renamed[arg]; ok {
		if slices.Equal(words, openMP) {
			a.linkNotes = append(a.linkNotes, arg+": "+oneThread+", and OpenMP's pragmas are left out")
		}
		a.rest = append(a.rest, words...)
		return
	}
	if arg == "-V" {
		arg = "--version" // clang's -V is another thing
	}
	a.option(arg)
	if strings.HasPrefix(arg, "-O") {
		a.level(arg)
		return
	}
	if !stripsAll(arg) { // wasm-opt does that
		a.rest = append(a.rest, arg)
	}
}

// compileHeaders has what are headers alone compiled for others, to a file of the name that those look for.
func (a *arguments) compileHeaders() {
	if a.noObjects || len(a.inputs) == 0 || !a.headers && slices.ContainsFunc(a.inputs, func(in string) bool { return !isHeader(in) }) {
		return
	}
	a.mode, a.noObjects = modePartial, true
	if len(a.inputs) == 1 && a.output == "" {
		a.output = a.inputs[0] + ".gch"
	}
}

// isHeader says whether a file is a header by its name.
func isHeader(path string) bool {
	return slices.Contains([]string{".h", ".hh", ".hp", ".hxx", ".hpp", ".HPP", ".h++", ".tcc", ".H"}, filepath.Ext(path))
}

// linker takes what the linker gets, each word as an option for clang.
func (a *arguments) linker(options []string) {
	for _, o := range options {
		if name, _, _ := strings.Cut(strings.TrimLeft(strings.TrimPrefix(o, "-Wl,"), "-"), "="); name == "defsym" {
			a.wrong = errDefsym
		}
		if stripsAll(o) {
			a.strip = true
			continue
		}
		a.rest = append(a.rest, o)
	}
}

// level takes an optimisation's level by the name that clang has for it: it warns of gcc's others.
func (a *arguments) level(arg string) {
	a.optimise = arg
	if a.fast > 0 {
		a.rest[a.fast-1], a.fast = "-O3", 0
	}
	switch {
	case arg == "-Ofast":
		a.rest = append(a.rest, "-O3", "-ffast-math")
		a.fast = len(a.rest)
	case len(arg) > 2 && strings.Trim(arg[2:], "0123456789") == "" && arg > "-O3", len(arg) > 3 && strings.Trim(arg[2:], "0123456789") == "":
		a.rest = append(a.rest, "-O3")
	default:
		a.rest = append(a.rest, arg)
	}
}

// stripsAll says whether an option has the linker leave out the names of functions, too.
func stripsAll(option string) bool {
	return option == "-s" || option == "-Wl,-s" || option == "-Wl,--strip-all" || option == "-Wl,-strip-all"
}

// fortran reports whether a file is Fortran's by its name.
func fortran(path string) bool {
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case ".f", ".for", ".ftn", ".fpp", ".f77", ".f90", ".f95", ".f03", ".f08":
		return true
	}
	return false
}

// objects are the files that -c writes.
func (a *arguments) objects() []string {
	switch {
	case a.mode != modePartial || a.noObjects:
		return nil
	case a.output != "":
		return []string{a.output}
	}
	var out []string
	for _, in := range a.inputs {
		if ext := filepath.Ext(in); ext != ".o" && ext != ".a" {
			out = append(out, objectOf(in))
		}
	}
	return out
}

// objectOf is the object that -c makes of a source.
func objectOf(source string) string {
	return strings.TrimSuffix(filepath.Base(source), filepath.Ext(source)) + ".o"
}

// commandFor is a command that compiles, with the source of one of the objects alone.
func (a *arguments) commandFor(command []string, object string) []string {
	if a.output != "" {
		return command
	}
	return slices.DeleteFunc(slices.Clone(command), func(w string) bool { return slices.Contains(a.inputs, w) && objectOf(w) != object })
}

// drop says whether a guest has no use for an option, and notes what is lost with it.
func (a *arguments) drop(arg string) bool {
	note, ok := droppedNote(arg)
	if ok && note != "" {
		list := &a.notes
		if note == oneThread {
			list = &a.linkNotes
		}
		note = fmt.Sprintf("%s is ignored: %s", arg, note)
		if len(*list) == 0 || (*list)[len(*list)-1] != note {
			*list = append(*list, note)
		}
	}
	return ok
}

// option notes what the recipe depends on in an option that clang gets too.
func (a *arguments) option(arg string) {
	switch on, off := asksForVectors(arg); {
	case on:
		a.vectors = arg
	case off:
		a.vectors = ""
	}
	switch {
	case strings.HasPrefix(arg, "-x"):
		a.headers = strings.HasSuffix(arg, "-header")
	case partial[arg]:
		a.mode = modePartial
		a.noObjects = a.noObjects || arg != "-c"
	case strings.HasPrefix(arg, "-DGODWIT_UNWIND_BYTES="):
		a.unwind = arg
	case stripsAll(arg):
		a.strip = true
	case arg == "-g0":
		a.debug = false
	case strings.HasPrefix(arg, "-g"):
		a.debug = true
	}
}
