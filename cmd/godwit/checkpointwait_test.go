package main

import (
	"context"
	"sync/atomic"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/apierr"
)

// slowCheckpoint is a server with a checkpoint that is under way until somebody has waited for its end so many times; old: nobody can.
type slowCheckpoint struct {
	apiv1connect.UnimplementedControlHandler
	waits         int32
	old           bool
	waited, looks *atomic.Int32
}

func (f slowCheckpoint) ListCheckpoints(context.Context, *apiv1.ListCheckpointsRequest) (*apiv1.ListCheckpointsResponse, error) {
	c := &apiv1.Checkpoint{Id: "c", App: "a", Phase: apiv1.CheckpointPending}
	if n := f.looks.Add(1); f.waited.Load() >= f.waits && (!f.old || n > 3) {
		c.Phase = apiv1.CheckpointComplete
	}
	return &apiv1.ListCheckpointsResponse{Checkpoints: []*apiv1.Checkpoint{c}}, nil
}

func (f slowCheckpoint) WaitApp(_ context.Context, req *apiv1.WaitAppRequest) (*apiv1.WaitAppResponse, error) {
	if f.old {
		return nil, apierr.New(connect.CodeInvalidArgument, apierr.ReasonInvalid, "checkpoint", "there is no such field", "")
	}
	if req.App == "a" && req.Checkpoint == "c" {
		f.waited.Add(1)
	}
	return &apiv1.WaitAppResponse{App: &apiv1.App{Id: "a"}}, nil
}

// TestCheckpointIsWaitedFor: who waits for a checkpoint looks once for each answer of the servers, and now and then where they give none.
func TestCheckpointIsWaitedFor(t *testing.T) {
	for _, f := range []slowCheckpoint{{waits: 2}, {waits: 0, old: true}} {
		f.waited, f.looks = new(atomic.Int32), new(atomic.Int32)
		made, err := awaitCheckpoint(t.Context(), serveControl(t, f), "c", false)
		require.NoError(t, err)
		require.Equal(t, apiv1.CheckpointComplete, made.Phase)
		require.Equal(t, f.waits, f.waited.Load())
		if !f.old {
			require.Equal(t, f.waits+1, f.looks.Load())
		}
	}
}

// vainCheckpoint is a server with a checkpoint that was aborted, another in its place, and that complete.
type vainCheckpoint struct {
	apiv1connect.UnimplementedControlHandler
}

func (vainCheckpoint) ListCheckpoints(_ context.Context, req *apiv1.ListCheckpointsRequest) (*apiv1.ListCheckpointsResponse, error) {
	all := map[string]*apiv1.Checkpoint{
		"c":   {Id: "c", App: "a", Phase: apiv1.CheckpointAborted, Reason: "it was damaged", Next: "c-2"},
		"c-2": {Id: "c-2", App: "a", Phase: apiv1.CheckpointComplete, Tries: 1},
		"d":   {Id: "d", App: "a", Phase: apiv1.CheckpointAborted, Reason: "its disk is full"},
	}
	return &apiv1.ListCheckpointsResponse{Checkpoints: []*apiv1.Checkpoint{all[req.Id]}}, nil
}

// TestCheckpointInThePlaceIsWaitedFor: who waits for a checkpoint waits for the one that is made in its place.
func TestCheckpointInThePlaceIsWaitedFor(t *testing.T) {
	made, err := awaitCheckpoint(t.Context(), serveControl(t, vainCheckpoint{}), "c", false)
	require.NoError(t, err)
	require.Equal(t, "c-2", made.Id)
	_, err = awaitCheckpoint(t.Context(), serveControl(t, vainCheckpoint{}), "d", false)
	require.ErrorContains(t, err, "checkpoint d was aborted: its disk is full")
}
