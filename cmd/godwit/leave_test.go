package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"
)

var errTimedOut = connect.NewError(connect.CodeDeadlineExceeded, "no answer")

// testLeave is a leaver, and the answers it gets. The wait ends with them.
type testLeave struct {
	*leaver
	removals []error // of RemoveServer, one a try
	member   bool    // what the cluster says then
	asked    int
}

func newTestLeave(t *testing.T, removals ...error) (*testLeave, context.Context) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &testLeave{removals: removals}
	l.leaver = &leaver{
		id: "a", note: departure{t.TempDir()}, members: func() int { return 3 }, removed: func() bool { return false },
		leader: func() (string, bool) { return "B:1", false },
		handOn: func(context.Context) error { return nil },
		remove: func(context.Context, string) error {
			n, err := l.note.read()
			require.NoError(t, err)
			require.Equal(t, &departureNote{ServerID: "a"}, n, "the wish is on the disk before it is sent")
			l.asked++
			return l.removals[l.asked-1]
		},
		pause: func(context.Context) {
			if l.asked == len(l.removals) {
				cancel()
			}
		},
	}
	l.leaver.member = func(context.Context, string) (bool, error) { return l.member, nil }
	t.Cleanup(cancel)
	return l, ctx
}

func (l *testLeave) requireNote(t *testing.T, want *departureNote) {
	t.Helper()
	n, err := l.note.read()
	require.NoError(t, err)
	require.Equal(t, want, n)
}

func TestLeave(t *testing.T) {
	refused := connect.NewError(connect.CodeFailedPrecondition, "too few would be left")
	unknown := connect.NewError(connect.CodeNotFound, "no such server")
	asked, left := &departureNote{ServerID: "a"}, &departureNote{ServerID: "a", Left: true}
	for _, tt := range []struct {
		name     string
		removals []error
		member   bool
		unsettled,
		stays bool
		note *departureNote
	}{
		{name: "removed", removals: []error{nil}, note: left},
		{name: "refused", removals: []error{refused}, stays: true},
		{name: "no answer", removals: []error{errTimedOut, errTimedOut}, unsettled: true, note: asked},
		{name: "the answer was lost", removals: []error{errTimedOut, unknown}, note: left},
		{name: "the removal is not committed", removals: []error{errTimedOut, unknown}, member: true, unsettled: true, note: asked},
		{name: "refused while a request is open", removals: []error{errTimedOut, refused}, unsettled: true, note: asked},
		{name: "no answer, then removed", removals: []error{errTimedOut, nil}, note: left},
		{name: "no leader", stays: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, ctx := newTestLeave(t, tt.removals...)
			l.member = tt.member
			if len(tt.removals) == 0 {
				l.leader = func() (string, bool) { return "", false }
			}
			err := l.leave(ctx)
			require.Equal(t, tt.unsettled, errors.Is(err, errUnsettled), err)
			require.Equal(t, tt.unsettled || tt.stays, err != nil, err)
			require.Equal(t, len(tt.removals), l.asked)
			l.requireNote(t, tt.note)
		})
	}
}

// A wish that cannot be noted is not sent.
func TestLeaveNeedsItsNote(t *testing.T) {
	l, ctx := newTestLeave(t)
	l.note.dataDir = filepath.Join(l.note.dataDir, "none")
	require.ErrorIs(t, l.leave(ctx), os.ErrNotExist)
	require.Zero(t, l.asked)

	l, ctx = newTestLeave(t)
	l.members = func() int { return 1 }
	require.ErrorContains(t, l.leave(ctx), "the only one")
}

// A server that was removed before it was stopped asks nobody and waits for nothing, whatever its log says of the group.
func TestLeaveOfARemoved(t *testing.T) {
	for _, members := range []int{0, 1, 2, 3} {
		l, ctx := newTestLeave(t)
		l.leader = func() (string, bool) { return "", false }
		l.removed = func() bool { return true }
		l.members = func() int { return members }
		l.pause = func(context.Context) { t.Fatal("it waits") }
		require.ErrorIs(t, l.leave(ctx), errRemoved)
		require.Zero(t, l.asked)
		l.requireNote(t, nil)
	}
}

// It may find out while it tries: after a start it has not asked the others yet. A wish of its own that is open then stays.
func TestLeaveFindsItselfRemoved(t *testing.T) {
	l, ctx := newTestLeave(t, errTimedOut)
	paused := 0
	l.leader = func() (string, bool) {
		if paused == 1 {
			return "B:1", false
		}
		return "", false
	}
	l.removed = func() bool { return paused == 2 }
	l.pause = func(context.Context) { paused++ }
	require.ErrorIs(t, l.leave(ctx), errRemoved)
	require.Equal(t, 1, l.asked)
	l.requireNote(t, &departureNote{ServerID: "a"})
}

func TestSettle(t *testing.T) {
	open := departureNote{ServerID: "a"}
	for _, tt := range []struct {
		name    string
		answers []any // bool or error, one for each server asked
		err     error
		note    *departureNote
	}{
		{name: "still a member", answers: []any{true}},
		{name: "removed", answers: []any{false}, err: errLeft, note: &departureNote{ServerID: "a", Left: true}},
		{name: "the first does not answer", answers: []any{errTimedOut, false}, err: errLeft, note: &departureNote{ServerID: "a", Left: true}},
		{name: "a second round", answers: []any{errTimedOut, errTimedOut, true}},
		{name: "nobody answers", answers: []any{errTimedOut, errTimedOut}, err: context.Canceled, note: &open},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			asked := 0
			s := &settler{
				id: "a", note: departure{t.TempDir()}, addrs: func() []string { return []string{"B:1", "C:1"} },
				member: func(context.Context, string) (bool, error) {
					a := tt.answers[asked]
					asked++
					if err, ok := a.(error); ok {
						return false, err
					}
					return a.(bool), nil
				},
				pause: func(context.Context) {
					if asked == len(tt.answers) {
						cancel()
					}
				},
			}
			require.NoError(t, s.note.write(open))
			require.ErrorIs(t, s.settle(ctx), tt.err)
			n, err := s.note.read()
			require.NoError(t, err)
			require.Equal(t, tt.note, n)
		})
	}
}

// Servers that leave at once do not hand leadership to each other for as long as they try.
func TestLeaveTogether(t *testing.T) {
	l, ctx := newTestLeave(t, nil)
	l.leader = func() (string, bool) { return "A:1", true }
	handed := 0
	l.handOn = func(context.Context) error { handed++; return nil }
	require.ErrorContains(t, l.leave(ctx), "leaving too")
	require.Equal(t, maxHandOns, handed)
	require.Zero(t, l.asked)
	l.requireNote(t, nil)
}
