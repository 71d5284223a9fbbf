package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
)

// inputPart is how much of the input is sent at a time.
const inputPart = 64 << 10

// Pauses between two tries to give a part that was not taken: the server waits for what there is to wait for, but not for a home that does not answer.
const (
	feedPause  = time.Millisecond
	feedPauses = time.Second
)

// input has the ranks that which names read a file: a rank, all or none.
func (r *runner) input(which string, from *os.File) error {
	if n, err := strconv.Atoi(which); which != "all" && which != "none" && (err != nil || n < 0 || n >= r.f.size) {
		return usagef("--stdin %s: give a rank from 0 to %d, all or none", which, r.f.size-1)
	}
	if which == "none" || empty(from) {
		return nil
	}
	r.f.spec.Stdin, r.stdin = which, from
	return nil
}

// empty says whether nothing is to be read of a file, as far as that is to be seen, or nothing may be: a terminal is that of the shell's job in
// front, and stops others that read it.
func empty(in *os.File) bool {
	info, err := in.Stat()
	if err != nil {
		return true
	}
	fd := int(in.Fd())
	if front, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP); err == nil {
		return front != unix.Getpgrp()
	}
	if null, err := os.Stat(os.DevNull); err == nil && os.SameFile(info, null) {
		return true
	}
	if !info.Mode().IsRegular() {
		return false
	}
	at, err := in.Seek(0, io.SeekCurrent)
	return err == nil && at >= info.Size()
}

// feed sends the app what the file has, as it is read, until its end, or the app's.
func (r *runner) feed(ctx context.Context) {
	buf, at := make([]byte, inputPart), int64(0)
	for {
		n, err := r.stdin.Read(buf)
		ends := err != nil
		if ends && !errors.Is(err, io.EOF) {
			r.say("the standard input cannot be read any more, and ends here for the program: %v", err)
		}
		for part, pause := buf[:n], feedPause; ; {
			res, err := call(ctx, r.client, apiv1connect.ControlClient.WriteInput, &apiv1.WriteInputRequest{App: r.id, At: at, Data: part, End: ends})
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				r.say("the program does not get the rest of its standard input: %s", message(err))
				return
			}
			if res.Over {
				return
			}
			if took := res.Taken - at; took > 0 && took <= int64(len(part)) {
				part, at, pause = part[took:], res.Taken, feedPause
			}
			if res.Kept || len(part) == 0 && !ends {
				break
			}
			if res.Taken < at {
				r.say("the program does not get the rest of its standard input: its home has lost a part of it")
				return
			}
			select {
			case <-time.After(pause):
				pause = min(2*pause, feedPauses)
			case <-ctx.Done():
				return
			}
		}
		if ends {
			return
		}
	}
}
