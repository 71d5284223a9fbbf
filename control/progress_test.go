package control

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

func TestProgress(t *testing.T) {
	for name, c := range map[string]struct {
		looks [][2]uint64 // of the server and the leader.
		stuck bool
	}{
		"idle, with the leader":        {[][2]uint64{{9, 9}, {9, 9}, {9, 9}, {9, 9}, {9, 9}, {9, 9}, {9, 9}, {9, 9}}, false},
		"idle, then something to take": {[][2]uint64{{9, 9}, {9, 9}, {9, 9}, {9, 9}, {9, 9}, {9, 9}, {9, 9}, {9, 12}}, false},
		"always a little behind":       {[][2]uint64{{1, 9}, {2, 10}, {3, 11}, {4, 12}, {5, 13}, {6, 14}, {7, 15}, {8, 16}}, false},
		"stands still":                 {[][2]uint64{{9, 12}, {9, 12}, {9, 13}, {9, 14}, {9, 15}, {9, 16}, {9, 17}, {9, 17}, {9, 18}}, true},
		"stands still, the leader too": {[][2]uint64{{9, 12}, {9, 12}, {9, 12}, {9, 12}, {9, 12}, {9, 12}, {9, 12}, {9, 12}, {9, 12}}, true},
		"has moved again":              {[][2]uint64{{9, 12}, {9, 12}, {9, 13}, {9, 14}, {9, 15}, {9, 16}, {9, 17}, {9, 17}, {10, 17}}, false},
	} {
		var p progress
		for _, l := range c.looks {
			p = p.look(l[0], l[1])
		}
		require.Equal(t, c.stuck, p.looks >= stuckLooks, name)
	}
}

// standing are servers that were found; their index does not move.
type standing struct {
	noPeers
	found []Peer
}

func (s *standing) Servers() []Peer { return s.found }

// allLive is a group of which all answer.
type allLive struct{ noGroup }

func (allLive) ID() string { return "a" }

func (allLive) Servers() []ServerInfo {
	return []ServerInfo{{ID: "a", Voter: true, Live: true}, {ID: "b", Voter: true, Live: true}, {ID: "c", Voter: true, Live: true}}
}

// TestServersSayWhoDoesNotFollow: a voter that answers and whose index does not move is not ok.
func TestServersSayWhoDoesNotFollow(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Addr, cfg.DataDir = "127.0.0.1:1", t.TempDir()
	cfg.Inspect = func([]byte) (*apiv1.Module, error) { return nil, nil }
	m := fsm.NewAlarmed(&apiv1.Alarm{Index: 7, What: "x"})
	found := &standing{}
	c, err := New(cfg, m, &memoryLog{machine: m, index: m.View().Index()}, allLive{}, found, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	for _, key := range []string{"k1", "k2"} { // entries, of which c lacks the last
		_, err = c.ClearAlarms(t.Context(), &apiv1.ClearAlarmsRequest{IdempotencyKey: key, Index: 7})
		require.NoError(t, err)
	}
	index := m.View().Index()
	require.Greater(t, index, uint64(1))
	found.found = []Peer{{ID: "b", Index: index}, {ID: "c", Index: index - 1}}
	health := func() []string {
		res, err := c.ListServers(t.Context(), &apiv1.ListServersRequest{})
		require.NoError(t, err)
		var out []string
		for _, s := range res.Servers {
			out = append(out, s.Health)
		}
		return out
	}
	c.noteProgress()
	require.Equal(t, []string{"ok", "ok", "ok"}, health())
	for range stuckLooks {
		c.noteProgress()
	}
	require.Equal(t, []string{"ok", "ok", "behind: 1 entries"}, health())
	c.forgetProgress()
	require.Equal(t, []string{"ok", "ok", "ok"}, health())
	found.found = found.found[1:] // Raft hears b all the while
	require.Equal(t, []string{"ok", "answers no requests, though Raft hears it", "ok"}, health())
}

// TestServersSayWhoCatchesUp: a voter that answers and moves, but is far behind, as after a restart, is not ok yet; one that is as far
// behind as what the leader has taken since it was asked is.
func TestServersSayWhoCatchesUp(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Addr, cfg.DataDir = "127.0.0.1:1", t.TempDir()
	cfg.Inspect = func([]byte) (*apiv1.Module, error) { return nil, nil }
	log := &memoryLog{machine: fsm.New()}
	found := &standing{}
	c, err := New(cfg, log.machine, log, allLive{}, found, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	commit := func(n int) {
		for range n {
			_, err := log.Propose(t.Context(), &apiv1.Command{Op: &apiv1.Command_CheckHash{CheckHash: &apiv1.CheckHash{}}})
			require.NoError(t, err)
		}
	}
	health := func() string {
		res, err := c.ListServers(t.Context(), &apiv1.ListServersRequest{})
		require.NoError(t, err)
		return res.Servers[1].Health
	}
	commit(2 * maxLag)
	found.found = []Peer{{ID: "b", Index: 10}, {ID: "c", Index: 2 * maxLag}}
	c.noteProgress()
	require.Equal(t, "catching up, 190 entries behind", health())
	found.found[0].Index = 0
	require.Equal(t, "starts: it does not know its state yet", health())
	found.found[0].Index = 2*maxLag - 5
	require.Equal(t, "ok", health())
	commit(2 * maxLag)
	require.Equal(t, "ok", health(), "the leader has gone on since it was asked")
	for range usualLooks {
		c.noteProgress()
	}
	require.Equal(t, "catching up, 205 entries behind", health())
	c.forgetProgress()
	require.Equal(t, "ok", health())
}
