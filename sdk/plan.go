package sdk

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// plan is what a command line comes to: one command of clang alone, or the steps of a link.
type plan struct {
	alone    []string   // empty: it is a link
	compiles [][]string // of the sources, in any order
	sources  []source   // that are compiled
	files    []string   // words of the link that name what the user gives it, or where that is
	glue     []string
	tries    []string // of what calls functions under a try; run if there are any
	optimise []string
	linker   func(files []string, tries bool, more ...string) []string // more are options, or objects that come before the user's
}

// planned says what is to be done for a.
func planned(lang Lang, a arguments, p paths) plan {
	driver := p.drivers[lang]
	compile := slices.Concat([]string{driver}, p.driverArgs, compileFlags(lang, p), userHeaderFlags(a, p, driver))
	switch a.mode {
	case modeAsk:
		return plan{alone: slices.Concat([]string{driver}, p.driverArgs, []string{target}, a.rest)}
	case modePartial:
		alone := append(compile, a.rest...)
		if slices.Contains(a.rest, mergesObjects) {
			alone = append(alone, "-nostdlib", "-B"+filepath.Join(p.sdk, filepath.FromSlash(clangTools)))
		}
		if a.output != "" {
			alone = append(alone, "-o", a.output)
		}
		return plan{alone: alone}
	case modeLink:
	}
	own := slices.Concat([]string{p.drivers[C]}, glueFlags(p), headerFlags(p, p.drivers[C]), []string{"-I" + filepath.Join(p.sdk, "lib")})
	var out plan
	options, sources, files := split(a.rest, p.scratch)
	for _, s := range sources {
		out.compiles = append(out.compiles, slices.Concat(compile, options, s.options(a), []string{"-c", s.path, "-o", s.object}))
	}
	out.sources, out.files = sources, plainFiles(files)
	out.glue = slices.Clone(own)
	if a.unwind != "" {
		out.glue = append(out.glue, a.unwind)
	}
	out.glue = append(out.glue, "-c", filepath.Join(p.sdk, "lib", "godwit_glue.c"), "-o", p.scratchFile("godwit_glue.o"))
	out.tries = slices.Concat(own, []string{"-c", p.scratchFile("godwit_tries.c"), "-o", p.scratchFile("godwit_tries.o")})
	out.linker = func(files []string, tries bool, more ...string) []string {
		// The glue is first: it takes the first place of the function table.
		ours := []string{p.scratchFile("godwit_glue.o")}
		if tries {
			ours = append(ours, p.scratchFile("godwit_tries.o"))
		}
		return slices.Concat(compile, linkFlags(a, p), ours, more, options, files, libraries(), []string{"-o", p.linked()})
	}
	out.optimise = slices.Concat([]string{p.wasmOpt}, optimiseFlags(a), []string{p.linked(), "-o", a.target()})
	return out
}

// source is a file that is compiled on the way to a link.
type source struct {
	path, object string
	lang         string // by -x; empty: by its name
}

// options are clang's for this source alone. With -MD and its like, but nothing that says where to, its dependencies go where cc writes them.
func (s source) options(a arguments) []string {
	var out []string
	if s.lang != "" {
		out = append(out, "-x", s.lang)
	}
	given := func(names ...string) bool {
		return slices.ContainsFunc(a.rest, func(arg string) bool {
			return slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(arg, name) })
		})
	}
	name := strings.TrimSuffix(filepath.Base(s.path), filepath.Ext(s.path))
	if given("-MD", "-MMD") && !given("-MF") {
		out = append(out, "-MF", name+".d")
	}
	if given("-MD", "-MMD") && !given("-MT", "-MQ") {
		out = append(out, "-MT", cmp.Or(a.output, name+".o"))
	}
	return out
}

// sourceExtensions are those of files that clang compiles, in C, C++, assembler and its own languages.
var sourceExtensions = []string{ //nolint:gochecknoglobals // an immutable list
	".c", ".i", ".s", ".S", ".sx", ".cc", ".cp", ".cxx", ".cpp", ".CPP", ".c++", ".C", ".CC", ".ii", ".ll", ".bc",
}

// isCXX reports whether a file is C++ by its name.
func isCXX(path string) bool {
	return slices.Contains([]string{".cc", ".cp", ".cxx", ".cpp", ".CPP", ".c++", ".C", ".CC", ".ii"}, filepath.Ext(path))
}

// split takes the words of a link apart: options, which hold for each source and for the link, the sources, and the words that name files of the
// link, with the objects in place of their sources.
func split(words []string, scratch string) (options []string, sources []source, files []string) {
	lang := ""
	for i := 0; i < len(words); i++ {
		word := words[i]
		value := ""
		if takesValue[word] && i+1 < len(words) {
			i++
			value = words[i]
		}
		switch {
		case word == "-x":
			lang = value
		case strings.HasPrefix(word, "-x") && value == "":
			lang = word[2:]
		case word == "-l" || word == "-L":
			files = append(files, word, value)
		case strings.HasPrefix(word, "-l") || strings.HasPrefix(word, "-L") || strings.HasPrefix(word, "-Wl,"):
			files = append(files, word)
		case value != "":
			options = append(options, word, value)
		case strings.HasPrefix(word, "-") && word != "-":
			options = append(options, word)
		case lang != "" && lang != "none" || slices.Contains(sourceExtensions, filepath.Ext(word)):
			s := source{path: word, object: filepath.Join(scratch, fmt.Sprintf("%d-%s.o", len(sources), filepath.Base(word)))}
			if lang != "none" {
				s.lang = lang
			}
			sources, files = append(sources, s), append(files, s.object)
		default:
			files = append(files, word)
		}
	}
	return options, sources, files
}

// all are the commands in order, as far as they are known before any has run: whether there are tries is known then only of files that are there. The
// directory that intermediate files go to, and its files that Godwit writes, are made before.
func (do plan) all(lang Lang, p paths) [][]string {
	if do.alone != nil {
		return [][]string{do.alone}
	}
	n, err := needsOf(do.files, p.cxxLibraries(lang, do.files))
	tries := err == nil && n.any()
	out := append(slices.Clone(do.compiles), do.glue)
	if tries {
		out = append(out, do.tries)
	}
	return append(out, do.linker(do.files, tries), do.optimise)
}
