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

// shortage is what a disk has too little of. The zero value says that there is room.
type shortage struct {
	bytes  int64
	files  bool
	urgent bool // for want of it the host takes no ranks
}

func (s shortage) none() bool { return s.bytes <= 0 && !s.files }

// makeRoom looks at the disk and, while it is short of room, removes what can be had again, and then, if that and it come to what lacks, output
// of ended apps, no more than is needed. Output of the last minute stays: somebody may be about to ask for it. So do modules that were used then, while
// the host takes ranks. A file system may give room back a moment later: the next look sees it.
func (w *Worker) makeRoom(ctx context.Context) {
	lacks := w.lookAtDisk()
	if lacks.none() {
		return
	}
	unused := keptAtLeast
	if lacks.urgent {
		unused = -1
	}
	if gave := w.modules.shed(lacks.bytes, unused); gave > 0 {
		if lacks.bytes -= gave; w.lookAtDisk().none() {
			return
		}
	}
	logs, bytes := 0, int64(0)
	for _, id := range w.logs.spare(lacks) {
		if ctx.Err() != nil || lacks.none() {
			break
		}
		gave, ok := w.logs.sacrifice(id)
		if !ok {
			continue
		}
		logs, bytes = logs+1, bytes+gave
		if lacks.bytes -= gave; w.lookAtDisk().none() {
			break
		}
	}
	if logs > 0 {
		w.log.Warn("the output of ended apps was removed: the disk of the data directory is short of room", "apps", logs, "bytes", bytes)
	}
}

// lookAtDisk writes what is to be kept, and sets the host's fitness. It returns what lacks: once unfit, the host needs half as much room again to be
// fit, so that it does not change with each app, and so much is made before it is unfit too.
func (w *Worker) lookAtDisk() (lacks shortage) {
	defer func() { w.logs.tight.Store(lacks.urgent) }()
	if dirlock.There(w.cfg.DataDir, w.lock) != nil {
		w.setUnfit("its data directory was removed or replaced while it runs: stop this worker and start it again")
		return shortage{}
	}
	unkept := w.keepMembership()
	var st syscall.Statfs_t
	if err := syscall.Statfs(w.cfg.DataDir, &st); err != nil {
		w.setUnfit("its data directory cannot be looked at: " + reasonOf(err))
		return shortage{}
	}
	least := w.cfg.MinFreeBytes
	if w.fitness.unfit() != "" {
		least = w.roomToBeFit()
	}
	free := int64(st.Bavail) * st.Bsize
	filesLack, readOnly := st.Files > 0 && st.Ffree < minInodes, st.Flags&unix.ST_RDONLY != 0
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
	if readOnly {
		return shortage{}
	}
	return shortage{bytes: max(0, w.roomToBeFit()-free), files: filesLack, urgent: free < least || filesLack}
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
