package sdk

import (
	"fmt"
	"os"
	"strings"
)

// mode is how far a compilation goes.
type mode uint8

const (
	modeLink    mode = iota // to a finished guest
	modePartial             // -c, -S, -E and their like: clang alone does it
	modeAsk                 // no inputs: --version and the like, or a mistake that clang explains
)

// show is what -show and its kin ask to print instead of running anything.
type show uint8

const (
	showNothing show = iota
	showCommands
	showCompile
	showLink
)

// arguments are a cc command line, understood as far as the recipe needs it.
type arguments struct {
	mode     mode
	show     show
	output   string   // -o, empty if not given
	debug    bool     // some -g other than -g0
	optimise string   // the last -O, empty if not given
	unwind   string   // the last -DGODWIT_UNWIND_BYTES=N, whole
	rest     []string // for clang, in order, without -o and without what was dropped
	notes    []string // for stderr: what was dropped
}

// takesValue lists the options whose value is the next argument.
var takesValue = map[string]bool{ //nolint:gochecknoglobals // an immutable lookup table
	"-I": true, "-D": true, "-U": true, "-L": true, "-l": true, "-x": true, "-T": true, "-u": true,
	"-z": true, "-e": true, "-include": true, "-imacros": true, "-isystem": true, "-iquote": true,
	"-idirafter": true, "-isysroot": true, "--sysroot": true, "-MF": true, "-MT": true, "-MQ": true,
	"-Xlinker": true, "-Xclang": true, "-Xpreprocessor": true, "-Xassembler": true, "-mllvm": true,
	"--param": true, "-target": true,
}

// dropped lists options that a guest has no use for, with the note that the user gets. An empty note
// means that nothing is lost.
var dropped = map[string]string{ //nolint:gochecknoglobals // an immutable lookup table
	"-lmpi": "", "-lmpicxx": "", "-lmpi_cxx": "", "-lmpich": "", "-static": "", "-rdynamic": "",
	"-pthread":      "a rank has one thread",
	"-march=native": "guests run on any CPU",
	"-mtune=native": "",
	"-mcpu=native":  "guests run on any CPU",
	"-fexceptions":  "guests are built without exceptions",
	"-fno-plt":      "",
	"-no-pie":       "",
	"-fpie":         "",
	"-fPIE":         "",
	"-fPIC":         "",
	"-fpic":         "",
	"-mavx2":        "guests run on any CPU",
	"-mavx":         "guests run on any CPU",
	"-msse4.2":      "guests run on any CPU",
	"-fopenmp-simd": "",
}

// partial lists the options that stop clang before the link.
var partial = map[string]bool{ //nolint:gochecknoglobals // an immutable lookup table
	"-c": true, "-S": true, "-E": true, "-M": true, "-MM": true, "-fsyntax-only": true,
}

// parse understands args. It fails only on a response file that cannot be read.
func parse(args []string) (arguments, error) {
	args, err := expand(args, 0)
	if err != nil {
		return arguments{}, err
	}
	var a arguments
	inputs := 0
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "-o" && i+1 < len(args):
			i++
			a.output = args[i]
		case takesValue[arg] && i+1 < len(args):
			i++
			a.option(arg + args[i])
			a.rest = append(a.rest, arg, args[i])
		case arg == "-" || !strings.HasPrefix(arg, "-"):
			inputs++
			a.rest = append(a.rest, arg)
		case strings.HasPrefix(arg, "-o") && len(arg) > 2 && !strings.HasPrefix(arg, "-object"):
			a.output = arg[2:]
		default:
			a.plain(arg)
		}
	}
	if inputs == 0 && a.show == showNothing {
		a.mode = modeAsk
	}
	return a, nil
}

// plain takes one option without a separate value.
func (a *arguments) plain(arg string) {
	if note, ok := dropped[arg]; ok {
		if note != "" {
			a.notes = append(a.notes, fmt.Sprintf("%s is ignored: %s", arg, note))
		}
		return
	}
	switch name := strings.TrimLeft(arg, "-"); name {
	case "show", "showme", "show-me":
		a.show = showCommands
		return
	case "showme:compile", "show:compile", "compile-info", "compile_info":
		a.show = showCompile
		return
	case "showme:link", "show:link", "link-info", "link_info":
		a.show = showLink
		return
	}
	a.option(arg)
	a.rest = append(a.rest, arg)
}

// option notes what the recipe depends on in an option that clang gets too.
func (a *arguments) option(arg string) {
	switch {
	case partial[arg]:
		a.mode = modePartial
	case strings.HasPrefix(arg, "-O"):
		a.optimise = arg
	case strings.HasPrefix(arg, "-DGODWIT_UNWIND_BYTES="):
		a.unwind = arg
	case arg == "-g0":
		a.debug = false
	case strings.HasPrefix(arg, "-g"):
		a.debug = true
	}
}

// maxResponseDepth bounds response files that name response files.
const maxResponseDepth = 8

// expand replaces each @file by the words in it. As with cc, an @name that is no file stays as it is.
func expand(args []string, depth int) ([]string, error) {
	var out []string
	for _, arg := range args {
		if !strings.HasPrefix(arg, "@") {
			out = append(out, arg)
			continue
		}
		content, err := os.ReadFile(arg[1:])
		if os.IsNotExist(err) {
			out = append(out, arg)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("response file: %w", err)
		}
		if depth == maxResponseDepth {
			return nil, fmt.Errorf("response file %s: nested more than %d deep", arg[1:], maxResponseDepth)
		}
		words, err := expand(splitWords(string(content)), depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, words...)
	}
	return out, nil
}

// splitWords splits at white space; quotes of either kind group, a backslash takes the next byte as is.
func splitWords(text string) []string {
	var (
		words  []string
		word   strings.Builder
		quote  byte
		inWord bool
	)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\\' && quote != '\'' && i+1 < len(text):
			i++
			word.WriteByte(text[i])
			inWord = true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteByte(c)
		case c == '\'' || c == '"':
			quote, inWord = c, true
		case strings.IndexByte(" \t\r\n\v\f", c) >= 0:
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	return words
}
