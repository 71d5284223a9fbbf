package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/transport"
	"github.com/godwit-run/godwit/internal/tree"
)

// fillTree writes what the servers have of a tree into a directory. It fetches blobs as modules are fetched: from any server, for as long as that takes,
// and keeps them among those for the next app that has them.
func (w *Worker) fillTree(ctx context.Context, dir string, t *apiv1.Tree) error {
	path, release, err := w.modules.use(ctx, t.List)
	if err != nil {
		return fmt.Errorf("fetch the list of files: %w", err)
	}
	text, err := os.ReadFile(path)
	release()
	if err != nil {
		return err
	}
	list, err := tree.Parse(t, text)
	if err != nil {
		return err
	}
	return tree.Extract(ctx, dir, list.Entries, func(pack uint32) (io.ReaderAt, func(), error) {
		path, release, err := w.modules.use(ctx, t.Packs[pack])
		if err != nil {
			return nil, nil, fmt.Errorf("fetch files: %w", err)
		}
		f, err := os.Open(path)
		if err != nil {
			release()
			return nil, nil, err
		}
		return f, func() { _ = f.Close(); release() }, nil // only read
	})
}

// storePause is how long is waited between two tries to give files to the servers, at first.
const storePause = 50 * time.Millisecond

// storeScans is how often a directory is read in which files cannot be read any more.
const storeScans = 4

// storeTree gives what is in a directory to the servers: to any of them, again and again, until one takes it and says that a majority has it, or refuses it
// for good, or ctx ends. It tells of tries in vain. What it returns beside a tree is what of the directory is not in it.
func (w *Worker) storeTree(ctx context.Context, dir string, tell func(trouble error)) (*apiv1.Tree, string, error) {
	for scans := 1; ; scans++ {
		scan, err := tree.Read(ctx, []tree.Source{{Path: dir, Guarded: true}})
		if err != nil {
			return nil, "", err
		}
		err = w.sendTree(ctx, scan, tell)
		var bad *tree.UnreadError
		switch {
		case err == nil:
			return scan.Tree, scan.Left(), nil
		case !errors.As(err, &bad) || scans == storeScans:
			return nil, "", err
		}
		// A file could be read, and cannot be any more: it is left out.
	}
}

// sendTree gives what was read to the servers.
func (w *Worker) sendTree(ctx context.Context, scan *tree.Scan, tell func(trouble error)) error {
	for pause := storePause; ; pause = min(2*pause, 5*time.Second) {
		last := errors.New("no server is known")
		for _, addr := range w.servers() {
			if last = scan.Send(ctx, apiv1connect.NewControlClient(transport.NewClient(w.toServers, addr))); last == nil {
				return nil
			}
			var bad *tree.UnreadError
			if info := apierr.Info(last); info != nil && info.Reason == apierr.ReasonInvalid || errors.Is(last, tree.ErrChanged) || errors.As(last, &bad) || ctx.Err() != nil {
				return last
			}
		}
		tell(last)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
