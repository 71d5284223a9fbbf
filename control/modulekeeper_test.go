package control

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/transport"
)

// giver has modules for others.
type giver struct {
	apiv1connect.UnimplementedClusterHandler
	modules map[string]string
	asked   chan *apiv1.FetchModuleRequest
	before  func() // it answers
}

func (g giver) FetchModule(_ context.Context, req *apiv1.FetchModuleRequest, stream apiv1connect.ClusterFetchModuleServerStream) error {
	g.asked <- req
	g.before()
	code, ok := g.modules[req.Digest]
	if !ok {
		return noModule(req.Digest)
	}
	return stream.Send(&apiv1.FetchModuleResponse{Chunk: []byte(code)})
}

// givers makes the bench's server one of several, the others of which have these modules, and returns what they are asked.
func (b *bench) givers(n int, before func(), codes ...string) <-chan *apiv1.FetchModuleRequest {
	g := giver{modules: map[string]string{}, asked: make(chan *apiv1.FetchModuleRequest, 99), before: before}
	for _, code := range codes {
		g.modules[digestOf([]byte(code))] = code
	}
	addr := answersAs(b.t, g)
	servers := []ServerInfo{{ID: "s1", Voter: true}}
	for range n {
		servers = append(servers, ServerInfo{ID: "other", Addr: addr, Voter: true})
	}
	b.l.c.group = groupOf{servers: servers}
	return g.asked
}

// noDir puts a file where the store's directory was, and returns what undoes that.
func noDir(t *testing.T, c *Control) (undo func()) {
	require.NoError(t, os.RemoveAll(c.modules.dir))
	require.NoError(t, os.WriteFile(c.modules.dir, nil, 0o600))
	return func() {
		require.NoError(t, os.Remove(c.modules.dir))
		require.NoError(t, os.Mkdir(c.modules.dir, 0o700))
	}
}

// TestOwnDiskIsTold: what this server's disk refuses of a module that others have is what who waits for it hears, with what to do, and no
// other server is asked for it.
func TestOwnDiskIsTold(t *testing.T) {
	b := newBench(t, nil)
	c := b.l.c
	asked := b.givers(2, func() { _ = os.RemoveAll(c.modules.dir) }, "module")
	client := apiv1connect.NewClusterClient(transport.NewClient(transport.NewHTTPClient(), serve(t, c)))
	told := func() error {
		stream, err := client.FetchModule(t.Context(), &apiv1.FetchModuleRequest{Digest: digestOf([]byte("module"))})
		require.NoError(t, err)
		for err == nil {
			_, err = stream.Receive()
		}
		require.Equal(t, connect.CodeInternal, connect.CodeOf(err), "%v", err)
		require.ErrorContains(t, err, "this server cannot store or read a module")
		return err
	}
	_ = told() // in the end
	require.Len(t, asked, 1)
	require.NoError(t, os.WriteFile(c.modules.dir, nil, 0o600))
	require.ErrorContains(t, told(), "the operating system refuses it: mend that") // from the beginning
	require.Len(t, asked, 1)
	require.True(t, ownDisk(c.fetched(t.Context(), digestOf([]byte("module")))))
	require.False(t, ownDisk(told()), "another server's word is not of this one's disk")
}

// TestOwnFileIsNotToBeRead: a module that this server's disk does not give is not called missing: not to who would upload it
// then, and not to another server.
func TestOwnFileIsNotToBeRead(t *testing.T) {
	b := newBench(t, nil)
	c := b.l.c
	digest := digestOf([]byte("module"))
	b.know(digest)
	require.NoError(t, os.Mkdir(c.modules.path(digest), 0o700)) // which is opened, and not read
	client := transport.NewClient(transport.NewHTTPClient(), serve(t, c))
	_, err := apiv1connect.NewControlClient(client).ListModules(t.Context(), &apiv1.ListModulesRequest{Digest: digest})
	told := func(err error) {
		require.Equal(t, connect.CodeInternal, connect.CodeOf(err), "%v", err)
		require.ErrorContains(t, err, "is a directory: the operating system refuses it: mend that")
	}
	told(err)
	ctx, info := connect.NewClientContext(t.Context())
	info.RequestHeader().Set(hopHeader, "1")
	stream, err := apiv1connect.NewClusterClient(client).FetchModule(ctx, &apiv1.FetchModuleRequest{Digest: digest})
	require.NoError(t, err)
	for err == nil {
		_, err = stream.Receive()
	}
	told(err)
}

// TestNoServerHasIt is said when all have said so.
func TestNoServerHasIt(t *testing.T) {
	b := newBench(t, nil)
	c := b.l.c
	asked := b.givers(2, func() {})
	err := c.fetched(t.Context(), digestOf([]byte("module")))
	require.Equal(t, connect.CodeNotFound, connect.CodeOf(err))
	require.ErrorContains(t, err, "no server has module")
	require.Len(t, asked, 2)
	c.group = groupOf{servers: append(c.group.Servers(), ServerInfo{ID: "down", Addr: "127.0.0.1:1"})}
	err = c.fetched(t.Context(), digestOf([]byte("module")))
	require.Equal(t, connect.CodeUnavailable, connect.CodeOf(err))
	require.ErrorContains(t, err, "1 of 3 others do not say whether they have it")
}

