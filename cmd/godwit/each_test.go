package main

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/internal/client"
)

func TestEachGoesThroughAll(t *testing.T) {
	var tried []string
	do := func(_ context.Context, ref string) error {
		tried = append(tried, ref)
		switch ref {
		case "bad":
			return usagef("is already succeeded")
		case "away":
			return client.ErrUnreachable
		}
		return nil
	}
	err := each(context.Background(), "app", "cancelled", []string{"bad", "b", "c"}, do)
	require.Equal(t, []string{"bad", "b", "c"}, tried)
	require.EqualError(t, err, "1 of 3 apps are not cancelled")
	require.Equal(t, exitUsage, exitCode(err))

	tried = nil
	require.NoError(t, each(context.Background(), "app", "cancelled", []string{"a", "b"}, do))
	require.Equal(t, []string{"a", "b"}, tried)

	tried = nil
	err = each(context.Background(), "app", "cancelled", []string{"a", "away", "c"}, do)
	require.Equal(t, []string{"a", "away"}, tried, "nobody can be asked any more")
	require.EqualError(t, err, "2 of 3 apps are not cancelled")
	require.Equal(t, exitUnreachable, exitCode(err))

	cancels := &tally{done: "cancelled", lack: "apps were not seen to end as cancelled", of: 2}
	cancels.add("a", nil)
	cancels.add("b", &exitError{exitTimeout, "it is cancelled, but was not seen to end"})
	require.EqualError(t, cancels.err(), "1 of 2 apps were not seen to end as cancelled", "that may be so all the same")
	require.Equal(t, exitTimeout, exitCode(cancels.err()))

	err = each(context.Background(), "app", "cancelled", []string{"bad"}, do)
	require.EqualError(t, err, "bad: is already succeeded")
	var usage usageError
	require.True(t, errors.As(err, &usage))
}
