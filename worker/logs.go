package worker

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// gonePrefix begins the names of logs that are being removed: no app's id begins so.
const gonePrefix = "~"

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

	atLeast time.Duration          // keptAtLeast
	remove  func(dir string) error // os.RemoveAll

	mu    sync.Mutex // guards the fields below; no file is touched under it
	apps  map[string]*appLog
	ended []endedLog               // oldest first
	past  int64                    // what ended takes
	going map[string]chan struct{} // logs that are being removed; closed when they are
}

// endedLog is the log of an app that runs here no more.
type endedLog struct {
	id string
	usage
	at    time.Time // when it ended; in an earlier life of the worker: when it was last written
	gone  bool      // it has no name any more, and is not removed whole: id is where it is
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
	s := &logStore{dir: dir, limit: limit, log: log, atLeast: keptAtLeast, remove: os.RemoveAll, apps: map[string]*appLog{}, going: map[string]chan struct{}{}}
	for _, e := range entries {
		use, last := measureDir(filepath.Join(dir, e.Name()))
		s.past += use.bytes
		s.bytes.Add(use.bytes)
		if strings.HasPrefix(e.Name(), gonePrefix) { // an earlier life was removing it
			s.ended = append(s.ended, endedLog{id: filepath.Join(dir, e.Name()), usage: use, gone: true})
			continue
		}
		if now := time.Now(); last.After(now) { // by a clock that was set back since
			last = now
		}
		s.ended = append(s.ended, endedLog{id: e.Name(), usage: use, at: last})
	}
	slices.SortStableFunc(s.ended, func(a, b endedLog) int { return a.at.Compare(b.at) })
	s.prune(func() {})
	return s, nil
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
	for gone := s.going[id]; gone != nil; gone = s.going[id] { // what comes back is written after the old is removed
		s.mu.Unlock()
		<-gone
		s.mu.Lock()
	}
	l := s.apps[id]
	if l == nil {
		l = newAppLog(filepath.Join(s.dir, id), &s.bytes, false)
		s.apps[id] = l
	}
	back := false
	s.ended = slices.DeleteFunc(s.ended, func(e endedLog) bool {
		if e.id == id {
			s.past -= e.bytes
			s.bytes.Add(-e.bytes)
			back = true
		}
		return e.id == id
	})
	s.mu.Unlock()
	s.prune(func() {})
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return nil, fmt.Errorf("worker: logs: %w", err)
	}
	l.revive()
	err := l.takeUpAll()
	if back { // it counts by its text again
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
	if l == nil && slices.ContainsFunc(s.ended, func(e endedLog) bool { return e.id == id }) {
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
	over := slices.ContainsFunc(s.ended, func(e endedLog) bool { return e.id == id }) // in an earlier life of the worker, and somebody reads it
	s.mu.Unlock()
	if l == nil || over {
		return
	}
	l.close()
	l.total.Add(-l.total.own.Load()) // nobody adds any more
	use := usageOf(l.dir)
	s.mu.Lock()
	s.ended = append(s.ended, endedLog{id: id, usage: use, at: time.Now()})
	s.past += use.bytes
	s.bytes.Add(use.bytes)
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
	if i := slices.IndexFunc(s.ended, func(e endedLog) bool { return e.gone && !isStuck(e.stuck) }); i >= 0 {
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
		if s.goes(e, s.atLeast) && !sum.covers(lacks) {
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

// sacrifice removes the log of an app that spare has named, unless somebody reads it by now. It returns what that gave; false if it stays.
func (s *logStore) sacrifice(id string) (usage, bool) {
	s.mu.Lock()
	i := slices.IndexFunc(s.ended, func(e endedLog) bool { return e.id == id && s.goes(e, s.atLeast) })
	if i < 0 {
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

// forget removes the log at a place in ended, and returns what that gave: first its name, in one step, so that nobody takes what is left of it for
// all. What cannot be removed stays, and counts: with its name where who asks for it finds it whole, or without. The caller holds mu; it is released.
func (s *logStore) forget(i int) usage {
	oldest, gone := s.ended[i], make(chan struct{})
	s.ended = slices.Delete(s.ended, i, i+1)
	s.past -= oldest.bytes
	l := s.apps[oldest.id]
	delete(s.apps, oldest.id)
	s.going[oldest.id] = gone
	s.bytes.Add(-oldest.bytes) // here: who prunes beside us must not do it again
	s.mu.Unlock()
	left, at := oldest, filepath.Join(s.dir, oldest.id)
	if oldest.gone {
		at = oldest.id
	} else if aside := filepath.Join(s.dir, gonePrefix+oldest.id); os.Rename(at, aside) == nil { // a disk may have no room for that: then as it is
		at, left.id, left.gone = aside, aside, true
	}
	left.usage = usage{}
	err := s.remove(at)
	if err != nil {
		left.usage = usageOf(at)
		s.log.Warn("an old log is left", "log", oldest.id, "err", err)
	}
	s.mu.Lock()
	delete(s.going, oldest.id)
	if err != nil {
		left.stuck = time.Now()
		if !left.gone && l != nil {
			s.apps[left.id] = l
		}
		s.ended = slices.Insert(s.ended, 0, left)
		s.past += left.bytes
		s.bytes.Add(left.bytes)
	}
	s.mu.Unlock()
	close(gone)
	return oldest.minus(left.usage)
}
