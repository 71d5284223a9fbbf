package worker

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/godwit-run/godwit/internal/durable"
)

const (
	// maxLogs bounds the apps whose output one host keeps.
	maxLogs = 1000
	// keptAtLeast is how long the output of an app is kept that has ended, for who asks for it then.
	keptAtLeast = time.Minute
	// slackLogs is how many more there may be for the sake of logs that are read, or that ended a moment ago.
	slackLogs = 7 * maxLogs
	// leastSlack and mostSlack bound what they may take besides: as much again as the limit.
	leastSlack, mostSlack = 64 << 20, 1 << 30
)

// asideDir is where logs are put that are being removed, each under a name that tells nothing: no app's id is that.
const asideDir = "~"

// stuckFor is how long what could not be removed is left alone.
const stuckFor = 10 * time.Minute

// isStuck says whether what could not be removed at that time is left alone now.
func isStuck(since time.Time) bool { return !since.IsZero() && time.Since(since) < stuckFor }

// logStore keeps the output of ranks on this host: a directory for each app, in it a file for each rank. A rank's file moves with
// it, so that the host of a rank has all it ever wrote. The logs of ended apps are kept as long as all fit the limit, or they
// themselves half of it, the oldest going first; those that somebody reads, and those that ended a moment ago, stay beyond it, within
// a bound of their own. Those of apps that still run here are never removed. What else the disk needs is makeRoom's to say.
type logStore struct {
	dir   string
	limit int64        // bytes
	log   *slog.Logger // what goes wrong with old logs
	bytes atomic.Int64 // of all logs: what those of ended apps take on the disk, and the text of the others

	atLeast time.Duration               // keptAtLeast
	remove  func(dir string) error      // os.RemoveAll
	rename  func(from, to string) error // os.Rename

	mu    sync.Mutex // guards the fields below; no file is touched under it
	apps  map[string]*appLog
	ended []endedLog               // oldest first
	past  int64                    // what ended takes
	going map[string]chan struct{} // apps whose logs are on their way aside; closed when they are there, or stay
}

// endedLog is the log of an app that runs here no more.
type endedLog struct {
	id string
	usage
	at    time.Time // when it ended; in an earlier life of the worker: when it was last written
	aside string    // where what is left of it lies, which nobody finds any more; "": it is whole, and its id's
	stuck time.Time // when it could not be removed: what is left of it stays, and counts; zero: that was not tried
}

// newLogStore takes up what earlier lives of the worker left in dir.
func newLogStore(dir string, limit int64, log *slog.Logger) (*logStore, error) {
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("worker: logs: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("worker: logs: %w", err)
	}
	leftovers, err := os.ReadDir(filepath.Join(dir, asideDir))
	if errors.Is(err, os.ErrNotExist) {
		err = makeAside(dir)
	}
	if err != nil { // only to remove a log needs it, and says so then
		log.Warn("old logs cannot be removed", "err", err)
	}
	s := &logStore{
		dir: dir, limit: limit, log: log, atLeast: keptAtLeast, remove: os.RemoveAll, rename: os.Rename,
		apps: map[string]*appLog{}, going: map[string]chan struct{}{},
	}
	for _, e := range entries {
		if e.Name() == asideDir {
			continue
		}
		use, last := measureDir(filepath.Join(dir, e.Name()))
		if now := time.Now(); last.After(now) { // by a clock that was set back since
			last = now
		}
		s.add(len(s.ended), endedLog{id: e.Name(), usage: use, at: last})
	}
	for _, e := range leftovers { // of an earlier life
		at := filepath.Join(dir, asideDir, e.Name())
		s.add(len(s.ended), endedLog{usage: usageOf(at), aside: at})
	}
	slices.SortStableFunc(s.ended, func(a, b endedLog) int { return a.at.Compare(b.at) })
	s.prune(func() {})
	return s, nil
}