// TestServersAskAsServers: with the proof of a host that is there, so that they stand in line with workers.
func TestServersAskAsServers(t *testing.T) {
	b := newBench(t, nil)
	c := b.l.c
	asked := b.givers(1, func() {}, "module")
	gone, there := sha256.Sum256([]byte("gone")), sha256.Sum256([]byte("there"))
	register := func(id string, secret [32]byte) {
		require.NoError(t, b.register(&apiv1.Host{Id: id, Name: id, Addr: "127.0.0.1:1", Slots: 1, Incarnation: "i", NodeId: "n"}, secret[:]))
	}
	register("w1", gone)
	require.True(t, c.proves("w1", gone[:]))
	b.propose(&apiv1.Command{Op: &apiv1.Command_SetHostState{SetHostState: &apiv1.SetHostState{Host: "w1", Incarnation: "i", State: string(fsm.Lost), Reason: "x"}}})
	require.False(t, c.proves("w1", gone[:]), "the secret of a host that is gone proves nothing")
	require.Empty(t, c.asServer(testDigest).Host)
	register("w2", there)
	require.NoError(t, c.fetched(t.Context(), digestOf([]byte("module"))))
	req := <-asked
	require.Equal(t, "w2", req.Host)
	require.Equal(t, there[:], req.Proof)
}

// counted counts how often somebody looks who the servers are, as each pull does.
type counted struct {
	Group
	looks *atomic.Int32
}

func (g counted) Servers() []ServerInfo { g.looks.Add(1); return g.Group.Servers() }

// TestIllDiskIsTriedLessOften: as long as it refuses what this server lacks, which is said once.
func TestIllDiskIsTriedLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		c := b.l.c
		var log bytes.Buffer
		c.slog = slog.New(slog.NewTextHandler(&log, nil))
		looks := new(atomic.Int32)
		c.group = counted{groupOf{servers: []ServerInfo{{ID: "s1", Voter: true}, {ID: "s2", Addr: "127.0.0.1:1", Voter: true}}}, looks}
		noDir(t, c)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.KeepModules(ctx) }()
		time.Sleep(10 * illPause)
		synctest.Wait()
		n := looks.Load()
		require.LessOrEqual(t, n, int32(15))
		time.Sleep(illPause)
		synctest.Wait()
		require.Equal(t, n+1, looks.Load(), "it tries again")
		stop()
		require.ErrorIs(t, <-done, context.Canceled)
		require.Equal(t, 1, strings.Count(log.String(), "level=WARN"), log.String())
		require.Contains(t, log.String(), "the operating system refuses it: mend that")
	})
}

// TestDiskGetsWell: then modules come at once again.
func TestDiskGetsWell(t *testing.T) {
	b := newBench(t, nil)
	c := b.l.c
	b.givers(1, func() {}, "module")
	b.know(digestOf([]byte("module")))
	b.propose(&apiv1.Command{Op: &apiv1.Command_RemoveModule{RemoveModule: &apiv1.RemoveModule{Digest: testDigest}}})
	mend := noDir(t, c)
	k := keeper{c: c, pause: holdingTick}
	for range 10 {
		require.Equal(t, 1, k.bring(t.Context()))
	}
	require.Equal(t, illPause, k.pause)
	mend()
	require.Zero(t, k.bring(t.Context()))
	require.Equal(t, holdingTick, k.pause)
}

// TestKeeperLeavesWhatComes to who brings it, but not for ever.
func TestKeeperLeavesWhatComes(t *testing.T) {
	b := newBench(t, nil)
	c := b.l.c
	asked := b.givers(1, func() {}, "module", "another")
	pushed, other := digestOf([]byte("module")), digestOf([]byte("another"))
	b.know(pushed)
	b.know(other)
	in, err := c.modules.begin(pushed)
	require.NoError(t, err)
	k := keeper{c: c, pause: holdingTick}
	require.Equal(t, 2, k.bring(t.Context()), "what comes, and the bench's own, which nobody has")
	digests := map[string]bool{}
	for range 2 {
		digests[(<-asked).Digest] = true
	}
	require.Equal(t, map[string]bool{other: true, testDigest: true}, digests)
	now := time.Now()
	require.Empty(t, k.due([]string{pushed}, now))
	require.Equal(t, []string{pushed}, k.due([]string{pushed}, now.Add(comingWait)), "he takes his time")
	k.due(nil, now)
	require.Empty(t, k.due([]string{pushed}, now.Add(comingWait)), "it is another time")
	in.drop()
	require.Equal(t, 1, k.bring(t.Context()), "he has given up")
	require.True(t, c.modules.has(pushed))
}

// TestOneRefusalEndsTheRound: the disk would refuse the others too.
func TestOneRefusalEndsTheRound(t *testing.T) {
	b := newBench(t, nil)
	c := b.l.c
	looks := new(atomic.Int32)
	c.group = counted{groupOf{servers: []ServerInfo{{ID: "s2", Addr: "127.0.0.1:1"}}}, looks}
	noDir(t, c)
	k := keeper{c: c, pause: holdingTick}
	digests := make([]string, 999)
	for i := range digests {
		digests[i] = digestOf(fmt.Append(nil, i))
	}
	_, err := k.pull(t.Context(), digests)
	require.True(t, ownDisk(err))
	require.Equal(t, apierr.ReasonInternal, apierr.Info(err).GetReason())
	require.LessOrEqual(t, looks.Load(), int32(pullsAtOnce))
}

// TestKeeperWaitsForOthersPulls: a module that comes for a worker comes once.
func TestKeeperWaitsForOthersPulls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		c := b.l.c
		looks := new(atomic.Int32)
		c.group = counted{groupOf{}, looks}
		release := make(chan struct{})
		c.pulls.DoChan(testDigest, func() (any, error) { <-release; return nil, nil }) //nolint:nilnil // as fetched
		k := keeper{c: c, pause: holdingTick}
		ended := make(chan bool, 1)
		go func() {
			some, _ := k.pull(t.Context(), []string{testDigest})
			ended <- some
		}()
		synctest.Wait()
		close(release)
		require.True(t, <-ended)
		require.Zero(t, looks.Load())
	})
}
