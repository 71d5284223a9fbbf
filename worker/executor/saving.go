package executor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/failpoint"
	"github.com/godwit-run/godwit/internal/pages"
	"github.com/godwit-run/godwit/mpi"
)

// saveBytes is how much of a file is written at a time.
const saveBytes = 256 << 10

// mostTimes is how many times the memory a file may have before its rank stops, about: it has a page as often as that is written.
const mostTimes = 2

// series is what checkpoints have of a rank's memory: files, each with what was written since the one before, and who knows what is to be in the next. Its files and saved are
// guarded by the executor's mutex; the rest belongs to the precopy that saves the rank, one at a time.
type series struct {
	watch  *pages.Watch
	sender *pages.Sender
	mark   uint32 // of the pages of the last file that was begun
	busy   int    // for so many checkpoints more nothing is written before the rank stands still: most of it would be written again

	files []savedFile // they make up the memory as it was at the last checkpoint that was kept; none: the next has everything
	saved []savedFile // the same at the one that was written since, of which is not said yet whether it is kept; none: there is none
}

// savedFile is the memory's file of one checkpoint.
type savedFile struct {
	checkpoint string
	mark       uint32 // of the pages that are in it
	pages      int
}

// close ends what the kernel does for it. It may be nil.
func (s *series) close() {
	if s != nil && s.watch != nil {
		s.watch.Close()
	}
}

// staying is how many of a series' files stay when one follows that has so many pages: each has more than twice as many as the next, so that they are few, and what is written is in proportion to what has
// changed. The others' pages go into the new one.
func staying(files []savedFile, pages int) int {
	stay, all := len(files), pages
	for k, next := len(files)-1, pages; k >= 0; k-- {
		all += files[k].pages
		if files[k].pages <= 2*next {
			stay, next = k, all
		} else {
			next = files[k].pages
		}
	}
	return stay
}

// saving is a rank's way to a checkpoint's files.
type saving struct {
	e          *Executor
	checkpoint string
	dir        string
	id         mpi.Rank
	keepFree   int64 // bytes of the disk
	anew       bool  // what earlier checkpoints have of it does not count

	// Of the precopy's goroutine, until the rest is written.
	series *series
	files  []savedFile // before this one
	file   savedFile
	bytes  int64 // of both files
	paused int64 // of these those of the last round and the state: the rank stood still
}

var _ way = (*saving)(nil)

// checkpoint begins to write ranks.
func (e *Executor) checkpoint(ctx context.Context, c *apiv1.ExecCheckpoint) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.saving = c.Id
	for _, id := range c.Ranks {
		e.goAhead(ctx, mpi.Rank(id), &saving{e: e, checkpoint: c.Id, dir: c.Dir, id: mpi.Rank(id), keepFree: c.KeepFree, anew: slices.Contains(c.Anew, id)})
	}
}

// checkpointEnd has ranks written no more for a checkpoint. What was written for it counts if it is kept.
func (e *Executor) checkpointEnd(c *apiv1.ExecCheckpointEnd) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range e.ranks {
		if r.precopy != nil && r.precopy.way.name() == c.Id {
			r.precopy.cancel()
		}
		if r.Forget(c.Id); r.Next == "" {
			r.next = nil
		}
		if s := r.series; s != nil && len(s.saved) > 0 && s.saved[len(s.saved)-1].checkpoint == c.Id {
			if c.Kept {
				s.files = s.saved
			}
			s.saved = nil
		}
	}
}

func (e *Executor) saved(s *apiv1.ExecSaved) {
	e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Saved{Saved: s}})
}

func (s *saving) name() string { return s.checkpoint }

func (s *saving) absent(why error) {
	s.e.saved(&apiv1.ExecSaved{Checkpoint: s.checkpoint, Rank: int32(s.id), Error: why.Error(), Ended: errors.Is(why, errEnded)})
}

func (s *saving) failed(since time.Time, err error) {
	s.e.saved(&apiv1.ExecSaved{Checkpoint: s.checkpoint, Rank: int32(s.id), Error: err.Error(), SinceMs: float64(time.Since(since)) / float64(time.Millisecond)})
}

func (s *saving) arrived(since time.Time) {
	failpoint.Here("executor.saved")
	ev := &apiv1.ExecSaved{
		Checkpoint: s.checkpoint, Rank: int32(s.id), NewBytes: s.bytes, PauseBytes: s.paused, SinceMs: float64(time.Since(since)) / float64(time.Millisecond),
	}
	s.e.mu.Lock()
	defer s.e.mu.Unlock()
	s.series.saved = append(s.files[:len(s.files):len(s.files)], s.file)
	for _, f := range s.series.saved {
		ev.Memory = append(ev.Memory, f.checkpoint)
	}
	s.e.saved(ev)
}

// watch goes on with the watch of the checkpoints before, if there is one that counts.
func (s *saving) watch(p *precopy) (*pages.Sender, func()) {
	e, r := s.e, p.rank
	e.mu.Lock()
	s.series = r.series
	e.mu.Unlock()
	mem := r.guest.Memory()
	if s.series == nil || s.series.watch.Guesses() { // it may be otherwise now
		if w := e.newWatch(mem.Mapping()); s.series == nil || !w.Guesses() {
			s.series = &series{watch: w, sender: pages.NewSender(mem.Image, w)}
		}
	}
	e.mu.Lock()
	r.series = s.series
	if s.anew {
		s.series.files = nil
	}
	s.files, s.series.saved = s.series.files, nil // what is not said to be kept by now is not
	e.mu.Unlock()
	kept := uint32(0)
	if n := len(s.files); n > 0 {
		kept = s.files[n-1].mark
	}
	s.series.mark++
	s.file = savedFile{checkpoint: s.checkpoint, mark: s.series.mark}
	s.series.sender.Again(kept+1, s.file.mark)
	s.series.sender.Mark(s.file.mark)
	return s.series.sender, func() {}
}

