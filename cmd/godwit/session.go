package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Linux shares processors out between sessions where kernel.sched_autogroup_enabled is on, as it is by default: a service is one, a terminal another. Ranks wake and
// sleep some ten thousand times a second, and Linux 6.18 then lets the processes of other sessions wait for seconds, servers of Godwit among them, until
// leases run out. It does not where the ranks' session is nice. So a worker that has begun its session, as a service has, makes it nice: on a machine with
// nothing else to do that changes nothing. Whose processor time a control group shares out goes by that group's weight alone.
const (
	autogroupFile  = "/proc/self/autogroup"
	sessionNice    = 10
	sessionRefusal = 100 * time.Millisecond // for how long the kernel refuses another change, of whatever session, to who may not administer it
	sessionTries   = 50
)

// beNice makes this process's session nice if the process has begun it, and nobody has chosen how nice it is to be: a terminal's session is the user's.
// It blocks for some seconds at most, while others change theirs.
func beNice(ctx context.Context, log *slog.Logger) {
	if leader, err := unix.Getsid(0); err != nil || leader != os.Getpid() {
		return
	}
	if err := makeNice(ctx, autogroupFile); err != nil && ctx.Err() == nil {
		log.Warn("ranks may keep the processes of other sessions from their processors: this session stays as it is", "error", err)
	}
}

// makeNice writes to the file of a session, "/autogroup-NUMBER nice N", if N is 0. Where there is no such file sessions have no part in it.
func makeNice(ctx context.Context, file string) error {
	content, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !strings.HasSuffix(strings.TrimSpace(string(content)), " nice 0") {
		return nil
	}
	for range sessionTries {
		if err = writeExisting(file, strconv.Itoa(sessionNice)); !errors.Is(err, syscall.EAGAIN) {
			return err
		}
		select {
		case <-time.After(sessionRefusal):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fmt.Errorf("asked %d times: %w", sessionTries, err)
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
