package steps

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// crossing is a stage with a migration of ranks 0 and 1 from h1 to h2, and what the leader has seen of it.
type crossing struct {
	*stage
	watch *Watch
}

func newCrossing(t *testing.T) *crossing {
	t.Helper()
	c := &crossing{stage: running(t), watch: new(Watch)}
	c.apply(&apiv1.Command{Op: &apiv1.Command_ProposeMigration{ProposeMigration: &apiv1.ProposeMigration{
		Id: "m1", App: "a", FromEpoch: 1, Moves: []*apiv1.Move{{Rank: 0, From: "h1", To: "h2"}, {Rank: 1, From: "h1", To: "h2"}},
	}}})
	require.Len(t, c.migration().Moves, 2)
	return c
}

func (c *crossing) migration() *apiv1.Migration {
	c.t.Helper()
	mig, ok := c.view().Migration("m1")
	require.True(c.t, ok)
	return mig
}

// step is what is next.
func (c *crossing) step() *Step {
	return Migration(c.view(), c.migration(), func(host fsm.HostID) *apiv1.AppStatus { return c.said[host] }, c.watch, c.now, c.deadlines)
}

// look has the next step made, and says where the migration is then.
func (c *crossing) look() string {
	c.t.Helper()
	c.take(c.step())
	return c.migration().Phase
}

// ack has both hosts acknowledge.
func (c *crossing) ack() {
	for _, h := range []fsm.HostID{"h1", "h2"} {
		c.said[h] = &apiv1.AppStatus{App: "a", AckedMigration: "m1"}
	}
}

// images has the source and the target report the ranks that move, those of a migration, in the given states.
func (c *crossing) images(id, source, target string) {
	c.ack()
	for _, rank := range []int32{0, 1} {
		c.said["h1"].Ranks = append(c.said["h1"].Ranks, &apiv1.RankStatus{Rank: rank, State: source, Migration: id})
		if target != "" {
			c.said["h2"].Ranks = append(c.said["h2"].Ranks, &apiv1.RankStatus{Rank: rank, State: target, Migration: id, ImageDigest: "d", ImageBytes: 5})
		}
	}
}

// announced takes the migration there, all hosts having acknowledged.
func (c *crossing) announced() {
	c.t.Helper()
	c.ack()
	require.Equal(c.t, "announced", c.look())
}

// TestMigrationSteps: each step is due when every host has done its part, and no sooner.
func TestMigrationSteps(t *testing.T) {
	for _, newest := range []bool{false, true} {
		c := newCrossing(t)
		if newest {
			c.newest()
		}
		require.Nil(t, c.step(), "no host has acknowledged")
		c.said["h1"] = &apiv1.AppStatus{App: "a", AckedMigration: "m1"}
		require.Nil(t, c.step(), "one host has not acknowledged")
		c.announced()
		c.images("m1", "frozen", "")
		require.Nil(t, c.step(), "no image has arrived")
		c.images("of-before", "frozen", "staged")
		require.Nil(t, c.step(), "images of another migration do not count")
		c.images("m1", "frozen", "staged")
		step := c.step()
		require.Equal(t, newest, step.Command.GetFreezeMigration().Commit)
		require.Equal(t, newest, step.Then == nil, "one entry freezes and commits, or a second does at once")
		require.Nil(t, step.Else, "it is tried again")
		require.Equal(t, step, c.step(), "the same input has the same output")
		require.Equal(t, "committed", c.look())
		require.EqualValues(t, 2, c.app().Epoch)
		require.Nil(t, c.step(), "it is over")
	}
}

// TestMigrationIsAborted: for which reasons, and not before the deadline is over.
func TestMigrationIsAborted(t *testing.T) {
	tests := []struct {
		name   string
		act    func(c *crossing)
		wait   time.Duration
		reason string
	}{
		{"a host fails", func(c *crossing) {
			c.said["h1"] = &apiv1.AppStatus{App: "a", FailedMigration: "m1", FailedReason: "disk full"}
		}, 0, "disk full"},
		{"no acknowledgement in time", func(*crossing) {}, 30 * time.Second, "host h1 did not acknowledge within 30s"},
		{"a rank does not stop", (*crossing).announced, 10 * time.Second, "rank 1 on h1 did not stop within 10s: it computes without an MPI call"},
		{"an executor does not answer", func(c *crossing) {
			c.announced()
			c.said["h1"].SilentMs = 12_000
		}, 10 * time.Second, "within 10s: the executor on h1 does not answer, for 12s at least"},
		{"an image does not arrive", func(c *crossing) {
			c.announced()
			c.images("m1", "frozen", "")
			c.said["h1"].Ranks[0].Trouble = "connection refused"
		}, 2 * time.Minute, "the image of rank 0 did not reach h2: rank 0 on h1: connection refused within 2m0s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCrossing(t)
			tt.act(c)
			if tt.wait > 0 {
				require.Nil(t, c.step())
				c.now = c.now.Add(tt.wait)
				require.Nil(t, c.step(), "the deadline is not over")
				c.now = c.now.Add(1)
			}
			require.Equal(t, "aborted", c.look())
			require.Contains(t, c.migration().Reason, tt.reason)
			require.Equal(t, "running", c.app().Phase)
			require.EqualValues(t, 1, c.app().Epoch)
			for h := range c.view().Hosts() {
				require.EqualValues(t, 2, h.Used, "the reservation is gone")
			}
		})
	}
}

