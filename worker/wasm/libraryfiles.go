package wasm

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"strings"
	"syscall"

	"github.com/tetratelabs/wazero/api"

	"github.com/godwit-run/godwit/internal/files"
	"github.com/godwit-run/godwit/mpi"
	"github.com/godwit-run/godwit/mpi/abi"
)

// The MPI library has files open in a guest's name, beside those that its descriptors stand for: by numbers from maxDescriptors on, which the guest cannot use.

var (
	_ mpi.Files     = (*Guest)(nil)
	_ mpi.WideGuest = (*Guest)(nil)
)

// maxLibraryFiles bounds them.
const maxLibraryFiles = 1024

// exportDirectory is wasi-libc's variable that points to the current directory's path (sdk/lib/godwit_path.c).
const exportDirectory = "__wasilibc_cwd"

// libraryFile is an open file of the library's.
type libraryFile struct {
	files.File
}

// Describe implements mpi.File.
func (f libraryFile) Describe() (id uint64, size int64, err error) {
	info, err := f.Stat()
	return info.ID, info.Size, err
}

// directory is where the program is.
func (g *Guest) directory() string {
	at, memory := uint64(g.word(g.module.info.directory)), g.memory.Bytes()
	if at == 0 || at >= uint64(len(memory)) {
		return g.files.begin
	}
	text, _, whole := bytes.Cut(memory[at:min(at+maxPath, uint64(len(memory)))], []byte{0})
	if !whole || !path.IsAbs(string(text)) {
		return g.files.begin
	}
	return string(text)
}

// named is where a path leads from the program's directory.
func (g *Guest) named(name string) target {
	return g.files.find(g.files.mounts[0], strings.TrimLeft(g.directory(), "/"), name)
}

// OpenFile implements mpi.Files.
func (g *Guest) OpenFile(name string, flags int) (uint32, error) {
	if len(g.files.library) >= maxLibraryFiles {
		return 0, syscall.EMFILE
	}
	t, access := g.named(name), flags&syscall.O_ACCMODE
	d := &descriptor{mount: t.mount, read: access != syscall.O_WRONLY, write: access != syscall.O_RDONLY}
	if err := d.openAt(t, flags); err != nil {
		return 0, err
	}
	switch {
	case d.file == nil:
		return 0, syscall.ENXIO // one of its streams
	case d.kind == files.Directory:
		return 0, errors.Join(syscall.EISDIR, d.file.Close())
	}
	number := uint32(maxDescriptors)
	for g.files.library[number] != nil {
		number++
	}
	g.files.library[number] = d
	return number, nil
}

// OpenedFile implements mpi.Files.
func (g *Guest) OpenedFile(number uint32) mpi.File {
	d := g.files.library[number]
	if d == nil {
		return nil
	}
	return libraryFile{d.file}
}

// CloseFile implements mpi.Files.
func (g *Guest) CloseFile(number uint32, remove bool) error {
	d := g.files.library[number]
	if d == nil {
		return syscall.EBADF
	}
	var err error
	if remove {
		var name string
		if name, err = d.file.Path(); err == nil && name != "" {
			err = d.mount.Tree.Unlink(name)
		}
		if errors.Is(err, syscall.ENOENT) {
			err = nil
		}
	}
	delete(g.files.library, number)
	return errors.Join(err, d.close())
}

// RemoveFile implements mpi.Files.
func (g *Guest) RemoveFile(name string) error {
	t := g.named(name)
	if info, err := t.mount.Tree.Stat(t.path, false); err == nil && info.Kind == files.Directory {
		return syscall.EISDIR
	}
	return t.mount.Tree.Unlink(t.path)
}

// CallWide implements mpi.WideGuest.
func (g *Guest) CallWide(fn uint32, kinds []abi.Kind, params []uint64) (uint32, error) {
	for _, results := range [][]api.ValueType{{api.ValueTypeI32}, nil} {
		if f := g.instance.At(fn, valueTypes(kinds...), results); f != nil {
			return g.enterWide(f, append([]uint64{}, params...))
		}
	}
	return 0, &nestedEnd{fmt.Errorf("callback: there is no function of %d parameters at %#x", len(params), fn)}
}
