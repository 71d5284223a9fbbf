package worker

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/notify"
	"github.com/godwit-run/godwit/internal/pipe"
	"github.com/godwit-run/godwit/internal/transport"
	"github.com/godwit-run/godwit/worker/part"
)

// bench is one app on host h1, its executor played by the test.
type bench struct {
	t    *testing.T
	a    *app
	exec *pipe.Conn // the executor's end
	rec  *apiv1.AppRecord

	diskFirst bool // an arrived rank's log is on the disk before its memory is in place
}

func newBench(t *testing.T) *bench {
	t.Helper()
	dir := t.TempDir()
	logs, err := newLogStore(filepath.Join(dir, "logs"), DefaultConfig().LogBytes, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	w := &Worker{
		cfg: DefaultConfig(), log: slog.New(slog.DiscardHandler), logs: logs, tasks: new(errgroup.Group),
		apps: map[string]*app{}, records: map[string]*apiv1.AppRecord{}, statuses: map[string]*apiv1.AppStatus{},
		dirty: map[string]bool{}, dirtyCh: notify.NewSignal(), diskCh: notify.NewSignal(), children: map[*child]bool{}, tryDisk: writeProbe, http: transport.NewHTTPClient(), toServers: transport.NewHTTPClient(), bulk: transport.NewBulkHTTPClient(),
	}
	w.cfg.Name, w.cfg.DataDir, w.cfg.Slots = "h1", dir, 4
	w.checkpoints = newStore(t, filepath.Join(dir, "checkpoints"))
	runs, err := newRegistry(filepath.Join(dir, "run"))
	require.NoError(t, err)
	w.spawner = &spawner{runs: runs}
	a := newApp("a", w)
	a.output, err = logs.app("a")
	require.NoError(t, err)
	a.life = &life{output: a.output}
	ours, theirs := linkOf(t)
	a.child = &child{app: "a", control: pipe.NewConn(ours), process: &os.Process{Pid: -1}, exited: make(chan struct{}), wake: notify.NewSignal()}
	close(a.child.exited) // there is no process to wait for
	pump(t, a.child)
	t.Cleanup(func() {
		a.endRun(t.Context())
		_ = ours.Close()
		_ = theirs.Close()
		_ = w.tasks.Wait()
		w.http.CloseIdleConnections()
		w.toServers.CloseIdleConnections()
		w.bulk.CloseIdleConnections()
	})
	b := &bench{t: t, a: a, exec: pipe.NewConn(theirs)}
	b.rec = &apiv1.AppRecord{
		Index: 1, App: &apiv1.App{
			Id: "a", Phase: "running", Size: 2, Epoch: 1, Placement: []string{"h1", "h2"},
			Ranks: []*apiv1.RankState{{Epoch: 1}, {Epoch: 1}}, Spec: &apiv1.AppSpec{},
		},
		Addrs: map[string]string{"h1": "127.0.0.1:1", "h2": "127.0.0.1:1"},
	}
	b.has(part.Running, 0)
	b.step()
	require.NotNil(t, b.next().GetRoutes())
	return b
}

// linkOf are the two ends of a link.
func linkOf(t *testing.T) (ours, theirs *net.UnixConn) {
	t.Helper()
	dir := t.TempDir()
	f, err := pipe.Listen(dir, "link")
	require.NoError(t, err)
	l, err := pipe.NewListener(f)
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // of a test
	lease, err := pipe.NewLease()
	require.NoError(t, err)
	ours, err = pipe.Dial(dir, "link", pipe.Control, lease)
	require.NoError(t, err)
	c, err := l.Accept()
	require.NoError(t, err)
	return ours, c.Conn
}

// pump sends a child's commands until the test ends.
func pump(t *testing.T, c *child) {
	t.Helper()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-c.wake:
				if c.flush() != nil {
					return
				}
			case <-stop:
				return
			}
		}
	})
	t.Cleanup(func() { close(stop); wg.Wait() })
}

// step lets the app see the record and do what follows from it.
func (b *bench) step() {
	b.a.part.Follow(b.rec)
	b.a.part.Step(b.hands())
}

func (b *bench) hands() part.Hands { return b.a.with(b.t.Context()) }

func (b *bench) status() *apiv1.AppStatus { return b.a.status(b.t.Context()) }

