package wasm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"syscall"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/files"
)

// maxOpenFiles bounds what an image says of open files, in bytes.
const maxOpenFiles = 64 << 20

// capture writes what is open: the length of a message (4 bytes), the message, and the contents of the files that have no name any more, in its order. The files of
// the library's are left out of a guest that runs no more.
func (t *descriptors) capture(w io.Writer, runs, keep bool) error {
	m := &apiv1.OpenFiles{LockRequests: t.lockRequests, LockOwners: t.lockOwners}
	for at := range t.locked {
		m.Locked = append(m.Locked, &apiv1.LockedFile{Mount: at.mount, Id: at.id})
	}
	var unnamed []unnamedFile
	without := int64(0) // bytes of these
	for fd, d := range t.open {
		if d == nil || d.preopened() {
			continue
		}
		o, err := d.describe(keep)
		if err != nil {
			return fmt.Errorf("file descriptor %d: %w", fd, err)
		}
		o.Fd = uint32(fd)
		m.Files = append(m.Files, o)
		if d.file != nil && o.Path == "" && o.Kept == 0 {
			if other := slices.IndexFunc(m.Files[:len(m.Files)-1], func(f *apiv1.OpenFile) bool { return f.Path == "" && f.Mount == o.Mount && f.Id == o.Id }); other >= 0 {
				return fmt.Errorf("file descriptors %d and %d are of one file without a name in a volume, and would be of two when the rank has moved", m.Files[other].Fd, fd)
			}
			unnamed = append(unnamed, unnamedFile{d.file, o.Size})
			if without += o.Size; o.Size > maxUnnamed || without > maxUnnamed {
				return fmt.Errorf("the files without a name which the program has open have %d MiB, and %d MiB can move with a rank", without>>20, maxUnnamed>>20)
			}
		}
	}
	for _, number := range slices.Sorted(maps.Keys(t.library)) {
		if !runs {
			break // it uses none of them any more
		}
		o, err := t.library[number].describe(keep)
		if err != nil {
			return fmt.Errorf("a file that the program has opened with MPI_File_open: %w", err)
		}
		if o.Path == "" && o.Kept == 0 { // each rank would get one of its own
			return errors.New("a file that the program has opened with MPI_File_open has no name any more, so that no other host can open it")
		}
		o.Fd = number
		m.Files = append(m.Files, o)
	}
	body, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	if len(body) > maxOpenFiles {
		return fmt.Errorf("the lists of the open directories have %d MiB, and at most %d fit an image", len(body)>>20, maxOpenFiles>>20)
	}
	if _, err := w.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(body))), body...)); err != nil {
		return err
	}
	for _, f := range unnamed {
		if err := f.copyTo(w); err != nil {
			return err
		}
	}
	return nil
}

// unnamedFile is a file without a name whose content goes into the image.
type unnamedFile struct {
	file files.File
	size int64
}

// copyTo writes what is in the file, which may be open for writing alone.
func (f unnamedFile) copyTo(w io.Writer) error {
	from := io.ReaderAt(f.file)
	if own, ok := f.file.(interface{ Reader() (*os.File, error) }); ok {
		r, err := own.Reader()
		if err != nil {
			return err
		}
		defer r.Close() //nolint:errcheck // only read
		from = r
	}
	n, err := io.Copy(w, io.NewSectionReader(from, 0, f.size))
	if err == nil && n < f.size {
		err = fmt.Errorf("a file without a name has become shorter: %d of %d bytes", n, f.size)
	}
	return err
}

// describe is what an image says of a descriptor. A file that was written to on a file system that hosts share is brought to it first: who opens it on another host must find
// all of it. One that another process keeps is reached through that, and nothing has to be waited for.
func (d *descriptor) describe(keep bool) (*apiv1.OpenFile, error) {
	o := &apiv1.OpenFile{LockOwner: d.lockOwner, Apart: d.apart, Stream: uint32(d.stream), Read: d.read, Write: d.write, Flags: uint32(d.flags), At: d.at, Kind: uint32(d.kind), Listed: d.listed}
	if d.file == nil {
		return o, nil
	}
	o.Mount = d.mount.Path
	info, err := d.file.Stat()
	if err != nil {
		return nil, err
	}
	if o.Path, err = d.file.Path(); err != nil {
		return nil, err
	}
	keeper, kept := d.file.(files.Keeper)
	if d.write && d.kind == files.Regular && !kept {
		if err := d.file.Sync(); err != nil {
			return nil, fmt.Errorf("%s: %w", o.Path, err)
		}
	}
	o.Id, o.Size = info.ID, info.Size
	if kept && (keep || o.Path == "") {
		o.Keeper, o.Kept, err = keeper.Keep()
		switch {
		case err == nil:
		case o.Path == "":
			return nil, fmt.Errorf("a file without a name cannot be kept for it: %w", err)
		case errors.Is(err, syscall.EINVAL): // a home of an earlier version keeps none that has a name
			o.Keeper, o.Kept = 0, 0
		default:
			return nil, fmt.Errorf("%s cannot be kept for it: %w", o.Path, err)
		}
	}
	for _, e := range d.listing {
		o.Listing = append(o.Listing, &apiv1.OpenFileEntry{Name: e.Name, Kind: uint32(e.Kind), Id: e.ID})
	}
	return o, nil
}

