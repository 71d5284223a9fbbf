package jepsen

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const lastwordModule = "testdata/lastword.wasm"

// standstill is how long a receiver stands still after its sender has ended: longer than any wait that a machine under load
// excuses, and shorter than the lease.
const standstill = 4 * time.Second

// TestLastWordsArrive stops the receiver's executor, or its worker too, while the sender sends and ends, here or on another
// host: the message is there when it goes on.
func TestLastWordsArrive(t *testing.T) {
	inCheck(t)
	t.Parallel()
	c := newCluster(t, shape{workers: 3})
	onW2 := func(app string) []executor { return []executor{c.executor(app, "w2")} }
	stay := func(string) { <-time.After(standstill) }
	c.lastWords("eager", "4", onW2, stay)
	c.lastWords("rendezvous", "200000", onW2, stay)
	c.lastWords("worker", "4", func(app string) []executor {
		return append(onW2(app), executor{pid: c.process("w2").pid()})
	}, stay)
	c.idle()
}

// TestDrainingRankMigrates moves a rank whose program has ended, and whose messages nobody has yet.
func TestDrainingRankMigrates(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{workers: 3})
	onW2 := func(app string) []executor { return []executor{c.executor(app, "w2")} }
	for _, bytes := range []string{"4", "200000"} {
		c.lastWords("moves"+bytes, bytes, onW2, func(app string) {
			for _, to := range []string{"w3", "w1", "w3"} {
				c.must("migrate", app+"/0", "--to", to)
				c.eventually(patience, "migration ends", func() error {
					if m := c.app(app).MigrationId; m != "" {
						return errors.New(m + " is under way")
					}
					return nil
				})
				require.Equal(t, to, c.app(app).Placement[0])
			}
			require.Equal(t, "committed", c.migrations(app)[0].Phase)
		})
	}
	c.idle()
}

// lastWords runs the program with rank 0 on w1 and rank 1 on w2, stops what victims says before rank 0 sends, and does something
// when it has sent. A machine that is too slow for that tries again with a sender that waits longer.
func (c *cluster) lastWords(what, bytes string, victims func(app string) []executor, meanwhile func(app string)) {
	c.t.Helper()
	for ms := 2000; ; ms *= 2 {
		name := what + "-" + strconv.Itoa(ms)
		run := c.start("run", "-q", "-n", "2", "--name", name, "--place", "w1:1,w2:1", lastwordModule, strconv.Itoa(ms), bytes)
		c.prints(run, "rank 0 waits")
		c.phase(c.named(name), "running")
		stopped := victims(c.named(name))
		for _, e := range stopped {
			e.signal(syscall.SIGSTOP)
		}
		early := strings.Contains(run.stdout.String(), "has sent")
		if !early {
			c.prints(run, "rank 0 has sent")
			meanwhile(c.named(name))
			require.True(c.t, run.running(), "the receiver stands still")
		}
		for _, e := range stopped {
			e.signal(syscall.SIGCONT)
		}
		res := run.wait()
		require.Zero(c.t, res.code, res.stderr)
		for i := 1; i <= 3; i++ {
			require.Contains(c.t, res.stdout, "rank 1 got "+strconv.Itoa(i))
		}
		if !early {
			return
		}
		require.Less(c.t, ms, 60_000, "the machine is too slow for this test")
	}
}

// prints waits until a running command has printed a text.
func (c *cluster) prints(r *command, text string) {
	c.t.Helper()
	c.eventually(patience, "the program prints "+text, func() error {
		if out := r.stdout.String(); !strings.Contains(out, text) {
			return errors.New("so far: " + tail(out, 200))
		}
		return nil
	})
}

// TestShortAppsEnd runs many programs whose last act is a send: all end.
func TestShortAppsEnd(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{workers: 2, slots: 8})
	n := rounds(12, 300)
	if s := os.Getenv(envApps); s != "" {
		var err error
		n, err = strconv.Atoi(s)
		require.NoError(t, err)
	}
	began := time.Now()
	for i := 0; i < n; i += 4 {
		var runs []*command
		for k := range min(4, n-i) {
			ranks, place := "2", "w1:1,w2:1"
			if k%2 == 1 {
				ranks, place = "4", "w1:2,w2:2"
			}
			runs = append(runs, c.start("run", "-q", "-n", ranks, "--place", place, lastwordModule, "0", []string{"4", "200000"}[k/2]))
		}
		for _, r := range runs {
			res := r.wait()
			require.Zero(t, res.code, res.stderr)
			require.Contains(t, res.stdout, "rank 1 got 3")
		}
		if i%1000 == 0 {
			t.Logf("%d of %d apps after %v", i, n, time.Since(began).Round(time.Second))
		}
	}
	c.idle()
}
