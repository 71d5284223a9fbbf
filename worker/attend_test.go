package worker

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// TestAttend: an answer that takes long has signs, one that stands still is given up though what makes it does not end, and sends nothing after that.
func TestAttend(t *testing.T) {
	w := &Worker{tasks: new(errgroup.Group)}
	a := &attended{beat: time.Millisecond}
	signs, enough := 0, make(chan struct{})
	sign := func() error {
		if signs++; signs == 3 {
			close(enough)
		}
		return nil
	}
	stays := func() error { return nil }
	sent := 0
	require.NoError(t, w.attend(t.Context(), a, func(context.Context) error {
		<-enough
		return a.send(func() error { sent++; return nil })
	}, sign, stays))
	require.Equal(t, 1, sent)

	stuck, disk, late := errors.New("stuck"), make(chan struct{}), make(chan error, 1)
	require.ErrorIs(t, w.attend(t.Context(), a, func(ctx context.Context) error {
		<-ctx.Done()
		<-disk // it does not know of that
		late <- a.send(func() error { sent++; return nil })
		return nil
	}, func() error { return nil }, func() error { return stuck }), stuck)
	close(disk)
	require.ErrorIs(t, <-late, errAttendOver)
	require.NoError(t, w.tasks.Wait())
	require.Equal(t, 1, sent)
}
