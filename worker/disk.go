package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/godwit-run/godwit/internal/dirlock"
)

const (
	diskLookEach = time.Second
	// minInodes is how many files must be possible, and inodesToBeFit how many on a disk that took no more.
	minInodes, inodesToBeFit = 64, 96
	// probeEach is how often it is tried whether the disk takes writes, while it does.
	probeEach = 5 * time.Second
	// refusalsALook is how often in a look it is chosen anew which output goes, since something of it could not.
	refusalsALook = 200
	// probeFile is what is written for that.
	probeFile = "probe"
	// diskSlow is how long a step of a look at the disk may take before the host takes no new ranks: until the step ends.
	diskSlow = 10 * time.Second
)

// fitness is whether this host can take new ranks.
type fitness struct {
	alarm *time.Timer               // rings where a step takes too long; of watchDisk's goroutine
	why   atomic.Pointer[string]    // nil: it can
	since atomic.Pointer[time.Time] // when the step of a look at the disk began that is under way; nil: none is
}

// unfit is why the host can take no new ranks; empty: it can. It waits for no disk.
func (f *fitness) unfit() string {
	return cmp.Or(f.hangs(), f.found())
}

// hangs is why the host can take no new ranks while a look at the disk stands still; empty: none does.
func (f *fitness) hangs() string {
	if since := f.since.Load(); since != nil && time.Since(*since) >= diskSlow {
		return fmt.Sprintf("the disk of its data directory hangs: it has not answered for more than %v", diskSlow)
	}
	return ""
}

// found is what the last look has found.
func (f *fitness) found() string {
	if why := f.why.Load(); why != nil {
		return *why
	}
	return ""
}

// step says that a step of a look at the disk begins.
func (f *fitness) step() {
	now := time.Now()
	f.since.Store(&now)
	if f.alarm != nil {
		f.alarm.Reset(diskSlow)
	}
}

// looked says that the look is over.
func (f *fitness) looked() { f.since.Store(nil) }

