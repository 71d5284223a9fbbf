package wasm

import (
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/godwit-run/godwit/internal/files"
)

// Mount is a tree of files at a place where a guest sees it.
type Mount struct {
	Path string // absolute and clean, not "/"
	Tree files.Tree
}

// maxDescriptors bounds what a guest has open; the numbers are below it.
const maxDescriptors = 1024

// maxPath bounds the path of one call, in bytes.
const maxPath = 4096

// descriptor is what one of a guest's file descriptors stands for.
type descriptor struct {
	stream  uint8      // 1 + the stream's number; 0: none
	mount   *Mount     // of a file; of a preopened directory the whole of it
	file    files.File // nil for streams and preopened directories
	kind    files.Kind
	flags   uint16 // fdflags
	read    bool
	write   bool
	at      int64         // the place in the file
	listing []files.Entry // of a directory that is being read
	listed  bool          // there is one
	weight  int           // bytes of it in an image, at most

	lockOwner uint64     // by which locks are the open file's own; 0: it has had none
	locked    lockedFile // of which file it is, if that is known
	apart     bool       // the program has closed it, or never had it

	readAhead readAhead

	distant files.Distant // file, if small writes to it may go ahead: behind.go says more, and guards these
	trails  bool          // it was appended to: where it is then, is end
	end     int64         // of the file, behind the last append that was done
}

// Of what a guest may have besides its memory, in bytes: an image that has all of it can still be made.
const (
	maxLists   = 48 << 20 // lists of directories that it reads
	listEntry  = 24       // beside the name
	maxUnnamed = 1 << 30  // files without a name, in an image
)

// weigh gives a descriptor a list, if the guest may have it beside the others.
func (t *descriptors) weigh(d *descriptor, list []files.Entry) error {
	weight, others := 0, 0
	for _, e := range list {
		weight += len(e.Name) + listEntry
	}
	for _, o := range t.open {
		if o != nil && o != d {
			others += o.weight
		}
	}
	if weight+others > maxLists {
		return syscall.ENOMEM
	}
	d.listing, d.listed, d.weight = list, true, weight
	return nil
}

// preopened says whether d is the whole of a mount, which a guest finds when it starts.
func (d *descriptor) preopened() bool { return d.mount != nil && d.file == nil }

// descriptors are a guest's open files. They belong to its goroutine.
type descriptors struct {
	mounts  []*Mount // the first is the root
	open    []*descriptor
	library map[uint32]*descriptor // files of the MPI library's, by number
	begin   string                 // the directory that the guest begins in
	behind  behind

	ahead *descriptor // of which something may be read ahead; nil: of none

	locker       Locker // nil: there are no locks
	locked       map[lockedFile]struct{}
	lockRequests uint64 // so many were made
	lockOwners   uint64 // and so many open files have had locks

	scratch string // a directory of this host for files without a name
}

// newDescriptors has the three streams and all mounts open.
func newDescriptors(mounts []Mount, scratch string) (*descriptors, error) {
	t := &descriptors{scratch: scratch, library: map[uint32]*descriptor{}, locked: map[lockedFile]struct{}{}}
	root := &Mount{Path: "/", Tree: newSkeleton(mounts)}
	t.mounts = []*Mount{root}
	for i, m := range mounts {
		if !path.IsAbs(m.Path) || path.Clean(m.Path) != m.Path || m.Path == "/" {
			return nil, fmt.Errorf("mount at %q: the path must be absolute and clean, and not /", m.Path)
		}
		if slices.ContainsFunc(mounts[:i], func(o Mount) bool { return o.Path == m.Path }) {
			return nil, fmt.Errorf("two mounts at %s", m.Path)
		}
		t.mounts = append(t.mounts, &mounts[i])
	}
	for s := range uint8(3) {
		t.open = append(t.open, &descriptor{stream: s + 1, kind: files.Device, read: s == 0, write: s > 0})
	}
	for _, m := range t.mounts {
		t.open = append(t.open, &descriptor{mount: m, kind: files.Directory, read: true})
	}
	return t, nil
}

// add gives d the lowest number that is free.
func (t *descriptors) add(d *descriptor) (uint32, errno) {
	for fd, have := range t.open {
		if have == nil {
			t.open[fd] = d
			return uint32(fd), errnoSuccess
		}
	}
	if len(t.open) >= maxDescriptors {
		return 0, errnoMFile
	}
	t.open = append(t.open, d)
	return uint32(len(t.open) - 1), errnoSuccess
}

