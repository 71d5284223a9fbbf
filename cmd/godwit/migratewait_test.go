package main

import (
	"context"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/apierr"
)

// checkpointing is a server whose app has a checkpoint under way for so many looks; it refuses migrations meanwhile, and, if it is stopping, at all times.
type checkpointing struct {
	apiv1connect.UnimplementedControlHandler
	looks    chan struct{} // as many as it holds
	stopping bool
	asked    chan struct{}
}

func (f checkpointing) GetApp(context.Context, *apiv1.GetAppRequest) (*apiv1.GetAppResponse, error) {
	app := &apiv1.App{Id: "a", Phase: apiv1.AppRunning}
	select {
	case <-f.looks:
		app.CheckpointId = "ckpt-1"
	default:
	}
	return &apiv1.GetAppResponse{App: app}, nil
}

func (f checkpointing) Migrate(context.Context, *apiv1.MigrateRequest) (*apiv1.MigrateResponse, error) {
	f.asked <- struct{}{}
	if len(f.looks) > 0 || f.stopping {
		return nil, apierr.New(connect.CodeFailedPrecondition, apierr.ReasonRefused, "", "refused", "")
	}
	return &apiv1.MigrateResponse{Migration: &apiv1.Migration{Id: "m", App: "a"}}, nil
}

// TestMigrateWaitsForACheckpoint: with --wait a migration begins after the checkpoint that is under way, if that ends in time; what is refused for another reason is not waited for.
func TestMigrateWaitsForACheckpoint(t *testing.T) {
	begin := func(flags *migrateFlags, looks int, stopping bool, within time.Duration) (int, error) {
		f := checkpointing{looks: make(chan struct{}, 1<<10), stopping: stopping, asked: make(chan struct{}, 10)}
		for range looks {
			f.looks <- struct{}{}
		}
		waiting, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		m, err := flags.begin(t.Context(), waiting, serveControl(t, f), &apiv1.MigrateRequest{App: "a", To: "h"})
		require.Equal(t, err == nil, m.GetId() == "m")
		return len(f.asked), err
	}
	asked, err := begin(&migrateFlags{wait: true}, 2, false, time.Minute)
	require.NoError(t, err)
	require.Equal(t, 2, asked)

	asked, err = begin(&migrateFlags{}, 2, false, time.Minute)
	require.ErrorContains(t, err, "refused")
	require.Equal(t, 1, asked, "without --wait")

	asked, err = begin(&migrateFlags{wait: true}, 1, true, time.Minute)
	require.ErrorContains(t, err, "refused")
	require.Equal(t, 3, asked, "refused for another reason")

	_, err = begin(&migrateFlags{wait: true, waitFor: 300 * time.Millisecond}, 1<<10, false, 300*time.Millisecond)
	require.Equal(t, exitTimeout, exitCode(err))
	require.ErrorContains(t, err, "within 300ms (--wait-for): app a has a checkpoint under way, ckpt-1")
}