func (s *saving) begin(p *precopy) (attempt, error) {
	if err := p.ctx.Err(); err != nil {
		return nil, err
	}
	f, err := s.create(p, "memory")
	if err != nil {
		return nil, s.fault(err)
	}
	return &writing{precopy: p, saving: s, memory: f}, nil
}

// fault is an error of a file.
func (s *saving) fault(err error) error {
	var own *ownFault
	if errors.As(err, &own) {
		return err
	}
	return &ownFault{imageFault(s.id, err)}
}

// busyFor is for how many checkpoints a rank that wrote to most of its memory is taken to go on so.
const busyFor = 3

// writing writes a rank's files.
type writing struct {
	*precopy
	saving *saving
	memory *saveFile
	begun  bool  // the first round has been written
	again  int64 // bytes of the last round behind it
}

// busy says whether the rank writes to most of its memory in a round: all that was written before is written again then.
func (w *writing) busy() bool {
	return w.saving.series.busy > 0 || w.begun && most(w.again, w.sender.Load().Held())
}

func most(bytes, of int64) bool { return bytes*4 >= of*3 && bytes > 0 }

// round writes a round. After the first it is known how much is to be written, and those of the files before that are no larger are merged into this one. Who waits for others for long
// writes no more until it is to stop; nor does a rank that is busy.
func (w *writing) round(last bool) (pages.Stats, error) {
	if !last && (w.busy() || !w.stops && w.memory.to.n > mostTimes*int64(len(w.rank.guest.Memory().Image()))) {
		return pages.Stats{}, nil
	}
	stats, err := w.write(last)
	if err != nil || last || w.begun {
		w.again = stats.Memory
		return stats, err
	}
	w.begun = true
	s := w.saving
	stay := staying(s.files, s.file.pages)
	if stay == len(s.files) {
		return stats, nil
	}
	s.series.sender.Again(s.files[stay].mark, s.file.mark)
	s.files = s.files[:stay]
	return w.write(false)
}

func (w *writing) write(last bool) (pages.Stats, error) {
	stats, err := w.sender.Load().Round([]io.Writer{w.memory}, last, last)
	if err == nil {
		err = w.memory.Flush()
	}
	w.saving.file.pages += stats.Marked
	if err != nil {
		return stats, w.saving.fault(err)
	}
	return stats, nil
}

// finish writes the rest of a rank that stands still.
func (w *writing) finish() error {
	failpoint.Here("executor.save")
	s := w.saving
	was := w.busy()
	if was {
		if err := w.anew(); err != nil {
			return s.fault(err)
		}
	}
	ahead := w.memory.to.n
	stats, err := w.round(true)
	if err != nil {
		return err
	}
	switch { // what is written of all of the memory says nothing of how much of it the rank writes to: that is seen when it is tried again
	case s.series.busy > 0:
		s.series.busy--
	case was || most(stats.Memory, s.series.sender.Held()):
		s.series.busy = busyFor
	}
	if err := w.memory.to.Close(); err != nil {
		return s.fault(err)
	}
	state, err := s.create(w.precopy, "state")
	if err != nil {
		return s.fault(err)
	}
	_, err = w.tail(state.to, true)
	if err := errors.Join(err, state.to.Close()); err != nil {
		return s.fault(err)
	}
	s.bytes, s.paused = w.memory.to.n+state.to.n, w.memory.to.n-ahead+state.to.n
	return nil
}

// anew has the last round write all of the memory, in the place of what was written: the file has each page once then, and needs none before it.
func (w *writing) anew() error {
	s := w.saving
	first := s.file.mark
	if len(s.files) > 0 {
		first = s.files[0].mark
	}
	s.series.sender.Again(first, s.file.mark+1)
	s.files = nil
	w.memory.Reset(w.memory.to)
	w.memory.to.n, w.memory.to.looked = 0, 0
	if _, err := w.memory.to.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return w.memory.to.Truncate(0)
}

func (w *writing) close() { _ = w.memory.to.Close() }

// saveFile is a file that is written, through a buffer.
type saveFile struct {
	*bufio.Writer
	to *fileWriter
}

// create makes one of the rank's files, for the time in which the precopy is wanted.
func (s *saving) create(p *precopy, what string) (*saveFile, error) {
	f, err := os.OpenFile(filepath.Join(s.dir, fmt.Sprintf("%d.%s", s.id, what)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	to := &fileWriter{File: f, ctx: p.ctx, keepFree: s.keepFree}
	return &saveFile{bufio.NewWriterSize(to, saveBytes), to}, nil
}

// fileWriter writes to a file, and counts, until ctx ends.
type fileWriter struct {
	*os.File
	ctx context.Context //nolint:containedctx // of the file: over with it
	n   int64

	keepFree int64 // bytes of the disk
	looked   int64 // how many it had when it was looked at last
}

// lookEach is how much is written between two looks at the disk.
const lookEach = 4 << 20

// errNoRoom is of a disk on which others need what is left.
var errNoRoom = errors.New("the disk has too little room for it")

// room says whether the disk has room for more.
func (w *fileWriter) room(n int64) error {
	if w.keepFree == 0 || w.looked > 0 && w.n+n < w.looked+lookEach {
		return nil
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(w.Fd()), &st); err != nil {
		return err
	}
	if int64(st.Bavail)*st.Bsize-n < w.keepFree+lookEach {
		return errNoRoom
	}
	w.looked = max(1, w.n)
	return nil
}

func (w *fileWriter) Write(b []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	if err := w.room(int64(len(b))); err != nil {
		return 0, err
	}
	n, err := w.File.Write(b)
	w.n += int64(n)
	return n, err
}
