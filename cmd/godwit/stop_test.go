package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestStopHasAnEnd: parts that do not end when they are asked to do not keep the process; those that do have their error told.
func TestStopHasAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		broken := errors.New("broken")
		require.ErrorIs(t, waitFor(ctx, func() error { return broken }, time.Second), broken)
		hangs := make(chan struct{})
		defer close(hangs)
		cancel(errors.New("why it stops"))
		require.ErrorContains(t, waitFor(ctx, func() error { <-hangs; return nil }, time.Second), "why it stops: the server did not stop within 1s")
		require.ErrorIs(t, waitFor(ctx, func() error { time.Sleep(time.Second / 2); return broken }, time.Second), broken)
	})
}
