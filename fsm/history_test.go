package fsm

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// at applies the lines in one entry of the second given.
func at(t *testing.T, m *Machine, second int64, lines ...string) {
	entry := new(apiv1.Entry)
	for _, line := range lines {
		cmd := command(t, line)
		cmd.At = &timestamppb.Timestamp{Seconds: second}
		entry.Commands = append(entry.Commands, cmd)
	}
	results, err := applyEntry(m, m.View().Index()+1, entry)
	require.NoError(t, err)
	for i, r := range results {
		require.Empty(t, r.GetCode(), "%s: %s", lines[i], r.GetReason())
	}
}

// endMany submits and cancels n apps, a few hundred an entry.
func endMany(t *testing.T, m *Machine, second int64, prefix string, n int) {
	for i := 0; i < n; i += 256 {
		var lines []string
		for j := i; j < min(n, i+256); j++ {
			lines = append(lines, fmt.Sprintf("submit %s%d m 1", prefix, j), fmt.Sprintf("stop %s%d cancelled 0", prefix, j))
		}
		at(t, m, second, lines...)
	}
}

func knows(m *Machine, id AppID) bool { _, ok := m.View().App(id); return ok }

// TestHistoryIsKeptForAnHour: in the order in which the log ended things, whatever
// clocks say, beyond the least number for an hour.
func TestHistoryIsKeptForAnHour(t *testing.T) {
	m := New()
	at(t, m, 1000, "init c1", "module m", "submit first m 1", "submit second m 1", "stop second cancelled 0")
	at(t, m, 1, "stop first cancelled 0") // by a clock far behind
	endMany(t, m, 4600, "a", MinEndedApps-1)
	require.True(t, knows(m, "second"), "an hour old, not older")
	endMany(t, m, 4601, "z", 1)
	require.False(t, knows(m, "second"), "it ended first, and is old")
	require.False(t, knows(m, "first"))
	require.Equal(t, MinEndedApps, m.View().ended.Len(), "the least number is kept, however old")
	endMany(t, m, 4700, "b", 2*MinEndedApps)
	require.True(t, knows(m, "a0"), "young, and far beyond the least number")
	require.Equal(t, 3*MinEndedApps, m.View().ended.Len())
	endMany(t, m, 4600+KeepSeconds+1, "c", 1)
	require.False(t, knows(m, "a0"), "what is old goes")
	require.True(t, knows(m, "b0"))
	requireSound(t, m)
}

// TestBusyHourIsRemembered: of 2,000 small apps a minute all that ended in the last hour are known.
func TestBusyHourIsRemembered(t *testing.T) {
	if testing.Short() {
		t.Skip("120,000 apps")
	}
	m := New()
	at(t, m, 1, "init c1", "module m")
	for minute := range int64(61) {
		endMany(t, m, 60*minute, fmt.Sprintf("minute-%02d-of-the-hour-", minute), 2000)
	}
	require.True(t, knows(m, "minute-00-of-the-hour-0"))
	require.Greater(t, m.View().endedLoad.memory, MaxEndedBytes/2, "and not many times more than an hour's")
	endMany(t, m, 60*61, "later", 1)
	require.False(t, knows(m, "minute-00-of-the-hour-0"))
	require.True(t, knows(m, "minute-01-of-the-hour-0"))
}

// TestEndReachesWhoWaits: who has subscribed to an app gets its end, though the app is forgotten before he looks.
func TestEndReachesWhoWaits(t *testing.T) {
	m := New()
	at(t, m, 1000, "init c1", "module m", "submit waited m 1", "submit other m 1")
	sub, none := m.Feed().Subscribe(OfApp("waited")), m.Feed().Subscribe(AnyApp, OfApp("other"))
	defer sub.Close()
	defer none.Close()
	require.Nil(t, sub.Ended("waited"))
	at(t, m, 1000, "stop waited failed 7")
	endMany(t, m, 1001+KeepSeconds, "a", 10_000)
	require.False(t, knows(m, "waited"))
	end := sub.Ended("waited")
	require.Equal(t, Failed, PhaseOf(end))
	require.EqualValues(t, 7, end.GetExitCode())
	require.Nil(t, none.Ended("waited"))
	require.Nil(t, none.Ended("other"), "it goes on")

	var buf bytes.Buffer // a replica that waited, and hears of the end by a snapshot
	at(t, m, 2000, "stop other cancelled 0")
	_, err := m.View().WriteTo(&buf)
	require.NoError(t, err)
	replica := New()
	at(t, replica, 1000, "init c1", "module m", "submit other m 1")
	late := replica.Feed().Subscribe(OfApp("other"))
	defer late.Close()
	require.NoError(t, replica.Restore(&buf))
	endMany(t, replica, 5000+KeepSeconds, "b", 10_000)
	require.False(t, knows(replica, "other"))
	require.Equal(t, Cancelled, PhaseOf(late.Ended("other")))
}

