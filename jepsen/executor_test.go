package jepsen

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/stretchr/testify/require"
)

// executor is a process found in /proc.
type executor struct {
	pid  int
	args []string
}

func (e executor) String() string { return fmt.Sprintf("%d: %s", e.pid, strings.Join(e.args, " ")) }

// signal sends a signal; an executor that has ended takes none.
func (e executor) signal(s syscall.Signal) { _ = syscall.Kill(e.pid, s) }
func (e executor) kill()                   { e.signal(syscall.SIGKILL) }

// of is the host whose executor it is; empty: it is none.
func (e executor) of() string {
	i := slices.Index(e.args, "--host")
	if i < 0 || i+1 == len(e.args) || e.args[1] != "exec" {
		return ""
	}
	return e.args[i+1]
}

// waits says whether it is no app's: it has been one's, or is to be.
func (e executor) waits() bool {
	i := slices.Index(e.args, "--app")
	return i > 0 && i+1 < len(e.args) && strings.HasPrefix(e.args[i+1], "-")
}

// marked are the processes whose environment holds kv. Zombies have none.
func marked(kv string) []executor {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil // the pattern is good
	}
	var out []executor
	for _, dir := range dirs {
		env, err := os.ReadFile(filepath.Join(dir, "environ"))
		if err != nil || !slices.Contains(strings.Split(string(env), "\x00"), kv) {
			continue
		}
		if e, ok := readExecutor(dir); ok {
			out = append(out, e)
		}
	}
	return out
}

func readExecutor(dir string) (e executor, ok bool) {
	args, err := os.ReadFile(filepath.Join(dir, "cmdline"))
	if err != nil {
		return e, false
	}
	pid, err := strconv.Atoi(filepath.Base(dir))
	e = executor{pid: pid, args: strings.Split(strings.TrimRight(string(args), "\x00"), "\x00")}
	if len(e.args) > 2 && strings.HasPrefix(e.args[0], emulator) {
		e.args = e.args[2:] // and the binary
	}
	return e, err == nil
}

// executors are this cluster's executors of an app, by host; an empty app means any.
func (c *cluster) executors(app string) map[string][]executor {
	out := map[string][]executor{}
	for _, e := range marked(c.mark()) {
		if len(e.args) < 2 || e.args[1] != "exec" || e.waits() || (app != "" && !slices.Contains(e.args, app)) {
			continue
		}
		out[e.of()] = append(out[e.of()], e)
	}
	return out
}

// executor waits for the one executor of an app on a host.
func (c *cluster) executor(app, host string) executor {
	c.t.Helper()
	var found []executor
	c.eventually(patience, "executor of "+app+" on "+host, func() error {
		found = c.executors(app)[host]
		if len(found) != 1 {
			return fmt.Errorf("%d executors", len(found))
		}
		return nil
	})
	return found[0]
}

// noExecutors waits until no executor of an app is left; an empty app means any.
func (c *cluster) noExecutors(app string) {
	c.t.Helper()
	c.eventually(patience, "executors are gone", func() error {
		if left := c.executors(app); len(left) > 0 {
			return fmt.Errorf("left: %v", left)
		}
		return nil
	})
}

// oneCopyWithin is how soon an executor without ranks must be gone.
const oneCopyWithin = 3 * time.Second

// oneCopy waits until a running app has one executor on each host that the log gives it, and none elsewhere.
func (c *cluster) oneCopy(app string) {
	c.t.Helper()
	c.eventually(oneCopyWithin, "executors are where the ranks are", func() error {
		want := map[string]int{}
		a := c.app(app)
		require.Nil(c.t, a.EndedAt, "the app must last longer")
		for _, h := range a.Placement {
			want[h] = 1
		}
		got := map[string]int{}
		for host, list := range c.executors(app) {
			got[host] = len(list)
		}
		if !maps.Equal(want, got) {
			return fmt.Errorf("executors are %v, should be %v", got, want)
		}
		return nil
	})
}
