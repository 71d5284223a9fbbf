// Package tree makes blobs of files, and files of blobs: what an app begins with, and what it leaves. The servers keep blobs; a Tree names those that
// one directory is made of.
package tree

import (
	"cmp"
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
	"time"
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
	slices.SortFunc(w.list.Entries, func(a, b *apiv1.TreeEntry) int { return strings.Compare(a.Path, b.Path) })
	if err := w.pack(); err != nil {
		return nil, err
	}
	s := w.scan
	var err error
	if s.list, err = marshal(w.list); err != nil {
		return nil, err
	}
	if len(s.list) > MaxListBytes {
		return nil, fmt.Errorf("the list of %d files has %d MiB; at most %d are possible", s.Tree.Files, len(s.list)>>20, MaxListBytes>>20)
	}
	s.Tree.List = digest(s.list)
	for i, p := range s.packs {
		sum := sha256.New()
		if err := s.write(ctx, p, sum); err != nil {
			return nil, err
		}
		s.Tree.Packs = append(s.Tree.Packs, hex.EncodeToString(sum.Sum(nil)))
		s.Tree.Bytes += s.packs[i].size
	}
	return s, nil
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
	if !utf8.ValidString(name) {
		return fmt.Errorf("%s: its name is not UTF-8", at)
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
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	n, err := io.Copy(to, io.NewSectionReader(f, p.at, p.size))
	if err == nil && n < p.size {
		err = fmt.Errorf("%w: %s has become shorter", ErrChanged, p.path)
	}
	return err
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

// Parse reads the list of a tree, and checks it: what is in it comes from elsewhere.
func Parse(t *apiv1.Tree, list []byte) (*apiv1.TreeList, error) {
	l := &apiv1.TreeList{}
	if err := proto.Unmarshal(list, l); err != nil {
		return nil, fmt.Errorf("the list of files is damaged: %w", err)
	}
	before := ""
	for _, e := range l.Entries {
		if !fs.ValidPath(e.Path) || e.Path == "." || e.Path <= before || strings.ContainsRune(e.Path, 0) {
			return nil, fmt.Errorf("the list of files is damaged: there is a file %.200q", e.Path)
		}
		before = e.Path
		sum := int64(0)
		for _, p := range e.Pieces {
			if int(p.Pack) >= len(t.Packs) || p.At < 0 || p.Size < 0 || p.At > packBytes || p.Size > packBytes {
				return nil, fmt.Errorf("the list of files is damaged: %s has bytes where there are none", e.Path)
			}
			sum += p.Size
		}
		if e.Kind == apiv1.TreeEntry_KIND_FILE && sum != e.Size || e.Size < 0 {
			return nil, fmt.Errorf("the list of files is damaged: %s has %d of %d bytes", e.Path, sum, e.Size)
		}
	}
	return l, nil
}

// Match says whether a path is one that a pattern names, as path.Match does; a pattern without a slash is tried with the last part of the path too,
// and a directory stands for all that is in it. Empty: all are named.
func Match(pattern, name string) (bool, error) {
	if pattern == "" {
		return true, nil
	}
	pattern = strings.TrimSuffix(pattern, "/")
	for part := name; ; part = path.Dir(part) {
		if ok, err := path.Match(pattern, part); ok || err != nil {
			return ok, err
		}
		if !strings.ContainsRune(pattern, '/') {
			if ok, _ := path.Match(pattern, path.Base(part)); ok {
				return true, nil
			}
		}
		if path.Dir(part) == "." {
			return false, nil
		}
	}
}

// Extract writes entries into a directory that exists. open gives a pack's bytes, which are asked for once each, in order. Nothing outside of the
// directory is written, whatever links there are in it.
func Extract(ctx context.Context, dir string, entries []*apiv1.TreeEntry, open func(pack uint32) (io.ReaderAt, func(), error)) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // only a way to the files
	files := []*apiv1.TreeEntry{}
	for _, e := range entries {
		if err := makeEntry(root, e); err != nil {
			return fmt.Errorf("%s: %w", e.Path, err)
		}
		if e.Kind == apiv1.TreeEntry_KIND_FILE {
			files = append(files, e)
		}
	}
	if err := fill(ctx, root, files, open); err != nil {
		return err
	}
	for _, e := range slices.Backward(entries) { // a directory after what is in it
		if e.Kind != apiv1.TreeEntry_KIND_LINK {
			at := time.Unix(0, e.Changed)
			if err := root.Chtimes(e.Path, at, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// makeEntry makes a directory, a link, or an empty file.
func makeEntry(root *os.Root, e *apiv1.TreeEntry) error {
	if dir := path.Dir(e.Path); dir != "." {
		if err := root.MkdirAll(dir, 0o777); err != nil {
			return err
		}
	}
	switch e.Kind {
	case apiv1.TreeEntry_KIND_DIRECTORY:
		return root.MkdirAll(e.Path, 0o777)
	case apiv1.TreeEntry_KIND_LINK:
		if err := root.Remove(e.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return root.Symlink(e.Text, e.Path)
	case apiv1.TreeEntry_KIND_UNSPECIFIED:
		return errors.New("it is of no kind")
	case apiv1.TreeEntry_KIND_FILE:
		if st, err := root.Lstat(e.Path); err == nil && st.Mode()&os.ModeSymlink != 0 {
			if err := root.Remove(e.Path); err != nil { // else the link's end would be written to
				return err
			}
		}
		mode := os.FileMode(0o666)
		if e.Executable {
			mode = 0o777
		}
		f, err := root.OpenFile(e.Path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
		if err != nil {
			return err
		}
		return f.Close()
	default:
		return fmt.Errorf("it is of kind %d, which is not known", e.Kind)
	}
}

// fill writes the files' bytes, one pack after another.
func fill(ctx context.Context, root *os.Root, files []*apiv1.TreeEntry, open func(pack uint32) (io.ReaderAt, func(), error)) error {
	type place struct {
		e     *apiv1.TreeEntry
		at    int64
		piece *apiv1.Piece
	}
	var places []place
	for _, e := range files {
		at := int64(0)
		for _, p := range e.Pieces {
			places = append(places, place{e, at, p})
			at += p.Size
		}
	}
	slices.SortStableFunc(places, func(a, b place) int { return cmp.Compare(a.piece.Pack, b.piece.Pack) })
	var from io.ReaderAt
	done := func() {}
	defer func() { done() }()
	for i, p := range places {
		if err := ctx.Err(); err != nil {
			return err
		}
		if i == 0 || p.piece.Pack != places[i-1].piece.Pack {
			done()
			var err error
			if from, done, err = open(p.piece.Pack); err != nil {
				done = func() {}
				return err
			}
		}
		if err := writePart(root, p.e.Path, p.at, io.NewSectionReader(from, p.piece.At, p.piece.Size), p.piece.Size); err != nil {
			return fmt.Errorf("%s: %w", p.e.Path, err)
		}
	}
	return nil
}

func writePart(root *os.Root, name string, at int64, from io.Reader, size int64) error {
	f, err := root.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	n, err := io.Copy(io.NewOffsetWriter(f, at), from)
	if err == nil && n < size {
		err = io.ErrUnexpectedEOF
	}
	return errors.Join(err, f.Close())
}

// marshal gives equal lists equal bytes.
func marshal(list *apiv1.TreeList) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.Marshal(list)
}
