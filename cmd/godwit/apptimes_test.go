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
}
