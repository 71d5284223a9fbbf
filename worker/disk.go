package worker

import (
	"context"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/godwit-run/godwit/internal/dirlock"
)

const (
	diskLookEach = time.Second
	minInodes    = 64 // files that must be possible
)

// fitness is whether this host can take new ranks.
type fitness struct {
	why atomic.Pointer[string] // nil: it can
}

// unfit is why the host can take no new ranks; empty: it can.
func (f *fitness) unfit() string {
	if why := f.why.Load(); why != nil {
		return *why
	}
	return ""
}

// watchDisk keeps the host's fitness: a disk without room takes neither modules nor output. It has a goroutine of its own, since
// a disk may also hang.
func (w *Worker) watchDisk(ctx context.Context) error {
	t := time.NewTicker(diskLookEach)
	defer t.Stop()
	for {
		w.makeRoom(ctx)
		w.logs.prune() // of what was kept for a moment
		select {
		case <-t.C:
		case <-w.memberCh:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// makeRoom looks at the disk, and while it is tight removes the oldest logs of ended apps, one after the other: until there is room, or what went
// comes to what lacked. A file system may give room back a moment later: the next look sees it.
func (w *Worker) makeRoom(ctx context.Context) {
	lacks := w.lookAtDisk()
	for ctx.Err() == nil && w.logs.tight.Load() {
		bytes, ok := w.logs.sacrifice()
		if !ok {
			return
		}
		w.lookAtDisk()
		if lacks -= bytes; lacks <= 0 {
			return
		}
	}
}

// lookAtDisk writes what is to be kept, and sets the host's fitness and whether old logs are to make room. Once unfit, it needs half as much room
// again to be fit, so that it does not change with each app; as long as that is not there, logs make room. It returns how many bytes lack.
func (w *Worker) lookAtDisk() (lacks int64) {
	w.logs.tight.Store(false) // unless it is seen to be
	if dirlock.There(w.cfg.DataDir, w.lock) != nil {
		w.setUnfit("its data directory was removed or replaced while it runs: stop this worker and start it again")
		return 0
	}
	unkept := w.keepMembership()
	var st syscall.Statfs_t
	if err := syscall.Statfs(w.cfg.DataDir, &st); err != nil {
		w.setUnfit("its data directory cannot be looked at: " + reasonOf(err))
		return 0
	}
	least := w.cfg.MinFreeBytes
	if w.fitness.unfit() != "" {
		least = w.roomToBeFit()
	}
	free := int64(st.Bavail) * st.Bsize
	filesLack, readOnly := st.Files > 0 && st.Ffree < minInodes, st.Flags&unix.ST_RDONLY != 0
	w.logs.tight.Store((free < w.roomToBeFit() || filesLack) && !readOnly)
	switch total := int64(st.Blocks) * st.Bsize; {
	case free < least && total < w.roomToBeFit():
		w.setUnfit(fmt.Sprintf("the disk of its data directory is too small: it has %d MiB in all, and %d MiB must be free; give it a --data-dir on a larger one",
			total>>20, w.roomToBeFit()>>20))
	case free < least:
		w.setUnfit(fmt.Sprintf("the disk of its data directory is full: it takes ranks again when %d MiB are free", w.roomToBeFit()>>20))
	case filesLack:
		w.setUnfit("the disk of its data directory is full: it takes no more files")
	case readOnly:
		w.setUnfit("the disk of its data directory is read-only")
	case unkept != nil:
		w.setUnfit("its data directory cannot be written: " + reasonOf(unkept))
	default:
		w.setUnfit("")
	}
	return max(0, w.roomToBeFit()-free)
}

// roomToBeFit is how many bytes must be free on a disk that was full.
func (w *Worker) roomToBeFit() int64 { return w.cfg.MinFreeBytes * 3 / 2 }

func (w *Worker) setUnfit(why string) {
	old := w.fitness.unfit()
	if why == old {
		return
	}
	w.fitness.why.Store(&why)
	if why != "" {
		w.log.Error("this host takes no new ranks", "reason", why)
	} else {
		w.log.Info("this host takes new ranks again")
	}
}
