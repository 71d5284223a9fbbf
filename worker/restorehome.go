package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/files"
)

// The directory of an app that begins again, as it was at the checkpoint.

// maxFilePart bounds a part of an app's packed files.
const maxFilePart = 8 << 20

// restoreHome makes the app's directory what it was at the checkpoint.
func (a *app) restoreHome(ctx context.Context, part *apiv1.CheckpointPart) {
	dir := a.host.homeDir(a.id)
	h := &home{dir: filepath.Join(dir, "restored")}
	a.home, a.filled = h, false
	ctx, h.end = context.WithCancel(ctx)
	r := a.newRestoring()
	r.dir += "-files"
	h.restored = r
	watch, over := context.WithCancel(ctx)
	a.host.tasks.Go(func() error { a.tellProgress(watch, startLook, &r.moved); return nil })
	a.host.tasks.Go(func() error {
		made, err := r.home(ctx, part, dir, h.dir, func() { a.post(func() {}) })
		over()
		r.drop()
		taken := false
		_ = a.ask(func() error {
			if a.home != h {
				return nil
			}
			taken, h.trouble, h.restored = true, "", nil
			if err == nil {
				h.server, h.trees = made.server, made.trees
				if a.part.Record().Restore.GetApp() != a.id {
					endInput(h.server)
				}
				a.watchRoom(ctx, h)
			}
			a.homeFilled(h, err)
			return nil
		})
		if !taken && made != nil {
			a.host.dropHome(made)
		}
		return nil
	})
}

// endInput ends the standard input of an app that goes on as another one: nobody has the rest of it.
func endInput(server *files.Server) {
	res := server.Try(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_INPUT_WRITE})
	_ = server.Try(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_INPUT_WRITE, At: res.GetAt(), Size: 1}) // it had ended, or ends here
}

// home makes a home of what a part has of the app's files. It calls tell when there is trouble.
func (r *restoring) home(ctx context.Context, p *apiv1.CheckpointPart, dir, to string, tell func()) (*home, error) {
	for pause := holdPause; ; pause = min(2*pause, maxHoldPause) {
		h, err := r.homeOnce(ctx, p, dir, to)
		if err == nil || ctx.Err() != nil || errors.Is(err, errOwnDisk) || errors.Is(err, files.ErrDamaged) || r.hopeless(err) {
			return h, err
		}
		why := clean(fmt.Sprintf("checkpoint %s does not come: %v", r.checkpoint.Id, err))
		r.why.Store(&why)
		tell()
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
}

func (r *restoring) homeOnce(ctx context.Context, p *apiv1.CheckpointPart, dir, to string) (*home, error) {
	r.rounds++
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(r.dir, 0o700)); err != nil {
		return nil, fmt.Errorf("%w: %w", errOwnDisk, err)
	}
	m, err := r.manifest(ctx, p)
	if err != nil {
		return nil, err
	}
	var paths []string
	size := int64(0)
	for _, b := range filesOf(m) {
		path, err := r.blob(ctx, p, b)
		if err != nil {
			return nil, err
		}
		paths, size = append(paths, path), size+b.Size
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("%w: the part of host %s has none", files.ErrDamaged, p.Host)
	}
	if why := r.w.checkpoints.room(size, r.w.keepFree()); why != "" { // it is here packed, and is to be here once more
		return nil, fmt.Errorf("%w: %s", errOwnDisk, why)
	}
	return unpackHome(ctx, paths, to, r.progress("unpacked"))
}

// unpackHome makes a home in a directory of what packHome has written, which may be in pieces.
func unpackHome(ctx context.Context, paths []string, to string, progress func(n int)) (_ *home, err error) {
	u, err := files.NewUnpacker(to)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errOwnDisk, err)
	}
	defer func() {
		if err != nil {
			_ = u.Close() // the directory is removed
		}
	}()
	all := &series{paths: paths}
	defer all.Close() //nolint:errcheck // only read
	from := bufio.NewReaderSize(all, 256<<10)
	for !u.Whole() {
		part := &apiv1.FilePart{}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := (protodelim.UnmarshalOptions{MaxSize: maxFilePart}).UnmarshalFrom(from, part); err != nil {
			return nil, fmt.Errorf("%w: %w", files.ErrDamaged, err)
		}
		if err := u.Add(part); err != nil && !errors.Is(err, files.ErrDamaged) {
			return nil, fmt.Errorf("%w: %w", errOwnDisk, err)
		} else if err != nil {
			return nil, err
		}
		progress(proto.Size(part))
	}
	h := &home{dir: to}
	if h.server, h.trees, err = u.Server(); err != nil {
		return nil, fmt.Errorf("%w: %w", errOwnDisk, err)
	}
	return h, nil
}