// TestClockBehindForgetsNothingNew: a full history and a leader whose clock is
// behind: what ends now is not what is forgotten.
func TestClockBehindForgetsNothingNew(t *testing.T) {
	m := New()
	at(t, m, 10_000, "init c1", "module m")
	endMany(t, m, 10_000, "a", MinEndedApps)
	at(t, m, 9_998, "submit late m 1", "stop late cancelled 0")
	require.True(t, knows(m, "late"))
	require.True(t, knows(m, "a0"))
}

// filler submits and ends apps of one long argument.
type filler struct {
	t    *testing.T
	m    *Machine
	spec *apiv1.AppSpec
}

func newFiller(t *testing.T, level int) filler {
	m := New()
	at(t, m, 1, "init c1", fmt.Sprintf("level %d", level), "module m")
	return filler{t, m, &apiv1.AppSpec{ModuleDigest: "m", Size: 1, Args: []string{strings.Repeat("a", MaxArgsBytes-1)}}}
}

// submit returns the code of a refusal.
func (f filler) submit(id string, more ...*apiv1.Command) string {
	results, err := applyEntry(f.m, f.m.View().Index()+1, &apiv1.Entry{Commands: append([]*apiv1.Command{submitOf(id, f.spec)}, more...)})
	require.NoError(f.t, err)
	return results[0].GetCode()
}

// levels are that from which on memory is weighed, and the one before.
var levels = []int{levelWeighsMemory - 1, levelWeighsMemory}

// TestHistoryIsBoundedInBytes: but what ends in an entry is not forgotten in it.
func TestHistoryIsBoundedInBytes(t *testing.T) {
	for _, level := range levels {
		t.Run(fmt.Sprint(level), func(t *testing.T) {
			f := newFiller(t, level)
			_, most := f.m.View().weighed()
			n := most.ended / MaxArgsBytes
			for i := range n + 2 {
				id := fmt.Sprintf("a%d", i)
				require.Empty(t, f.submit(id, command(t, "stop "+id+" cancelled 0")))
			}
			require.False(t, knows(f.m, "a0"))
			require.True(t, knows(f.m, AppID(fmt.Sprintf("a%d", n+1))))
			now, _ := f.m.View().weighed()
			require.LessOrEqual(t, now.ended, most.ended)
			require.Greater(t, now.ended, most.ended-2*MaxArgsBytes)
			require.NoError(t, CheckInvariants(f.m.View()))
		})
	}
}

// TestLiveAppsAreBoundedInBytes: specs of apps that wait are bounded all together.
func TestLiveAppsAreBoundedInBytes(t *testing.T) {
	for _, level := range levels {
		t.Run(fmt.Sprint(level), func(t *testing.T) {
			f := newFiller(t, level)
			code := ""
			for i := 0; code == "" && i < MaxLiveApps; i++ {
				code = f.submit(fmt.Sprintf("a%d", i))
			}
			require.Equal(t, string(CodeTooMany), code)
			now, most := f.m.View().weighed()
			require.LessOrEqual(t, now.live, most.live)
			require.Greater(t, now.live, most.live-2*MaxArgsBytes)
			at(t, f.m, 2, "stop a0 cancelled 0", "submit small m 1")
		})
	}
}

