package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"unicode/utf8"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/files"
	"github.com/godwit-run/godwit/internal/transport"
	"github.com/godwit-run/godwit/internal/tree"
)

// maxPattern bounds a pattern of paths, in bytes.
const maxPattern = 4096

// ReadFiles implements the Data service: what is in an app's directory while it runs.
func (s dataService) ReadFiles(ctx context.Context, req *apiv1.ReadFilesRequest, stream apiv1connect.DataReadFilesServerStream) error {
	transport.Yield(ctx) // what follows is the disk's
	if err := checkID("app", req.App); err != nil {
		return invalid("app", err.Error(), "")
	}
	if _, err := tree.Match(req.Pattern, "x"); err != nil || len(req.Pattern) > maxPattern {
		return invalid("pattern", fmt.Sprintf("%.80q is no pattern", req.Pattern), "")
	}
	a := s.w.appOf(req.App)
	if a == nil {
		return s.filesElsewhere(req.App)
	}
	here := func() (h *home) {
		_ = a.ask(func() error { // it fails when the app has ended here
			if a.home != nil && a.home.err == nil && a.filled {
				h = a.home
			}
			return nil
		})
		return h
	}
	h := here()
	if h == nil {
		return s.filesElsewhere(req.App)
	}
	r := &filesReader{req: req}
	r.send = func(m *apiv1.ReadFilesResponse) error {
		return r.attended.send(func() error {
			transport.WriteWithin(ctx, takeWait)
			defer transport.WriteAnytime(ctx)
			return stream.Send(m)
		})
	}
	sign := func() error { return stream.Send(&apiv1.ReadFilesResponse{}) }
	return s.w.attend(ctx, &r.attended, func(ctx context.Context) error {
		err := r.walk(ctx, h.dir)
		if here() != h { // it had left before it was opened, or what was seen last was being removed
			return s.filesElsewhere(req.App)
		}
		return errors.Join(err, r.flush())
	}, sign, ctx.Err)
}

// walk shows what is in a home's directory.
func (r *filesReader) walk(ctx context.Context, dir string) error {
	trees, err := files.OpenHome(dir)
	if err != nil {
		return err
	}
	return errors.Join(trees[0].Walk(ctx, r.show), trees[0].Close(), trees[1].Close())
}

// filesReader sends what somebody asks to see of a directory.
type filesReader struct {
	attended

	req   *apiv1.ReadFilesRequest
	send  func(*apiv1.ReadFilesResponse) error
	batch []*apiv1.TreeEntry
	size  int
}

// show sends what was found, if it is asked for. What has no place in a list, as when the app has ended, is left out.
func (r *filesReader) show(f files.Found) error {
	if ok, err := tree.Match(r.req.Pattern, f.Path); err != nil || !ok || !utf8.ValidString(f.Path) {
		return err
	}
	e := &apiv1.TreeEntry{Path: f.Path, Changed: f.Stat.ModTime().UnixNano()}
	switch mode := f.Stat.Mode(); {
	case mode.IsDir():
		e.Kind = apiv1.TreeEntry_KIND_DIRECTORY
	case mode.IsRegular():
		e.Kind, e.Size, e.Executable = apiv1.TreeEntry_KIND_FILE, f.Stat.Size(), mode&0o100 != 0
	case mode&os.ModeSymlink != 0:
		text, err := f.Link()
		if err != nil || !utf8.ValidString(text) {
			return nil //nolint:nilerr // it has gone meanwhile
		}
		e.Kind, e.Text = apiv1.TreeEntry_KIND_LINK, text
	default:
		return nil
	}
	if e.Kind != apiv1.TreeEntry_KIND_FILE || r.req.List {
		return r.add(e)
	}
	file, err := f.Open()
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%.200q: %w", f.Path, err)
	}
	defer file.Close() //nolint:errcheck // only read
	if err := errors.Join(r.add(e), r.flush()); err != nil {
		return err
	}
	err = files.Pieces(file, e.Size, func(at int64, b []byte) error { return r.send(&apiv1.ReadFilesResponse{At: at, Data: b}) })
	if errors.Is(err, files.ErrShorter) {
		return nil // the rest is zeros
	}
	return err
}

func (r *filesReader) add(e *apiv1.TreeEntry) error {
	r.batch = append(r.batch, e)
	if r.size += len(e.Path) + len(e.Text) + 64; r.size < transport.ChunkBytes {
		return nil
	}
	return r.flush()
}

func (r *filesReader) flush() error {
	if len(r.batch) == 0 {
		return nil
	}
	m := &apiv1.ReadFilesResponse{Entries: r.batch}
	r.batch, r.size = nil, 0
	return r.send(m)
}