// has makes the app's part one of which nothing is known but the record, and that its executor is in a state, with these ranks, which run.
func (b *bench) has(exec part.Executor, runs ...int32) {
	b.a.part = part.New(b.a.id, b.a.host.cfg.Name)
	b.a.part.Follow(b.rec)
	switch exec {
	case part.Starting:
		b.a.part.Adopting()
	case part.Running:
		s := &apiv1.ExecStanding{}
		for _, id := range runs {
			s.Ranks = append(s.Ranks, &apiv1.StandingRank{Rank: id, Epoch: 1, State: apiv1.StandingRank_STATE_RUNS})
		}
		b.a.part.Adopt(b.hands(), s)
	case part.Gone:
		b.a.part.AdoptFailed("executor ended while its worker was away")
	case part.None:
	}
}

// executor is the state of the app's executor.
func (b *bench) executor() part.Executor {
	state, _ := b.a.part.Executor()
	return state
}

// next is the next command the executor was given.
func (b *bench) next() *apiv1.ExecCommand {
	b.t.Helper()
	c := new(apiv1.ExecCommand)
	require.NoError(b.t, b.exec.Receive(c))
	return c
}

// migration makes the record one of a migration that moves rank 0 away, or rank 1 here.
func (b *bench) migration(phase string, rank int32, from, to string) {
	b.rec = &apiv1.AppRecord{
		Index: b.rec.Index + 1, App: b.rec.App, Addrs: b.rec.Addrs,
		Migration: &apiv1.Migration{Id: "m1", App: "a", FromEpoch: 1, Phase: phase, Moves: []*apiv1.Move{{Rank: rank, From: from, To: to}}},
	}
	b.step()
}

// placed makes the record one without a migration, with the given placement.
func (b *bench) placed(epoch uint64, placement []string, ranks ...*apiv1.RankState) {
	app := &apiv1.App{Id: "a", Phase: "running", Size: 2, Epoch: epoch, Placement: placement, Ranks: ranks, Spec: &apiv1.AppSpec{}}
	b.rec = &apiv1.AppRecord{Index: b.rec.Index + 1, App: app, Addrs: b.rec.Addrs}
	b.step()
}

// leaves has rank 0 leave for h2: its memory is ahead, and what there is of its log.
func (b *bench) leaves() {
	b.t.Helper()
	b.migration(apiv1.MigrationPending, 0, "h1", "h2")
	require.NotNil(b.t, b.next().GetRoutes())
	p := b.next().GetPrecopy()
	require.Equal(b.t, "m1", p.GetMigration())
	require.Len(b.t, p.Ranks, 1)
	require.Equal(b.t, "h2", p.Ranks[0].Host)
	require.Equal(b.t, b.rec.Addrs["h2"], p.Ranks[0].Addr)
	require.Empty(b.t, b.status().AckedMigration)
	b.a.part.Ahead(b.hands(), &apiv1.ExecAhead{Migration: "m1", Bytes: 9, Ready: true})
	b.a.part.LogAhead("m1", 0)
	b.step()
	require.Equal(b.t, "m1", b.status().AckedMigration)
	require.EqualValues(b.t, 9, b.status().Ranks[0].AheadBytes)
	b.migration(apiv1.MigrationAnnounced, 0, "h1", "h2")
	require.NotNil(b.t, b.next().GetRoutes())
	require.Equal(b.t, []int32{0}, b.next().GetFreeze().GetRanks())
}

func (b *bench) frozen() {
	b.t.Helper()
	b.leaves()
	b.a.part.Frozen(b.hands(), &apiv1.ExecFrozen{Migration: "m1", Rank: 0})
	require.Equal(b.t, apiv1.RankFrozen, b.status().Ranks[0].State)
}

func TestSourceResumesOnlyAfterTheAbort(t *testing.T) {
	b := newBench(t)
	b.frozen()
	b.step()
	b.step()
	require.Equal(t, apiv1.RankFrozen, b.status().Ranks[0].State, "no time and no repetition decides")
	b.placed(1, []string{"h1", "h2"}, &apiv1.RankState{Epoch: 1}, &apiv1.RankState{Epoch: 1})
	require.NotNil(t, b.next().GetRoutes())
	require.Equal(t, []int32{0}, b.next().GetResume().GetRanks())
	require.Equal(t, apiv1.RankRunning, b.status().Ranks[0].State)
	require.Empty(t, b.status().Ranks[0].ImageDigest)
}

