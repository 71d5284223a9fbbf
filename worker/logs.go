package worker

import (
	"cmp"
	"context"
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

// logStore keeps the output of ranks on this host: a directory for each app, in it a file for each rank. A rank's file moves with
// it, so that the host of a rank has all it ever wrote. The logs of ended apps are kept as long as all fit the limit, or they
// themselves half of it, the oldest going first; those that somebody reads, and those that ended a moment ago, stay beyond it, within
// a bound of their own. Those of apps that still run here are never removed. What else the disk needs is makeRoom's to say.
type logStore struct {
	dir   string
	limit int64        // bytes
	log   *slog.Logger // what goes wrong with old logs
	bytes atomic.Int64 // of all logs: what those of ended apps take on the disk, and the text of the others

	unreadLimit int64 // of one app's, which nobody reads; 0: none

	atLeast time.Duration               // keptAtLeast
	remove  func(dir string) error      // os.RemoveAll
	rename  func(from, to string) error // os.Rename

	trial sync.Mutex // held by who tries whether the place refuses; guards tried
	tried string     // what such a trial has left in the place

	mu    sync.Mutex // guards the fields below; no file is touched under it
	apps  map[string]*appLog
	ended []endedLog               // oldest first, whatever the clock said
	turns uint64                   // how many have come there
	turn  map[string]uint64        // of each of those
	aside []leftover               // of logs that are removed
	past  int64                    // what these two take
	noWay time.Time                // when a log could not be put aside because of the place, or was in vain
	going map[string]chan struct{} // apps whose logs are on their way aside; closed when they are there, or stay

	// When it was last said that there is no way; that a log cannot be put aside for its own sake; that something cannot be removed which lies aside.
	toldPlace, toldLog, toldLeft time.Time
}

// endedLog is the log of an app that runs here no more.
type endedLog struct {
	id string
	usage
	at    time.Time // when it ended; in an earlier life of the worker: when it was last written
	turn  uint64    // its number among all that have come to ended
	stuck time.Time // when it could not be put aside; zero: that was not tried
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
	place := filepath.Join(dir, asideDir)
	if info, err := os.Lstat(place); err == nil && !info.IsDir() {
		_ = os.Remove(place) // it is in the way
	}
	err = makeAside(dir)
	var leftovers []os.DirEntry
	if info, is := os.Lstat(place); is == nil && info.IsDir() {
		leftovers, err = os.ReadDir(place)
	}
	if err != nil {
		log.Warn("logs of ended apps cannot be removed", "err", err)
	}
	s := &logStore{
		dir: dir, limit: limit, log: log, atLeast: keptAtLeast, remove: os.RemoveAll, rename: os.Rename,
		apps: map[string]*appLog{}, going: map[string]chan struct{}{}, turn: map[string]uint64{},
	}
	var old []endedLog
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), asideDir) { // also a name of its own that an earlier version put a log aside under
			if e.Name() != asideDir {
				s.leave(leftoverAt(dir, e.Name()))
			}
			continue
		}
		use, last := measureDir(filepath.Join(dir, e.Name()))
		if now := time.Now(); last.After(now) { // by a clock that was set back since
			last = now
		}
		old = append(old, endedLog{id: e.Name(), usage: use, at: last})
	}
	slices.SortStableFunc(old, func(a, b endedLog) int { return a.at.Compare(b.at) })
	for _, e := range old {
		s.add(e)
	}
	for _, e := range leftovers { // of an earlier life
		s.leave(leftoverAt(dir, asideDir, e.Name()))
	}
	s.prune(func() {})
	return s, nil
}

// add puts a log behind all of ended, and counts it. Holds mu.
func (s *logStore) add(e endedLog) {
	s.turns++
	e.turn = s.turns
	s.ended, s.turn[e.id] = append(s.ended, e), e.turn
	s.count(e.bytes)
}

// putBack puts a log that was taken out of ended back to its place. Holds mu.
func (s *logStore) putBack(e endedLog) {
	i, _ := s.search(e.turn)
	s.ended, s.turn[e.id] = slices.Insert(s.ended, i, e), e.turn
	s.count(e.bytes)
}

// search is where the log with that turn is in ended, or belongs. Holds mu.
func (s *logStore) search(turn uint64) (place int, there bool) {
	return slices.BinarySearchFunc(s.ended, turn, func(e endedLog, turn uint64) int { return cmp.Compare(e.turn, turn) })
}

