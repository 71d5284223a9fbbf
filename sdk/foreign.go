package sdk

import (
	"bytes"
	"errors"
	"path/filepath"
	"regexp"
	"slices"
)

// Build systems name libraries by their files, which they find among this machine's own: /usr/lib/x86_64-linux-gnu/libm.so. What guests have, or can do without, is taken by its name then; all else of this machine
// is no guest's.

// errForeign is returned for a file that was compiled for this machine.
var errForeign = errors.New("it was compiled for this machine (it is ELF), and a guest cannot be linked with it: make it anew by mpicc or mpicxx, from its source, and name what comes of that (for CMake -DCMAKE_PREFIX_PATH=DIR or " +
	"-DNAME_LIBRARY=FILE, for configure LDFLAGS=-LDIR)")

// libraryName is what the file of a library is called, with or without a version.
var libraryName = regexp.MustCompile(`^lib([A-Za-z_+]+[A-Za-z0-9_+]*)(-[0-9.]+)?\.(so[.0-9]*|a)$`)

// Libraries that come with the C library, besides those that are dropped: the guest's has some, and the rest is not missed.
var (
	ownLibraries   = []string{"m", "pthread", "dl", "rt", "util", "crypt", "resolv"} //nolint:gochecknoglobals // an immutable list
	knownLibraries = []string{"c", "mvec", "anl", "BrokenLocale", "c_nonshared"}     //nolint:gochecknoglobals // an immutable list
)

// systemLibrary are the words that stand for a library of this machine's system that a guest has under the same name, or can do without.
func systemLibrary(path string) (words []string, ok bool) {
	if !ofMachine("-L"+filepath.Dir(path)) && !foreign(path) {
		return nil, false
	}
	return ofSystem(filepath.Base(path))
}

// ofSystem is systemLibrary by the name of the library's file alone.
func ofSystem(file string) (words []string, ok bool) {
	match := libraryName.FindStringSubmatch(file)
	if match == nil {
		return nil, false
	}
	name := "-l" + match[1]
	if other, ok := renamed[name]; ok {
		return other, true
	}
	if _, ok := droppedNote(name); ok || slices.Contains(knownLibraries, match[1]) {
		return nil, true
	}
	if slices.Contains(ownLibraries, match[1]) {
		return []string{name}, true
	}
	return nil, false
}

// elf begins the objects, programs and shared libraries of this machine.
const elf = "\x7fELF"

// foreign says whether a file is this machine's: an object, a library, or an archive with such an object.
func foreign(path string) bool {
	if !isFile(path) {
		return false
	}
	content := readFile(path)
	if bytes.HasPrefix(content, []byte(elf)) {
		return true
	}
	files, _, _ := members(path, content)
	return slices.ContainsFunc(files, func(m member) bool { return bytes.HasPrefix(m.data, []byte(elf)) })
}
