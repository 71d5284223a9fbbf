package main

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
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

// A build that knows less than the feature level in force neither starts on the state nor goes on with the log.
func TestOlderBuildRefusesTheLevel(t *testing.T) {
	entry, err := fsm.Encode(&apiv1.Entry{Commands: []*apiv1.Command{
		{Op: &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: fsm.FeatureLevel + 1}}},
	}})
	require.NoError(t, err)
	newer := fsm.NewKnowing(fsm.FeatureLevel + 1)
	_, err = newer.Apply(1, 1, entry)
	require.NoError(t, err)
	var snapshot bytes.Buffer
	_, err = newer.View().WriteTo(&snapshot)
	require.NoError(t, err)
	require.NoError(t, machine{fsm.NewKnowing(fsm.FeatureLevel + 1)}.Restore(bytes.NewReader(snapshot.Bytes())))
	older := machine{fsm.New()}
	err = older.Restore(bytes.NewReader(snapshot.Bytes()))
	require.ErrorIs(t, err, raftnode.ErrNewer)
	require.ErrorContains(t, err, fmt.Sprintf("feature level %d, this godwit knows %d", fsm.FeatureLevel+1, fsm.FeatureLevel))
	_, err = older.Apply(1, 1, entry)
	require.ErrorIs(t, err, raftnode.ErrNewer)
}
