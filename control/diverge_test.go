package control

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// TestJudgeState: the newest hash that a majority agrees on decides; those that the others have not come to do not.
func TestJudgeState(t *testing.T) {
	records := func(hashes ...string) (out []*apiv1.HashRecord) {
		for i, hash := range hashes {
			out = append(out, &apiv1.HashRecord{Index: uint64(i + 1), Hash: []byte(hash)})
		}
		return out
	}
	for _, tt := range []struct {
		name   string
		own    []*apiv1.HashRecord
		others [][]*apiv1.HashRecord
		index  uint64
		want   fsm.Verdict
	}{
		{"nothing noted", nil, [][]*apiv1.HashRecord{nil, nil}, 0, fsm.Undecided},
		{"agreed", records("a", "b"), [][]*apiv1.HashRecord{records("a", "b"), nil}, 2, fsm.WithMajority},
		{"the others lag", records("a", "b", "c"), [][]*apiv1.HashRecord{records("a"), records("a", "b")}, 2, fsm.WithMajority},
		{"parted", records("a", "x"), [][]*apiv1.HashRecord{records("a", "b"), records("a", "b")}, 2, fsm.AgainstMajority},
		{"one lags, one differs", records("a", "x"), [][]*apiv1.HashRecord{records("a", "b"), records("a")}, 1, fsm.WithMajority},
		{"nobody answers", records("a"), [][]*apiv1.HashRecord{nil, nil}, 0, fsm.Undecided},
	} {
		index, verdict := judgeState(tt.own, true, tt.others, 3)
		require.Equal(t, tt.want, verdict, tt.name)
		require.Equal(t, tt.index, index, tt.name)
	}
}

// TestTheReplicaThatDiffersStops: whether it follows or leads, and the others do not.
func TestTheReplicaThatDiffersStops(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]int{"leader": 0, "follower": 2} {
		t.Run(name, func(t *testing.T) {
			tr := newTrio(t, nil)
			leader := tr.servers[0]
			leader.leads.Store(true)
			ended := make([]chan error, len(tr.servers))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			for i, m := range tr.servers {
				ended[i] = make(chan error, 1)
				go func() { ended[i] <- m.control.WatchState(ctx) }()
			}
			apply := func(m *member, c *apiv1.Command) {
				data, err := fsm.Encode(&apiv1.Entry{Commands: []*apiv1.Command{c}})
				require.NoError(t, err)
				_, err = m.machine.Apply(m.machine.View().Index()+1, 1, data)
				require.NoError(t, err)
			}
			for i, m := range tr.servers {
				id := "c1"
				if i == wrong {
					id = "c2" // as a flipped bit would have it
				}
				apply(m, &apiv1.Command{Op: &apiv1.Command_InitCluster{InitCluster: &apiv1.InitCluster{ClusterId: id}}})
			}
			for range 2 { // the second compares what the first noted
				last := leader.machine.View().LastHash()
				for _, m := range tr.servers {
					apply(m, &apiv1.Command{Op: &apiv1.Command_CheckHash{CheckHash: &apiv1.CheckHash{Index: last.GetIndex(), Hash: last.GetHash()}}})
				}
			}
			if wrong != 0 { // the leader shows it, and goes on showing it when the server has ended
				m := tr.servers[wrong]
				sees := func() bool {
					res, err := leader.control.ListServers(ctx, &apiv1.ListServersRequest{})
					require.NoError(t, err)
					return strings.Contains(res.Servers[wrong].Health, "its state differed from the leader's at entry")
				}
				require.Eventually(t, sees, time.Minute, time.Millisecond)
				require.Contains(t, leader.control.alarms(), "the state of server "+m.id+" differed")
				require.Contains(t, m.control.alarms(), "this server's state differed from the leader's")
				require.NotContains(t, tr.servers[1].control.alarms(), "alarm")
			}
			select {
			case err := <-ended[wrong]:
				require.ErrorIs(t, err, fsm.ErrDiverged)
				require.ErrorContains(t, err, "start it again")
			case <-time.After(time.Minute):
				require.Fail(t, "the server that differs goes on")
			}
			cancel()
			for i, end := range ended {
				if i != wrong {
					require.ErrorIs(t, <-end, context.Canceled)
				}
			}
		})
	}
}