// TestMemoryOnItsWayIsWaitedFor: a migration is not aborted while more of a rank goes ahead than ever before; of one that is, what keeps the rank from its target is said.
func TestMemoryOnItsWayIsWaitedFor(t *testing.T) {
	c := newCrossing(t)
	look := func(ahead int64, trouble string) string {
		c.said["h1"] = &apiv1.AppStatus{App: "a", Ranks: []*apiv1.RankStatus{{Rank: 0, State: "running", AheadBytes: ahead, Trouble: trouble}}}
		return c.look()
	}
	require.Equal(t, "pending", look(0, ""))
	for _, ahead := range []int64{3 << 20, 5 << 20} {
		c.now = c.now.Add(time.Hour)
		require.Equal(t, "pending", look(ahead, ""))
		require.Equal(t, "pending", look(1<<20, ""), "it has begun anew, and the wait with what was ahead last")
	}
	c.now = c.now.Add(time.Hour)
	require.Equal(t, "aborted", look(5<<20, "host h2: connection refused"))
	require.Contains(t, c.migration().Reason, "did not acknowledge within 30s: rank 0 on h1: host h2: connection refused")
}

// TestTargetThatCompilesIsWaitedFor: a migration is not aborted while its target gets and compiles the app's module, however long that takes.
func TestTargetThatCompilesIsWaitedFor(t *testing.T) {
	c := newCrossing(t)
	look := func(step uint64) string {
		c.said["h1"] = &apiv1.AppStatus{App: "a", Ranks: []*apiv1.RankStatus{{Rank: 0, State: "running", Trouble: "host h2: i/o timeout"}}}
		c.said["h2"] = &apiv1.AppStatus{App: "a", Executor: apiv1.ExecutorStarting, StartSteps: step}
		return c.look()
	}
	for step := range uint64(10) {
		require.Equal(t, "pending", look(step))
		c.now = c.now.Add(29 * time.Second)
	}
	ahead := func(bytes int64) string { // it has started, and memory goes ahead
		c.said["h1"] = &apiv1.AppStatus{App: "a", Ranks: []*apiv1.RankStatus{{Rank: 0, State: "running", AheadBytes: bytes}}}
		c.said["h2"] = &apiv1.AppStatus{App: "a"}
		return c.look()
	}
	for bytes := range int64(5) {
		require.Equal(t, "pending", ahead(1+bytes))
		c.now = c.now.Add(29 * time.Second)
	}
	c.now = c.now.Add(2 * time.Second)
	require.Equal(t, "aborted", ahead(5))
}

// TestDeafTargetIsNotWaitedFor: ranks that stand still go on where they are once the executor that they go to has not answered for long.
func TestDeafTargetIsNotWaitedFor(t *testing.T) {
	c := newCrossing(t)
	c.announced()
	c.images("m1", "frozen", "")
	for _, silent := range []int64{42_000, 9_000, 11_000} { // at first since before it was announced: it compiled the program, and nobody stood still
		require.Equal(t, "announced", c.look())
		c.said["h2"] = &apiv1.AppStatus{App: "a", AckedMigration: "m1", SilentMs: silent}
	}
	require.Equal(t, "announced", c.look())
	c.now = c.now.Add(11 * time.Second)
	require.Equal(t, "aborted", c.look())
	require.Contains(t, c.migration().Reason, "does not answer, for 11s at least")
}

// TestFrozenImagesAreNeverGivenUp: once all images are on their targets, neither a deadline nor a host that says that it has failed
// leads back: the leader that finds them so commits.
func TestFrozenImagesAreNeverGivenUp(t *testing.T) {
	c := newCrossing(t)
	c.apply(&apiv1.Command{Op: &apiv1.Command_AnnounceMigration{AnnounceMigration: &apiv1.AnnounceMigration{Id: "m1"}}})
	c.apply(&apiv1.Command{Op: &apiv1.Command_FreezeMigration{FreezeMigration: &apiv1.FreezeMigration{Id: "m1", Ranks: []*apiv1.FrozenRank{{Rank: 0}, {Rank: 1}}}}})
	c.said["h1"] = &apiv1.AppStatus{App: "a", FailedMigration: "m1", FailedReason: "late"}
	c.watch.at(string(fsm.FrozenMigration), c.now)
	c.now = c.now.Add(time.Hour)
	require.Equal(t, "committed", c.look())
	require.EqualValues(t, 2, c.app().Epoch)
}

// TestLogDoesNotTakeTheImages: it is tried for as long as an image may take; then the last try is followed by the abort, if it comes to nothing, too.
func TestLogDoesNotTakeTheImages(t *testing.T) {
	c := newCrossing(t)
	c.announced()
	c.images("m1", "frozen", "staged")
	c.said["h2"].Ranks[0].Rank = 7 // seen in the image of another rank: not all are there
	require.Nil(t, c.step())
	c.said["h2"].Ranks[0].Rank = 0
	c.now = c.now.Add(2 * time.Minute)
	require.Nil(t, c.step().Else)
	c.now = c.now.Add(1)
	step := c.step()
	require.NotNil(t, step.Command.GetFreezeMigration())
	c.take(step.Else)
	require.Equal(t, "all images arrived, but the log did not take them within 2m0s", c.migration().Reason)
}

// TestTargetsMustAcknowledge: a host that only receives has a part in a migration, too.
func TestTargetsMustAcknowledge(t *testing.T) {
	app := &apiv1.App{Size: 3, Placement: []string{"h1", "h2", "h3"}, Ended: []byte{0b100}}
	mig := &apiv1.Migration{Moves: []*apiv1.Move{{Rank: 0, From: "h1", To: "h4"}, {Rank: 1, From: "h2", To: "h4"}}}
	require.Equal(t, []string{"h1", "h2", "h4"}, concerned(app, mig), "the live ranks' hosts and the target, each once")
}