func TestSourceDropsOnlyAfterTheCommit(t *testing.T) {
	b := newBench(t)
	b.frozen()
	b.placed(2, []string{"h2", "h2"}, &apiv1.RankState{Epoch: 2}, &apiv1.RankState{Epoch: 1})
	require.Equal(t, []int32{0}, b.next().GetDrop().GetRanks())
	require.EqualValues(t, 2, b.next().GetRoutes().GetEpoch())
	require.Empty(t, b.status().Ranks)
	require.True(t, b.a.output.state(0).done, "readers look for the rank's output elsewhere")
	require.Equal(t, part.None, b.executor(), "an executor without ranks is not kept")
}

// arrive brings rank 1 from h2, with its log.
func (b *bench) arrive() {
	b.t.Helper()
	b.expects()
	log, err := os.CreateTemp(b.t.TempDir(), "log")
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = log.Close() })
	require.NoError(b.t, b.a.logArrived(&arrival{header: &apiv1.TransferHeader{App: "a", Migration: "m1", Rank: 1, From: "h2"}, log: log}))
	require.Nil(b.t, b.a.part.Rank(1))
}

// expects has rank 1 expected from h2.
func (b *bench) expects() {
	b.t.Helper()
	b.migration(apiv1.MigrationPending, 1, "h2", "h1")
	require.NotNil(b.t, b.next().GetRoutes())
	require.Equal(b.t, []int32{1}, b.next().GetExpect().GetRanks())
	require.Empty(b.t, b.status().AckedMigration, "its guest is not there")
	b.a.part.Expecting(b.hands(), &apiv1.ExecExpecting{Migration: "m1", Ranks: []int32{1}})
	b.step()
	require.Equal(b.t, "m1", b.status().AckedMigration)
	b.migration(apiv1.MigrationAnnounced, 1, "h2", "h1")
	require.NotNil(b.t, b.next().GetRoutes())
}

func (b *bench) staged() {
	b.t.Helper()
	b.arrive()
	memory := func() {
		b.a.rankStaged(b.t.Context(), &apiv1.ExecStaged{Migration: "m1", Rank: 1, Digest: "d", SinceMs: 5, AheadBytes: 7, PauseBytes: 2, Rounds: 3})
	}
	disk := func() {
		require.NoError(b.t, b.a.part.LogKept(&apiv1.TransferHeader{App: "a", Migration: "m1", Rank: 1}))
	}
	if first, second := memory, disk; b.diskFirst {
		first, second = second, first
		first()
		require.Nil(b.t, b.a.part.Rank(1), "it is not in memory")
		second()
	} else {
		first()
		require.Nil(b.t, b.a.part.Rank(1), "what it has printed is not on the disk")
		second()
	}
	r := b.status().Ranks[1]
	require.Equal(b.t, apiv1.RankStaged, r.State)
	require.Equal(b.t, "d", r.ImageDigest)
	require.Equal(b.t, []int64{9, 2, 3}, []int64{r.ImageBytes, r.PauseBytes, int64(r.Rounds)})
}

func TestTargetThawsOnlyAfterTheCommit(t *testing.T) {
	b := newBench(t)
	b.staged()
	b.step()
	require.Equal(t, apiv1.RankStaged, b.status().Ranks[1].State)
	b.placed(2, []string{"h1", "h1"}, &apiv1.RankState{Epoch: 1}, &apiv1.RankState{Epoch: 2})
	require.EqualValues(t, 2, b.next().GetRoutes().GetEpoch(), "the routes come before the thaw")
	thaw := b.next().GetThaw()
	require.Equal(t, []int32{1}, thaw.GetRanks())
	require.EqualValues(t, 2, thaw.GetEpoch())
	require.Equal(t, apiv1.RankRunning, b.status().Ranks[1].State)
}

// A rank is not staged before its log is on the disk: with the commit, its source forgets all that it has printed.
func TestRankIsStagedWithItsLog(t *testing.T) {
	b := newBench(t)
	b.diskFirst = true
	b.staged()
	require.ErrorContains(t, b.a.part.LogKept(&apiv1.TransferHeader{App: "a", Migration: "m0", Rank: 1}), "is over")
}

