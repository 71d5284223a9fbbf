package control

import (
	"context"
	"log/slog"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
)

// shrinkingGroup removes whom it is told to, once, and knows who was a member.
type shrinkingGroup struct {
	namedGroup
	former []ServerInfo
	races  bool // somebody else's request comes first.
}

func (g *shrinkingGroup) Former(context.Context) ([]ServerInfo, error) { return g.former, nil }

func (g *shrinkingGroup) RemoveServer(_ context.Context, id string) error {
	for i, s := range g.servers {
		if s.ID == id {
			g.servers, g.former = append(g.servers[:i:i], g.servers[i+1:]...), append(g.former, s)
			if g.races {
				return ErrNoServer
			}
			return nil
		}
	}
	return ErrNoServer
}

// TestRemoveServerAgain: the answer to the first request may have been lost.
func TestRemoveServerAgain(t *testing.T) {
	at := func(id, addr string) ServerInfo { return ServerInfo{ID: id, Addr: addr, LogAddr: addr} }
	g := &shrinkingGroup{namedGroup: namedGroup{servers: []ServerInfo{
		at("s1", "10.0.0.1:7400"), at("aaaa1-2", "10.0.0.2:7400"), at("aaaa2-3", "10.0.0.3:7400"), at("aaaa3-4", "10.0.0.4:7400"),
	}}}
	m := fsm.New()
	c := &Control{group: g, log: &memoryLog{machine: m}, state: m, slog: slog.New(slog.DiscardHandler)}
	remove := func(ref string) (*apiv1.RemoveServerResponse, error) {
		return c.RemoveServer(t.Context(), &apiv1.RemoveServerRequest{Id: ref})
	}
	res, err := remove("aaaa1-2")
	require.NoError(t, err)
	require.False(t, res.Already)
	for _, ref := range []string{"aaaa1-2", "aaaa1", "10.0.0.2", "10.0.0.2:7400"} {
		res, err = remove(ref)
		require.NoError(t, err, ref)
		require.Equal(t, "aaaa1-2", res.Id)
		require.True(t, res.Already)
	}
	for _, ref := range []string{"nosuch", "10.0.0.9", "", "aaa1"} {
		_, err = remove(ref)
		require.Equal(t, connect.CodeNotFound, connect.CodeOf(err), ref)
		require.ErrorContains(t, err, "no server")
	}
	g.races = true
	res, err = remove("aaaa2-3")
	require.NoError(t, err)
	require.True(t, res.Already)
	_, err = remove("a")
	require.ErrorContains(t, err, "at least 4 characters", "one is left that it may mean")
	res, err = remove("aaaa3-4")
	require.NoError(t, err)
	require.True(t, res.Already)
	_, err = remove("aaaa")
	require.Equal(t, connect.CodeNotFound, connect.CodeOf(err), "three were removed whose ids begin so")
	g.servers = append(g.servers, at("aaaa1-2", "10.0.0.2:7400"))
	g.races = false
	res, err = remove("10.0.0.2")
	require.NoError(t, err)
	require.False(t, res.Already, "it has come back, and is removed again")
}

// TestTransferIsDoneOnce: a request without a name that comes again, because its answer was lost, does not hand leadership on once more.
func TestTransferIsDoneOnce(t *testing.T) {
	g := &handingGroup{}
	m := fsm.New()
	c := &Control{group: g, log: &memoryLog{machine: m}, state: m, slog: slog.New(slog.DiscardHandler)}
	res, err := c.TransferLeadership(t.Context(), &apiv1.TransferLeadershipRequest{From: "s2"})
	require.NoError(t, err)
	require.Equal(t, g.ID(), res.Id, "it leads by now")
	require.Zero(t, g.handed)
	res, err = c.TransferLeadership(t.Context(), &apiv1.TransferLeadershipRequest{From: "gone"})
	require.NoError(t, err)
	require.Equal(t, g.ID(), res.Id, "it was removed since, and does not lead any more")
	for _, from := range []string{"nonsense", "s", "127.0.0.1:1"} {
		_, err = c.TransferLeadership(t.Context(), &apiv1.TransferLeadershipRequest{From: from})
		require.Equal(t, connect.CodeNotFound, connect.CodeOf(err), "%s: %v", from, err)
		require.Equal(t, "from", apierr.Info(err).GetField())
	}
	require.Zero(t, g.handed)
	for _, from := range []string{"", g.ID()} {
		_, err = c.TransferLeadership(t.Context(), &apiv1.TransferLeadershipRequest{From: from})
		require.NoError(t, err)
	}
	require.Equal(t, 2, g.handed)
}

// TestTheOnlyVoterStays: without it there is no cluster, and nobody to hand leadership to.
func TestTheOnlyVoterStays(t *testing.T) {
	m := fsm.New()
	g := &handingGroup{}
	c := &Control{group: noGroup{}, log: &memoryLog{machine: m}, state: m, slog: slog.New(slog.DiscardHandler)}
	_, err := c.RemoveServer(t.Context(), &apiv1.RemoveServerRequest{Id: "s1"})
	require.Equal(t, connect.CodeFailedPrecondition, connect.CodeOf(err))
	require.ErrorContains(t, err, "the only one that votes")
	c.group = g
	_, err = c.RemoveServer(t.Context(), &apiv1.RemoveServerRequest{Id: "s1"})
	require.ErrorContains(t, err, "handed leadership on")
	require.Equal(t, 1, g.handed)
}

// handingGroup counts how often leadership was handed on.
type handingGroup struct {
	noGroup
	handed int
}

func (g *handingGroup) Servers() []ServerInfo {
	return append(g.noGroup.Servers(), ServerInfo{ID: "s2", Addr: "127.0.0.1:2", Voter: true})
}

func (g *handingGroup) Former(context.Context) ([]ServerInfo, error) {
	return []ServerInfo{{ID: "gone", Addr: "127.0.0.1:4"}}, nil
}

func (g *handingGroup) TransferLeadership(context.Context, string) error {
	g.handed++
	return nil
}
