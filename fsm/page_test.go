package fsm

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestAfter: what is read in pages goes on behind a place, whether that is still there or not.
func TestAfter(t *testing.T) {
	v := newView()
	for _, p := range []Place{{1, "b"}, {1, "c"}, {3, "a"}, {300, "aa"}} {
		app := &apiv1.App{Id: p.ID, SubmitIndex: p.Index, Phase: string(Queued), SubmittedAt: timestamppb.New(time.Unix(1000-int64(p.ID[0]), 0))}
		v.apps, _, _ = v.apps.Insert([]byte(app.GetId()), app)
		v.indexApp(app)
		mig := &apiv1.Migration{Id: "m-" + app.GetId(), App: "x", ProposeIndex: p.Index}
		v.migrations, _, _ = v.migrations.Insert([]byte(mig.GetId()), mig)
		v.indexMigration(mig)
		v.indexCheckpoint(&apiv1.Checkpoint{Id: "c-" + app.GetId(), App: "x", BeginIndex: p.Index})
	}
	apps := slices.Collect(v.AppsAfter(Place{}))
	require.Len(t, apps, 4)
	for i, app := range apps {
		require.Equal(t, apps[i+1:], append([]*apiv1.App{}, slices.Collect(v.AppsAfter(SubmissionOf(app)))...), "it is there")
	}
	require.Equal(t, apps[2:], slices.Collect(v.AppsAfter(Place{2, "gone"})))
	require.Equal(t, apps[1:], slices.Collect(v.AppsAfter(Place{1, "bz"})))
	require.Equal(t, "c", slices.Collect(v.appsOf(v.live))[0].GetId(), "the queue's order is another within an entry")
	require.Equal(t, apps, slices.Collect(v.InFlightAfter(Place{})))
	for i, app := range apps {
		require.Equal(t, apps[i+1:], append([]*apiv1.App{}, slices.Collect(v.InFlightAfter(SubmissionOf(app)))...))
	}
	require.Equal(t, apps[1:], slices.Collect(v.InFlightAfter(Place{1, "bz"})))
	migs := slices.Collect(v.MigrationsAfter(Place{}))
	require.Len(t, migs, 4)
	require.Equal(t, migs[2:], slices.Collect(v.MigrationsAfter(Place{2, ""})))
	require.Equal(t, migs[3:], slices.Collect(v.MigrationsOfAfter("x", ProposalOf(migs[2]))))
	require.Empty(t, slices.Collect(v.MigrationsOfAfter("w", Place{})), "another app's do not follow")
	checkpoints := slices.Collect(v.CheckpointsAfter(Place{}))
	require.Len(t, checkpoints, 4)
	require.Equal(t, checkpoints[2:], slices.Collect(v.CheckpointsAfter(Place{2, ""})))
	require.Equal(t, checkpoints[3:], slices.Collect(v.CheckpointsOfAfter("x", BeginningOf(checkpoints[2]))))
	require.Empty(t, slices.Collect(v.CheckpointsOf("w")), "another app's do not follow")
	for _, id := range []string{"h1", "h10", "h2"} {
		v.hosts, _, _ = v.hosts.Insert([]byte(id), &apiv1.Host{Id: id})
	}
	require.Len(t, slices.Collect(v.HostsAfter("h1")), 2)
	require.Len(t, slices.Collect(v.HostsAfter("h")), 3)
	require.Empty(t, slices.Collect(v.HostsAfter("h2")))
}
