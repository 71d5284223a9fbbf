package jepsen

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

const homesModule = "testdata/homes.wasm"

// feed starts a program that goes on while lines come, and gives it some until it is told to stop: that says how many there were.
func (c *cluster) feed(args ...string) (run *command, stop func() int) {
	c.t.Helper()
	in, out, err := os.Pipe()
	require.NoError(c.t, err)
	run = startCommandFrom(c.t, in, c.addrs(), append([]string{"run", "-q", "--stdin", "0"}, args...)...)
	end, ended := make(chan struct{}), make(chan int)
	go func() { // ends with stop, or the program
		n := 0
		defer func() { _ = out.Close(); ended <- n }()
		for {
			if _, err := fmt.Fprintln(out, n); err != nil {
				<-end
				return
			}
			n++
			select {
			case <-end:
				return
			case <-time.After(100 * time.Millisecond): // a pace, not a wait
			}
		}
	}()
	return run, func() int { close(end); return <-ended }
}

// hostsOf are the hosts with ranks of an app that have not ended.
func hostsOf(a *apiv1.App) map[string][]int32 {
	out := map[string][]int32{}
	for rank, host := range a.Placement {
		if !a.HasEnded(int32(rank)) {
			out[host] = append(out[host], int32(rank))
		}
	}
	return out
}

// leaves moves all ranks of an app away from a host, to the others in turn.
func (c *cluster) leaves(id, host string) {
	c.t.Helper()
	c.eventually(patience, "the ranks have left "+host, func() error {
		a := c.app(id)
		require.False(c.t, apiv1.AppOver(a.Phase), a.Reason)
		for _, rank := range hostsOf(a)[host] {
			for _, w := range c.workers {
				if w.name != host && c.godwit("migrate", fmt.Sprintf("%s/%d", id, rank), "--to", w.name).code == 0 {
					break
				}
			}
		}
		if left := len(hostsOf(c.app(id))[host]); left > 0 {
			return fmt.Errorf("%d ranks are on it", left)
		}
		return nil
	})
}

// uses waits until the app has a home, and returns it.
func (c *cluster) uses(id string) string {
	c.t.Helper()
	home := ""
	c.eventually(patience, "the app has files", func() error {
		a := c.app(id)
		require.False(c.t, apiv1.AppOver(a.Phase), a.Reason)
		if home = a.GetFiles().GetHost(); home == "" {
			return fmt.Errorf("it is %s", a.Phase)
		}
		return nil
	})
	return home
}

// movesFrom waits until the app's home is another host.
func (c *cluster) movesFrom(id, host string) string {
	c.t.Helper()
	c.eventually(2*patience, "the files have left "+host, func() error {
		a := c.app(id)
		require.False(c.t, apiv1.AppOver(a.Phase), a.Reason)
		if a.Files.Host == host || a.Files.To != "" {
			return fmt.Errorf("they are on %s, move to %q: %s", a.Files.Host, a.Files.To, a.Files.Progress)
		}
		return nil
	})
	return c.app(id).Files.Host
}

// TestHomeMoves: all ranks leave the host that has an app's files, and the files follow, twice; the app goes on as if nothing had been.
func TestHomeMoves(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{workers: 3, slots: 6})
	run, stop := c.feed("-n", "4", "--place", "w1:2,w2:1,w3:1", "--name", "homes", homesModule, "1")
	id := c.named("homes")
	first := c.uses(id)
	c.leaves(id, first)
	second := c.movesFrom(id, first)
	require.Contains(t, hostsOf(c.app(id)), second)
	require.Contains(t, c.must("ls", id), "log")
	out := t.TempDir()
	c.must("get", id, "log", "-o", out)
	text, err := os.ReadFile(filepath.Join(out, "log"))
	require.NoError(t, err)
	require.NotEmpty(t, text)
	c.leaves(id, second)
	third := c.movesFrom(id, second)
	require.NotEqual(t, second, third)
	for _, w := range c.workers {
		if !slices.Contains([]string{third}, w.name) && len(hostsOf(c.app(id))[w.name]) == 0 {
			w.kill() // nothing of the app is there any more
		}
	}
	rounds := stop()
	got := run.wait()
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, strconv.Itoa(rounds)+" rounds\n", got.stdout)
	list := c.must("ls", id)
	now, before := " a0\n", " b0\n" // each round renames one to the other
	if rounds%2 == 1 {
		now, before = before, now
	}
	require.Contains(t, list, now)
	require.NotContains(t, list, before)
	require.NotContains(t, list, "gone")
	c.must("get", id, "log", "-o", out)
	text, err = os.ReadFile(filepath.Join(out, "log"))
	require.NoError(t, err)
	require.Equal(t, rounds*4, strings.Count(string(text), "\n"))
}

