// Package tree makes blobs of files, and files of blobs: what an app begins with, and what it leaves. The servers keep blobs; a Tree names those that
// one directory is made of.
package tree

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// Bounds of a tree. A pack with a part of a large file has nothing else, so that files beside it may change without its being sent again.
const (
	MaxEntries   = 200_000
	MaxListBytes = 32 << 20
	packBytes    = apiv1.MaxModuleBytes
	smallPack    = 16 << 20 // of small files together
	largeFile    = 4 << 20
	listedEntry  = 8       // bytes in the list, at most, beside the entry's own
	listedPiece  = 32      // and of each of its pieces
	maxPath      = 8 << 10 // bytes of a path; each part of it is a step whenever it is used
)

// Source is a file or a directory of this host, and its name in the tree; an empty name stands for the tree itself.
type Source struct {
	Path, Name string
	// Guarded is of a directory that a program has written: links are links, wherever they lead, nothing outside of it is read, and what
	// cannot be in a tree is left out.
	Guarded bool
}

// Scan is a tree that is to be sent: what is in it, and where its packs' bytes are.
type Scan struct {
	Tree  *apiv1.Tree
	list  []byte
	packs []pack
	left  left
}

// left is what of a guarded directory is not in the tree.
type left struct {
	count int
	first string // which, and why
}

// add leaves something out.
func (l *left) add(name string, why error) {
	if l.count++; l.count == 1 {
		l.first = fmt.Sprintf("%.200q: %v", name, why)
	}
}

// Left says what of a guarded directory is not in the tree; empty: nothing.
func (s *Scan) Left() string {
	switch s.left.count {
	case 0:
		return ""
	case 1:
		return "one is not among them: " + s.left.first
	}
	return fmt.Sprintf("%d are not among them, such as %s", s.left.count, s.left.first)
}

// pack is a blob to be made of parts of files.
type pack struct {
	parts []part
	size  int64
}

type part struct {
	top      string // the directory out of which nothing may lead; empty: path is whole
	path     string
	at, size int64
}

// ErrChanged is returned when a file is another one than it was when the tree was read.
var ErrChanged = errors.New("a file changes while it is read")

// Read reads what the sources have, to its last byte: the digests are those of the bytes.
func Read(ctx context.Context, sources []Source) (*Scan, error) {
	w := &walk{ctx: ctx, list: &apiv1.TreeList{}, seen: map[string]bool{}, scan: &Scan{Tree: &apiv1.Tree{}}}
	for _, s := range sources {
		if err := w.source(s); err != nil {
			return nil, err
		}
	}
	return w.finish()
}

// finish makes a tree of what was found.
func (w *walk) finish() (*Scan, error) {
	slices.SortFunc(w.list.Entries, func(a, b *apiv1.TreeEntry) int { return strings.Compare(a.Path, b.Path) })
	for tries := 0; ; tries++ {
		err := w.read()
		var bad *UnreadError
		switch {
		case err == nil:
			return w.scan, nil
		case !errors.As(err, &bad) || bad.from.top == "" || tries == maxUnread:
			return nil, err
		}
		w.leaveOut(bad)
	}
}

// maxUnread bounds the files that a guarded directory may have whose bytes cannot be read: for each the others are read anew.
const maxUnread = 16

// UnreadError is of a file whose bytes could not be read here.
type UnreadError struct {
	from part
	err  error
}

// Error says which file, and why.
func (e *UnreadError) Error() string {
	return fmt.Sprintf("%.200q cannot be read: %v", e.from.path, e.err)
}

// Unwrap is why.
func (e *UnreadError) Unwrap() error { return e.err }

// read makes the list and the packs' digests of what was found.
func (w *walk) read() error {
	s := w.scan
	s.packs, s.Tree = nil, &apiv1.Tree{}
	if err := w.pack(); err != nil {
		return err
	}
	var err error
	if s.list, err = marshal(w.list); err != nil {
		return err
	}
	if len(s.list) > MaxListBytes {
		return fmt.Errorf("the list of %d files has %d MiB; at most %d are possible", s.Tree.Files, len(s.list)>>20, MaxListBytes>>20)
	}
	s.Tree.List = digest(s.list)
	blank := map[int64]string{} // digests of so many zeros
	for _, p := range s.packs {
		hole := len(p.parts) == 1 && p.parts[0].blank()
		found := blank[p.size]
		if !hole || found == "" {
			sum := sha256.New()
			if err := s.write(w.ctx, p, sum); err != nil {
				return err
			}
			found = hex.EncodeToString(sum.Sum(nil))
		}
		if hole {
			blank[p.size] = found
		}
		s.Tree.Packs = append(s.Tree.Packs, found)
		s.Tree.Bytes += p.size
	}
	return nil
}