// watchDisk keeps the host's fitness: a disk without room takes neither modules nor output. It has a goroutine of its own, since
// a disk may also hang.
func (w *Worker) watchDisk(ctx context.Context) error {
	t := time.NewTicker(diskLookEach)
	defer t.Stop()
	for {
		w.look(ctx)
		select {
		case <-t.C:
		case <-w.diskCh:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// look looks at the disk once, and does what is to be done for room there. That it hangs is logged by somebody else.
func (w *Worker) look(ctx context.Context) {
	var told atomic.Bool
	w.fitness.alarm = time.AfterFunc(diskSlow, func() {
		if why := w.fitness.hangs(); why != "" && told.CompareAndSwap(false, true) {
			w.log.Error("this host takes no new ranks", "reason", why)
		}
	})
	w.makeRoom(ctx)
	w.fitness.step()
	_ = makeAside(w.logs.dir)    // while there is room; who needs it says what it lacks
	w.logs.prune(w.fitness.step) // of what was kept for a moment
	w.fitness.looked()
	w.fitness.alarm.Stop()
	if told.Load() {
		w.log.Info("the disk of the data directory answers again")
	}
}

// suspectDisk has the next look try whether the disk takes writes: something could not be written.
func (w *Worker) suspectDisk() { w.suspect.Store(true) }

// usage is what files take on a disk.
type usage struct{ bytes, files int64 }

// blockBytes is what a file system gives a file at a time: files of a few bytes take that much each.
const blockBytes = 4 << 10

// add counts a file or a directory.
func (u *usage) add(size int64) {
	u.files++
	u.bytes += max(1, (size+blockBytes-1)/blockBytes) * blockBytes
}

func (u usage) plus(o usage) usage  { return usage{u.bytes + o.bytes, u.files + o.files} }
func (u usage) minus(o usage) usage { return usage{u.bytes - o.bytes, u.files - o.files} }

// covers says whether it comes to what is wanted.
func (u usage) covers(want usage) bool { return u.bytes >= want.bytes && u.files >= want.files }

// shortage is what a disk has too little of, where it is above 0. The zero value says that there is room.
type shortage struct {
	usage
	urgent bool // for want of it the host takes no ranks
}

func (s shortage) none() bool { return usage{}.covers(s.usage) }

// less is what lacks yet when so much was given.
func (s shortage) less(gave usage) shortage {
	s.usage = s.minus(gave)
	return s
}

// makeRoom looks at the disk and, while it is short of room, removes what is left of old logs, then what can be had again, and then output of ended
// apps, if all of that comes to what lacks, and no more than is needed. Output of the last minute stays: somebody may be about to ask for it. So do modules that were used then, while
// the host takes ranks. A file system may give room back a moment later: the next look sees it.
func (w *Worker) makeRoom(ctx context.Context) {
	lacks := w.lookAtDisk()
	if lacks.none() {
		return
	}
	if gave := w.logs.sweep(w.fitness.step); gave.files > 0 { // what nobody finds goes before what somebody may want
		if lacks = lacks.less(gave); w.lookAtDisk().none() {
			return
		}
	}
	unused := keptAtLeast
	if lacks.urgent {
		unused = -1
	}
	if gave := w.modules.shed(lacks.usage, unused, w.fitness.step); gave.files > 0 {
		if lacks = lacks.less(gave); w.lookAtDisk().none() {
			return
		}
	}
	logs, bytes := 0, int64(0)
	refusals := 0
	for next := w.logs.spare(lacks.usage); len(next) > 0 && ctx.Err() == nil && !lacks.none(); {
		w.fitness.step()
		gave, ok := w.logs.sacrifice(next[0])
		if next = next[1:]; !ok { // it is not there, stays or is read: the others may not be enough without it, or not be needed
			if refusals++; refusals == refusalsALook || w.lookAtDisk().none() {
				break
			}
			next = w.logs.spare(lacks.usage)
			continue
		}
		logs, bytes = logs+1, bytes+gave.bytes
		if lacks = lacks.less(gave); w.lookAtDisk().none() {
			break
		}
	}
	if logs > 0 {
		w.log.Warn("the output of ended apps was removed: the disk of the data directory is short of room", "apps", logs, "bytes", bytes)
	}
}

// lookAtDisk writes what is to be kept, and sets the host's fitness. It returns what lacks: once unfit, the host needs half as much room again to be
// fit, so that it does not change with each app, and so much is made before it is unfit too. Where nothing can be written there is nothing to be won.
func (w *Worker) lookAtDisk() (lacks shortage) {
	w.fitness.step()
	if dirlock.There(w.cfg.DataDir, w.lock) != nil {
		w.setUnfit("its data directory was removed or replaced while it runs: stop this worker and start it again")
		return shortage{}
	}
	unwritten := cmp.Or(w.keepMembership(), w.probe())
	var st syscall.Statfs_t
	if err := syscall.Statfs(w.cfg.DataDir, &st); err != nil {
		w.setUnfit("its data directory cannot be looked at: " + reasonOf(err))
		return shortage{}
	}
	least, leastFiles := w.cfg.MinFreeBytes, int64(minInodes)
	if w.short {
		least, leastFiles = w.roomToBeFit(), inodesToBeFit
	}
	free, files := int64(st.Bavail)*st.Bsize, int64(st.Ffree) //nolint:gosec // no disk has so many
	if st.Files == 0 {                                        // it does not count them
		files = inodesToBeFit
	}
	w.short = free < least || files < leastFiles
	readOnly := st.Flags&unix.ST_RDONLY != 0
	switch total := int64(st.Blocks) * st.Bsize; {
	case free < least && total < w.roomToBeFit():
		w.setUnfit(fmt.Sprintf("the disk of its data directory is too small: it has %d MiB in all, and %d MiB must be free; give it a --data-dir on a larger one",
			total>>20, w.roomToBeFit()>>20))
	case free < least:
		w.setUnfit(fmt.Sprintf("the disk of its data directory is full: it takes ranks again when %d MiB are free", w.roomToBeFit()>>20))
	case files < leastFiles:
		w.setUnfit(fmt.Sprintf("the disk of its data directory is full: it takes no more files; it takes ranks again when %d are possible", inodesToBeFit))
	case readOnly:
		w.setUnfit("the disk of its data directory is read-only")
	case unwritten != nil:
		w.setUnfit("its data directory cannot be written: " + reasonOf(unwritten))
	default:
		w.setUnfit("")
	}
	if readOnly || unwritten != nil && !isFull(unwritten) {
		return shortage{}
	}
	return shortage{usage{max(0, w.roomToBeFit()-free), max(0, inodesToBeFit-files)}, w.short}
}

// probe tries whether the disk takes writes, which nothing else tells: one that has failed may look well until then. What it found stands
// until it is tried again. Only watchDisk's goroutine calls it, and who starts that.
func (w *Worker) probe() error {
	now := time.Now()
	if w.unwritable == nil && now.Sub(w.probed) < probeEach && !w.suspect.Swap(false) {
		return nil
	}
	w.probed, w.unwritable = now, w.tryDisk(w.cfg.dir(probeFile))
	return w.unwritable
}

// writeProbe writes a block to a new file, for which the disk has to find room, waits until it has it, and removes it.
func writeProbe(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, blockBytes))
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(path))
}

// roomToBeFit is how many bytes must be free on a disk that was full.
func (w *Worker) roomToBeFit() int64 { return w.cfg.MinFreeBytes * 3 / 2 }

func (w *Worker) setUnfit(why string) {
	if why == w.fitness.found() {
		return
	}
	w.fitness.why.Store(&why)
	if why != "" {
		w.log.Error("this host takes no new ranks", "reason", why)
	} else {
		w.log.Info("this host takes new ranks again")
	}
}

// isFull says whether a disk has no room, or an owner has used up theirs.
func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }
