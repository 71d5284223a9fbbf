package control

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/transport"
)

// knowing starts a server, which does not lead, with another build: one that knows this feature level. Its state is what the log says.
func (tr *trio) knowing(m *member, level uint32) {
	tr.t.Helper()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	m.machine = fsm.NewKnowing(level)
	for i, data := range tr.log {
		_, err := m.machine.Apply(uint64(i+1), tr.term, data)
		require.NoError(tr.t, err)
	}
	m.boot()
}

// raised are the levels that the log sets, and the entries that do.
func (tr *trio) raised() (levels []uint32, at []int) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for i, data := range tr.log {
		entry, err := fsm.Decode(data)
		require.NoError(tr.t, err)
		for _, cmd := range entry.Commands {
			if op := cmd.GetSetFeatureLevel(); op != nil {
				levels, at = append(levels, op.Level), append(at, i+1)
			}
		}
	}
	return levels, at
}

func (tr *trio) length() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return len(tr.log)
}

func (tr *trio) awaitLevel(m *member, level uint32) {
	tr.t.Helper()
	require.Eventually(tr.t, func() bool { return m.machine.View().FeatureLevel() == level }, time.Minute, time.Millisecond)
}

// TestLevelRisesWithTheLastServer: of two builds beside each other the older one's level is in force, under whichever leader, and the
// newer one's from when the last server has it, by one entry.
func TestLevelRisesWithTheLastServer(t *testing.T) {
	t.Parallel()
	tr := newTrio(t, nil)
	s1, s2, s3 := tr.servers[0], tr.servers[1], tr.servers[2]
	tr.knowing(s1, 3)
	tr.knowing(s2, 2)
	tr.knowing(s3, 1)
	common := func(m *member) uint32 {
		level, known := m.control.commonLevel(t.Context())
		require.True(t, known)
		return level
	}
	stop := tr.lead(s1, s2, s3)
	tr.awaitLevel(s1, 1)
	require.EqualValues(t, 1, common(s1))
	stop()
	stop = tr.lead(s3, s1, s2) // the older build leads
	require.EqualValues(t, 1, common(s3))
	stop()
	stop = tr.lead(s2, s1, s3)
	require.EqualValues(t, 1, common(s2))

	silent := http.NotFoundHandler()
	s3.handler.Store(&silent)
	_, known := s2.control.commonLevel(t.Context())
	require.False(t, known, "a server that does not answer may have any build")
	old := s3.machine
	before := tr.length()
	tr.knowing(s3, 3)
	tr.awaitLevel(s3, 2)
	stop()
	levels, at := tr.raised()
	require.Equal(t, []uint32{1, 2}, levels)
	require.Greater(t, at[1], before)

	tr.knowing(s2, 3)
	tr.lead(s2, s1, s3)
	tr.awaitLevel(s2, 3)
	levels, _ = tr.raised()
	require.Equal(t, []uint32{1, 2, 3}, levels)
	// An older build goes as far as its level does.
	for i := int(old.View().Index()) + 1; i < at[1]; i++ { //nolint:gosec // a short log
		_, err := old.Apply(uint64(i), 9, tr.log[i-1])
		require.NoError(t, err)
	}
	_, err := old.Apply(uint64(at[1]), 9, tr.log[at[1]-1])
	require.ErrorIs(t, err, fsm.ErrVersion)
}

// growingGroup is a group that a server joins while the others are asked.
type growingGroup struct {
	noGroup
	looks int
}

func (g *growingGroup) Servers() []ServerInfo {
	g.looks++
	servers := []ServerInfo{{ID: "s1", Voter: true}, {ID: "s2", Voter: true}}
	if g.looks > 1 {
		servers = append(servers, ServerInfo{ID: "s3"})
	}
	return servers
}

// TestLevelOfAGroupThatChanges: who joined while the others were asked may have an older build, so nothing is known.
func TestLevelOfAGroupThatChanges(t *testing.T) {
	b := newBench(t, nil)
	b.l.c.group = &growingGroup{}
	says := map[string]*apiv1.DiscoverResponse{"s2": {FeatureLevel: fsm.FeatureLevel}, "s3": {FeatureLevel: fsm.FeatureLevel}}
	b.l.c.peers = &toldPeers{says: says, asked: map[string]int{}}
	_, known := b.l.c.commonLevel(b.ctx)
	require.False(t, known)
	level, known := b.l.c.commonLevel(b.ctx)
	require.True(t, known, "the members stay the same")
	require.EqualValues(t, fsm.FeatureLevel, level)
}

// ofLevels are peers whose builds know these levels, by id.
type ofLevels struct {
	noPeers
	knows map[string]uint32
}

func (p ofLevels) Servers() (found []Peer) {
	for id, level := range p.knows {
		found = append(found, Peer{ID: id, ClusterID: "c1", Knows: level})
	}
	return found
}