// take takes the log at a place out of ended. Holds mu.
func (s *logStore) take(i int) endedLog {
	e := s.ended[i]
	if i == 0 { // it is nearly always the oldest: the others stay where they are
		s.ended[0], s.ended = endedLog{}, s.ended[1:]
	} else {
		s.ended = slices.Delete(s.ended, i, i+1)
	}
	delete(s.turn, e.id)
	s.count(-e.bytes)
	return e
}

// count adds bytes that no app writes to any more. Holds mu.
func (s *logStore) count(bytes int64) {
	s.past += bytes
	s.bytes.Add(bytes)
}

// placeOf is where the app's log is in ended; -1: it is not there. Holds mu.
func (s *logStore) placeOf(id string) int {
	turn, ok := s.turn[id]
	if !ok {
		return -1
	}
	i, _ := s.search(turn)
	return i
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
	_ = s.settle(context.Background(), id) // what comes back does not go with what was
	l := s.apps[id]
	if l == nil {
		l = newAppLog(filepath.Join(s.dir, id), &s.bytes, false)
		l.audience.limit = s.unreadLimit
		s.apps[id] = l
	}
	i := s.placeOf(id)
	if i >= 0 {
		s.take(i)
	}
	s.mu.Unlock()
	s.prune(func() {})
	err := l.begin()
	if err != nil {
		return nil, err
	}
	_ = makeAside(s.dir) // who needed room may have removed it; what needs it says so then
	l.revive()
	err = l.takeUpAll()
	if i >= 0 { // it counts by its text again
		l.total.Add(l.size())
	}
	return l, err
}

// find returns the log of an app, or nil if this host has none. While it is put aside nobody knows which: that is waited for. A log counts as being
// read until letGo, also one that is given with an error.
func (s *logStore) find(ctx context.Context, id string) (*appLog, error) {
	if err := checkID("app", id); err != nil {
		return nil, err
	}
	s.mu.Lock()
	if err := s.settle(ctx, id); err != nil {
		s.mu.Unlock()
		return nil, err
	}
	l := s.apps[id]
	if l == nil && s.placeOf(id) >= 0 {
		// An earlier life of the worker left it: whatever it holds is all there will be.
		l = newAppLog(filepath.Join(s.dir, id), &s.bytes, true)
		s.apps[id] = l
	}
	if l != nil {
		l.readers.Add(1)
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
	use := l.usage()
	s.mu.Lock()
	s.add(endedLog{id: id, usage: use, at: time.Now()})
	s.mu.Unlock()
	s.prune(func() {})
}

// trim is prune for those who have only added bytes, which the limit counts.
func (s *logStore) trim() {
	if s.bytes.Load() > s.limit {
		s.prune(func() {})
	}
}

// superfluous is the place of the log in ended that goes next; -1: none does. Holds mu.
func (s *logStore) superfluous() int {
	if s.past > s.limit+min(max(s.limit, leastSlack), mostSlack) || len(s.ended) > maxLogs+slackLogs {
		return slices.IndexFunc(s.ended, s.movable)
	}
	if (s.bytes.Load() <= s.limit || s.past <= s.limit/2) && len(s.ended) <= maxLogs {
		return -1
	}
	return s.unread(s.atLeast)
}

// unread is the place of the oldest log in ended that nobody reads, and whose app ended longer ago than that; -1: there is none. It looks at no log behind
// one whose app has ended since: those behind it have as well. Holds mu.
func (s *logStore) unread(ago time.Duration) int {
	for i, e := range s.ended {
		switch {
		case time.Since(e.at) <= ago:
			return -1
		case s.goes(e, ago):
			return i
		}
	}
	return -1
}

// goes says whether nobody reads a log whose app ended longer ago than that. Holds mu.
func (s *logStore) goes(e endedLog, ago time.Duration) bool {
	l := s.apps[e.id]
	return s.movable(e) && time.Since(e.at) > ago && (l == nil || l.readers.Load() == 0)
}

// movable says whether it may be tried now to put a log aside. Holds mu.
func (s *logStore) movable(e endedLog) bool { return !isStuck(e.stuck) && !justNow(s.noWay, placeEach) }

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

// prune removes what lies aside, and forgets the oldest logs of ended apps while there are too many, or too many bytes. It calls step before each.
func (s *logStore) prune(step func()) {
	s.sweep(step)
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
