package main

import (
	"fmt"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/client"
)

// TestNoLeaderNamesWhatWasTried: whoever gets no answer learns where it was looked for, and which command says more.
func TestNoLeaderNamesWhatWasTried(t *testing.T) {
	tried := func(err error) error {
		return fmt.Errorf("hosts: %w", &client.GaveUpError{Addrs: []string{"a:1", "b:2"}, Err: err})
	}
	none := tried(apierr.New(connect.CodeUnavailable, apierr.ReasonNoLeader, "", "no leader", "try again"))
	require.Equal(t, "no leader: try again; asked: a:1, b:2; godwit servers shows what each of them says", message(none))
	require.Equal(t, exitNoLeader, exitCode(none))
	nobody := tried(fmt.Errorf("%w at a:1,b:2", client.ErrUnreachable))
	require.Contains(t, message(nobody), "a:1,b:2; godwit servers shows why for each")
	require.Equal(t, exitUnreachable, exitCode(nobody))
	busy := tried(apierr.New(connect.CodeResourceExhausted, apierr.ReasonOverloaded, "", "too many requests wait", "try again"))
	require.Equal(t, "too many requests wait: try again", message(busy), "it has a leader")
}
