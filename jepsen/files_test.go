package jepsen

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

const (
	filesModule  = "../worker/wasm/testdata/files.wasm"
	readsModule  = "testdata/reads.wasm"
	asksModule   = "testdata/asks.wasm"
	locksModule  = "testdata/locks.wasm"
	writesModule = "testdata/writes.wasm"
)

// TestFilesMove has ranks on several hosts use the app's directory, and a file that was sent along, while they move; what they leave is got from the
// servers, also when the host that had it is gone.
func TestFilesMove(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	c := newCluster(t, shape{workers: 3, slots: 6})
	in := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(in, "input"), []byte("what was sent"), 0o600))
	id := c.submit("-n", "4", "--place", "w1:2,w2:1,w3:1", "--in", filepath.Join(in, "input")+":given/input", filesModule)
	for !apiv1.AppOver(c.app(id).Phase) {
		c.godwit("migrate", fmt.Sprintf("%s/%d", id, random.IntN(4)), "--to", fmt.Sprintf("w%d", 1+random.IntN(3)))
	}
	app := c.app(id)
	require.Equal(t, "succeeded", app.Phase, app.Reason)
	t.Logf("%d migrations were committed", app.Migrations)
	require.Positive(t, app.Migrations)
	home := app.Files.Host
	for _, w := range c.workers {
		if w.name == home {
			w.kill()
		}
	}
	out := t.TempDir()
	require.Contains(t, c.must("ls", id), "rank3/stdout")
	c.must("get", id, "-o", out)
	for name, want := range map[string]string{"given/input": "what was sent", "rank2/stdout": "into the file\n", "turn": "turn 3"} {
		got, err := os.ReadFile(filepath.Join(out, name))
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	all, err := os.ReadFile(filepath.Join(out, "all"))
	require.NoError(t, err)
	require.Len(t, all, 4*50*8)
}

// TestStdinMoves: who reads the standard input reads all of it, once, wherever it is.
func TestStdinMoves(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	c := newCluster(t, shape{workers: 3, slots: 6})
	const lines = 20_000
	in := filepath.Join(t.TempDir(), "in")
	var text strings.Builder
	sum := 0
	for i := range lines {
		n := random.IntN(1_000_000)
		sum += n
		fmt.Fprintln(&text, n)
		if i%1000 == 0 {
			text.WriteString("0\n")
		}
	}
	require.NoError(t, os.WriteFile(in, []byte(text.String()), 0o600))
	for _, who := range []string{"1", "all", "none"} {
		name := "reads-" + who
		file, err := os.Open(in)
		require.NoError(t, err)
		run := startCommandFrom(t, file, c.addrs(), "run", "-q", "-n", "3", "--place", "w1:1,w2:1,w3:1", "--name", name, "--stdin", who, readsModule)
		id := c.named(name)
		for run.running() {
			c.godwit("migrate", fmt.Sprintf("%s/%d", id, random.IntN(3)), "--to", fmt.Sprintf("w%d", 1+random.IntN(3)))
		}
		got := run.wait()
		require.Zero(t, got.code, got.stderr)
		for rank := range 3 {
			want := fmt.Sprintf("%d read 0 lines of 0\n", rank)
			if who == "all" || who == strconv.Itoa(rank) {
				want = fmt.Sprintf("%d read %d lines of %d\n", rank, lines+lines/1000, sum)
			}
			require.Contains(t, got.stdout, want)
		}
		t.Logf("%s: %d migrations were committed", who, c.app(id).Migrations)
		require.True(t, who == "none" || c.app(id).Migrations > 0)
	}
}

// TestQuestions: what a rank asks without a newline is seen before the answer is given, wherever the rank is.
func TestQuestions(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{servers: 1, workers: 2})
	from, to, err := os.Pipe()
	require.NoError(t, err)
	defer to.Close() //nolint:errcheck // the command has ended
	run := startCommandFrom(t, from, c.addrs(), "run", "-q", "-n", "2", "--place", "w1:1,w2:1", "--name", "asks", asksModule)
	id, said := "", ""
	for i, answer := range []int{3, 4, 0} {
		said += "number? "
		c.eventually(patience, "the question is seen", func() error {
			if got := run.stdout.String(); got != said {
				return fmt.Errorf("what is seen is %q, not %q", got, said)
			}
			return nil
		})
		if i == 1 { // it moves while it waits
			id = c.named("asks")
			c.moveRank(id, 0, "w2")
		}
		fmt.Fprintln(to, answer)
		said += fmt.Sprintf("so far %d\n", []int{3, 7, 7}[i])
	}
	got := run.wait()
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, said, got.stdout)
	require.EqualValues(t, 1, c.app(id).Migrations)
}

// moveRank moves a rank, when it may, and waits for that.
func (c *cluster) moveRank(id string, rank int, to string) {
	c.t.Helper()
	before := c.app(id).Migrations
	c.eventually(patience, "a rank may move", func() error {
		if got := c.godwit("migrate", fmt.Sprintf("%s/%d", id, rank), "--to", to); got.code != 0 {
			return fmt.Errorf("rank %d to %s: %s", rank, to, got.stderr)
		}
		return nil
	})
	c.eventually(patience, "the move is committed", func() error {
		if now := c.app(id).Migrations; now == before {
			return fmt.Errorf("%d migrations", now)
		}
		return nil
	})
}

