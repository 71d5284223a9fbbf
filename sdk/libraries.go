package sdk

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// wasiLibraries is where Debian has wasi-libc's archives.
const wasiLibraries = "/usr/lib/wasm32-wasi"

// linkedLibraries are the archives that a link takes besides the user's: the C library's, and the C++ library's.
type linkedLibraries struct{ c, cxx []string }

// librariesOf are those of a link.
func (p paths) librariesOf(ctx context.Context, lang Lang, a arguments, words []string) linkedLibraries {
	dir := p.libraryDir(ctx, lang, a)
	var out linkedLibraries
	for _, word := range append(libraries(), "-lc") {
		out.c = append(out.c, filepath.Join(dir, "lib"+strings.TrimPrefix(word, "-l")+".a"))
	}
	out.cxx = p.cxxLibraries(lang, words)
	return out
}

// libraryDir is where the C library is that the compiler links.
func (p paths) libraryDir(ctx context.Context, lang Lang, a arguments) string {
	driver := p.drivers[lang]
	if userHeaderFlags(a, p, driver) != nil { // the system's
		return wasiLibraries
	}
	command := append(slices.Clone(p.driverArgs), target)
	if p.sysroot != "" {
		command = append(command, "--sysroot="+p.sysroot)
	}
	for i, arg := range a.rest {
		if strings.HasPrefix(arg, "--sysroot=") {
			command = append(command, arg)
		} else if arg == "--sysroot" && i+1 < len(a.rest) {
			command = append(command, arg, a.rest[i+1])
		}
	}
	out, err := exec.CommandContext(ctx, driver, append(command, "-print-file-name=libc.a")...).Output() //nolint:gosec // the user's compiler
	if err != nil {
		return wasiLibraries // the link says what is wrong
	}
	return filepath.Dir(strings.TrimSpace(string(out)))
}

// of is the library that a file is, empty if it is none.
func (l linkedLibraries) of(path string) string {
	st, err := os.Stat(path)
	if err != nil {
		return ""
	}
	for _, library := range slices.Concat(l.c, l.cxx) {
		if other, err := os.Stat(library); err == nil && os.SameFile(st, other) {
			return library
		}
	}
	return ""
}
