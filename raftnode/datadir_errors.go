package raftnode

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	bolterrors "go.etcd.io/bbolt/errors"
)

// hindrance is a kind of errors that say nothing about the data: what stands in its way, and what to do about it.
type hindrance struct {
	is   []error
	what string
}

func hindrances() []hindrance {
	return []hindrance{
		{[]error{bolterrors.ErrTimeout}, "end the process that has it open, a backup perhaps, and start again"},
		{
			[]error{syscall.EACCES, syscall.EPERM},
			"this process may not use it: start as the user who owns it, or give it to this user",
		},
		{
			[]error{syscall.EMFILE, syscall.ENFILE},
			"too many files are open: raise the limit on open files (ulimit -n, LimitNOFILE=) and start again",
		},
		{[]error{syscall.EROFS}, "its file system is read-only: find out why (the kernel's log says), make it writable and start again"},
		{[]error{syscall.ENOSPC, syscall.EDQUOT}, "its file system is full: make room and start again"},
		{[]error{syscall.ENOMEM, syscall.EAGAIN}, "the machine has not enough memory: free some, or raise the limit, and start again"},
		{
			[]error{syscall.EIO, syscall.ENXIO, syscall.ENODEV, syscall.ESTALE, syscall.ETIMEDOUT},
			"the disk fails: look at the kernel's log and mend it, then start again; only if it cannot be mended, and a majority of the other " +
				"servers is well, start with an empty directory on another disk",
		},
	}
}

// dataIsWell ends each sentence about an obstacle.
const dataIsWell = "; nothing says that the data is damaged, keep it"

// obstacle returns what stands between this process and its data, or "" if the error tells of the data itself. What the operating
// system refused is an obstacle, also where nobody thought of it; a file that is gone is not.
func obstacle(err error) string {
	for _, o := range hindrances() {
		for _, is := range o.is {
			if errors.Is(err, is) {
				return o.what + dataIsWell
			}
		}
	}
	var errno syscall.Errno
	var path *fs.PathError
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	if errors.As(err, &errno) || errors.As(err, &path) {
		return "the operating system refuses it: mend that and start again" + dataIsWell
	}
	return ""
}

// remedy ends the sentence about a failed write with what to do, if it is known.
func remedy(err error) string {
	if what := obstacle(err); what != "" {
		return ": " + what
	}
	return ""
}

// unreadable says in one sentence why what lies at path cannot be used and what to do. Only what is surely damage is called so: whoever
// follows that advice gives the data up.
func unreadable(path string, err error) error {
	if errors.Is(err, ErrLocked) {
		return err
	}
	what := obstacle(err)
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("%w: %s cannot be used (%w): %s", ErrLocked, path, err, what)
	case what != "":
		return fmt.Errorf("%s cannot be used (%w): %s", path, err, what)
	}
	return damaged(path, err)
}

func damaged(path string, err error) error {
	return fmt.Errorf("%s cannot be read (%w): if a majority of the other servers is well, move this server's data directory away "+
		"and start again with an empty one, it joins as a new server; else restore the directory from a backup", path, oneLine{err})
}

// oneLine is an error whose text, which a panic may have made, is one line.
type oneLine struct{ error }

func (e oneLine) Error() string { return strings.ReplaceAll(e.error.Error(), "\n", "; ") }
func (e oneLine) Unwrap() error { return e.error }

// recovered makes an error of what a library panicked with; nil for nil.
func recovered(p any) error {
	if p == nil {
		return nil
	}
	if err, ok := p.(error); ok {
		return err
	}
	return fmt.Errorf("%v", p)
}
