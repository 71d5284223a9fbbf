package sdk

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Commands are the names that the binary is called by: as a compiler, to run programs, and as one of Binutils.
func Commands() []string {
	out := []string{"mpicc", "mpicxx", "mpic++", "mpiCC", "mpifort", "mpif90", "mpif77", "mpirun", "mpiexec", "godwit"}
	for _, name := range Binutils() {
		out = append(out, BinutilPrefix+name)
	}
	return out
}

// here stands for the directory of the SDK in those of its files that cannot find it out.
const here = "@SDK@"

// emptyLibraries are found by CMake's find_library, as natively; what they are for is in the C library.
//
//nolint:gochecknoglobals // a constant
var emptyLibraries = []string{"m", "rt", "pthread", "dl"}

const emptyArchive = "!<arch>\n"

// Install writes what build systems need into dir: headers, a CMake toolchain file, a Meson cross file, autoconf's config.site, pkg-config's mpi.pc, and bin/ with a
// link to the godwit binary for each of Commands. It overwrites what an earlier one has left, and nothing else.
func Install(dir, binary string) error {
	root, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("install the sdk: %w", err)
	}
	err = fs.WalkDir(embedded, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		path := filepath.Join(dir, filepath.FromSlash(name))
		if entry.IsDir() {
			return os.MkdirAll(path, 0o755)
		}
		content, err := fs.ReadFile(embedded, name)
		if err != nil {
			return err
		}
		if filepath.Ext(name) == ".ini" {
			content = bytes.ReplaceAll(content, []byte(here), []byte(root))
		}
		return os.WriteFile(path, content, 0o644) //nolint:gosec // for every user of the machine
	})
	if err != nil {
		return fmt.Errorf("install the sdk: %w", err)
	}
	for _, name := range emptyLibraries {
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "lib", "lib"+name+".a"), []byte(emptyArchive), 0o644) //nolint:gosec // for every user of the machine
		}
	}
	if err != nil {
		return fmt.Errorf("install the sdk: %w", err)
	}
	if err := executable(dir); err != nil {
		return fmt.Errorf("install the sdk: %w", err)
	}
	bin := filepath.Join(dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return fmt.Errorf("install the sdk: %w", err)
	}
	for _, name := range Commands() {
		if err := link(binary, filepath.Join(bin, name)); err != nil {
			return fmt.Errorf("install the sdk: %w", err)
		}
	}
	return nil
}

// link makes path a symbolic link to binary. It replaces a link, but no file.
func link(binary, path string) error {
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case st.Mode().Type() != fs.ModeSymlink:
		if same, err := os.Stat(binary); err == nil && os.SameFile(st, same) {
			return nil // the binary itself lies there
		}
		return fmt.Errorf("%s is there and no link: remove it, or choose another directory", path)
	default:
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return os.Symlink(binary, path)
}
