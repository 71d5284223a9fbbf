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
		require.ErrorContains(t, waitFor(ctx, func() error { <-hangs; return nil }, time.Second), "the server did not stop within 1s")
		for _, why := range []error{context.Canceled, errLeft} { // neither is what run and runServer take it for
			ended, end := context.WithCancelCause(t.Context())
			end(why)
			err := waitFor(ended, func() error { <-hangs; return nil }, time.Second)
			require.ErrorIs(t, err, errHung)
			require.NotErrorIs(t, err, why)
			require.ErrorContains(t, err, why.Error())
		}
		require.ErrorIs(t, waitFor(ctx, func() error { time.Sleep(time.Second / 2); return broken }, time.Second), broken)
	})
}
