package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Linux shares processors out between sessions where kernel.sched_autogroup_enabled is on, as it is by default: a service is one, a terminal another. Ranks wake and
// sleep some ten thousand times a second, and Linux 6.18 then lets the processes of other sessions wait for seconds, servers of Godwit among them, until
// leases run out. It does not where the ranks' session is nice. So the executors of a worker that has begun its session, as a service has, have sessions of their own, and make
// them nice: on a machine with nothing else to do that changes nothing. The worker's stays as it is, for its heartbeats may not wait behind others' work.
// Whose processor time a control group shares out goes by that group's weight alone.
const (
	autogroupFile  = "/proc/self/autogroup"
	sessionNice    = 10
	sessionRefusal = 100 * time.Millisecond // for how long the kernel refuses another change, of whatever session, to who may not administer it
	sessionTries   = 600                    // as many executors may start at once
)

// LeadsSession says whether this process has begun its session: who has not is in a terminal's, for example, which is the user's.
func LeadsSession() bool {
	leader, err := unix.Getsid(0)
	return err == nil && leader == os.Getpid()
}

// SessionUnchosen says whether this process has begun its session, and nobody has chosen how nice that is to be. It is false where sessions have no part in how
// processors are shared out.
func SessionUnchosen() bool { return LeadsSession() && unchosen(autogroupFile) }

// unchosen says whether a session's file is there and says "/autogroup-NUMBER nice 0".
func unchosen(file string) bool {
	content, err := os.ReadFile(file)
	return err == nil && strings.HasSuffix(strings.TrimSpace(string(content)), " nice 0")
}

// BeNice makes this process's session nice if SessionUnchosen. It blocks while others change theirs, for a minute at most.
func BeNice(ctx context.Context) error {
	if !LeadsSession() {
		return nil
	}
	return makeNice(ctx, autogroupFile)
}

func makeNice(ctx context.Context, file string) error {
	if !unchosen(file) {
		return nil
	}
	for range sessionTries {
		err := writeExisting(file, strconv.Itoa(sessionNice))
		if !errors.Is(err, syscall.EAGAIN) {
			return err
		}
		select {
		case <-time.After(sessionRefusal):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fmt.Errorf("asked %d times: %w", sessionTries, syscall.EAGAIN)
}

// writeExisting does not make the file.
func writeExisting(file, text string) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
