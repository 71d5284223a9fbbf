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
)

// Source is a file or a directory of this host, and its name in the tree; an empty name stands for the tree itself.
type Source struct {
	Path, Name string
	// Guarded is of a directory that a program has written: links are links, wherever they lead, and nothing outside of it is read.
	Guarded bool
}

// Scan is a tree that is to be sent: what is in it, and where its packs' bytes are.
type Scan struct {
	Tree  *apiv1.Tree
	list  []byte
	packs []pack
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
		if info.Mode()&os.ModeSymlink != 0 && !s.Guarded && !inside(top, at) {
			if info, err = os.Stat(at); err != nil || info.IsDir() {
				return fmt.Errorf("%s is a link that leads out of %s: leave it out, or put in its place what it leads to", at, top)
			}
		}
		from := part{path: at}
		if s.Guarded {
			from = part{top: top, path: rel}
		}
		return errors.Join(w.add(from, name, info), w.ctx.Err())
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
	w.seen[name] = true
	e := &apiv1.TreeEntry{Path: name, Changed: info.ModTime().UnixNano()}
	switch mode := info.Mode(); {
	case mode.IsDir():
		e.Kind = apiv1.TreeEntry_KIND_DIRECTORY
	case mode.IsRegular():
		e.Kind, e.Size, e.Executable = apiv1.TreeEntry_KIND_FILE, info.Size(), mode&0o100 != 0
		w.scan.Tree.Files++
	case mode&os.ModeSymlink != 0:
		text, err := os.Readlink(at)
		if err != nil {
			return err
		}
		e.Kind, e.Text = apiv1.TreeEntry_KIND_LINK, text
	default:
		return fmt.Errorf("%s is no file, directory or link", at)
	}
	if w.from == nil {
		w.from = map[*apiv1.TreeEntry]part{}
	}
	w.from[e] = from
	w.list.Entries = append(w.list.Entries, e)
	return nil
}

// pack gives each file its places in packs.
func (w *walk) pack() error {
	small := -1 // the pack of small files that has room
	s := w.scan
	for _, e := range w.list.Entries {
		for at := int64(0); at < e.Size; {
			n := min(e.Size-at, packBytes)
			i := small
			switch {
			case e.Size >= largeFile:
				s.packs = append(s.packs, pack{})
				i = len(s.packs) - 1
			case small < 0 || s.packs[small].size+n > smallPack:
				s.packs = append(s.packs, pack{})
				small = len(s.packs) - 1
				i = small
			}
			p := &s.packs[i]
			e.Pieces = append(e.Pieces, &apiv1.Piece{Pack: uint32(i), At: p.size, Size: n})
			from := w.from[e]
			from.at, from.size = at, n
			p.parts = append(p.parts, from)
			p.size += n
			at += n
		}
	}
	if len(s.packs) > apiv1.MaxPacks {
		return fmt.Errorf("the files have %d blobs of up to %d MiB; at most %d are possible", len(s.packs), packBytes>>20, apiv1.MaxPacks)
	}
	return nil
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
