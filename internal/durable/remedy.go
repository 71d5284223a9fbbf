package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
)

// hindrance is a kind of errors of the operating system that say nothing about the data, and what to do about them.
type hindrance struct {
	is   []syscall.Errno
	what string // to do
	then string // what follows it where the process has ended
}

func hindrances() []hindrance {
	return []hindrance{
		{
			[]syscall.Errno{syscall.EACCES, syscall.EPERM},
			"this process may not use it: start as the user who owns it, or give it to this user", "",
		},
		{
			[]syscall.Errno{syscall.EMFILE, syscall.ENFILE},
			"too many files are open: raise the limit on open files (ulimit -n, LimitNOFILE=)", " and start again",
		},
		{[]syscall.Errno{syscall.EROFS}, "its file system is read-only: find out why (the kernel's log says), make it writable", " and start again"},
		{[]syscall.Errno{syscall.ENOSPC, syscall.EDQUOT}, "its file system is full: make room", " and start again"},
		{[]syscall.Errno{syscall.ENOMEM, syscall.EAGAIN}, "the machine has not enough memory: free some, or raise the limit", ", and start again"},
		{[]syscall.Errno{syscall.EIO, syscall.ENXIO, syscall.ENODEV, syscall.ESTALE, syscall.ETIMEDOUT}, diskFails, ", then start again"},
	}
}

const diskFails = "the disk fails: look at the kernel's log and mend it"

// Remedy says what to do before the next start about what the operating system refused, also where nobody thought of it; "" if the error
// tells of nothing that it refused. A file that is gone is no refusal.
func Remedy(err error) string {
	h := hinders(err)
	return h.what + h.then
}

// Mend is Remedy while the process goes on.
func Mend(err error) string { return hinders(err).what }

// hinders is what the operating system refused; nothing, if the error does not tell of that.
func hinders(err error) hindrance {
	if errors.Is(err, fs.ErrNotExist) {
		return hindrance{}
	}
	err = cause(err)
	for _, h := range hindrances() {
		for _, is := range h.is {
			if errors.Is(err, is) {
				return h
			}
		}
	}
	var errno syscall.Errno
	var path *fs.PathError
	if errors.As(err, &errno) || errors.As(err, &path) {
		return hindrance{nil, "the operating system refuses it: mend that", " and start again"}
	}
	return hindrance{}
}

// DiskFails says whether Remedy has it that the disk itself fails.
func DiskFails(err error) bool { return Mend(err) == diskFails }

// Advise adds the remedy, if there is one, to an error that says which file it is about.
func Advise(err error) error {
	if what := Remedy(err); what != "" {
		return fmt.Errorf("%w: %s", err, what)
	}
	return err
}

// lastErrno is the last that Linux has.
const lastErrno = 133

// cause is the operating system's error in which the text of one without such an error ends, else the error itself: libraries (bbolt where
// its file grows, raft) format what they met, and so lose it to errors.Is. A file that is gone is left to them.
func cause(err error) error {
	var errno syscall.Errno
	if err == nil || errors.As(err, &errno) {
		return err
	}
	text := err.Error()
	for e := syscall.Errno(1); e <= lastErrno; e++ {
		if e != syscall.ENOENT && strings.HasSuffix(text, ": "+e.Error()) {
			return e
		}
	}
	return err
}