// moving waits until the app's files are on their way, and returns from where.
func (c *cluster) moving(id string) string {
	c.t.Helper()
	from := ""
	c.eventually(patience, "the files move", func() error {
		a := c.app(id)
		require.False(c.t, apiv1.AppOver(a.Phase), a.Reason)
		if from = a.Files.Host; a.Files.To == "" {
			return fmt.Errorf("they are on %s", a.Files.Host)
		}
		return nil
	})
	return from
}

// TestHomeMovesAndLeaderDies: the log has a move, and whoever leads next ends it.
func TestHomeMovesAndLeaderDies(t *testing.T) {
	inCheck(t)
	t.Parallel()
	c := newCluster(t, shape{servers: 3, workers: 3, slots: 6})
	run, stop := c.feed("-n", "4", "--place", "w1:2,w2:1,w3:1", "--name", "homes", homesModule, "40")
	id := c.named("homes")
	c.leaves(id, c.uses(id))
	home := c.moving(id)
	c.leader().kill()
	c.movesFrom(id, home)
	rounds := stop()
	got := run.wait()
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, strconv.Itoa(rounds)+" rounds\n", got.stdout)
}

// TestHomeDiesBeforeItHasMoved: the log decides who is home. The next one stands still, so the files cannot have come there when the old one dies: the app fails, and says why.
func TestHomeDiesBeforeItHasMoved(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{workers: 3, slots: 6, lease: "3s"})
	run, stop := c.feed("-n", "4", "--place", "w1:2,w2:1,w3:1", "--name", "homes", homesModule, "40")
	id := c.named("homes")
	home, stands := c.uses(id), false
	for range 5 {
		c.leaves(id, home)
		home = c.moving(id)
		c.othersThan(home, (*process).freeze)
		a := c.app(id)
		if stands = a.Files.To != "" && a.Files.Host == home; stands {
			c.process(home).kill()
		}
		c.othersThan(home, (*process).thaw)
		if stands {
			break
		}
		home = c.movesFrom(id, home)
	}
	require.True(t, stands, "each move was over before it was seen")
	c.eventually(patience, "the app fails", func() error {
		if a := c.app(id); !apiv1.AppOver(a.Phase) {
			return fmt.Errorf("it is %s", a.Phase)
		}
		return nil
	})
	c.endedWith(run, id, home, stop())
	require.Equal(t, apiv1.AppFailed, c.app(id).Phase)
}

// TestNextHomeStandsStill: for less than its lease, in the middle of a move. The files come all the same.
func TestNextHomeStandsStill(t *testing.T) {
	inCheck(t)
	t.Parallel()
	c := newCluster(t, shape{workers: 3, slots: 6})
	run, stop := c.feed("-n", "4", "--place", "w1:2,w2:1,w3:1", "--name", "homes", homesModule, "40")
	id := c.named("homes")
	c.leaves(id, c.uses(id))
	home := c.moving(id)
	for range 3 {
		c.othersThan(home, (*process).freeze)
		time.Sleep(time.Second) // how long they stand still, not a wait for something
		c.othersThan(home, (*process).thaw)
	}
	next := c.movesFrom(id, home)
	require.NotEqual(t, home, next)
	c.endedWith(run, id, "no host", stop())
	require.Equal(t, apiv1.AppSucceeded, c.app(id).Phase)
}

// othersThan does something to the workers of all hosts but one.
func (c *cluster) othersThan(host string, do func(*process)) {
	for _, w := range c.workers {
		if w.name != host {
			do(w)
		}
	}
}

// endedWith checks the end of an app whose home may have died: with its files on it, it has failed, else all is as if nothing had been.
func (c *cluster) endedWith(run *command, id, dead string, rounds int) {
	c.t.Helper()
	got := run.wait()
	if a := c.app(id); a.Files.GetHost() == dead {
		require.Equal(c.t, apiv1.AppFailed, a.Phase)
		require.Contains(c.t, a.Reason, "files were on it")
		return
	}
	require.Zero(c.t, got.code, got.stderr)
	require.Equal(c.t, strconv.Itoa(rounds)+" rounds\n", got.stdout)
}