// leaveOut has a file not be in the tree.
func (w *walk) leaveOut(bad *UnreadError) {
	w.scan.left.add(bad.from.path, bad.err)
	w.list.Entries = slices.DeleteFunc(w.list.Entries, func(e *apiv1.TreeEntry) bool {
		from := w.from[e]
		e.Pieces = nil
		return from.top == bad.from.top && from.path == bad.from.path
	})
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// walk goes over the sources.
type walk struct {
	ctx  context.Context //nolint:containedctx // of the one call
	list *apiv1.TreeList
	size int // of the list, at most
	seen map[string]bool
	from map[*apiv1.TreeEntry]part
	scan *Scan
}

func (w *walk) source(s Source) error {
	st, err := os.Stat(s.Path)
	if err != nil {
		return err
	}
	if !st.IsDir() {
		return w.add(part{path: s.Path}, s.Name, st)
	}
	top, err := filepath.EvalSymlinks(s.Path)
	if err != nil {
		return err
	}
	if s.Guarded {
		return w.guarded(top, s.Name)
	}
	return filepath.WalkDir(top, func(at string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, at)
		if err != nil {
			return err
		}
		name := path.Join(s.Name, filepath.ToSlash(rel))
		if name == "." || name == "" {
			return w.ctx.Err()
		}
		info, err := os.Lstat(at)
		if err != nil {
			return err
		}
		if info.Mode()&os.ModeSymlink != 0 && !inside(top, at) {
			if info, err = os.Stat(at); err != nil || info.IsDir() {
				return fmt.Errorf("%s is a link that leads out of %s: leave it out, or put in its place what it leads to", at, top)
			}
		}
		return errors.Join(w.add(part{path: at}, name, info), w.ctx.Err())
	})
}

// guarded goes over what a program has written. Each part of a path is opened in the one before, so that it may be longer than the kernel takes at once.
func (w *walk) guarded(top, into string) error {
	root, err := os.OpenRoot(top)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // only read
	return fs.WalkDir(root.FS(), ".", func(rel string, d fs.DirEntry, err error) error {
		name := path.Join(into, rel)
		switch {
		case err != nil && (d == nil || rel == "."):
			return err
		case name == "." || name == "":
			return w.ctx.Err()
		case err == nil && len(name) > maxPath:
			err = fmt.Errorf("its path has more than %d bytes", maxPath)
		}
		var info fs.FileInfo
		if err == nil {
			info, err = root.Lstat(rel)
		}
		if err == nil {
			err = w.add(part{top: top, path: rel}, name, info)
		}
		if err == nil {
			return w.ctx.Err()
		}
		w.scan.left.add(rel, err)
		if w.ctx.Err() == nil && d.IsDir() {
			return fs.SkipDir
		}
		return w.ctx.Err()
	})
}

// inside says whether a link leads to something in the directory, or nowhere.
func inside(top, link string) bool {
	to, err := filepath.EvalSymlinks(link)
	if err != nil {
		return true
	}
	return to == top || strings.HasPrefix(to, top+string(filepath.Separator))
}

// add adds what is at a path of this host.
func (w *walk) add(from part, name string, info os.FileInfo) error {
	at := from.whole()
	if !utf8.ValidString(name) {
		return fmt.Errorf("%.200q: its name is not UTF-8", at)
	}
	if !fs.ValidPath(name) || name == "." {
		return fmt.Errorf("%s: %q is no name for a file: use a relative path without detours", at, name)
	}
	if w.seen[name] {
		if info.IsDir() {
			return nil
		}
		return fmt.Errorf("%s: there are two files %s", at, name)
	}
	if len(w.list.Entries) == MaxEntries {
		return fmt.Errorf("there are more than %d files", MaxEntries)
	}
	e := &apiv1.TreeEntry{Path: name, Changed: info.ModTime().UnixNano()}
	switch mode := info.Mode(); {
	case mode.IsDir():
		e.Kind = apiv1.TreeEntry_KIND_DIRECTORY
	case mode.IsRegular():
		e.Kind, e.Size, e.Executable = apiv1.TreeEntry_KIND_FILE, info.Size(), mode&0o100 != 0
	case mode&os.ModeSymlink != 0:
		text, err := from.link()
		if err != nil {
			return err
		}
		if !utf8.ValidString(text) {
			return fmt.Errorf("%s is a link to %.200q, which is not UTF-8", at, text)
		}
		e.Kind, e.Text = apiv1.TreeEntry_KIND_LINK, text
	default:
		return fmt.Errorf("%s is no file, directory or link", at)
	}
	return w.take(e, from)
}