// TestLocks: locks of files keep other ranks out, wherever they are, and while they move.
func TestLocks(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	c := newCluster(t, shape{servers: 1, workers: 2, slots: 6})
	const rounds = 40
	run := c.start("run", "-q", "-n", "4", "--place", "w1:2,w2:2", "--name", "locks", locksModule, strconv.Itoa(rounds))
	id := c.named("locks")
	for run.running() {
		c.godwit("migrate", fmt.Sprintf("%s/%d", id, random.IntN(4)), "--to", fmt.Sprintf("w%d", 1+random.IntN(2)))
	}
	got := run.wait()
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, fmt.Sprintf("%d of %d, 0 errors\n", 3*4*rounds, 3*4*rounds), got.stdout)
	t.Logf("%d migrations were committed", c.app(id).Migrations)
}

// TestFilesWaitForRoom: files that the servers' disks do not take stay where they are, and it is told why, until there is room or nobody wants them.
func TestFilesWaitForRoom(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{servers: 1, disks: 1, workers: 2})
	large := strconv.Itoa(diskMiB/2 + 10) // MiB of each of two ranks
	waits := func(id string) {
		c.eventually(patience, "it waits for room", func() error {
			if said := c.must("show", id); !strings.Contains(said, "no space left") {
				return fmt.Errorf("it is said: %s", said)
			}
			return nil
		})
		a := c.app(id)
		require.Equal(t, "running", a.Phase)
		require.Contains(t, a.Reason, "the servers do not take its files, which are on")
	}
	d := c.disks["s1"]
	block := filepath.Join(d.dir, "block")
	require.NoError(t, run("fallocate", "-l", strconv.Itoa((diskMiB-30)<<20), block))
	id := c.submit("-n", "2", "--place", "w1:1,w2:1", writesModule, "16")
	waits(id)
	require.NoError(t, os.Remove(block))
	require.Equal(t, "succeeded", c.phase(id, "succeeded", "failed", "cancelled").Phase)
	require.Equal(t, 4, strings.Count(c.must("ls", id), "\n"))

	id = c.submit("-n", "2", "--place", "w1:1,w2:1", writesModule, large)
	waits(id)
	c.must("cancel", id)
	a := c.phase(id, "succeeded", "failed", "cancelled")
	require.Equal(t, "cancelled", a.Phase, "what it has left is lost")
	require.Contains(t, a.Reason, "its files were not kept")
	require.Contains(t, c.must("show", id), "files       not kept: ")
	require.Contains(t, c.godwit("get", id).stderr, "were not kept")
	c.idle()
}

// TestWaitingReaderMoves: a rank that waits for a line of its standard input moves while it waits, and so does one that waits for that rank.
func TestWaitingReaderMoves(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{workers: 3, slots: 2})
	in, typed, err := os.Pipe()
	require.NoError(t, err)
	defer typed.Close() //nolint:errcheck // it is closed before, if all is well
	run := startCommandFrom(t, in, c.addrs(), "run", "-q", "-n", "2", "--place", "w1:1,w2:1", "--name", "waits", readsModule)
	id := c.named("waits")
	at, want := []int{1, 2}, 0
	for line := range 3 {
		for range 2 { // after the first rank 0 can only be in the read
			for rank := range at {
				at[rank] = at[rank]%3 + 1
				c.moveRank(id, rank, fmt.Sprint("w", at[rank])) // while it waits
			}
		}
		fmt.Fprintln(typed, 10+line)
		want += 10 + line
	}
	require.NoError(t, typed.Close())
	got := run.wait()
	require.Zero(t, got.code, got.stderr)
	require.Contains(t, got.stdout, fmt.Sprintf("0 read 3 lines of %d\n", want))
	require.Contains(t, got.stdout, "1 read 0 lines of 0\n")
}

// TestNothingIsLeft: an app that has asked for files, and leaves none, ends as any other; and one begins with an empty directory.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{servers: 3, workers: 2})
	c.must("run", "-q", "-n", "2", "--place", "w1:1,w2:1", "--in", t.TempDir()+"/", writesModule, "0", "none")
	id := c.submit("-n", "2", "--place", "w1:1,w2:1", writesModule, "0", "none")
	require.Equal(t, "succeeded", c.phase(id, "succeeded", "failed", "cancelled").Phase)
	require.Empty(t, c.must("ls", id))
	c.idle()
}

// A rank that waits for a lock moves as one that waits in a call does, and has it when it is free; so does the home, with what is held and who waits.
func TestLockWaitersMove(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{servers: 1, workers: 3, slots: 4})
	in, typed, err := os.Pipe()
	require.NoError(t, err)
	defer typed.Close() //nolint:errcheck // it is closed before, if all is well
	run := startCommandFrom(t, in, c.addrs(), "run", "-q", "-n", "3", "--stdin", "0", "--place", "w1:3", "--name", "waiters", locksModule, "1", "waits")
	id := c.named("waiters")
	c.eventually(patience, "rank 0 has the locks", func() error {
		if got := c.godwit("logs", id); got.stdout != "held\n" {
			return fmt.Errorf("%q", got.stdout)
		}
		return nil
	})
	for _, to := range []string{"w2", "w3"} { // nobody stays, so the home follows
		for rank := range 3 {
			c.moveRank(id, rank, to)
		}
		c.eventually(patience, "the home follows", func() error {
			if f := c.app(id).Files; f.Host != to {
				return fmt.Errorf("it is on %s", f.Host)
			}
			return nil
		})
	}
	require.Equal(t, "held\n", c.godwit("logs", id).stdout, "nobody has one")
	require.NoError(t, typed.Close())
	got := run.wait()
	require.Zero(t, got.code, got.stderr)
	require.ElementsMatch(t, []string{"held", "0", "1", "2"}, strings.Fields(got.stdout))
}