// makeAside makes the place for logs that are being removed, if it is not there: best before the disk is full.
func makeAside(dir string) error {
	if err := os.Mkdir(filepath.Join(dir, asideDir), 0o700); !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// add puts a log at a place in ended, and counts it. Holds mu.
func (s *logStore) add(i int, e endedLog) {
	s.ended = slices.Insert(s.ended, i, e)
	s.past += e.bytes
	s.bytes.Add(e.bytes)
}

// take takes the log at a place out of ended. Holds mu.
func (s *logStore) take(i int) endedLog {
	e := s.ended[i]
	s.ended = slices.Delete(s.ended, i, i+1)
	s.past -= e.bytes
	s.bytes.Add(-e.bytes)
	return e
}

// placeOf is where the app's log is in ended; -1: it is not there. Holds mu.
func (s *logStore) placeOf(id string) int {
	return slices.IndexFunc(s.ended, func(e endedLog) bool { return e.id == id && e.aside == "" })
}

// textBytes counts the text of an app's log, and among that of all logs.
type textBytes struct {
	own atomic.Int64
	all *atomic.Int64
}

// Add adds n bytes.
func (b *textBytes) Add(n int64) {
	b.own.Add(n)
	b.all.Add(n)
}

// measureDir is what a directory takes on its disk, with all below, and when the last file of it was written.
func measureDir(dir string) (use usage, last time.Time) {
	_ = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // gone meanwhile: it takes no room
		}
		info, err := d.Info()
		if err != nil {
			return nil //nolint:nilerr // likewise
		}
		use.add(info.Size())
		if info.Mode().IsRegular() && info.ModTime().After(last) {
			last = info.ModTime()
		}
		return nil
	})
	return use, last
}

// usageOf is what a directory takes on its disk, with all below.
func usageOf(dir string) usage {
	use, _ := measureDir(dir)
	return use
}

// app returns the log of an app that runs here, made if need be.
func (s *logStore) app(id string) (*appLog, error) {
	if err := checkID("app", id); err != nil {
		return nil, err
	}
	s.mu.Lock()
	for going := s.going[id]; going != nil; going = s.going[id] { // what comes back does not go with what was
		s.mu.Unlock()
		<-going
		s.mu.Lock()
	}
	l := s.apps[id]
	if l == nil {
		l = newAppLog(filepath.Join(s.dir, id), &s.bytes, false)
		s.apps[id] = l
	}
	i := s.placeOf(id)
	if i >= 0 {
		s.take(i)
	}
	s.mu.Unlock()
	s.prune(func() {})
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return nil, fmt.Errorf("worker: logs: %w", err)
	}
	_ = makeAside(s.dir) // who needed room may have removed it; what needs it says so then
	l.revive()
	err := l.takeUpAll()
	if i >= 0 { // it counts by its text again
		l.total.Add(l.size())
	}
	return l, err
}

// find returns the log of an app, or nil if this host has none.
func (s *logStore) find(id string) (*appLog, error) {
	if err := checkID("app", id); err != nil {
		return nil, err
	}
	s.mu.Lock()
	l := s.apps[id]
	if l == nil && s.placeOf(id) >= 0 {
		// An earlier life of the worker left it: whatever it holds is all there will be.
		l = newAppLog(filepath.Join(s.dir, id), &s.bytes, true)
		s.apps[id] = l
	}
	s.mu.Unlock()
	if l == nil {
		return nil, nil
	}
	return l, l.load()
}

// close says that no rank of an app will write here any more, and releases the files.
func (s *logStore) close(id string) {
	s.mu.Lock()
	l := s.apps[id]
	over := s.placeOf(id) >= 0 // in an earlier life of the worker, and somebody reads it
	s.mu.Unlock()
	if l == nil || over {
		return
	}
	l.close()
	l.total.Add(-l.total.own.Load()) // nobody adds any more
	use := usageOf(l.dir)
	s.mu.Lock()
	s.add(len(s.ended), endedLog{id: id, usage: use, at: time.Now()})
	s.mu.Unlock()
	s.prune(func() {})
}

// trim is prune for those who have only added bytes.
func (s *logStore) trim() {
	if s.bytes.Load() > s.limit {
		s.prune(func() {})
	}
}

// superfluous is the place of the log in ended that goes next; -1: none does. Holds mu.
func (s *logStore) superfluous() int {
	if len(s.ended) == 0 {
		return -1
	}
	if i := slices.IndexFunc(s.ended, func(e endedLog) bool { return e.aside != "" && !isStuck(e.stuck) }); i >= 0 {
		return i
	}
	if s.past > s.limit+min(max(s.limit, leastSlack), mostSlack) || len(s.ended) > maxLogs+slackLogs {
		return slices.IndexFunc(s.ended, func(e endedLog) bool { return !isStuck(e.stuck) })
	}
	if (s.bytes.Load() <= s.limit || s.past <= s.limit/2) && len(s.ended) <= maxLogs {
		return -1
	}
	return s.unread(s.atLeast)
}

