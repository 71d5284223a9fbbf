package tree

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

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

// makeEntry makes a directory, a link, or a file, which is empty unless it has bytes: those that are there go when the first of its own have come.
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
		switch st, err := root.Lstat(e.Path); {
		case err == nil && st.Mode()&os.ModeSymlink != 0:
			if err := root.Remove(e.Path); err != nil { // else the link's end would be written to
				return err
			}
		case err == nil && !st.Mode().IsRegular():
			return errors.New("what is there is no file: put it elsewhere")
		}
		mode := os.FileMode(0o666)
		if e.Executable {
			mode = 0o777
		}
		flags := os.O_CREATE | os.O_WRONLY | unix.O_NONBLOCK
		if len(e.Pieces) == 0 {
			flags |= os.O_TRUNC
		}
		f, err := root.OpenFile(e.Path, flags, mode)
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
	begun := map[string]bool{}
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
		if err := writePart(root, p.e.Path, !begun[p.e.Path], p.at, io.NewSectionReader(from, p.piece.At, p.piece.Size), p.piece.Size); err != nil {
			return fmt.Errorf("%s: %w", p.e.Path, err)
		}
		begun[p.e.Path] = true
	}
	return nil
}

// writePart writes a part of a file; with the first one what the file had goes.
func writePart(root *os.Root, name string, first bool, at int64, from io.Reader, size int64) error {
	flags := os.O_WRONLY | unix.O_NONBLOCK
	if first {
		flags |= os.O_TRUNC
	}
	f, err := root.OpenFile(name, flags, 0)
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
