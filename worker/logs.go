package worker

import (
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

// logStore keeps the output of ranks on this host: a directory for each app, in it a file for each rank. A rank's file moves with
// it, so that the host of a rank has all it ever wrote. The logs of ended apps are kept as long as all fit the limit, or they
// themselves half of it, the oldest going first; those that somebody reads, and those that ended a moment ago, stay beyond it, within
// a bound of their own. Those of apps that still run here are never removed. What else the disk needs is makeRoom's to say.
type logStore struct {
	dir   string
	limit int64        // bytes
	log   *slog.Logger // what goes wrong with old logs
	bytes atomic.Int64 // of all logs

	atLeast time.Duration          // keptAtLeast
	remove  func(dir string) error // os.RemoveAll

	tight atomic.Bool // for want of room on the disk the host takes no ranks: that an app ended a moment ago keeps nothing then

	mu    sync.Mutex // guards the fields below; no file is touched under it
	apps  map[string]*appLog
	ended []endedLog               // oldest first
	past  int64                    // bytes of ended
	going map[string]chan struct{} // logs that are being removed; closed when they are
}

// endedLog is the log of an app that runs here no more.
type endedLog struct {
	id    string
	bytes int64
	at    time.Time // when it ended; zero: in an earlier life of the worker
	stuck bool      // it could not be removed: what is left of it stays, and counts
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
	written := map[string]time.Time{}
	for _, e := range entries {
		size, last := measureDir(filepath.Join(dir, e.Name()))
		written[e.Name()] = last
		s.ended = append(s.ended, endedLog{id: e.Name(), bytes: size})
		s.past += size
		s.bytes.Add(size)
	}
	slices.SortStableFunc(s.ended, func(a, b endedLog) int { return written[a.id].Compare(written[b.id]) })
	s.prune()
	return s, nil
}

// measureDir is the size of the files in a directory and below, and when the last of them was written.
func measureDir(dir string) (bytes int64, last time.Time) {
	_ = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // gone meanwhile: it takes no room
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			bytes += info.Size()
			if info.ModTime().After(last) {
				last = info.ModTime()
			}
		}
		return nil
	})
	return bytes, last
}

// dirBytes is the size of the files in a directory and below.
func dirBytes(dir string) int64 {
	n, _ := measureDir(dir)
	return n
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
	s.ended = slices.DeleteFunc(s.ended, func(e endedLog) bool {
		if e.id == id {
			s.past -= e.bytes
		}
		return e.id == id
	})
	s.mu.Unlock()
	s.prune()
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return nil, fmt.Errorf("worker: logs: %w", err)
	}
	l.revive()
	return l, l.takeUpAll()
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
	s.mu.Unlock()
	if l == nil {
		return
	}
	size := l.close()
	s.mu.Lock()
	s.ended = append(s.ended, endedLog{id: id, bytes: size, at: time.Now()})
	s.past += size
	s.mu.Unlock()
	s.prune()
}

// trim is prune for those who have only added bytes.
func (s *logStore) trim() {
	if s.bytes.Load() > s.limit {
		s.prune()
	}
}

// superfluous is the place of the log in ended that goes next; -1: none does. Holds mu.
func (s *logStore) superfluous() int {
	if len(s.ended) == 0 {
		return -1
	}
	if s.past > s.limit+min(max(s.limit, leastSlack), mostSlack) || len(s.ended) > maxLogs+slackLogs {
		return slices.IndexFunc(s.ended, func(e endedLog) bool { return !e.stuck })
	}
	atLeast := s.atLeast
	if s.tight.Load() {
		atLeast = -1
	}
	if (s.bytes.Load() <= s.limit || s.past <= s.limit/2) && len(s.ended) <= maxLogs {
		return -1
	}
	return s.unread(atLeast)
}

// unread is the place of the oldest log in ended that nobody reads, and whose app ended longer ago than that; -1: there is none. Holds mu.
func (s *logStore) unread(ago time.Duration) int {
	return slices.IndexFunc(s.ended, func(e endedLog) bool { return s.goes(e, ago) })
}

// goes says whether nobody reads a log whose app ended longer ago than that. Holds mu.
func (s *logStore) goes(e endedLog, ago time.Duration) bool {
	l := s.apps[e.id]
	return !e.stuck && time.Since(e.at) > ago && (l == nil || l.readers.Load() == 0)
}

// spare names logs of apps that ended a while ago and that nobody reads, which together give what lacks, the oldest first, and none that is not
// needed for that; none if all of them are not enough: they would be lost for nothing.
func (s *logStore) spare(lacks shortage) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var chosen []endedLog
	sum := int64(0)
	for _, e := range s.ended {
		if s.goes(e, s.atLeast) && (sum < lacks.bytes || lacks.files) {
			chosen = append(chosen, e)
			sum += e.bytes
		}
	}
	if sum < lacks.bytes && !lacks.files {
		return nil
	}
	var ids []string
	for _, e := range chosen {
		if !lacks.files && sum-e.bytes >= lacks.bytes {
			sum -= e.bytes // a later one is enough
			continue
		}
		ids = append(ids, e.id)
	}
	return ids
}

// sacrifice removes the log of an app that spare has named, unless somebody reads it by now. It returns how many bytes that gave; false if it stays.
func (s *logStore) sacrifice(id string) (int64, bool) {
	s.mu.Lock()
	i := slices.IndexFunc(s.ended, func(e endedLog) bool { return e.id == id && s.goes(e, s.atLeast) })
	if i < 0 {
		s.mu.Unlock()
		return 0, false
	}
	return s.forget(i), true
}

// prune forgets the oldest logs of ended apps while there are too many, or too many bytes.
func (s *logStore) prune() {
	for {
		s.mu.Lock()
		i := s.superfluous()
		if i < 0 {
			s.mu.Unlock()
			return
		}
		s.forget(i)
	}
}

// forget removes the log at a place in ended, and returns how many bytes that gave. What cannot be removed stays where who asks for it finds it. The
// caller holds mu; it is released.
func (s *logStore) forget(i int) int64 {
	oldest, gone := s.ended[i], make(chan struct{})
	s.ended = slices.Delete(s.ended, i, i+1)
	s.past -= oldest.bytes
	delete(s.apps, oldest.id)
	s.going[oldest.id] = gone
	s.bytes.Add(-oldest.bytes) // here: who prunes beside us must not do it again
	s.mu.Unlock()
	dir := filepath.Join(s.dir, oldest.id)
	err, left := s.remove(dir), int64(0)
	if err != nil {
		s.log.Warn("an old log is left", "app", oldest.id, "err", err)
		left = dirBytes(dir)
	}
	s.mu.Lock()
	if delete(s.going, oldest.id); err != nil {
		s.ended = slices.Insert(s.ended, 0, endedLog{id: oldest.id, bytes: left, at: oldest.at, stuck: true})
		s.past += left
		s.bytes.Add(left)
	}
	s.mu.Unlock()
	close(gone)
	return oldest.bytes - left
}
