package main

import (
	"cmp"
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
)

// checkpointing is a server whose app has so many checkpoints under way, one after the other; it refuses migrations meanwhile, and, if it is stopping, at all times.
// It answers who waits for the end of one, which comes by itself unless it hangs; nobody is to look twice.
type checkpointing struct {
	apiv1connect.UnimplementedControlHandler
	looks           chan struct{} // a checkpoint each
	stopping, hangs bool
	asked           chan struct{}
	looked          *atomic.Int32
}

func (f checkpointing) app() *apiv1.App {
	app := &apiv1.App{Id: "a", Phase: apiv1.AppRunning}
	if n := len(f.looks); n > 0 {
		app.CheckpointId = fmt.Sprintf("ckpt-%d", n)
	}
	return app
}

func (f checkpointing) GetApp(context.Context, *apiv1.GetAppRequest) (*apiv1.GetAppResponse, error) {
	f.looked.Add(1)
	return &apiv1.GetAppResponse{App: f.app()}, nil
}

func (f checkpointing) WaitApp(ctx context.Context, req *apiv1.WaitAppRequest) (*apiv1.WaitAppResponse, error) {
	if f.hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if app := f.app(); req.Checkpoint == app.CheckpointId {
		<-f.looks
	}
	return &apiv1.WaitAppResponse{App: f.app()}, nil
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
		f := checkpointing{
			looks: make(chan struct{}, 1<<10), stopping: stopping, hangs: within < time.Second, asked: make(chan struct{}, 10),
			looked: new(atomic.Int32),
		}
		for range looks {
			f.looks <- struct{}{}
		}
		waiting, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		m, err := flags.begin(t.Context(), waiting, serveControl(t, f), &apiv1.MigrateRequest{App: "a", To: "h"})
		require.Equal(t, err == nil, m.GetId() == "m")
		require.LessOrEqual(t, int(f.looked.Load()), len(f.asked), "a look at each refusal, and none else")
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

	_, err = begin(&migrateFlags{wait: true, waitFor: 300 * time.Millisecond}, 1, false, 300*time.Millisecond)
	require.Equal(t, exitTimeout, exitCode(err))
	require.ErrorContains(t, err, "within 300ms (--wait-for): app a has a checkpoint under way, ckpt-1")
}

// migrating is a server of an app that migrates, which is told nothing but by WaitApp: nobody lists its history.
type migrating struct {
	apiv1connect.UnimplementedControlHandler
	answers chan *apiv1.WaitAppResponse // one each time that it is asked; then it hangs
	err     error
}

func (f migrating) WaitApp(ctx context.Context, req *apiv1.WaitAppRequest) (*apiv1.WaitAppResponse, error) {
	if req.Migration != "m" || req.App != "a" {
		return nil, apierr.New(connect.CodeInvalidArgument, apierr.ReasonInvalid, "migration", "wrong", "")
	}
	select {
	case res := <-f.answers:
		return res, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// TestMigrateWaitsForItsMigration: with --wait the servers are asked to answer when the migration has ended, and its history is not listed.
func TestMigrateWaitsForItsMigration(t *testing.T) {
	under := &apiv1.WaitAppResponse{App: &apiv1.App{Id: "a", MigrationId: "m"}, Migration: &apiv1.Migration{Id: "m", App: "a", Phase: string(fsm.Announced)}}
	over := &apiv1.WaitAppResponse{App: &apiv1.App{Id: "a"}, Migration: &apiv1.Migration{Id: "m", App: "a", Phase: string(fsm.Committed)}}
	ended := func(f *migrateFlags, fail error, answers ...*apiv1.WaitAppResponse) (*apiv1.Migration, error) {
		s := migrating{answers: make(chan *apiv1.WaitAppResponse, len(answers)), err: fail}
		for _, a := range answers {
			s.answers <- a
		}
		waiting, cancel := context.WithTimeout(t.Context(), cmp.Or(f.waitFor, time.Minute))
		defer cancel()
		return f.ended(waiting, serveControl(t, s), &apiv1.Migration{Id: "m", App: "a"})
	}
	m, err := ended(&migrateFlags{}, nil, under, over)
	require.NoError(t, err)
	require.Equal(t, string(fsm.Committed), m.Phase)

	_, err = ended(&migrateFlags{waitFor: 100 * time.Millisecond}, nil, under)
	require.Equal(t, exitTimeout, exitCode(err))
	require.ErrorContains(t, err, "still under way after 100ms (--wait-for)")

	_, err = ended(&migrateFlags{}, nil, &apiv1.WaitAppResponse{App: &apiv1.App{Id: "a"}})
	require.ErrorContains(t, err, "migration m has ended, and is forgotten")

	_, err = ended(&migrateFlags{}, apierr.New(connect.CodeNotFound, apierr.ReasonNotFound, "app", "no such app", ""), nil)
	require.ErrorContains(t, err, "forgotten with its app")
}
