package worker

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/transport"
)

// turns lets a client have the answers of servers in an order: a request goes on when the answer before it has been read.
type turns struct {
	http.RoundTripper
	turns map[string]turn // by host
}

// turn is one server's.
type turn struct {
	before <-chan struct{} // closed when the answer before has been read; nil: it is the first
	later  time.Duration   // and so much after it
	over   func()
}

func inTurn(under http.RoundTripper, addrs ...string) turns {
	s := turns{under, map[string]turn{}}
	var before chan struct{}
	for _, addr := range addrs {
		own := make(chan struct{})
		s.turns[addr] = turn{before, 0, sync.OnceFunc(func() { close(own) })}
		before = own
	}
	return s
}

func (s turns) RoundTrip(r *http.Request) (*http.Response, error) {
	own := s.turns[r.URL.Host]
	if own.before != nil {
		select {
		case <-own.before:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
		select {
		case <-time.After(own.later):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	res, err := s.RoundTripper.RoundTrip(r)
	if err == nil {
		res.Body = &lastRead{res.Body, own.over}
	}
	return res, err
}

// lastRead tells of its end.
type lastRead struct {
	io.ReadCloser
	closed func()
}

func (b *lastRead) Close() error {
	defer b.closed()
	return b.ReadCloser.Close()
}

// TestLatestTermLeads: of a majority that answers, those count that know the latest term, whichever comes first: a deposed leader may go on
// believing in itself.
func TestLatestTermLeads(t *testing.T) {
	var servers []string
	for _, who := range []func(self string) lead{
		func(self string) lead { return lead{addr: self, term: 5} },  // deposed
		func(self string) lead { return lead{addr: self, term: 6} },  // leads
		func(string) lead { return lead{term: 7} },                   // knows of an election, and of no leader yet
		func(string) lead { return lead{term: 7} },                   // another
		func(string) lead { return lead{addr: servers[1], term: 6} }, // follows
	} {
		f := &fakeLeader{}
		serveFake(t, f)
		servers = append(servers, f.addr)
		said := who(f.addr)
		f.leader = func() lead { return said }
	}
	deposed, leads, follows := servers[0], servers[1], servers[4]
	for name, order := range map[string][]string{
		"the deposed first":  {deposed, leads},
		"the deposed last":   {leads, deposed},
		"beside an election": {servers[2], leads, servers[3]},
		"a follower knows":   {deposed, follows},
	} {
		t.Run(name, func(t *testing.T) {
			under := transport.NewHTTPClient()
			t.Cleanup(under.CloseIdleConnections)
			// A look may end before a slow server has answered: it is made again, as sessions do.
			var found lead
			for range 10 {
				w := &Worker{toServers: &http.Client{Transport: inTurn(under.Transport, order...)}, servers: func() []string { return order }}
				var err error
				if found, err = w.findLeader(t.Context(), false); err == nil && found.term == 6 {
					break
				}
			}
			require.Equal(t, lead{addr: leads, term: 6}, found)
		})
	}
}

// TestLatestTermCounts: in whatever order they answer; and nobody is sure of a leader before a majority has answered.
func TestLatestTermCounts(t *testing.T) {
	replies := []reply{
		{server: "s1", lead: lead{addr: "a1", term: 5}}, // deposed
		{server: "s2", lead: lead{addr: "a2", term: 6}},
		{server: "s3", lead: lead{term: 7}}, // knows of an election, and of no leader yet
	}
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		c := tally{cluster: "c1"}
		for _, i := range order {
			c.add(replies[i])
		}
		found, err := c.choose(false)
		require.NoError(t, err)
		require.Equal(t, replies[1].lead, found, "%v", order)
	}
	c := tally{cluster: "c1"}
	c.add(replies[0])
	require.False(t, c.sure(3))
	require.False(t, c.sure(2))
	require.True(t, c.sure(1))
	c.add(replies[1])
	require.True(t, c.sure(3))
	require.False(t, c.sure(4))
}

// TestSecondClusterEndsTheHurry: once a recovered cluster answers too, each server of the own one counts, also one that answers later than
// it is waited for others of one cluster.
func TestSecondClusterEndsTheHurry(t *testing.T) {
	var order []string
	for i, self := range []*apiv1.DiscoverResponse{
		{ServerId: "s2", ClusterId: "c1", Members: voters(3)},
		{ServerId: "s1", ClusterId: "c2", Members: voters(1), FormerClusterIds: []string{"c1"}},
		{ServerId: "s3", ClusterId: "c1", Members: voters(3)},
	} {
		said := lead{addr: "own", term: 5}
		if i == 1 {
			said = lead{addr: "recovered", term: laterTerm}
		}
		f := &fakeLeader{self: self, leader: func() lead { return said }}
		serveFake(t, f)
		order = append(order, f.addr)
	}
	under := transport.NewHTTPClient()
	t.Cleanup(under.CloseIdleConnections)
	// On a busy machine a look may end before the last has answered: it is made again.
	var found lead
	for range 20 {
		w := &Worker{servers: func() []string { return order }, log: slog.New(slog.DiscardHandler), member: membership{cluster: "c1"}}
		slow := inTurn(under.Transport, order...)
		last := slow.turns[order[2]]
		last.later = othersWait * 3 / 2
		slow.turns[order[2]] = last
		w.toServers = &http.Client{Transport: slow}
		var err error
		if found, err = w.findLeader(t.Context(), true); err == nil && found.cluster == "c1" {
			break
		}
	}
	require.Equal(t, "own", found.addr)
}

// TestWhoIsNoServerIsOfNoCluster: of an address at which a worker is, or another program, nothing is waited for.
func TestWhoIsNoServerIsOfNoCluster(t *testing.T) {
	l := listenLocal(t)
	serve(t, l, func(*connect.Server) {})
	f := &fakeLeader{self: &apiv1.DiscoverResponse{ClusterId: "c2", FormerClusterIds: []string{"c1"}}}
	serveFake(t, f)
	f.leader = func() lead { return lead{addr: f.addr, term: 5} }
	servers := []string{f.addr, l.Addr().String()}
	w := &Worker{toServers: transport.NewHTTPClient(), servers: func() []string { return servers }}
	defer w.toServers.CloseIdleConnections()
	var found lead
	var err error
	for range 10 { // a look may end before a slow one has answered: it is made again, as sessions do
		if found, err = w.findLeader(t.Context(), false); err == nil {
			break
		}
	}
	require.NoError(t, err)
	require.Equal(t, f.addr, found.addr)

	servers = append(servers, "127.0.0.1:1") // of which nothing is known
	for range 10 {
		if _, err = w.findLeader(t.Context(), false); err == nil || strings.Contains(err.Error(), "1 servers") {
			break
		}
	}
	require.ErrorContains(t, err, "1 servers have not answered")
}
