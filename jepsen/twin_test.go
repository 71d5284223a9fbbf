package jepsen

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
)

// copied is a stopped follower, and a server at another address that has a copy of its directory. Nothing of it runs.
func copied(c *cluster) (from, twin *process) {
	from = c.follower()
	require.Zero(c.t, from.interrupt(c.t))
	twin = c.join("twin")
	require.NoError(c.t, os.CopyFS(twin.dir, os.DirFS(from.dir)))
	c.servers = c.servers[:len(c.servers)-1]
	return from, twin
}

// learnsMore gives the process entries that a copy of it does not have.
func (c *cluster) learnsMore(p *process) {
	c.t.Helper()
	before := c.member(p.addr).Index
	c.must("run", "-q", "-n", "2", helloModule)
	c.eventually(patience, p.name+" has more entries", func() error { // a majority may be without it
		if m := c.member(p.addr); m == nil || m.Index <= before {
			return errors.New("not yet")
		}
		return nil
	})
}

// endsForTwin waits until the process has ended for its twin, which goes on.
func (p *process) endsForTwin(t *testing.T, twin *process) {
	t.Helper()
	require.NotZero(t, p.wait(t, patience))
	said := tailOf(p.log, 3)
	for _, part := range []string{"two processes run as one server", p.addr, twin.addr, "Stop both"} {
		require.Contains(t, said, part)
	}
	require.NotContains(t, said, "remove it")
	require.True(t, twin.running())
}

// TestCopiedDirectory starts a server on a copy of another's directory: it ends, and stays down; the other goes on.
func TestCopiedDirectory(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{servers: 3})
	from, twin := copied(c)
	from.start(t)
	c.rejoined(from)
	twin.start(t)
	twin.endsForTwin(t, from)
	c.votersAre(c.servers...)
	twin.start(t)
	require.NotZero(t, twin.wait(t, patience))
	require.Contains(t, tailOf(twin.log, 2), "remove the file "+filepath.Join(twin.dir, "twin"))
	c.votersAre(c.servers...)
}

// TestCopyKnowsWhomToAsk starts a copy that is told of nobody: it asks those of whom its log has heard, before it takes part.
func TestCopyKnowsWhomToAsk(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{servers: 3})
	from, twin := copied(c)
	from.start(t)
	c.rejoined(from)
	twin.set("--retry-join", "127.0.0.1:1")
	twin.start(t)
	twin.endsForTwin(t, from)
	require.NotContains(t, tailOf(twin.log, 100), "server started")
	c.votersAre(c.servers...)
}

// TestOriginalComesBackBesideItsCopy starts the copy while the original is down. The copy takes its place and learns all that it
// knew; so the original, the younger process, ends, and nobody is told to delete anything.
func TestOriginalComesBackBesideItsCopy(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{servers: 3, workers: 1})
	from, twin := copied(c)
	from.start(t)
	c.rejoined(from)
	c.learnsMore(from)
	require.Zero(t, from.interrupt(t))
	at := slices.Index(c.servers, from)
	c.servers[at] = twin
	twin.start(t)
	c.votersAre(c.servers...)
	c.must("run", "-q", "-n", "2", helloModule)
	from.start(t)
	from.endsForTwin(t, twin)
	c.votersAre(c.servers...)
}

// TestOldCopyRunsFirst starts a copy that lacks entries while nobody else runs, and then the original: the copy has promised
// nothing, and ends.
func TestOldCopyRunsFirst(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{servers: 3, workers: 1})
	from, twin := copied(c)
	from.start(t)
	c.rejoined(from)
	c.learnsMore(from)
	for _, s := range c.servers {
		s.kill()
	}
	twin.start(t)
	c.says(twin, "server started")
	from.start(t)
	twin.endsForTwin(t, from)
	for _, s := range c.servers {
		if s != from {
			s.start(t)
		}
	}
	c.votersAre(c.servers...)
	c.must("run", "-q", "-n", "2", helloModule)
}

// liar answers Discover as anybody, and cannot prove it.
type liar struct {
	apiv1connect.UnimplementedClusterHandler
	says *apiv1.DiscoverResponse
}

func (l liar) Discover(context.Context, *apiv1.DiscoverRequest) (*apiv1.DiscoverResponse, error) {
	return l.says, nil
}

// TestStrangersEndNobody has somebody at an address of its own answer as each of the servers, as an older process, and tell each
// of them to ask there.
func TestStrangersEndNobody(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{servers: 3})
	members := c.members()
	for _, victim := range members {
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
		require.NoError(t, err)
		s, mux := connect.NewServer(), http.NewServeMux()
		apiv1connect.RegisterClusterHandler(s, liar{says: &apiv1.DiscoverResponse{
			ServerId: victim.Id, Addr: l.Addr().String(), ProcessId: "older", StartedAt: &timestamppb.Timestamp{}, Bootstrapped: true,
			Standing: apiv1.Standing_STANDING_PROMISED, LastLogTerm: 1 << 40, LastLogIndex: 1 << 40,
		}})
		connecthttp.Mount(mux, s)
		protocols := new(http.Protocols)
		protocols.SetHTTP1(true)
		protocols.SetUnencryptedHTTP2(true)
		web := &http.Server{Handler: mux, Protocols: protocols, ReadHeaderTimeout: patience}
		go func() { _ = web.Serve(l) }()
		t.Cleanup(func() { _ = web.Close() })
		for _, s := range c.servers {
			_, err := c.api.cluster(s.addr).Discover(t.Context(), &apiv1.DiscoverRequest{ServerId: victim.Id, Addr: l.Addr().String()})
			require.NoError(t, err)
			c.says(s, l.Addr().String()) // it has asked, and warns
		}
	}
	c.votersAre(c.servers...)
	for _, s := range c.servers {
		require.True(t, s.running())
	}
}
