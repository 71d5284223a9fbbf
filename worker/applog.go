package worker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// appLog is the log of one app's ranks on this host. What is known of it is had at once, whatever the disk does.
type appLog struct {
	dir   string
	total *textBytes // while ranks of the app run here

	audience  audience
	readers   atomic.Int32 // calls that read it
	forgotten atomic.Bool  // it was put aside: what is in its place may be another's

	looking claim       // held by who looks which files an earlier life of the worker left
	loaded  atomic.Bool // that is known

	disk sync.Mutex // held by who changes files, for as long as the disk takes; taken before mu

	mu       sync.Mutex // guards the fields below, and of each rankLog what readers see; no file is touched under it
	files    map[int32]*rankLog
	changed  chan struct{} // closed and replaced when there is another rank, or the log is complete
	complete bool          // no more output will come here
	own      bool          // this process has made the directory, and all that is in it
}

func newAppLog(dir string, all *atomic.Int64, complete bool) *appLog {
	return &appLog{
		dir: dir, total: &textBytes{all: all}, looking: newClaim(), files: map[int32]*rankLog{}, changed: make(chan struct{}), complete: complete,
	}
}

// claim is a lock that is waited for no longer than a context lasts.
type claim chan struct{}

func newClaim() claim { return make(claim, 1) }

func (c claim) take(ctx context.Context) error {
	select {
	case c <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c claim) release() { <-c }

// begin makes the directory, if it is not there. In one that it has made there is nothing to look for.
func (l *appLog) begin() error {
	if os.Mkdir(l.dir, 0o700) != nil { // it is there, or the error is one that is told below
		if err := os.MkdirAll(l.dir, 0o700); err != nil {
			return fmt.Errorf("worker: logs: %w", err)
		}
		return nil
	}
	_ = l.looking.take(context.Background()) // from who looks at this moment, and might take for an earlier life's what is written next
	defer l.looking.release()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.own = len(l.files) == 0
	l.loaded.Store(true)
	return nil
}

// usage is what a log that is closed takes on its disk. Where this process has made all of it, and every write was whole, that is known without a look at its files.
func (l *appLog) usage() usage {
	info, err := os.Lstat(l.dir)
	if use, known := l.written(); known && err == nil {
		use.add(info.Size())
		return use
	}
	return usageOf(l.dir)
}

// written is what the files take that this process has written; false: there are others, or nobody knows.
func (l *appLog) written() (sum usage, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.files {
		f := &r.shown
		if f.life > 0 || f.lostEver > 0 {
			return usage{}, false
		}
		if f.size > 0 {
			sum.add(f.size)
		}
	}
	return sum, l.own
}

// letGo ends the use of a log that find has given.
func (l *appLog) letGo() { l.readers.Add(-1) }

// load looks which files an earlier life of the worker left. What is in them is found out by takeUp. It does not wait for somebody else who looks: who
// needs to know asks ready.
func (l *appLog) load() error {
	if l.loaded.Load() {
		return nil
	}
	select {
	case l.looking <- struct{}{}:
		defer l.looking.release()
		return l.look()
	default:
		return nil
	}
}

// ready returns when it is known which files an earlier life of the worker left.
func (l *appLog) ready(ctx context.Context) error {
	if l.loaded.Load() {
		return nil
	}
	if err := l.looking.take(ctx); err != nil {
		return err
	}
	defer l.looking.release()
	return l.look()
}

// look is load's, once. Holds looking.
func (l *appLog) look() error {
	if l.loaded.Load() {
		return nil
	}
	entries, err := os.ReadDir(l.dir)
	if l.forgotten.Load() || errors.Is(err, os.ErrNotExist) && l.state(-1).done {
		return errForgotten // since it was found
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) { // one that is about to begin has no directory yet
		return fmt.Errorf("%w: %w", errUnreadable, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".log")
		rank, err := strconv.ParseInt(name, 10, 32)
		if !ok || err != nil || rank < 0 {
			continue
		}
		r := newRankLog(int32(rank), filepath.Join(l.dir, e.Name()))
		r.done, r.shown.done, r.taking = true, true, newClaim()
		l.install(r)
	}
	l.loaded.Store(true)
	return nil
}

// install puts a rank's log in the place of the one that was there, if any. Holds mu.
func (l *appLog) install(r *rankLog) {
	old := l.files[r.rank]
	l.files[r.rank] = r
	if old != nil {
		old.wake()
		return
	}
	l.wake()
}

// wake wakes those who wait for a rank of which nothing is here. Holds mu.
func (l *appLog) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// leftOver is the file of a rank that an earlier life of the worker left and of which nothing is known yet; nil: there is none.
func (l *appLog) leftOver(rank int32) *rankLog {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.files[rank]; r != nil && r.taking != nil {
		return r
	}
	return nil
}

// takeUp finds out what is in the file of a rank that an earlier life of the worker left. It reads all of it, and tells moves now and then; nobody
// waits for it but who wants that rank's output, and who waits while somebody else reads ends with ctx.
func (l *appLog) takeUp(ctx context.Context, rank int32, moves func()) error {
	r := l.leftOver(rank)
	if r == nil {
		return nil
	}
	if err := r.taking.take(ctx); err != nil {
		return err
	}
	defer r.taking.release()
	if l.leftOver(rank) != r {
		return nil // somebody else has
	}
	taken := newRankLog(r.rank, r.path)
	err := taken.takeUp(moves)
	if l.forgotten.Load() || errors.Is(err, os.ErrNotExist) {
		return errForgotten
	}
	if err != nil {
		return err
	}
	taken.shown = taken.rankFacts
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.files[rank] == r {
		l.install(taken)
	}
	return nil
}

// takeUpAll is takeUp for all ranks, before any of them runs here again.
func (l *appLog) takeUpAll() error {
	ctx := context.Background() // who starts an app waits for its disk
	if err := l.ready(ctx); err != nil {
		return err
	}
	for _, r := range l.all() {
		if err := l.takeUp(ctx, r.rank, func() {}); err != nil {
			return err
		}
	}
	return nil
}

// all are the logs of all ranks.
func (l *appLog) all() []*rankLog {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Values(l.files))
}