// restore opens what an image says was open, in place of what a new guest has.
func (t *descriptors) restore(r io.Reader) error {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return fmt.Errorf("%w: %w", ErrImage, err)
	}
	n := binary.LittleEndian.Uint32(size[:])
	if n > maxOpenFiles {
		return fmt.Errorf("%w: %d bytes of open files", ErrImage, n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return fmt.Errorf("%w: %w", ErrImage, err)
	}
	var m apiv1.OpenFiles
	if err := proto.Unmarshal(body, &m); err != nil {
		return fmt.Errorf("%w: open files: %w", ErrImage, err)
	}
	if len(m.Locked) > maxLockedFiles {
		return fmt.Errorf("%w: locks of %d files", ErrImage, len(m.Locked))
	}
	t.lockRequests, t.lockOwners = m.LockRequests, m.LockOwners
	for _, f := range m.Locked {
		t.locked[lockedFile{f.Mount, f.Id}] = struct{}{}
	}
	clear(t.open[:3]) // the image has those streams that are still open
	for _, o := range m.Files {
		d, err := t.reopen(o, r)
		if err != nil {
			return err
		}
		if o.Fd >= maxDescriptors {
			t.library[o.Fd] = d
			continue
		}
		for int(o.Fd) >= len(t.open) {
			t.open = append(t.open, nil)
		}
		t.open[o.Fd] = d
	}
	return nil
}

// reopen makes one descriptor as it was.
func (t *descriptors) reopen(o *apiv1.OpenFile, r io.Reader) (*descriptor, error) {
	library := o.Fd >= maxDescriptors
	twice := t.library[o.Fd] != nil || int(o.Fd) < len(t.open) && t.open[o.Fd] != nil
	if o.Fd >= maxDescriptors+maxLibraryFiles || twice || o.Stream > 3 || o.At < 0 || o.Size < 0 || library && (o.Stream != 0 || o.Path == "" && o.Kept == 0) {
		return nil, fmt.Errorf("%w: file descriptor %d", ErrImage, o.Fd)
	}
	d := &descriptor{
		stream: uint8(o.Stream), kind: files.Kind(o.Kind), flags: uint16(o.Flags), read: o.Read, write: o.Write, at: o.At, listed: o.Listed,
		lockOwner: o.LockOwner, locked: lockedFile{o.Mount, o.Id}, apart: o.Apart,
	}
	for _, e := range o.Listing {
		d.listing = append(d.listing, files.Entry{Name: e.Name, Kind: files.Kind(e.Kind), ID: e.Id})
		d.weight += len(e.Name) + listEntry
	}
	if o.Stream != 0 {
		return d, nil
	}
	for _, m := range t.mounts {
		if m.Path == o.Mount {
			d.mount = m
		}
	}
	if d.mount == nil {
		return nil, fmt.Errorf("%w: file descriptor %d is of a tree at %q, and there is none", ErrImage, o.Fd, o.Mount)
	}
	if o.Path == "" && o.Kept == 0 {
		return d, t.fill(d, o.Size, r)
	}
	name, access := d.mount.Path+"/"+o.Path, accessOf(d.read, d.write)|syscall.O_NOFOLLOW
	if d.kind == files.Directory {
		access = syscall.O_RDONLY | syscall.O_DIRECTORY
	}
	f, err := t.openAgain(d.mount.Tree, o, access)
	if err != nil {
		return nil, fmt.Errorf("%s, which the program has open: %w", name, err)
	}
	info, err := f.Stat()
	if err == nil && info.ID != o.Id {
		err = fmt.Errorf("%s, which the program has open, is another file on this host: is the directory one that the hosts share?", name)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	d.file = f
	d.distant, _ = f.(files.Distant)
	return d, nil
}

// openAgain opens what an image says was open: by its name, or as what its home has kept.
func (t *descriptors) openAgain(tree files.Tree, o *apiv1.OpenFile, access int) (files.File, error) {
	if o.Kept == 0 {
		return tree.Open(o.Path, access)
	}
	home, ok := tree.(files.Adopter)
	if !ok {
		return nil, errors.New("a file without a name, which nobody keeps")
	}
	f, err := home.Adopt(o.Keeper, o.Kept, access)
	if o.Path == "" || err != nil && !errors.Is(err, syscall.ENOENT) {
		return f, err
	}
	named, wrong := tree.Open(o.Path, access)
	if err != nil { // its home knows no more what it has kept
		return named, wrong
	}
	if wrong != nil {
		return f, nil
	}
	if info, wrong := named.Stat(); wrong == nil && info.ID == o.Id { // the same: where the home is this host nobody is asked for it then
		return named, f.Close()
	}
	return f, named.Close()
}

// fill makes a file without a name whose content the image has.
func (t *descriptors) fill(d *descriptor, size int64, r io.Reader) error {
	f, err := files.Anonymous(t.scratch)
	if err != nil {
		return fmt.Errorf("a file without a name, which the program has open: %w", err)
	}
	d.file = f
	if n, err := io.Copy(io.NewOffsetWriter(f, 0), io.LimitReader(r, size)); err != nil || n < size {
		return errors.Join(fmt.Errorf("%w: %d of %d bytes of a file without a name", ErrImage, n, size), err, f.Close())
	}
	return nil
}