// TestEndedMigrationsAreBounded, and an app takes its own along.
func TestEndedMigrationsAreBounded(t *testing.T) {
	m := New()
	at(t, m, 1, "init c1", "module m migratable", "host h1 4 n1 i1", "host h2 4 n2 i1", "submit mover m 1", "place mover h1", "started mover h1 1")
	for i := range MinEndedMigrations + 10 {
		at(t, m, 1, fmt.Sprintf("propose g%d mover 1 0:h1>h2", i), fmt.Sprintf("abort g%d no", i))
	}
	require.Len(t, slices.Collect(m.View().MigrationsOf("mover")), MinEndedMigrations+10)
	at(t, m, KeepSeconds+2, "stop mover cancelled 0", "ended mover h1 0@1=0")
	migs := slices.Collect(m.View().MigrationsOf("mover"))
	require.Len(t, migs, MinEndedMigrations)
	require.Equal(t, "g10", migs[0].GetId())
	endMany(t, m, 3*KeepSeconds, "a", MinEndedApps)
	require.False(t, knows(m, "mover"))
	require.Empty(t, slices.Collect(m.View().Migrations()))
	requireSound(t, m)
}

// TestForgetsLittleAtATime: what has become old while nothing happened goes over the next commands, not all at once, and in the end is gone.
func TestForgetsLittleAtATime(t *testing.T) {
	m := New()
	at(t, m, 1000, "init c1", fmt.Sprintf("level %d", FeatureLevel), "module m")
	endMany(t, m, 1001, "a", MinEndedApps+500)
	late := int64(1002 + KeepSeconds)
	before := m.View().ended.Len()
	for i := 0; ; i++ {
		at(t, m, late, fmt.Sprintf("host h%d 4 n i", i%8))
		now := m.View().ended.Len()
		if now == before {
			break
		}
		require.LessOrEqual(t, before-now, forgetAtOnce)
		before = now
	}
	require.Equal(t, MinEndedApps, before)
	endMany(t, m, late, "b", 300)
	require.Equal(t, MinEndedApps, m.View().ended.Len(), "as many go as come")
}

// TestForgetsKeysLittleAtATime: like apps.
func TestForgetsKeysLittleAtATime(t *testing.T) {
	m := New()
	at(t, m, 1000, "init c1", fmt.Sprintf("level %d", FeatureLevel), "module m")
	for i := 0; i < MinKeys+100; i += 100 {
		var lines []string
		for j := range 100 {
			lines = append(lines, fmt.Sprintf("submit k%d m 1 key=k%d", i+j, i+j), fmt.Sprintf("stop k%d cancelled 0", i+j))
		}
		at(t, m, 1001, lines...)
	}
	n := m.View().keys.order.Len()
	require.Greater(t, n, MinKeys+90)
	at(t, m, 1002+KeepSeconds, "submit last m 1 key=last")
	require.Equal(t, n+1-forgetAtOnce-1, m.View().keys.order.Len())
}

// TestForgetsMigrationsLittleAtATime: those that are old by themselves, and those that go before their app does.
func TestForgetsMigrationsLittleAtATime(t *testing.T) {
	m := New()
	at(t, m, 1, "init c1", fmt.Sprintf("level %d", FeatureLevel), "module m migratable", "host h1 4 n1 i1", "host h2 4 n2 i1", "submit mover m 1",
		"place mover h1", "started mover h1 1")
	for i := range MinEndedMigrations + 100 {
		at(t, m, 1, fmt.Sprintf("propose g%d mover 1 0:h1>h2", i), fmt.Sprintf("abort g%d no", i))
	}
	count := func() int { return len(slices.Collect(m.View().MigrationsOf("mover"))) }
	require.Equal(t, MinEndedMigrations+100, count())
	at(t, m, KeepSeconds+2, "stop mover cancelled 0")
	require.Equal(t, MinEndedMigrations+100-forgetAtOnce, count(), "by age")
	at(t, m, KeepSeconds+2, "ended mover h1 0@1=0")
	require.Equal(t, MinEndedMigrations+100-2*forgetAtOnce, count())
	endMany(t, m, 2*KeepSeconds, "a", MinEndedApps-1)
	before := count()
	require.Equal(t, MinEndedMigrations, before)
	at(t, m, 3*KeepSeconds, "submit one m 1", "stop one cancelled 0")
	require.True(t, knows(m, "mover"), "it waits until its migrations have gone")
	require.Positive(t, count())
	require.LessOrEqual(t, before-count(), 2*(2*forgetAtOnce+1), "two commands, each of which forgets by app and by age")
	for i := 0; knows(m, "mover"); i++ {
		before := count()
		at(t, m, 3*KeepSeconds, fmt.Sprintf("host w%d 4 n i", i%8))
		require.LessOrEqual(t, before-count(), 2*forgetAtOnce+1)
	}
	require.Zero(t, count())
	requireSound(t, m)
}
