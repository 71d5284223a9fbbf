package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestAppTimes: what an app has not come to yet is not there.
func TestAppTimes(t *testing.T) {
	at := func(d time.Duration) *timestamppb.Timestamp {
		return timestamppb.New(time.Now().Add(-time.Hour).Add(d))
	}
	a := &apiv1.App{SubmittedAt: at(0)}
	require.Regexp(t, `^submitted   \S+ \S+ \(1h0m\d+s ago\)\n$`, appTimes(a))
	a.EndedAt = at(time.Second)
	require.Regexp(t, `\nended       \S+ \S+ \(\S+ ago, and it never ran\)\n$`, appTimes(a))
	from := a.SubmittedAt.AsTime()
	a.StartedAt, a.EndedAt = timestamppb.New(from.Add(1500*time.Millisecond)), timestamppb.New(from.Add(time.Minute))
	require.Regexp(t, `\nstarted     \S+ \S+ \(\S+ ago, after it waited 1.5s\)\nended       \S+ \S+ \(\S+ ago, after it ran 58.5s\)\n$`, appTimes(a))

	a.RanMs, a.Attempt, a.Restored = 42000, 2, 1
	a.StartedAt, a.EndedAt = timestamppb.New(from.Add(43*time.Second)), timestamppb.New(from.Add(44*time.Second))
	require.Regexp(t, `\nstarted     .* ago, for the last time: after it ran 42s and waited 1s in all\)\nended       .* ago, after it ran 43s\)\n$`, appTimes(a))
	require.Equal(t, 43*time.Second, runTime(a), "squeue's TIME")
	a.StartedAt = nil
	require.Regexp(t, `\nended       .* ago, after it ran 42s\)\n$`, appTimes(a), "cancelled while it was frozen")
	a.EndedAt = nil
	require.Regexp(t, `^submitted   .*\nran         42s\n$`, appTimes(a), "frozen")

	a = &apiv1.App{SubmittedAt: at(0), StartedAt: at(time.Minute), EndedAt: at(2 * time.Minute), Attempt: 2}
	require.Regexp(t, `\nstarted     .* ago, for the last time\)\nended       .* ago, after it ran 1m0s\)\n$`, appTimes(a), "a restart from nothing")
}
