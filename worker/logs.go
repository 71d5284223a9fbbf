package worker

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
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

// asideDir is where logs are put that are being removed, each under a name that tells nothing. No app's id begins like that.
const asideDir = "~"

const (
	// stuckFor is how long what could not be removed is left alone.
	stuckFor = 10 * time.Minute
	// placeEach is how long all logs are left alone where the disk had no room for their way aside.
	placeEach = 5 * time.Second
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

	atLeast time.Duration               // keptAtLeast
	remove  func(dir string) error      // os.RemoveAll
	rename  func(from, to string) error // os.Rename

	mu    sync.Mutex // guards the fields below; no file is touched under it
	apps  map[string]*appLog
	ended []endedLog               // oldest first
	aside []leftover               // of logs that are removed
	past  int64                    // what these two take
	noWay time.Time                // when the disk last had no room for the way aside
	going map[string]chan struct{} // apps whose logs are on their way aside; closed when they are there, or stay
}

// endedLog is the log of an app that runs here no more.
type endedLog struct {
	id string
	usage
	at    time.Time // when it ended; in an earlier life of the worker: when it was last written
	stuck time.Time // when it could not be put aside; zero: that was not tried
}

// leftover is what is left of a log where nobody looks for it any more. It counts until it is removed.
type leftover struct {
	path string
	usage
	stuck time.Time // when it could not be removed; zero: that was not tried
}

// isStuck says whether what could not be removed at that time is left alone now.
func isStuck(since time.Time) bool { return justNow(since, stuckFor) }

// justNow says whether something happened, and no longer ago than that.
func justNow(at time.Time, ago time.Duration) bool { return !at.IsZero() && time.Since(at) < ago }

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
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		log.Warn("logs of ended apps cannot be removed", "err", err)
	}
	s := &logStore{
		dir: dir, limit: limit, log: log, atLeast: keptAtLeast, remove: os.RemoveAll, rename: os.Rename,
		apps: map[string]*appLog{}, going: map[string]chan struct{}{},
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), asideDir) { // also a name of its own that an earlier version put a log aside under
			if e.Name() != asideDir {
				s.leave(filepath.Join(dir, e.Name()))
			}
			continue
		}
		use, last := measureDir(filepath.Join(dir, e.Name()))
		if now := time.Now(); last.After(now) { // by a clock that was set back since
			last = now
		}
		s.add(endedLog{id: e.Name(), usage: use, at: last})
	}
	for _, e := range leftovers { // of an earlier life
		s.leave(filepath.Join(dir, asideDir, e.Name()))
	}
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

// add puts a log into ended, and counts it. Holds mu.
func (s *logStore) add(e endedLog) {
	i, _ := slices.BinarySearchFunc(s.ended, e, func(other, e endedLog) int {
		if other.at.After(e.at) {
			return 1
		}
		return -1
	})
	s.ended = slices.Insert(s.ended, i, e)
	s.count(e.bytes)
}

// take takes the log at a place out of ended. Holds mu.
func (s *logStore) take(i int) endedLog {
	e := s.ended[i]
	s.ended = slices.Delete(s.ended, i, i+1)
	s.count(-e.bytes)
	return e
}

// count adds bytes that no app writes to any more. Holds mu.
func (s *logStore) count(bytes int64) {
	s.past += bytes
	s.bytes.Add(bytes)
}

// leave adds what is left of a log. Holds mu, or is alone.
func (s *logStore) leave(path string) {
	e := leftover{path: path, usage: usageOf(path)}
	s.aside = append(s.aside, e)
	s.count(e.bytes)
}

// placeOf is where the app's log is in ended; -1: it is not there. Holds mu.
func (s *logStore) placeOf(id string) int {
	return slices.IndexFunc(s.ended, func(e endedLog) bool { return e.id == id })
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
	s.settle(id) // what comes back does not go with what was
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
	l.revive()
	err := l.takeUpAll()
	if i >= 0 { // it counts by its text again
		l.total.Add(l.size())
	}
	return l, err
}