// unread is the place of the oldest log in ended that nobody reads, and whose app ended longer ago than that; -1: there is none. Holds mu.
func (s *logStore) unread(ago time.Duration) int {
	return slices.IndexFunc(s.ended, func(e endedLog) bool { return s.goes(e, ago) })
}

// goes says whether nobody reads a log whose app ended longer ago than that. Holds mu.
func (s *logStore) goes(e endedLog, ago time.Duration) bool {
	l := s.apps[e.id]
	return !isStuck(e.stuck) && time.Since(e.at) > ago && (l == nil || l.readers.Load() == 0)
}

// spare names logs of apps that ended a while ago and that nobody reads, which together give what lacks, the oldest first, and none that is not
// needed for that; none if all of them are not enough: they would be lost for nothing.
func (s *logStore) spare(lacks usage) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var chosen []endedLog
	var sum usage
	for _, e := range s.ended {
		if e.aside == "" && s.goes(e, s.atLeast) && !sum.covers(lacks) {
			chosen = append(chosen, e)
			sum = sum.plus(e.usage)
		}
	}
	if !sum.covers(lacks) {
		return nil
	}
	var ids []string
	for _, e := range chosen {
		if less := sum.minus(e.usage); less.covers(lacks) {
			sum = less // a later one is enough
			continue
		}
		ids = append(ids, e.id)
	}
	return ids
}

// sacrifice removes the log of an app that spare has named, unless somebody reads it by now. It returns what that gave; false if that is nothing.
func (s *logStore) sacrifice(id string) (usage, bool) {
	s.mu.Lock()
	i := s.placeOf(id)
	if i < 0 || !s.goes(s.ended[i], s.atLeast) {
		s.mu.Unlock()
		return usage{}, false
	}
	gave := s.forget(i)
	return gave, gave.files > 0
}

// prune forgets the oldest logs of ended apps while there are too many, or too many bytes. It calls step before each.
func (s *logStore) prune(step func()) {
	for {
		step()
		s.mu.Lock()
		i := s.superfluous()
		if i < 0 {
			s.mu.Unlock()
			return
		}
		s.forget(i)
	}
}

// forget removes the log at a place in ended, and returns what that gave: it is put aside in one step, so that nobody takes what is left of it for
// all. What cannot be put aside stays as it is, and what is left aside stays there; both count. The caller holds mu; it is released.
func (s *logStore) forget(i int) usage {
	e := s.take(i) // here: who prunes beside us must not do it again
	if e.aside == "" {
		l, there := s.apps[e.id], make(chan struct{})
		delete(s.apps, e.id)
		s.going[e.id] = there
		s.mu.Unlock()
		aside, err := s.putAside(e.id)
		s.mu.Lock()
		delete(s.going, e.id)
		close(there)
		if err != nil {
			if l != nil {
				s.apps[e.id] = l
			}
			s.leave(e, err)
			return usage{}
		}
		e.aside = aside
	}
	s.mu.Unlock()
	err := s.remove(e.aside)
	if err == nil {
		return e.usage
	}
	all := e.usage
	e.usage = usageOf(e.aside)
	s.mu.Lock()
	s.leave(e, err)
	return all.minus(e.usage)
}

// leave keeps what could not be removed. The caller holds mu; it is released.
func (s *logStore) leave(e endedLog, err error) {
	e.stuck = time.Now()
	s.add(0, e)
	s.mu.Unlock()
	s.log.Warn("an old log is left", "app", e.id, "err", err)
}

// putAside moves an app's log to where nobody looks for it, and returns that place. That takes no room, once the directory is there. What is not there is
// aside already.
func (s *logStore) putAside(id string) (string, error) {
	if err := makeAside(s.dir); err != nil { // its parent may have been moved, and the log with it
		return "", err
	}
	aside := filepath.Join(s.dir, asideDir, rand.Text())
	err := s.rename(filepath.Join(s.dir, id), aside)
	if errors.Is(err, os.ErrNotExist) {
		return aside, nil
	}
	return aside, err
}