// What has come of a rank in vain is dropped when its migration is aborted, and it may come again: its guest, its memory without its log, its log without its memory.
func TestTargetDropsWhatHasComeInVain(t *testing.T) {
	for name, come := range map[string]func(b *bench){
		"guest": (*bench).expects,
		"log":   (*bench).arrive,
		"memory": func(b *bench) {
			b.expects()
			b.a.rankStaged(b.t.Context(), &apiv1.ExecStaged{Migration: "m1", Rank: 1})
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			come(b)
			b.step()
			require.Nil(t, b.a.part.Rank(1), "not decided yet")
			b.placed(1, []string{"h1", "h2"}, &apiv1.RankState{Epoch: 1}, &apiv1.RankState{Epoch: 1})
			require.NotNil(t, b.next().GetRoutes())
			require.Equal(t, []int32{1}, b.next().GetDrop().GetRanks())
			require.Nil(t, b.a.part.Rank(1))
			if name == "log" {
				require.True(t, b.a.output.state(1).done, "readers look for the rank's output elsewhere")
			}
		})
	}
}

// Guests that are made when their migration is over already are dropped, unless the next one expects the ranks, too.
func TestGuestsOfAMigrationThatIsOver(t *testing.T) {
	b := newBench(t)
	b.migration(apiv1.MigrationPending, 1, "h2", "h1")
	require.NotNil(t, b.next().GetRoutes())
	require.NotNil(t, b.next().GetExpect())
	b.placed(1, []string{"h1", "h2"}, &apiv1.RankState{Epoch: 1}, &apiv1.RankState{Epoch: 1})
	require.NotNil(t, b.next().GetRoutes())
	late := &apiv1.ExecExpecting{Migration: "m1", Ranks: []int32{1}}
	b.a.part.Expecting(b.hands(), late)
	require.Equal(t, []int32{1}, b.next().GetDrop().GetRanks())
	b.migration(apiv1.MigrationPending, 1, "h2", "h1")
	require.NotNil(t, b.next().GetRoutes())
	require.NotNil(t, b.next().GetExpect())
	late.Migration = "m0"
	b.a.part.Expecting(b.hands(), late)
	b.step()
	require.Empty(t, b.status().AckedMigration, "those of this one are not there")
	b.a.say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Ping{Ping: &apiv1.ExecPing{}}})
	require.NotNil(t, b.next().GetPing(), "and nothing before")
}

func TestTargetDropsAfterTheAbort(t *testing.T) {
	b := newBench(t)
	b.staged()
	b.placed(1, []string{"h1", "h2"}, &apiv1.RankState{Epoch: 1}, &apiv1.RankState{Epoch: 1})
	require.Equal(t, []int32{1}, b.next().GetDrop().GetRanks())
	require.Len(t, b.status().Ranks, 1)
}

func TestLogOfAnotherMigrationIsRefused(t *testing.T) {
	b := newBench(t)
	b.migration("announced", 1, "h2", "h1")
	err := b.a.logArrived(&arrival{header: &apiv1.TransferHeader{App: "a", Migration: "m0", Rank: 1}})
	require.ErrorContains(t, err, "does not wait")
}

func TestFailedFreezeIsReported(t *testing.T) {
	b := newBench(t)
	b.migration("announced", 0, "h1", "h2")
	b.a.part.Frozen(b.hands(), &apiv1.ExecFrozen{Migration: "m1", Rank: 0, Error: "disk full"})
	require.Equal(t, "m1", b.status().FailedMigration)
	require.Equal(t, "disk full", b.status().FailedReason)
}

func TestLostExecutorEndsItsRanks(t *testing.T) {
	b := newBench(t)
	c := b.a.child
	b.a.childExited(c)
	(<-b.a.inbox)()
	b.step()
	st := b.status()
	require.Equal(t, apiv1.RankEnded, st.Ranks[0].State)
	require.NotZero(t, st.Ranks[0].ExitCode)
	require.NotEmpty(t, st.Ranks[0].Reason)
}

