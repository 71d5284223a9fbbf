package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"connectrpc.com/connect/v2"

	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/client"
	"github.com/godwit-run/godwit/raftnode"
)

// Exit codes of the command itself; a run exits with its app's.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitUnreachable = 69
	exitInternal    = 70
	exitNoLeader    = 75
	exitTimeout     = 124
	exitNotRunnable = 126
	exitNotFound    = 127
	exitHangup      = 129
	exitInterrupted = 130
	exitPipe        = 141
)

// exitError ends the program with a code; without a text it is silent.
type exitError struct {
	code int
	text string
}

func (e *exitError) Error() string { return e.text }

// usageError is a mistake in the command line.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// exitCode maps an error to the program's exit code.
func exitCode(err error) int {
	var exit *exitError
	var usage usageError
	var two *client.TwoClustersError
	switch {
	case errors.As(err, &two):
		return exitUsage
	case errors.As(err, &exit):
		return exit.code
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, client.ErrUnreachable):
		return exitUnreachable
	case errors.Is(err, raftnode.ErrFatal):
		return exitInternal
	case errors.Is(err, raftnode.ErrStore), errors.Is(err, raftnode.ErrStuck):
		return exitNoLeader
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	switch info := apierr.Info(err); info.GetReason() {
	case apierr.ReasonNoLeader, apierr.ReasonNotLeader:
		return exitNoLeader
	case apierr.ReasonInvalid:
		return exitUsage
	}
	if connect.CodeOf(err) == connect.CodeUnavailable {
		return exitUnreachable
	}
	return exitFailed
}

// message is what the user is told; empty: nothing.
func message(err error) string {
	var exit *exitError
	if errors.Is(err, context.Canceled) && !errors.As(err, &exit) {
		return "interrupted"
	}
	var gaveUp *client.GaveUpError
	if errors.As(err, &gaveUp) && !errors.As(err, &exit) && exitCode(gaveUp) == exitNoLeader {
		return fmt.Sprintf("%s; asked: %s; godwit servers shows what each of them says", apierr.Message(err), strings.Join(gaveUp.Addrs, ", "))
	}
	if errors.As(err, &gaveUp) && !errors.As(err, &exit) && errors.Is(err, client.ErrUnreachable) {
		return apierr.Message(err) + "; godwit servers shows why for each"
	}
	return apierr.Message(err)
}
