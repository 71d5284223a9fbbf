package main

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Linux shares processors out between sessions where kernel.sched_autogroup_enabled is on, as it is by default: a service is one, a terminal another. Ranks wake and
// sleep some ten thousand times a second, and Linux 6.18 then lets the processes of other sessions wait for seconds, servers of Godwit among them, until
// leases run out. It does not where the ranks' session has a tenth of the weight of others. So who has a session of his own, as a service has, lowers it: on a
// machine with nothing else to do that changes nothing.
const (
	autogroupFile = "/proc/self/autogroup"
	sessionNice   = 10
)

// lowerSession lowers the weight of this process's session if it is the one that began it: a terminal's session is the user's.
func lowerSession() {
	if leader, err := unix.Getsid(0); err == nil && leader == os.Getpid() {
		lower(autogroupFile)
	}
}

// lower writes the weight of a session to its file. Where that is not there sessions have no weights.
func lower(file string) {
	if f, err := os.OpenFile(file, os.O_WRONLY, 0); err == nil {
		_, _ = f.WriteString(strconv.Itoa(sessionNice)) // refused, it stays as it is
		_ = f.Close()
	}
}
