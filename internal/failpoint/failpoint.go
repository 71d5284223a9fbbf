// Package failpoint has a process stand still, or end, where a test wants it to. Without GODWIT_FAILPOINTS in its environment it does nothing.
package failpoint

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// Env names the variable that says what happens at which points: "point=action:FILE", with commas between. Actions count as long as FILE is there:
//
//	wait  the goroutine waits until it is not
//	exit  the process ends, with ExitCode, and the file is removed first
const Env = "GODWIT_FAILPOINTS"

// ExitCode is of a process that a point has ended.
const ExitCode = 86

// lookEach is how often it is looked whether a file is there.
const lookEach = 5 * time.Millisecond

type action struct{ what, file string }

var points = sync.OnceValue(func() map[string]action { return parse(os.Getenv(Env)) }) //nolint:gochecknoglobals // of the process

func parse(text string) map[string]action {
	points := map[string]action{}
	for _, p := range strings.Split(text, ",") {
		name, rest, _ := strings.Cut(p, "=")
		what, file, _ := strings.Cut(rest, ":")
		if name != "" && file != "" {
			points[name] = action{what, file}
		}
	}
	return points
}

// Here is a point.
func Here(name string) {
	if a, ok := points()[name]; ok {
		a.do(name)
	}
}

func (a action) do(name string) {
	for there(a.file) {
		if a.what == "exit" {
			_ = os.Remove(a.file)
			fmt.Fprintln(os.Stderr, "failpoint", name)
			os.Exit(ExitCode)
		}
		time.Sleep(lookEach)
	}
}

func there(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
