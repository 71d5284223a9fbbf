package sdk

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
)

// show is what -show and its kin ask to print instead of running anything.
type show uint8

const (
	showNothing show = iota
	showCommands
	showCompile
	showLink
	showIncludeDirs
	showLibraryDirs
	showLibraries
	showCommand
	showVersion
	showHelp
)

// shows are the wrapper's own questions, without leading dashes: Open MPI's and MPICH's spellings.
var shows = map[string]show{ //nolint:gochecknoglobals // an immutable lookup table
	"show": showCommands, "showme": showCommands, "show-me": showCommands, "showme:": showCommands,
	"showme:compile": showCompile, "show:compile": showCompile, "compile-info": showCompile, "compile_info": showCompile,
	"show-compile-info": showCompile, "show_compile_info": showCompile,
	"showme:link": showLink, "show:link": showLink, "link-info": showLink, "link_info": showLink,
	"show-link-info": showLink, "show_link_info": showLink,
	"showme:incdirs": showIncludeDirs, "showme:libdirs": showLibraryDirs, "showme:libs": showLibraries,
	"showme:command": showCommand, "showme:version": showVersion, "showme:help": showHelp,
}

const showHelpText = `%[1]s compiles %[2]s MPI programs to WebAssembly modules that Godwit runs and moves. It takes a compiler's options, and:

  -show, -showme             print the commands that would run, and run nothing
  -showme:compile            print the options for compiling (also -show-compile-info, -compile_info)
  -showme:link               print the options for linking (also -show-link-info, -link_info)
  -showme:incdirs, :libdirs, :libs, :command, :version, :help
                             print directories of headers, of libraries, libraries, the compiler, the version, this
  --preemptible              a rank can be stopped, and moved, in any loop, not only in MPI calls; its loops are slower for it,
                             and traps tell no lines; an object that is compiled so makes such a program
  -cc=CMD, -cxx=CMD          use another clang; so do MPI_CC, OMPI_CC, MPICH_CC and MPI_CXX, OMPI_CXX, MPICH_CXX

Options for a native CPU, a native linker or threads are dropped, with a note where they promise something.
`

// print answers what a asks.
func (t Toolchain) print(w io.Writer, lang Lang, a arguments, p paths) {
	language, driver := languages[lang].name, p.drivers[lang]
	compile := append(targetFlags(p), userHeaderFlags(a, p, driver)...)
	switch a.show {
	case showCompile:
		fmt.Fprintln(w, quote(compile))
	case showLink:
		fmt.Fprintln(w, quote(slices.Concat([]string{target}, memoryFlags(), libraries())))
	case showIncludeDirs:
		fmt.Fprintln(w, filepath.Join(p.sdk, "include"))
	case showLibraryDirs:
		fmt.Fprintln(w, filepath.Join(p.sdk, "lib"))
	case showLibraries:
		var names []string
		for _, library := range libraries() {
			names = append(names, strings.TrimPrefix(library, "-l"))
		}
		fmt.Fprintln(w, strings.Join(names, " "))
	case showCommand:
		fmt.Fprintln(w, quote(append([]string{driver}, p.driverArgs...)))
	case showVersion:
		fmt.Fprintf(w, "%s: Godwit %s (Language: %s)\n", lang, t.version(), language)
	case showHelp:
		fmt.Fprintf(w, showHelpText, lang, language)
	case showCommands:
		if a.bare { // as MPICH's wrappers do, for those who pick it to pieces
			fmt.Fprintln(w, quote(slices.Concat([]string{driver}, p.driverArgs, compile, memoryFlags(), libraries(), a.rest)))
			return
		}
		p.scratch = "godwit-cc"
		for _, command := range planned(lang, a, p).all(lang, p) {
			fmt.Fprintln(w, quote(command))
		}
	case showNothing:
	}
}

func (t Toolchain) version() string {
	if t.Version == "" {
		return "(unknown version)"
	}
	return t.Version
}
