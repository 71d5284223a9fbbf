package jepsen

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// schedMinutes is for how long TestSoakScheduling goes on, in minutes; empty: it does not.
const schedMinutes = "GODWIT_SCHED_MINUTES"

// schedInFlight is how many apps it has in flight at most.
const schedInFlight = 12

// schedSoak does to a cluster all that bears on scheduling, at random.
type schedSoak struct {
	c    *cluster
	rng  *rand.Rand
	want map[string]string // of each size, what the program prints
	apps map[string]string // those submitted and not looked at yet, with their sizes
	done int
}

// TestSoakScheduling submits, cancels, drains, evicts, freezes, thaws and moves at random, sets policies and kills leaders, with no host lost: every app that nobody cancelled ends as it would alone, with its output, and slots
// are never more than there are.
func TestSoakScheduling(t *testing.T) {
	minutes, err := strconv.ParseFloat(os.Getenv(schedMinutes), 64)
	if err != nil {
		t.Skipf("goes on for minutes: set %s, or run make soak-sched", schedMinutes)
	}
	s := &schedSoak{
		c: newCluster(t, shape{servers: 3, workers: 4, slots: 4}), rng: seeded(t), want: map[string]string{}, apps: map[string]string{},
	}
	s.c.leveled()
	for _, size := range []string{"1", "2", "3", "5"} {
		s.want[size] = s.c.unmoved(size, journalModule, "60", "1")
	}
	for until := time.Now().Add(time.Duration(minutes * float64(time.Minute))); time.Now().Before(until); {
		s.step()
		s.audit()
		<-time.After(time.Duration(50+s.rng.IntN(300)) * time.Millisecond)
	}
	for _, w := range s.c.workers {
		s.c.must("uncordon", w.name)
	}
	s.try("policy", "set", "bin_pack")
	s.settle()
	s.c.idle()
	require.NotContains(t, s.c.must("servers"), "alarm")
	t.Logf("%d apps ended as they should", s.done)
}

// step does one thing.
func (s *schedSoak) step() {
	host := pick(s.rng, s.c.workers).name
	switch n := s.rng.IntN(40); {
	case n < 18:
		s.submit()
	case n < 20:
		s.onApp("cancel", "-d")
	case n < 23:
		s.onApp("freeze")
	case n < 27:
		s.thawAll()
	case n < 29:
		s.try("drain", host)
	case n < 30:
		s.try("evict", host, "--in", strconv.Itoa(5+s.rng.IntN(20))+"s")
	case n < 35:
		s.try("uncordon", host)
	case n < 37:
		for id := range s.apps {
			s.try("migrate", id+"/0", "--to", host)
			break
		}
	case n < 38:
		s.try("policy", "set", pick(s.rng, []string{"bin_pack", "compact", "spot", "empty_hosts", "traffic"}), "--cool-down", pick(s.rng, []string{"0", "2s"}))
	case n < 39:
		s.try("tenant", "set", "t1", "--slots", strconv.Itoa(3+s.rng.IntN(8)), "--shares", strconv.Itoa(1+s.rng.IntN(3)))
	default:
		leader := s.c.leader()
		leader.kill()
		leader.start(s.c.t)
	}
}

// try runs a command that may be refused: what it wants may make no sense by now.
func (s *schedSoak) try(args ...string) result {
	r := s.c.godwit(args...)
	require.Less(s.c.t, r.code, 3, "godwit %s: %s", strings.Join(args, " "), r.stderr)
	return r
}

// submit submits an app with random wishes, unless there are many.
func (s *schedSoak) submit() {
	if len(s.apps) >= schedInFlight {
		s.look()
		return
	}
	size := pick(s.rng, []string{"1", "2", "3", "5"})
	args := []string{"submit", "-n", size, "--migration-check-period", "1s", "--priority", strconv.Itoa(s.rng.IntN(3)), "--tenant", pick(s.rng, []string{"t1", "t2"})}
	if s.rng.IntN(3) == 0 {
		args = append(args, "--policy", pick(s.rng, []string{"bin_pack", "compact", "spot", "empty_hosts", "traffic"}))
	}
	if s.rng.IntN(3) == 0 {
		args = append(args, "--time-limit", "10m")
	}
	for id := range s.apps {
		if s.rng.IntN(4) == 0 {
			args = append(args, "--depends-on", id+":end")
		}
		break
	}
	r := s.try(append(args, journalModule, "60", strconv.Itoa(1+s.rng.IntN(60)))...)
	if r.code == 0 {
		s.apps[strings.TrimSpace(r.stdout)] = size
	}
}

// onApp runs a command on some app in flight.
func (s *schedSoak) onApp(args ...string) {
	for id := range s.apps {
		r := s.try(append(args, id)...)
		if args[0] == "cancel" && r.code == 0 {
			delete(s.apps, id)
		}
		return
	}
}

// thawAll has all frozen apps go on.
func (s *schedSoak) thawAll() {
	for _, a := range s.c.apps() {
		if a.Phase == apiv1.AppFrozen {
			s.try("thaw", a.Id)
		}
	}
}

// look takes those that have ended.
func (s *schedSoak) look() {
	for _, a := range s.c.apps() {
		size, ours := s.apps[a.Id]
		if !ours || !apiv1.AppOver(a.Phase) {
			continue
		}
		s.c.sameLogs(s.want[size], a.Id)
		delete(s.apps, a.Id)
		s.done++
	}
}

// audit looks at the slots of all hosts.
func (s *schedSoak) audit() {
	if s.rng.IntN(10) > 0 {
		return
	}
	for name, h := range s.c.hosts() {
		require.LessOrEqual(s.c.t, h.Used, h.Slots, name)
		require.Equal(s.c.t, "ready", h.State, "%s: %s", name, h.Reason)
	}
}

// settle waits for all apps.
func (s *schedSoak) settle() {
	s.c.eventually(5*time.Minute, "all apps have ended", func() error {
		s.thawAll()
		s.look()
		if len(s.apps) > 0 {
			var left []string
			for _, a := range s.c.apps() {
				if _, ours := s.apps[a.Id]; ours {
					left = append(left, fmt.Sprintf("%s %s: %s", a.Id, a.Phase, a.Reason))
				}
			}
			slices.Sort(left)
			return errors.New(strings.Join(left, "\n"))
		}
		return nil
	})
}
