package raftnode

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	bolterrors "go.etcd.io/bbolt/errors"
)

// unreadable says why a file of a data directory cannot be used, and what to do. Only what is surely damaged comes with the advice to
// start without it: what the machine refuses for now is none of the file's fault, and good data must not be thrown away for it.
func unreadable(path string, err error) error {
	for _, obstacle := range obstacles {
		for _, is := range obstacle.is {
			if errors.Is(err, is) {
				return fmt.Errorf("%s cannot be opened (%w), which says nothing of what it holds: %s, and start again", path, err, obstacle.fix)
			}
		}
	}
	return damaged(path, err)
}

// obstacles are errors of the machine.
var obstacles = []struct {
	is  []error
	fix string
}{
	{[]error{os.ErrPermission}, "give this user its files, or run as the user who has them"},
	{[]error{syscall.EMFILE, syscall.ENFILE}, "raise the limit of open files (ulimit -n)"},
	{[]error{syscall.ENOSPC, syscall.EDQUOT}, "make room on its disk"},
	{[]error{syscall.EROFS}, "mount its file system for writing"},
	{[]error{syscall.ENOMEM, syscall.EAGAIN}, "free memory or raise its limit (ulimit -v)"},
	{[]error{bolterrors.ErrTimeout}, "end the process that has it open, a backup perhaps"},
	{[]error{syscall.EIO, syscall.ENXIO, syscall.ENODEV, syscall.ESTALE}, "look at its disk (dmesg); if that is broken and a majority of the other servers " +
		"is well, give this server an empty --data-dir on another, it joins as a new one"},
}

// damaged says that a file of a data directory does not hold what it must.
func damaged(path string, err error) error {
	return fmt.Errorf("%s cannot be read (%w): if a majority of the other servers is well, move this server's data directory away "+
		"and start again with an empty one, it joins as a new server; else restore the directory from a backup", path, err)
}
