package control

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/transport"
)

// TestMoving: what moves goes on, however slowly; what stands still ends, and all does before an upload's bytes may be collected.
func TestMoving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, moved, end := moving(t.Context())
		defer end()
		for range 20 {
			time.Sleep(streamPatience - time.Second)
			moved()
		}
		require.NoError(t, ctx.Err())
		time.Sleep(streamPatience + time.Second)
		require.ErrorIs(t, stillOr(ctx, ctx.Err()), errStill)

		ctx, moved, end = moving(t.Context())
		defer end()
		for range int(moduleLongest / time.Second) {
			time.Sleep(time.Second)
			moved()
		}
		synctest.Wait()
		require.Error(t, ctx.Err())
		require.Less(t, turnWait+moduleLongest+commitWait, moduleGrace)
	})
}

// TestModuleMovesByParts: each part of a module on its way to another server or from one is a reason to go on.
func TestModuleMovesByParts(t *testing.T) {
	t.Parallel()
	tr := newTrio(t, nil)
	const parts = 5
	code := make([]byte, parts*transport.ChunkBytes)
	copy(code, "by parts")
	c := tr.servers[0].control
	moves, ends := new(atomic.Int32), new(atomic.Int32)
	c.moving = func(ctx context.Context) (context.Context, func(), func()) {
		require.Zero(t, moves.Swap(0))
		return ctx, func() { moves.Add(1) }, func() { ends.Add(1) }
	}
	tr.servers[0].keepModule(t, code)
	require.NoError(t, c.push(t.Context(), tr.infos[1].Addr, digestOf(code)))
	require.GreaterOrEqual(t, moves.Swap(0), int32(parts))
	require.NoError(t, os.Remove(c.modules.path(digestOf(code))))
	require.NoError(t, c.pullFrom(t.Context(), tr.infos[1].Addr, digestOf(code)))
	require.GreaterOrEqual(t, moves.Swap(0), int32(parts))
	require.EqualValues(t, 2, ends.Load())
	require.GreaterOrEqual(t, c.pulling.got(digestOf(code)), int64(parts), "who waits for it hears of each")
	require.NoError(t, os.Remove(c.modules.path(digestOf(code))))
	require.NoError(t, c.pull(t.Context(), digestOf(code)))
	require.Zero(t, c.pulling.got(digestOf(code)), "it is here")
}

// stillServer takes and gives nothing.
type stillServer struct {
	apiv1connect.UnimplementedClusterHandler
	asked, ended chan struct{}
}

func (s stillServer) wait(ctx context.Context) error {
	s.asked <- struct{}{}
	<-ctx.Done()
	s.ended <- struct{}{}
	return ctx.Err()
}

func (s stillServer) PushModule(ctx context.Context, _ apiv1connect.ClusterPushModuleServerStream) (*apiv1.PushModuleResponse, error) {
	return nil, s.wait(ctx)
}

func (s stillServer) FetchModule(ctx context.Context, _ *apiv1.FetchModuleRequest, _ apiv1connect.ClusterFetchModuleServerStream) error {
	return s.wait(ctx)
}

// TestStillServerIsGivenUp: by who pushes to it, who pulls from it, and an upload whose client goes.
func TestStillServerIsGivenUp(t *testing.T) {
	b := newBench(t, nil)
	c := b.l.c
	code := make([]byte, 8*transport.ChunkBytes) // more than is taken unread
	in, err := c.modules.begin(digestOf(code))
	require.NoError(t, err)
	defer in.drop()
	require.NoError(t, in.add(code))
	require.NoError(t, in.keep())
	s := stillServer{asked: make(chan struct{}, 1), ended: make(chan struct{}, 1)}
	addr := answersAs(t, s)

	c.moving = func(ctx context.Context) (context.Context, func(), func()) {
		ctx, still := context.WithCancelCause(ctx)
		go func() { <-s.asked; still(errStill) }() // ends with the request
		return ctx, func() {}, func() {}
	}
	require.ErrorIs(t, c.push(t.Context(), addr, digestOf(code)), errStill)
	<-s.ended
	require.ErrorIs(t, c.pullFrom(t.Context(), addr, digestOf(code)), errStill)
	<-s.ended

	c.moving = func(ctx context.Context) (context.Context, func(), func()) { return ctx, func() {}, func() {} }
	c.group = groupOf{servers: []ServerInfo{{ID: "s1", Voter: true}, {ID: "s2", Addr: addr, Voter: true}}}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-s.asked; cancel() }() // ends with the request
	require.Error(t, c.replicate(ctx, digestOf(code)))
	<-s.ended // though it has not stood still for long
}

// TestErrandsEndWithTheServer: a pull that a worker waits for, and a push that an upload left behind, have ended when KeepModules returns,
// and none begins after that.
func TestErrandsEndWithTheServer(t *testing.T) {
	b := newBench(t, nil)
	c := b.l.c
	s := stillServer{asked: make(chan struct{}, 2), ended: make(chan struct{}, 2)}
	addr := answersAs(t, s)
	c.moving = func(ctx context.Context) (context.Context, func(), func()) { return ctx, func() {}, func() {} }
	c.group = groupOf{servers: []ServerInfo{{ID: "s1", Voter: true}, {ID: "s2", Addr: addr, Voter: true}}}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	fetched, replicated := make(chan error, 1), make(chan error, 1)
	go func() { fetched <- c.fetched(t.Context(), digestOf([]byte("elsewhere"))) }()
	here := b.store("here")
	go func() { replicated <- c.replicate(t.Context(), here) }()
	<-s.asked
	<-s.asked
	require.ErrorIs(t, c.KeepModules(ctx), context.Canceled)
	require.Error(t, <-fetched)
	require.Error(t, <-replicated)
	<-s.ended
	<-s.ended
	require.ErrorContains(t, c.fetched(t.Context(), digestOf([]byte("another"))), "this server stops")
	require.ErrorContains(t, c.replicate(t.Context(), here), "this server stops")
}

// slowFor stores what is pushed to it, but for some modules, which it takes and says nothing about.
type slowFor struct {
	apiv1connect.UnimplementedClusterHandler
	digests map[string]bool
	asked   chan struct{}
}

func (s slowFor) PushModule(ctx context.Context, stream apiv1connect.ClusterPushModuleServerStream) (*apiv1.PushModuleResponse, error) {
	m, err := stream.Receive()
	if err == nil && s.digests[m.Digest] {
		s.asked <- struct{}{}
		<-ctx.Done()
	}
	return &apiv1.PushModuleResponse{}, ctx.Err()
}

// TestUploadsBehindASlowServer have sent all that they have, and keep nobody out who sends.
func TestUploadsBehindASlowServer(t *testing.T) {
	b := newBench(t, nil)
	c := b.l.c
	s := slowFor{digests: map[string]bool{}, asked: make(chan struct{}, maxIncoming)}
	upload := func(ctx context.Context, client apiv1connect.ControlClient, code string) error {
		stream, err := client.UploadModule(ctx)
		if err != nil {
			return err
		}
		_ = stream.Send(&apiv1.UploadModuleRequest{Digest: digestOf([]byte(code)), Name: "x", Chunk: []byte(code)}) // the answer says why it failed
		_, err = stream.CloseAndReceive()
		return err
	}
	for i := range maxIncoming {
		s.digests[digestOf(fmt.Append(nil, i))] = true
	}
	c.group = groupOf{servers: []ServerInfo{{ID: "s1", Voter: true}, {ID: "s2", Addr: answersAs(t, s), Voter: true}}}
	client := apiv1connect.NewControlClient(transport.NewClient(transport.NewHTTPClient(), serve(t, c)))
	ctx, cancel := context.WithCancel(t.Context())
	ends := make(chan error, maxIncoming)
	for i := range maxIncoming {
		go func() { ends <- upload(ctx, client, fmt.Sprint(i)) }()
		<-s.asked // one address has no places for all of them at once
	}
	require.NoError(t, upload(t.Context(), client, "the ninth"))
	require.Eventually(t, func() bool { return len(c.uploads) == maxIncoming }, time.Minute, time.Millisecond)
	for range maxUploads - maxIncoming { // as if as many waited as may
		c.uploads <- struct{}{}
	}
	require.ErrorContains(t, upload(t.Context(), client, "one more"), "too many uploads")
	cancel()
	for range maxIncoming {
		require.Error(t, <-ends)
	}
	require.Eventually(t, func() bool { return len(c.uploads) == maxUploads-maxIncoming }, time.Minute, time.Millisecond)
}

// TestStoreErrorsSayWhatToDo: what the disk refuses comes with a remedy, and not with one that speaks of a next start.
func TestStoreErrorsSayWhatToDo(t *testing.T) {
	err := storeError(&os.PathError{Op: "write", Path: "put-1", Err: syscall.ENOSPC})
	require.EqualError(t, err, "internal: this server cannot store or read a module: write put-1: no space left on device: its file system is full: make room")
	require.ErrorContains(t, storeError(errors.New("something else")), "see the server's log")

	b := newBench(t, nil)
	client := apiv1connect.NewControlClient(transport.NewClient(transport.NewHTTPClient(), serve(t, b.l.c)))
	require.NoError(t, os.RemoveAll(b.l.c.modules.dir))
	require.NoError(t, os.WriteFile(b.l.c.modules.dir, nil, 0o600)) // no directory any more
	stream, err := client.UploadModule(t.Context())
	require.NoError(t, err)
	_ = stream.Send(&apiv1.UploadModuleRequest{Digest: testDigest, Name: "x", Chunk: []byte("x")}) // the answer says why it failed
	_, err = stream.CloseAndReceive()
	require.ErrorContains(t, err, "the operating system refuses it: mend that")
	require.Equal(t, connect.CodeInternal, connect.CodeOf(err))
}

// TestErrandsAreWaitedFor: end returns when the last is over, and has ended it.
func TestErrandsAreWaitedFor(t *testing.T) {
	e := newErrands()
	began, over := make(chan struct{}), false
	go func() {
		_ = e.do(context.Background(), func(ctx context.Context) error {
			close(began)
			<-ctx.Done()
			over = true
			return nil
		})
	}()
	<-began
	e.end()
	require.True(t, over)
	require.ErrorContains(t, e.do(t.Context(), func(context.Context) error { t.Error("begun"); return nil }), "this server stops")
}