// revive says that ranks of the app run here, again or still.
func (l *appLog) revive() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.complete = false
}

func (l *appLog) path(rank int32) string { return filepath.Join(l.dir, strconv.Itoa(int(rank))+".log") }

// rank returns the rank's log, made if need be. Holds disk.
func (l *appLog) rank(id int32) *rankLog {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.files[id]
	if r == nil {
		r = newRankLog(id, l.path(id))
		l.install(r)
	}
	return r
}

// show has readers see what has become of a rank's log, and wakes those who wait for that. Holds disk.
func (l *appLog) show(r *rankLog) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total.Add(r.size - r.shown.size)
	r.shown = r.rankFacts
	r.wake()
}

// append adds lines, of any ranks. Lines that cannot be stored are lost, and counted: the error is why the first of them was.
func (l *appLog) append(lines []*apiv1.LogLine) (err error) {
	l.disk.Lock()
	defer l.disk.Unlock()
	for len(lines) > 0 {
		n := 1
		for n < len(lines) && lines[n].Rank == lines[0].Rank {
			n++
		}
		r := l.rank(lines[0].Rank)
		refuse := l.audience.misses(l.total.own.Load())
		if lost := r.append(lines[:n], refuse); lost != nil && err == nil {
			err = lost
		}
		l.show(r)
		lines = lines[n:]
	}
	return err
}

// finish says that a rank will write no more on this host.
func (l *appLog) finish(rank int32) {
	l.disk.Lock()
	defer l.disk.Unlock()
	r := l.rank(rank)
	r.finish()
	l.show(r)
}

// lost is how many lines of a rank could not be stored in its whole life, and why the last of them was not.
func (l *appLog) lost(rank int32) (uint64, string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.files[rank]; r != nil {
		return r.shown.lostEver, r.shown.lostWhy
	}
	return 0, ""
}

// outgoing is what of a rank's file goes along with it: so many bytes, which are whole lines, and behind them the line that tells of those that are
// lost, if it could not be stored either.
func (l *appLog) outgoing(rank int32) (bytes int64, notice *apiv1.LogLine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.files[rank]
	if r == nil {
		return 0, nil
	}
	if r.shown.lost > 0 {
		notice = r.shown.notice()
	}
	return r.shown.size, notice
}

// replace puts the log that came with a rank, and was checked, in the place of what this host had of it. The caller syncs the file
// and the directory before anybody counts on them.
func (l *appLog) replace(rank int32, tmp string, facts logFacts) error {
	l.disk.Lock()
	defer l.disk.Unlock()
	old := l.rank(rank)
	l.mu.Lock()
	old.replacing = true
	l.mu.Unlock()
	err := os.Rename(tmp, l.path(rank))
	if err == nil {
		old.close()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		old.replacing = false
		old.wake()
		return fmt.Errorf("worker: logs: %w", err)
	}
	r := newRankLog(rank, l.path(rank))
	r.logFacts, r.life = facts, old.life+1
	r.shown = r.rankFacts
	l.total.Add(r.size - old.shown.size)
	l.install(r)
	return nil
}

// moved removes the log of a rank that runs on another host now, where all of it is.
func (l *appLog) moved(rank int32) error {
	l.disk.Lock()
	defer l.disk.Unlock()
	r := l.rank(rank)
	r.close()
	r.size, r.index, r.done, r.moved, r.life = 0, logIndex{}, true, true, r.life+1
	l.show(r) // before the file goes: who does not find it knows why
	if err := os.Remove(r.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("worker: logs: %w", err)
	}
	return nil
}

// size is how many bytes its text has.
func (l *appLog) size() (n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.files {
		n += r.shown.size
	}
	return n
}

// close says that no rank will write here any more, and releases the files.
func (l *appLog) close() {
	l.disk.Lock()
	defer l.disk.Unlock()
	all := l.all()
	for _, r := range all {
		r.finish()
		r.close()
		l.show(r)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.complete = true
	for _, r := range all {
		r.wake()
	}
	l.wake()
}

// logState is how far a rank's log goes.
type logState struct {
	stored    uint64          // number of the line after the last stored one
	next      uint64          // number of the line after the last one, stored or lost
	notice    *apiv1.LogLine  // tells of the lines after stored that are lost; nil: none are
	done      bool            // it is complete
	moved     bool            // the rank, and its log, are on another host
	life      int             // changes when another file takes its place
	replacing bool            // one does at this moment
	changed   <-chan struct{} // closed at the next change
}

func (l *appLog) state(rank int32) logState {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.files[rank]
	if r == nil {
		return logState{done: l.complete, changed: l.changed}
	}
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	f := &r.shown
	s := logState{
		next: f.next, stored: f.next, done: f.done || l.complete, moved: f.moved, life: f.life, replacing: r.replacing, changed: r.changed,
	}
	if f.lost > 0 {
		s.stored, s.notice = f.lostFrom, f.notice()
	}
	return s
}

// seek is where a rank's file, which is open, is to be read by who wants neither lines before line from nor lines of a time before since; false: it
// may not be the file of that life.
func (l *appLog) seek(rank int32, life int, from uint64, since int64) (int64, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.files[rank]; r != nil && r.shown.life == life && !r.replacing {
		return r.shown.index.before(from, since), true
	}
	return 0, false
}
