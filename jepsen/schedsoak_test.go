package jepsen

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
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
	want map[string]string    // of each size, what the program prints
	apps map[string]*schedApp // those submitted and not looked at yet
	over map[string]string    // how apps have ended
	zone map[string]string    // of each host
	done map[string]int       // those looked at, by how they ended
}

// schedApp is what was asked for with an app.
type schedApp struct {
	size    string
	needs   []string // apps that must have succeeded before it begins
	on      string   // the zone of its hosts; empty: any
	limited bool     // its time may be over before it ends
}

// TestSoakScheduling submits, cancels, drains, evicts, freezes, thaws and moves at random, sets policies, kills leaders, and ends workers that start again within their lease, with no host lost: every app that nobody cancelled ends as it
// would alone, with its output, but for those whose time was over, or that waited for one in vain; slots are never more than there are, and ranks are in the zone that was asked for.
func TestSoakScheduling(t *testing.T) {
	minutes, err := strconv.ParseFloat(os.Getenv(schedMinutes), 64)
	if err != nil {
		t.Skipf("goes on for minutes: set %s, or run make soak-sched", schedMinutes)
	}
	s := &schedSoak{
		c: emptyCluster(t, shape{servers: 3, workers: 4, slots: 4}.defaults()), rng: seeded(t),
		want: map[string]string{}, apps: map[string]*schedApp{}, over: map[string]string{}, zone: map[string]string{}, done: map[string]int{},
	}
	s.begin()
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
	s.try("tenant", "set", "t1", "--slots", "16")
	s.settle()
	s.c.idle()
	require.NotContains(t, s.c.must("servers"), "alarm")
	t.Logf("apps ended as they should: %v", s.done)
}

// begin starts the cluster: two hosts in each of two zones.
func (s *schedSoak) begin() {
	for range 3 {
		s.c.addServer()
	}
	for i := range 4 {
		zone := string(rune('a' + i/2))
		w := s.c.addWorker()
		w.set("--label", "zone="+zone)
		s.zone[w.name] = zone
	}
	for _, p := range s.c.processes() {
		p.start(s.c.t)
	}
	s.c.waitReady()
	s.c.leveled()
}

// step does one thing.
func (s *schedSoak) step() {
	host := pick(s.rng, s.c.workers).name
	switch n := s.rng.IntN(45); {
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
	case n < 42:
		s.submitArray()
	case n < 44:
		s.c.again(pick(s.rng, s.c.workers), syscall.SIGTERM) // with a crash, files that ranks of other hosts have open are lost, and their app fails
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
	a := &schedApp{size: pick(s.rng, []string{"1", "2", "3", "5"})}
	args := []string{"submit", "-n", a.size, "--migration-check-period", "1s", "--priority", strconv.Itoa(s.rng.IntN(3)), "--tenant", pick(s.rng, []string{"t1", "t2"})}
	if s.rng.IntN(3) == 0 {
		args = append(args, "--policy", pick(s.rng, []string{"bin_pack", "compact", "spot", "empty_hosts", "traffic"}))
	}
	switch s.rng.IntN(6) {
	case 0, 1:
		args = append(args, "--time-limit", "10m")
	case 2:
		a.limited = true
		args = append(args, "--time-limit", "2s")
	}
	switch s.rng.IntN(6) {
	case 0:
		a.on = pick(s.rng, []string{"a", "b"})
		args = append(args, "--on", "zone="+a.on)
	case 1:
		args = append(args, "--spread", "zone")
	}
	for id := range s.apps {
		switch s.rng.IntN(6) {
		case 0:
			args = append(args, "--depends-on", id+":end")
		case 1:
			a.needs = append(a.needs, id)
			args = append(args, "--depends-on", id+":success")
		}
		break
	}
	r := s.try(append(args, journalModule, "60", strconv.Itoa(1+s.rng.IntN(60)))...)
	if r.code == 0 {
		s.apps[strings.TrimSpace(r.stdout)] = a
	}
}

// submitArray submits a few apps at once, of which some may run at a time; and often one that needs all of them.
func (s *schedSoak) submitArray() {
	if len(s.apps) >= schedInFlight {
		s.look()
		return
	}
	size := pick(s.rng, []string{"1", "2"})
	r := s.try("submit", "-n", size, "--array", pick(s.rng, []string{"0-2", "0-3%1", "1,5,7%2"}), "--migration-check-period", "1s",
		journalModule, "60", strconv.Itoa(1+s.rng.IntN(30)))
	if r.code != 0 {
		return // those that were submitted all the same run unwatched
	}
	array := strings.TrimSpace(r.stdout)
	var all []string
	for _, a := range s.c.apps() {
		if a.Spec.Array.GetId() == array {
			s.apps[a.Id], all = &schedApp{size: size}, append(all, a.Id)
		}
	}
	require.GreaterOrEqual(s.c.t, len(all), 3, "the apps of array %s", array)
	if s.rng.IntN(2) == 0 {
		r := s.try("submit", "-n", "1", "--depends-on", array+":success", journalModule, "60", "1")
		if r.code == 0 {
			s.apps[strings.TrimSpace(r.stdout)] = &schedApp{size: "1", needs: all}
		}
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
	all := s.c.apps()
	for _, a := range all {
		if apiv1.AppOver(a.Phase) {
			s.over[a.Id] = a.Phase
		}
	}
	for _, a := range all {
		asked, ours := s.apps[a.Id]
		if !ours || !apiv1.AppOver(a.Phase) {
			continue
		}
		s.endedWell(a, asked)
		delete(s.apps, a.Id)
		s.done[a.Phase]++
	}
}

// endedWell looks whether an app that nobody cancelled ended as it should.
func (s *schedSoak) endedWell(a *apiv1.App, asked *schedApp) {
	in := "" // an app that it needed and that did not succeed
	for _, id := range asked.needs {
		if over := s.over[id]; over != apiv1.AppSucceeded {
			in = id
		}
	}
	switch {
	case in != "":
		require.Equal(s.c.t, apiv1.AppFailed, a.Phase, "app %s needed %s, which is %q", a.Id, in, s.over[in])
		require.Empty(s.c.t, a.StartedAt, "app %s needed %s, which is %q, and began", a.Id, in, s.over[in])
	case a.Phase == apiv1.AppFailed && asked.limited:
		require.Contains(s.c.t, a.Reason, "its time limit", a.Id)
	default:
		require.Equal(s.c.t, apiv1.AppSucceeded, a.Phase, "app %s: %s", a.Id, a.Reason)
		s.c.sameLogs(s.want[asked.size], a.Id)
	}
}

// inZones looks where the ranks are of apps that asked for a zone.
func (s *schedSoak) inZones() {
	for _, a := range s.c.apps() {
		asked := s.apps[a.Id]
		if asked == nil || asked.on == "" || a.Phase != apiv1.AppRunning {
			continue
		}
		for _, host := range a.Placement {
			require.Equal(s.c.t, asked.on, s.zone[host], "app %s is on %v", a.Id, a.Placement)
		}
	}
}

// audit looks at the slots of all hosts, and where ranks are.
func (s *schedSoak) audit() {
	if s.rng.IntN(10) > 0 {
		return
	}
	for name, h := range s.c.hosts() {
		require.LessOrEqual(s.c.t, h.Used, h.Slots, name)
		require.NotEqual(s.c.t, "lost", h.State, "%s: %s", name, h.Reason) // one whose worker had nothing that goes on has left until that is back
	}
	s.inZones()
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