// take has an entry in the tree, if the list has room for it.
func (w *walk) take(e *apiv1.TreeEntry, from part) error {
	size := proto.Size(e) + listedEntry + listedPiece*int(1+e.Size/packBytes)
	if w.size+size > MaxListBytes {
		return fmt.Errorf("the list of files would have more than %d MiB", MaxListBytes>>20)
	}
	w.size += size
	w.seen[e.Path] = true
	if w.from == nil {
		w.from = map[*apiv1.TreeEntry]part{}
	}
	w.from[e] = from
	w.list.Entries = append(w.list.Entries, e)
	return nil
}

// pack gives each file its places in packs. What has none is not in the tree.
func (w *walk) pack() error {
	small := -1 // the pack of small files that has room
	s := w.scan
	listed := w.list.Entries[:0]
	for _, e := range w.list.Entries {
		from := w.from[e]
		if w.more(e, small) > apiv1.MaxPacks-len(s.packs) {
			err := fmt.Errorf("the files have more than %d blobs of up to %d MiB", apiv1.MaxPacks, packBytes>>20)
			if from.top == "" {
				return err
			}
			s.left.add(e.Path, err)
			continue
		}
		listed = append(listed, e)
		if e.Kind == apiv1.TreeEntry_KIND_FILE {
			s.Tree.Files++
		}
		for at := int64(0); at < e.Size; {
			n := min(e.Size-at, packBytes)
			i := small
			if e.Size >= largeFile || w.more(e, small) > 0 {
				s.packs = append(s.packs, pack{})
				i = len(s.packs) - 1
			}
			if e.Size < largeFile {
				small = i
			}
			p := &s.packs[i]
			e.Pieces = append(e.Pieces, &apiv1.Piece{Pack: uint32(i), At: p.size, Size: n})
			from.at, from.size = at, n
			p.parts = append(p.parts, from)
			p.size += n
			at += n
		}
	}
	w.list.Entries = listed
	return nil
}

// more is how many more packs a file makes, when small is the one of small files.
func (w *walk) more(e *apiv1.TreeEntry, small int) int {
	switch {
	case e.Size >= largeFile:
		return int((e.Size + packBytes - 1) / packBytes)
	case e.Size > 0 && (small < 0 || w.scan.packs[small].size+e.Size > smallPack):
		return 1
	}
	return 0
}

// write writes a pack's bytes.
func (s *Scan) write(ctx context.Context, p pack, to io.Writer) error {
	for _, part := range p.parts {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := part.write(to); err != nil {
			return err
		}
	}
	return nil
}

// whole is the path of a part's file on this host.
func (p part) whole() string { return filepath.Join(p.top, p.path) }

// link is the text of a part that is a link.
func (p part) link() (string, error) {
	if p.top == "" {
		return os.Readlink(p.path)
	}
	root, err := os.OpenRoot(p.top)
	if err != nil {
		return "", err
	}
	defer root.Close() //nolint:errcheck // only read
	return root.Readlink(p.path)
}

func (p part) open() (*os.File, error) {
	if p.top != "" {
		return os.OpenInRoot(p.top, p.path)
	}
	return os.Open(p.path)
}

func (p part) write(to io.Writer) error {
	f, err := p.open()
	if err != nil {
		return &UnreadError{p, err}
	}
	defer f.Close() //nolint:errcheck // only read
	return p.copyTo(to, f)
}

// noting notes what is wrong with what is read, as against what it is written to.
type noting struct {
	from io.Reader
	err  error
}

// Read implements io.Reader.
func (n *noting) Read(p []byte) (int, error) {
	got, err := n.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		n.err = err
	}
	return got, err
}

// Blob is one of the blobs that a tree is made of.
type Blob struct {
	Digest string
	Write  func(to io.Writer) error
}

// Blobs are those of a scan, the list last.
func (s *Scan) Blobs(ctx context.Context) []Blob {
	var out []Blob
	for i, p := range s.packs {
		out = append(out, Blob{s.Tree.Packs[i], func(to io.Writer) error { return s.write(ctx, p, to) }})
	}
	return append(out, Blob{s.Tree.List, func(to io.Writer) error { _, err := to.Write(s.list); return err }})
}