// TestLostWithItsExecutorBeforeTheCommit: a rank that was staged in an executor that is gone is a rank of this host when its migration is committed all the
// same, and has ended here; also if the app is to stop.
func TestLostWithItsExecutorBeforeTheCommit(t *testing.T) {
	for _, verdict := range []string{"", "cancelled"} {
		b := newBench(t)
		b.staged()
		b.a.childExited(b.a.child)
		(<-b.a.inbox)()
		b.rec.App = &apiv1.App{
			Id: "a", Phase: "running", Size: 2, Epoch: 2, Placement: []string{"h1", "h1"}, Verdict: verdict, Spec: &apiv1.AppSpec{},
			Ranks: []*apiv1.RankState{{Epoch: 1}, {Epoch: 2}},
		}
		b.rec = &apiv1.AppRecord{Index: b.rec.Index + 1, App: b.rec.App, Addrs: b.rec.Addrs}
		b.step()
		ranks := b.status().Ranks
		require.Len(t, ranks, 2)
		for i, r := range ranks {
			require.Equal(t, apiv1.RankEnded, r.State)
			require.NotZero(t, r.ExitCode)
			require.NotEmpty(t, r.Reason)
			require.Equal(t, b.rec.App.Ranks[i].Epoch, r.Epoch)
		}
	}
}

// TestComesAgain: a rank that was lost, staged, with its executor runs on where it was when its migration is aborted, and may come to this host again.
func TestComesAgain(t *testing.T) {
	b := newBench(t)
	b.staged()
	b.a.childExited(b.a.child)
	(<-b.a.inbox)()
	b.step()
	require.NotNil(t, b.a.part.Rank(1), "not decided yet")
	b.placed(1, []string{"h1", "h2"}, &apiv1.RankState{Epoch: 1, Ended: true}, &apiv1.RankState{Epoch: 1})
	require.Nil(t, b.a.part.Rank(1))
	require.NotNil(t, b.a.part.Rank(0))
}

func TestOlderRecordsAreIgnored(t *testing.T) {
	w := &Worker{
		log: slog.New(slog.DiscardHandler), tasks: new(errgroup.Group), apps: map[string]*app{}, records: map[string]*apiv1.AppRecord{},
		statuses: map[string]*apiv1.AppStatus{}, dirty: map[string]bool{}, dirtyCh: notify.NewSignal(),
	}
	a := newApp("a", w)
	w.apps["a"] = a
	rec := func(index, term uint64) *apiv1.AppRecord {
		return &apiv1.AppRecord{Index: index, Term: term, App: &apiv1.App{Id: "a", Phase: "running"}}
	}
	w.follow(t.Context(), rec(10, 2))
	w.follow(t.Context(), rec(9, 2))
	w.follow(t.Context(), rec(11, 1))
	require.EqualValues(t, 10, w.record("a").Index, "neither an older index nor a deposed leader's term counts")
	w.follow(t.Context(), rec(11, 3))
	require.EqualValues(t, 11, w.record("a").Index)
	w.follow(t.Context(), rec(7, 9))
	require.EqualValues(t, 7, w.record("a").Index, "a recovered cluster's log may be shorter: its terms are later")
}

// An app follows a recovered cluster, whose log may be shorter than that of the lost one.
func TestAppFollowsARecoveredCluster(t *testing.T) {
	b := newBench(t)
	w, a := b.a.host, b.a
	w.apps[a.id] = a
	ran := make(chan struct{})
	go func() { defer close(ran); a.run(t.Context()) }()
	rec := func(index, term uint64, gone bool) *apiv1.AppRecord {
		return &apiv1.AppRecord{Index: index, Term: term, Gone: gone, App: &apiv1.App{Id: "a", Phase: "running", Spec: &apiv1.AppSpec{}}}
	}
	w.follow(t.Context(), rec(10, 2, false))
	require.Eventually(t, func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.statuses["a"].GetIndex() == 10 }, time.Minute, time.Millisecond)
	w.follow(t.Context(), rec(7, 9, true))
	within(t, ran, "the app's end")
}

// TestTargetAcknowledgesOnceItsGuestsAreThere: not while its executor starts, nor while that makes them; and one that has none says so.
func TestTargetAcknowledgesOnceItsGuestsAreThere(t *testing.T) {
	b := newBench(t)
	b.has(part.Starting)
	b.migration(apiv1.MigrationPending, 1, "h2", "h1")
	require.Empty(t, b.status().AckedMigration)
	b.a.part.Ready()
	b.step()
	require.Empty(t, b.status().AckedMigration)
	b.a.part.Expecting(b.hands(), &apiv1.ExecExpecting{Migration: "m1", Ranks: []int32{1}})
	b.step()
	require.Equal(t, "m1", b.status().AckedMigration)
	b.a.part.Expecting(b.hands(), &apiv1.ExecExpecting{Migration: "m1", Ranks: []int32{1}, Error: "no memory"})
	require.Equal(t, "no memory", b.status().FailedReason)
}