// close closes its file, as a program does that tells others of it afterwards.
func (d *descriptor) close() error {
	if d.distant != nil {
		return d.distant.Shut() //nolint:wrapcheck // the caller knows what it closes
	}
	return d.file.Close() //nolint:wrapcheck // the same
}

// closeAll closes all files. It waits for nobody's home.
func (t *descriptors) closeAll() error {
	var first error
	for _, d := range slices.AppendSeq(t.open, maps.Values(t.library)) {
		if d == nil || d.file == nil {
			continue
		}
		if err := d.file.Close(); err != nil && first == nil {
			first = err
		}
	}
	t.open, t.library = nil, nil
	return first
}

// descriptor is what a number stands for.
func (c wasiCall) descriptor(fd uint32) (*descriptor, errno) {
	open := c.guest.files.open
	if int64(fd) >= int64(len(open)) || open[fd] == nil {
		return nil, errnoBadf
	}
	return open[fd], errnoSuccess
}

// target is a path in one of the mounts.
type target struct {
	mount *Mount
	path  string
	top   bool // it is the mount's own
}

// target is where the path at arguments i and i+1 leads, from the directory fd.
func (c wasiCall) target(fd uint32, i int) (target, errno) {
	d, why := c.descriptor(fd)
	switch {
	case why != errnoSuccess:
		return target{}, why
	case d.kind != files.Directory:
		return target{}, errnoNotDir
	}
	name, why := c.text(i)
	if why != errnoSuccess {
		return target{}, why
	}
	base := "."
	if d.file != nil {
		err := c.blocking(func() (err error) { base, err = d.file.Path(); return err })
		if err != nil {
			return target{}, errnoOf(err)
		}
		if base == "" {
			return target{}, errnoNoEntry // the directory was removed
		}
	}
	return c.guest.files.find(d.mount, base, name), errnoSuccess
}

// text is the path at arguments i and i+1.
func (c wasiCall) text(i int) (string, errno) {
	text, ok := c.bytes(i)
	switch {
	case !ok:
		return "", errnoFault
	case len(text) == 0:
		return "", errnoNoEntry
	case len(text) > maxPath:
		return "", errnoNameTooLong
	case slices.Contains(text, 0):
		return "", errnoInvalid
	case !utf8.Valid(text):
		return "", errnoIllegal // it could not be told to another host
	}
	return string(text), errnoSuccess
}

// find is where a path leads from a directory of a mount. Which mount that is, is seen from the path alone, as if there were no links; what there
// are of links in its tree, and ".." behind them, is the tree's to follow.
func (t *descriptors) find(m *Mount, base, name string) target {
	full := name
	if !path.IsAbs(name) {
		full = strings.TrimSuffix(m.Path, "/") + "/" + base + "/" + name
	}
	lexical := path.Clean(full)
	best := t.mounts[0]
	for _, m := range t.mounts[1:] {
		if (lexical == m.Path || strings.HasPrefix(lexical, m.Path+"/")) && len(m.Path) > len(best.Path) {
			best = m
		}
	}
	rest, straight := strings.CutPrefix(strings.Replace(full, "/./", "/", 1), best.Path+"/")
	if out := path.Clean(rest); !straight || out == ".." || strings.HasPrefix(out, "../") { // or it leads out, and in again
		rest = strings.TrimPrefix(lexical, best.Path)
		if strings.HasSuffix(name, "/") {
			rest += "/" // it must be a directory
		}
	}
	if rest = strings.TrimLeft(rest, "/"); rest == "" {
		return target{best, ".", true}
	}
	return target{best, rest, false}
}

// readStream reads the guest's standard input, as host code.
func (c wasiCall) readStream(p []byte) (int, error) {
	n, err := stdin{c.guest.system}.Read(p)
	if err == io.EOF { //nolint:errorlint // a reader returns it as it is
		return n, nil
	}
	return n, err
}

// writeStream writes to the guest's standard output or error.
func (c wasiCall) writeStream(d *descriptor, p []byte) (int, error) {
	to := c.guest.system.stdout
	switch d.stream {
	case 1:
		return 0, syscall.EBADF
	case 3:
		to = c.guest.system.stderr
	}
	return output{c.guest, to}.Write(p)
}
