package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"time"

	"connectrpc.com/connect/v2"
	"golang.org/x/sys/unix"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/client"
)

// inputPart is how much of the input is sent at a time.
const inputPart = 64 << 10

const (
	// keptInput is how much of what the app has had is kept here: one that goes on from a checkpoint may have to have it again.
	keptInput = 64 << 20
	// lookAgain is how often it is looked whether an app that has had all of its input still has it.
	lookAgain = 2 * time.Second
)

// Pauses between two tries to give a part that was not taken: the server waits for what there is to wait for, but not for a home that does not answer.
const (
	feedPause  = time.Millisecond
	feedPauses = time.Second
)

// input has the ranks that which names read a file: a rank, all or none.
func (r *runner) input(which string, from *os.File) error {
	if n, err := strconv.Atoi(which); which != "all" && which != "none" && (err != nil || n < 0 || n >= r.f.size) {
		return usagef("--stdin %q: give a rank from 0 to %d, all or none", which, r.f.size-1)
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

// feeding sends an app its input, and ends the app if it cannot have all of it: it would wait for the rest for ever, or take a part for the whole.
type feeding struct {
	r     *runner
	at    int64  // up to where the app has it
	kept  []byte // of what is before that, the last
	said  string // what it waits for, as the user was told last
	ended chan struct{}
	why   error // set before ended is closed
}

// feed gives the app what the file has, as it is read, until its end, or the app's, or ctx ends.
func (f *feeding) feed(ctx context.Context) {
	err := f.all(ctx)
	if err == nil || ctx.Err() != nil {
		return
	}
	f.why = errors.New("the program cannot have the rest of its standard input: " + message(err))
	close(f.ended)
	if _, err := cancelApp(ctx, f.r.client, f.r.id, f.why.Error(), stopGrace); err != nil && ctx.Err() == nil {
		f.r.say("%s", message(err))
	}
}

func (f *feeding) all(ctx context.Context) error {
	typed := isScreen(f.r.stdin)
	for buf := make([]byte, inputPart); ; {
		n, err := f.r.stdin.Read(buf)
		ends := err != nil
		if ends && !errors.Is(err, io.EOF) && !typed { // a terminal that has gone ends what is typed
			return err
		}
		over, err := f.give(ctx, buf[:n], ends)
		switch {
		case over || err != nil:
			return err
		case ends:
			return f.stay(ctx)
		}
	}
}

// stay sees to it that the app goes on having all of its input, until it is over.
func (f *feeding) stay(ctx context.Context) error {
	t := time.NewTicker(lookAgain)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
		if over, err := f.give(ctx, nil, true); over || err != nil {
			return err
		}
	}
}

// keep keeps what the app has had.
func (f *feeding) keep(part []byte) {
	f.kept = append(f.kept, part...)
	f.at += int64(len(part))
	if len(f.kept) > 2*keptInput { // seldom, for it copies
		f.kept = append([]byte(nil), f.kept[len(f.kept)-keptInput:]...)
	}
}

// back goes back to where the app has its input now, and returns what it had of what follows.
func (f *feeding) back(to int64) ([]byte, error) {
	lost := f.at - to
	if lost > int64(len(f.kept)) {
		return nil, errors.New("its home has lost a part of it")
	}
	keep := int64(len(f.kept)) - lost
	again := append([]byte(nil), f.kept[keep:]...)
	f.kept, f.at = f.kept[:keep], to
	return again, nil
}

// give gives the app a part, and says whether it reads no more.
func (f *feeding) give(ctx context.Context, part []byte, ends bool) (over bool, err error) {
	for pause := feedPause; ; pause = min(2*pause, feedPauses) {
		now := part[:min(len(part), inputPart)]
		last := ends && len(now) == len(part)
		res, err := call(ctx, f.r.client, apiv1connect.ControlClient.WriteInput, &apiv1.WriteInputRequest{App: f.r.id, At: f.at, Data: now, End: last})
		switch {
		case ctx.Err() != nil || connect.CodeOf(err) == connect.CodeNotFound: // who follows the app hears what has become of it
			return true, nil
		case errors.Is(err, client.ErrUnreachable) || client.Retryable(err):
			f.waits(message(err))
		case err != nil:
			return false, err
		case res.Over:
			return true, nil
		case res.Taken < f.at: // it goes on from a checkpoint
			again, err := f.back(res.Taken)
			if err != nil {
				return false, err
			}
			part = append(again, part...)
			continue
		default:
			f.waits(res.Trouble)
			if took := res.Taken - f.at; took > 0 && took <= int64(len(now)) {
				f.keep(now[:took])
				part, pause = part[took:], feedPause
			}
			if len(part) == 0 && (!ends || last && res.Kept) {
				return false, nil
			}
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return true, nil
		}
	}
}

// waits tells the user once what the input waits for; empty: for nothing, or for the program.
func (f *feeding) waits(why string) {
	if why != "" && why != f.said {
		f.r.say("the program's standard input waits: %s", why)
	}
	f.said = why
}