// TestSourceAcknowledgesOnceLittleIsLeft: its memory is ready, and what there was of its log is ahead; a rank that has ended is not waited for.
func TestSourceAcknowledgesOnceLittleIsLeft(t *testing.T) {
	b := newBench(t)
	b.migration(apiv1.MigrationPending, 0, "h1", "h2")
	acked := func() string { b.step(); return b.status().AckedMigration }
	require.Empty(t, acked())
	b.a.part.Ahead(b.hands(), &apiv1.ExecAhead{Migration: "m1", Ready: true})
	require.Empty(t, acked())
	b.a.part.LogAhead("m1", 0)
	require.Equal(t, "m1", acked())
	b.a.part.Ahead(b.hands(), &apiv1.ExecAhead{Migration: "m1"})
	require.Empty(t, acked(), "all of it is to be sent again")
	b.a.rankEnded(&apiv1.ExecEnded{Rank: 0})
	require.Equal(t, "m1", acked())
}

// TestKilledAfterTheGrace: an executor that does not end when its ranks are cancelled is killed, and says why.
func TestKilledAfterTheGrace(t *testing.T) {
	b := newBench(t)
	b.a.host.cfg.CancelGrace = time.Millisecond
	c := sleeper(t)
	c.wake = notify.NewSignal()
	b.a.child = c
	b.rec.App.Verdict = "cancelled"
	b.step()
	<-c.exited
	require.Contains(t, *c.why.Load(), "after the grace")
}

// TestAcknowledgedUntilItIsOver: what an executor begins anew after the announcement takes nothing back: the acknowledgement was counted.
func TestAcknowledgedUntilItIsOver(t *testing.T) {
	b := newBench(t)
	b.leaves()
	b.a.part.Ahead(b.hands(), &apiv1.ExecAhead{Migration: "m1"})
	b.step()
	require.Equal(t, "m1", b.status().AckedMigration)
	b = newBench(t)
	b.migration(apiv1.MigrationPending, 0, "h1", "h2")
	b.a.part.Ahead(b.hands(), &apiv1.ExecAhead{Migration: "m1", Ready: true})
	b.a.part.LogAhead("m1", 0)
	b.step()
	b.a.part.Ahead(b.hands(), &apiv1.ExecAhead{Migration: "m1"}) // just before the announcement comes
	b.step()
	require.Empty(t, b.status().AckedMigration)
	b.migration(apiv1.MigrationAnnounced, 0, "h1", "h2")
	require.Equal(t, "m1", b.status().AckedMigration)
}

// TestGoesOnBeforeItMoves: of a record that says of a checkpoint that it is taken, and of a migration that it has begun, ranks hear in that order.
func TestGoesOnBeforeItMoves(t *testing.T) {
	b := newBench(t)
	c := &apiv1.Checkpoint{Id: "c1", Phase: apiv1.CheckpointPending, Parts: []*apiv1.CheckpointPart{{Host: "h1"}}, Runs: []*apiv1.PlaceRule{{Host: "h1", Ranks: 1}, {Host: "h2", Ranks: 1}}}
	is := func(phase string) {
		c.Phase = phase
		b.rec = &apiv1.AppRecord{Index: b.rec.Index + 1, App: b.rec.App, Addrs: b.rec.Addrs, Checkpoint: c, Migration: b.rec.Migration}
		b.step()
		require.NotNil(t, b.next().GetRoutes())
	}
	is(apiv1.CheckpointPending)
	require.NotNil(t, b.next().GetCheckpoint())
	is(apiv1.CheckpointAnnounced)
	require.Equal(t, "c1", b.next().GetFreeze().GetMigration())
	b.rec.Migration = &apiv1.Migration{Id: "m1", App: "a", FromEpoch: 1, Phase: apiv1.MigrationPending, Moves: []*apiv1.Move{{Rank: 0, From: "h1", To: "h2"}}}
	is(apiv1.CheckpointTaken)
	require.Equal(t, []int32{0}, b.next().GetResume().GetRanks())
	require.Equal(t, "m1", b.next().GetPrecopy().GetMigration())
}
