package fsm

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestLatelyAfter compares with a look at all apps, from behind every place, also where clocks went back and forth.
func TestLatelyAfter(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	now := time.Unix(1_000_000, 0)
	v := newView()
	for i := range uint64(300) {
		app := &apiv1.App{Id: fmt.Sprintf("a%d", rnd.IntN(1000)*1000+int(i)), SubmitIndex: 1 + i/3, Phase: string(Running), Spec: &apiv1.AppSpec{}}
		if rnd.IntN(3) > 0 {
			app.Phase, app.EndedIndex = string(Succeeded), 1000+i
			app.EndedAt = timestamppb.New(now.Add(-time.Duration(rnd.IntN(1300)-100) * time.Second))
		}
		if i == 7 {
			app.Phase, app.EndedIndex, app.EndedAt = string(Failed), 999, timestamppb.New(time.Unix(-90, 0))
		}
		v.apps, _, _ = v.apps.Insert([]byte(app.GetId()), app)
		v.indexApp(app)
	}
	all := slices.Collect(v.AppsAfter(Place{}))
	require.Len(t, all, 300)
	for _, ago := range []time.Duration{-time.Hour, 0, time.Minute, 10 * time.Minute, time.Hour, 1_000_100 * time.Second} {
		since := timestamppb.New(now.Add(-ago))
		want := slices.DeleteFunc(slices.Clone(all), func(a *apiv1.App) bool {
			return PhaseOf(a).Terminal() && minuteOf(a.GetEndedAt()) < minuteOf(since)
		})
		require.Equal(t, want, slices.Collect(v.LatelyAfter(Place{}, since)), "%v", ago)
		for _, app := range all {
			p := SubmissionOf(app)
			behind := slices.Clone(want)
			behind = slices.DeleteFunc(behind, func(a *apiv1.App) bool { return SubmissionOf(a).Compare(p) <= 0 })
			require.Equal(t, behind, append([]*apiv1.App{}, slices.Collect(v.LatelyAfter(p, since))...), "%v behind %v", ago, p)
		}
		for app := range v.LatelyAfter(Place{}, since) {
			require.Equal(t, want[0], app)
			break
		}
	}
}

// TestUsersOf: the apps in flight that run a module, of no other one, until they end.
func TestUsersOf(t *testing.T) {
	m := New()
	mustApply(t, m, "init c1", "module m", "module n", "host h1 4 n1 i1", "submit b m 1")
	mustApply(t, m, "submit other n 1", "submit a m 1", "place b h1")
	digest := Digest(command(t, "module m").GetAddModule().GetModule().GetDigest())
	require.Equal(t, []string{"b", "a"}, idsOf(m.View().UsersOf(digest)))
	require.Equal(t, 2, m.View().ModuleUsers(digest))
	mustApply(t, m, "started b h1 1", "ended b h1 0@1=0")
	require.Equal(t, []string{"a"}, idsOf(m.View().UsersOf(digest)))
	mustApply(t, m, "stop a cancelled 0")
	require.Empty(t, idsOf(m.View().UsersOf(digest)))
	require.Empty(t, idsOf(m.View().UsersOf(digest[:len(digest)-1])))
	require.NoError(t, CheckInvariants(m.View()))
}
