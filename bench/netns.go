package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// spaces is where iproute2 keeps network namespaces by name.
const spaces = "/run/netns/"

// spaceName is the namespace of a machine that the process of this id has made.
func spaceName(pid int, addr string) string { return fmt.Sprintf("godwit-bench-%d-%s", pid, addr) }

// maker is the process that made a namespace; false: it is none of ours.
func maker(space string) (pid int, ours bool) {
	rest, ours := strings.CutPrefix(space, "godwit-bench-")
	number, _, more := strings.Cut(rest, "-")
	pid, err := strconv.Atoi(number)
	return pid, ours && more && err == nil
}

// inSpace is what runs a command in a namespace.
func inSpace(space string) []string { return []string{"ip", "netns", "exec", space} }

// ip runs the command of that name.
func ip(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// removeSpaces removes the namespaces of a process, with the devices and whatever still runs in them, also when ctx has ended.
func removeSpaces(ctx context.Context, pid int) error {
	ctx = context.WithoutCancel(ctx)
	found, err := filepath.Glob(spaces + spaceName(pid, "*"))
	for _, path := range found {
		space := filepath.Base(path)
		if inside, listErr := ip(ctx, "netns", "pids", space); listErr == nil {
			for _, field := range strings.Fields(inside) {
				if pid, err := strconv.Atoi(field); err == nil {
					_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
				}
			}
		}
		_, delErr := ip(ctx, "netns", "del", space)
		err = errors.Join(err, delErr)
	}
	return err
}

// sweepSpaces removes the namespaces of processes that were killed before they could.
func sweepSpaces(ctx context.Context) error {
	found, err := filepath.Glob(spaces + "*")
	for _, path := range found {
		pid, ours := maker(filepath.Base(path))
		if !ours {
			continue
		}
		if _, statErr := os.Stat(fmt.Sprintf("/proc/%d", pid)); os.IsNotExist(statErr) {
			err = errors.Join(err, removeSpaces(ctx, pid))
		}
	}
	return err
}