// settle waits until an app's log is not on its way aside. Holds mu, but for the wait.
func (s *logStore) settle(id string) {
	for going := s.going[id]; going != nil; going = s.going[id] {
		s.mu.Unlock()
		<-going
		s.mu.Lock()
	}
}

// find returns the log of an app, or nil if this host has none.
func (s *logStore) find(id string) (*appLog, error) {
	if err := checkID("app", id); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.settle(id)
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
	s.add(endedLog{id: id, usage: use, at: time.Now()})
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
	if s.past > s.limit+min(max(s.limit, leastSlack), mostSlack) || len(s.ended) > maxLogs+slackLogs {
		return slices.IndexFunc(s.ended, s.movable)
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
	step()
	_ = makeAside(s.dir) // while there is room; who needs it says what it lacks
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

// sweep removes what lies aside, and says whether that gave anything. It calls step before each.
func (s *logStore) sweep(step func()) (gave bool) {
	for {
		step()
		s.mu.Lock()
		i := slices.IndexFunc(s.aside, func(e leftover) bool { return !isStuck(e.stuck) })
		if i < 0 {
			s.mu.Unlock()
			return gave
		}
		e := s.aside[i]
		s.aside = slices.Delete(s.aside, i, i+1) // here: who sweeps beside us must not do it again
		s.count(-e.bytes)
		s.mu.Unlock()
		gave = s.discard(e).files > 0 || gave
	}
}

// discard removes what is left of a log, and returns what that gave. What of it cannot be removed stays, and counts.
func (s *logStore) discard(e leftover) usage {
	err := s.remove(e.path)
	if err == nil {
		return e.usage
	}
	all := e.usage
	e.usage, e.stuck = usageOf(e.path), time.Now()
	s.mu.Lock()
	s.aside = append(s.aside, e)
	s.count(e.bytes)
	s.mu.Unlock()
	s.log.Warn("what is left of an old log cannot be removed", "path", e.path, "err", err)
	return all.minus(e.usage)
}

// forget removes the log at a place in ended, and returns what that gave: it is put aside in one step, so that nobody takes what is left of it for
// all. What cannot be put aside stays as it is. The caller holds mu; it is released.
func (s *logStore) forget(i int) usage {
	e, there := s.take(i), make(chan struct{}) // here: who prunes beside us must not do it again
	l := s.apps[e.id]
	delete(s.apps, e.id)
	s.going[e.id] = there
	s.mu.Unlock()
	aside, err := s.putAside(e.id)
	s.mu.Lock()
	delete(s.going, e.id)
	close(there)
	if err == nil {
		s.mu.Unlock()
		return s.discard(leftover{path: aside, usage: e.usage})
	}
	if errors.Is(err, os.ErrNotExist) { // somebody else has removed it
		s.mu.Unlock()
		return usage{}
	}
	if l != nil {
		s.apps[e.id] = l
	}
	if isFull(err) {
		s.noWay = time.Now()
	} else {
		e.stuck = time.Now()
	}
	s.add(e)
	s.mu.Unlock()
	s.log.Warn("an old log cannot be removed", "app", e.id, "err", err)
	return usage{}
}

// errNoWay says that a log is there, and its way aside is not.
var errNoWay = errors.New("the place for logs that are being removed has gone")

// putAside moves an app's log to where nobody looks for it, and returns that place; os.ErrNotExist: there is no log. It takes no room as long as the
// names in asideDir fit its blocks; where the disk has no room for that directory, the log's own becomes it.
func (s *logStore) putAside(id string) (string, error) {
	from, to := filepath.Join(s.dir, id), filepath.Join(s.dir, asideDir, rand.Text())
	switch err := makeAside(s.dir); {
	case isFull(err):
		to = filepath.Join(s.dir, asideDir)
	case errors.Is(err, os.ErrNotExist): // the directory of all logs was moved away, and the log with it
		return "", errNoWay
	case err != nil:
		return "", err
	}
	err := s.rename(from, to)
	if errors.Is(err, os.ErrNotExist) {
		if _, gone := os.Lstat(from); gone == nil {
			return "", errNoWay
		}
	}
	return to, err
}

// isFull says whether a disk has no room, or an owner has used up theirs.
func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }
