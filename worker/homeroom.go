package worker

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/files"
	"github.com/godwit-run/godwit/internal/tree"
)

// How often it is looked at what an app's directory has: the more there is, the less often, so that each app costs the host a fiftieth of a core at most.
const (
	roomLooks  = time.Second // at most so often
	roomSeldom = 50          // times as long as a look takes
	diskBlock  = 512         // bytes, in which stat(2) counts
	// maxFiles bounds an app's directory as the tree is bounded that it is stored as.
	maxFiles = tree.MaxEntries
)

// contents is what is in a directory.
type contents struct {
	bytes int64 // that it takes on the disk
	files int64 // with directories and links
}

// beyond says what of a quota has been passed; empty: nothing.
func (c contents) beyond(bytes, files int64) string {
	switch {
	case c.bytes > bytes:
		return fmt.Sprintf("the app's directory has %d MiB, and may have %d (godwit worker --files-limit): nothing is added to it", c.bytes>>20, bytes>>20)
	case c.files > files:
		return fmt.Sprintf("the app's directory has %d files, and may have %d: none is added", c.files, files)
	}
	return ""
}

// watchRoom looks again and again at what the app's directory has, until it is removed.
func (a *app) watchRoom(ctx context.Context, h *home) {
	ctx, h.alone = context.WithCancel(ctx)
	files.Limit(h.trees, a.host.cfg.FilesLimit)
	a.host.tasks.Go(func() error {
		told := [2]string{}
		for {
			began := time.Now()
			found := [2]string{measure(ctx, h.dir, a.host.cfg.FilesLimit).beyond(a.host.cfg.FilesLimit, maxFiles), a.host.fitness.found()}
			if found != told && ctx.Err() == nil {
				told = found
				a.post(func() { a.homeRoom(h, found[0], found[1]) })
			}
			select {
			case <-time.After(max(roomLooks, roomSeldom*time.Since(began))):
			case <-ctx.Done():
				return nil
			}
		}
	})
}

// homeRoom has the directory take nothing more while it has more than its quota, and says of a disk without room that it has none.
func (a *app) homeRoom(h *home, crowded, unfit string) {
	if a.home != h {
		return
	}
	if h.crowded == "" && crowded != "" {
		a.log.Warn("the app's directory is full", "why", crowded)
	}
	h.crowded, h.unfit = crowded, unfit
	for _, tree := range h.trees {
		tree.SetFull(crowded != "")
	}
	a.tellHome()
}

// measure counts what is in a directory. It follows no link, and ends early once there is more than twice of what there may be.
func measure(ctx context.Context, dir string, limit int64) contents {
	var c contents
	root, err := os.OpenRoot(dir)
	if err != nil {
		return c
	}
	defer root.Close() //nolint:errcheck // only looked at
	_ = fs.WalkDir(root.FS(), ".", func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d == nil {
			return nil //nolint:nilerr // it has gone meanwhile
		}
		info, err := d.Info()
		if err != nil {
			return nil //nolint:nilerr // as above
		}
		c.files++
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			names := int64(1)
			if !d.IsDir() { // a directory's links are those in it
				names = max(1, int64(st.Nlink))
			}
			c.bytes += st.Blocks * diskBlock / names
		}
		if ctx.Err() != nil || c.bytes > 2*limit || c.files > 2*maxFiles {
			return fs.SkipAll
		}
		return nil
	})
	return c
}

// lacksRoom says why an app's directory with so much in it has no place on this host's disk; empty: it has. One beyond the quota may come: nothing is added
// to it then.
func (w *Worker) lacksRoom(sum *apiv1.FileSum) string {
	var st unix.Statfs_t
	if err := unix.Statfs(w.cfg.DataDir, &st); err != nil {
		return "" // who writes there is told
	}
	if room := int64(st.Bavail)*st.Bsize - w.cfg.MinFreeBytes; sum.GetBytes() > max(room, 0) {
		return fmt.Sprintf("they have %d MiB, and its disk has room for %d", sum.GetBytes()>>20, max(room, 0)>>20)
	}
	return ""
}
