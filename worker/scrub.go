package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// scrubRate bounds what is read for the scrub, and of parts of which a file was found damaged, together, in bytes a second: some 640 GiB a day. What takes longer than the period is read all the time.
	scrubRate = 8 << 20
	// scrubLook is after how many bytes it is looked again whether the host is busy, and scrubWait how long is waited then.
	scrubLook, scrubWait = 8 << 20, 5 * time.Second
	// scrubStall is the share of its time, in percent, that something on the host has to wait for its disks, or for a processor, for the host to be busy.
	scrubStall = 20.0
	// scrubNote is how often it is noted how far a pass is, so that the worker's next process goes on from there.
	scrubNote = 30 * time.Second
)

// scrub reads what this host holds of checkpoints, one file after the other, and notes what is not what it was. A pass keeps the names of what is left of it: 16 bytes a blob. One goroutine uses it.
type scrub struct {
	w      *Worker
	period time.Duration
	busy   func() bool
	now    func() time.Time
	path   string // where it is noted how far it is

	since  time.Time // when the pass began
	after  string    // the last file read of it; scrubDone: it is over
	noted  time.Time
	waited time.Duration // in this pass, for the host was busy
	looked int64         // bytes since it was looked whether it is
}

// scrubDone comes after the name of any file.
const scrubDone = "~"

func newScrub(w *Worker) *scrub {
	return &scrub{w: w, period: w.cfg.ScrubPeriod, busy: busyHost, now: time.Now, path: filepath.Join(w.checkpoints.dir, "scrubbed")}
}

// run makes one pass a period, until ctx ends. A pass that an earlier process has begun it goes on with.
func (s *scrub) run(ctx context.Context) error {
	if s.period == 0 {
		return nil
	}
	s.recall()
	for {
		if s.after == scrubDone {
			if err := sleep(ctx, s.since.Add(s.period).Sub(s.now())); err != nil {
				return err
			}
			s.since, s.after, s.waited = s.now(), "", 0
		}
		if err := s.pass(ctx); err != nil {
			return err
		}
	}
}

// recall takes up how far an earlier process was. What cannot be read, or is of the future, is a pass that begins.
func (s *scrub) recall() {
	s.since = s.now()
	b, err := os.ReadFile(s.path)
	at, after, ok := strings.Cut(strings.TrimSpace(string(b)), " ")
	sec, bad := strconv.ParseInt(at, 10, 64)
	if err == nil && ok && bad == nil && !time.Unix(sec, 0).After(s.since) {
		s.since, s.after = time.Unix(sec, 0), after
	}
}

// note writes how far it is. What a power cut takes of that is read again. Where something is damaged the worker's next process reads all of it anew: what is damaged is known to this one alone.
func (s *scrub) note() {
	s.noted = s.now()
	after := s.after
	if s.w.checkpoints.anyDamaged() {
		after = ""
	}
	text := fmt.Sprintf("%d %s\n", s.since.Unix(), after)
	if err := errors.Join(os.WriteFile(s.path+".new", []byte(text), 0o600), os.Rename(s.path+".new", s.path)); err != nil {
		s.w.log.Debug("how far the scrub is could not be noted", "err", err)
	}
}

// pass reads what is left of a pass: the blobs in the order of their names, and then the manifests, which are few and small. What has come since it began was read as it came.
func (s *scrub) pass(ctx context.Context) error {
	store := s.w.checkpoints
	for files := store.namedAfter(s.after); len(files) > 0; files = files[1:] {
		digest := files[0]
		if !store.named(digest) {
			continue
		}
		_ = store.verify(ctx, digest, func(f *os.File) (string, int64, error) { // which notes what it finds
			return sumDisk(ctx, f, func(n int) error { return s.pace(ctx, n) })
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if s.after = digest; s.now().Sub(s.noted) >= scrubNote {
			s.note()
		}
	}
	for _, name := range store.held() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := store.manifestText(name); err != nil {
			store.suspect(name) // unless it is not held any more
		}
	}
	s.after = scrubDone
	s.note()
	return nil
}

// pace waits as long as n bytes may take, and while the host is busy: but not for more than half of a period in a pass, or one that is always busy would never know.
func (s *scrub) pace(ctx context.Context, n int) error {
	if s.looked += int64(n); s.looked >= scrubLook {
		for s.looked = 0; s.waited < s.period/2 && s.busy(); s.waited += scrubWait {
			if err := sleep(ctx, scrubWait); err != nil {
				return err
			}
		}
	}
	return s.w.checkpoints.slow.wait(ctx, n)
}

// busyHost says whether what runs on this host waits for its disks or processors for a good part of the last 10 s. A kernel that does not say is never busy.
func busyHost() bool {
	for _, of := range []string{"io", "cpu"} {
		b, err := os.ReadFile(filepath.Join("/proc/pressure", of))
		if err == nil && stalled(string(b)) >= scrubStall {
			return true
		}
	}
	return false
}

// stalled is the share of the last 10 s, in percent, that something had to wait, of a file of /proc/pressure; 0 as well if that is not there.
func stalled(text string) float64 {
	_, rest, _ := strings.Cut(text, "some avg10=")
	word, _, _ := strings.Cut(rest, " ")
	percent, err := strconv.ParseFloat(word, 64)
	if err != nil {
		return 0
	}
	return percent
}

// namedAfter are the blobs that are named after one, in order.
func (s *checkpointStore) namedAfter(after string) (out []string) {
	s.mu.Lock()
	for digest := range s.refs {
		if digest > after {
			out = append(out, digest)
		}
	}
	s.mu.Unlock()
	slices.Sort(out)
	return out
}

// held are the parts that are here, in order.
func (s *checkpointStore) held() (out []partName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.parts {
		out = append(out, name)
	}
	slices.SortFunc(out, func(a, b partName) int {
		return cmp.Or(cmp.Compare(a.checkpoint, b.checkpoint), cmp.Compare(a.host, b.host))
	})
	return out
}
