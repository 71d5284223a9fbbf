package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/raftnode"
)

// What a newer build has written is told from damage, entry or snapshot.
func TestNewerIsNoDamage(t *testing.T) {
	var snapshot bytes.Buffer
	_, err := fsm.New().View().WriteTo(&snapshot)
	require.NoError(t, err)
	b := snapshot.Bytes()
	require.NoError(t, machine{fsm.New()}.Restore(bytes.NewReader(b)))
	b[0]++
	require.ErrorIs(t, machine{fsm.New()}.Restore(bytes.NewReader(b)), raftnode.ErrNewer)
	require.NotErrorIs(t, machine{fsm.New()}.Restore(bytes.NewReader(b[:0])), raftnode.ErrNewer)
	_, err = machine{fsm.New()}.Apply(1, 1, bytes.Repeat([]byte{255}, 64))
	require.ErrorIs(t, err, raftnode.ErrNewer)
}