// TestHashesRestWhileBuildsDiffer: who encodes the state in another way is not called wrong.
func TestHashesRestWhileBuildsDiffer(t *testing.T) {
	tr := newTrio(t, nil)
	c := tr.servers[0].control
	for _, tc := range []struct {
		knows map[string]uint32
		mixed bool
	}{
		{nil, false},
		{map[string]uint32{"s2": fsm.FeatureLevel, "s3": fsm.FeatureLevel, "new": fsm.FeatureLevel + 1}, false},
		{map[string]uint32{"s2": fsm.FeatureLevel, "s3": fsm.FeatureLevel + 1}, true},
		{map[string]uint32{"s2": 0}, true},
	} {
		c.peers = ofLevels{knows: tc.knows}
		require.Equal(t, tc.mixed, c.mixed(), "%v", tc.knows)
	}
	b := newBench(t, func(cfg *Config) { cfg.HashPeriod = 0 })
	b.l.c.group = tr.servers[0]
	b.l.c.peers = ofLevels{knows: map[string]uint32{"s2": fsm.FeatureLevel + 1}}
	look := b.l.hasher()
	look(b.ctx)
	require.NotContains(t, b.log.kinds, "CheckHash")
	b.l.c.peers = noPeers{}
	look(b.ctx)
	require.Contains(t, b.log.kinds, "CheckHash")
}

// TestServersTellTheirLevels: what each build knows, and what is in force.
func TestServersTellTheirLevels(t *testing.T) {
	tr := newTrio(t, nil)
	s1 := tr.servers[0]
	s1.control.peers = ofLevels{knows: map[string]uint32{"s2": 7}}
	s1.leads.Store(true)
	_, err := func() ([]*apiv1.Result, error) {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		return tr.apply(&apiv1.Command{Op: &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: 1}}})
	}()
	require.NoError(t, err)
	res, err := s1.control.ListServers(t.Context(), &apiv1.ListServersRequest{})
	require.NoError(t, err)
	require.EqualValues(t, 1, res.FeatureLevel)
	got := map[string]uint32{}
	for _, s := range res.Servers {
		got[s.Id] = s.FeatureLevel
	}
	require.Equal(t, map[string]uint32{"s1": fsm.FeatureLevel, "s2": 7, "s3": 0}, got)
}

// TestSessionBeginsAnewWithTheLevel: a worker that joined before the log could name what its host offers begins a new session once it can.
func TestSessionBeginsAnewWithTheLevel(t *testing.T) {
	t.Parallel()
	tr := newTrio(t, nil)
	s1, s2, s3 := tr.servers[0], tr.servers[1], tr.servers[2]
	tr.knowing(s3, 1)
	tr.lead(s1, s2, s3)
	tr.awaitLevel(s1, 1)
	join := func() apiv1connect.ClusterSessionClientStream {
		ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
		t.Cleanup(cancel)
		stream, err := apiv1connect.NewClusterClient(transport.NewClient(transport.NewHTTPClient(), tr.infos[0].Addr)).Session(ctx)
		require.NoError(t, err)
		hello := &apiv1.Hello{Secret: "s", Host: &apiv1.Host{Id: "w1", Addr: "127.0.0.1:9", Slots: 4, NodeId: "n1", Incarnation: "i1", MemoryBytes: 8 << 30, Speed: 2}}
		require.NoError(t, stream.Send(&apiv1.SessionRequest{Msg: &apiv1.SessionRequest_Hello{Hello: hello}}))
		_, err = stream.Receive()
		require.NoError(t, err)
		return stream
	}
	stream := join()
	h, _ := s1.machine.View().Host("w1")
	require.Zero(t, h.MemoryBytes)
	tr.knowing(s3, fsm.FeatureLevel)
	tr.awaitLevel(s1, fsm.FeatureLevel)
	for {
		if _, err := stream.Receive(); err != nil {
			break // it is over
		}
	}
	join()
	h, _ = s1.machine.View().Host("w1")
	require.EqualValues(t, 8<<30, h.MemoryBytes)
	require.EqualValues(t, 2, h.Speed)
}

// TestSameHostAtAnOlderLevel: a host that says again what the log cannot have yet is no news.
func TestSameHostAtAnOlderLevel(t *testing.T) {
	b := newBench(t, nil)
	b.propose(&apiv1.Command{Op: &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: 1}}})
	h := &apiv1.Host{Id: "h1", Name: "h1", Addr: "h1:1", Slots: 4, Incarnation: "i1", NodeId: "n1", MemoryBytes: 8 << 30, Speed: 2}
	require.NoError(t, b.register(h, nil))
	before := b.log.index
	require.NoError(t, b.register(h, nil))
	require.Equal(t, before, b.log.index)
}
