package worker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/transport"
	"github.com/godwit-run/godwit/worker/part"
)

// gatedServer begins to send a module, and goes on when the gate opens.
type gatedServer struct {
	fakeLeader
	code               []byte
	asked              atomic.Pointer[apiv1.FetchModuleRequest] // last
	words              int                                      // without anything, before it sends
	line               chan struct{}                            // closed when they are over; nil: it does not wait for that
	gate, began, ended chan struct{}                            // began and ended have one for each request
}

func (g *gatedServer) FetchModule(ctx context.Context, req *apiv1.FetchModuleRequest, stream apiv1connect.ClusterFetchModuleServerStream) error {
	g.asked.Store(req)
	defer func() { g.ended <- struct{}{} }()
	for range g.words { // it has others to serve first
		if err := stream.Send(&apiv1.FetchModuleResponse{}); err != nil {
			return err
		}
	}
	if g.line != nil {
		select {
		case <-g.line:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := stream.Send(&apiv1.FetchModuleResponse{Chunk: g.code[:1]}); err != nil {
		return err
	}
	g.began <- struct{}{}
	select {
	case <-g.gate:
	case <-ctx.Done():
		return ctx.Err()
	}
	return stream.Send(&apiv1.FetchModuleResponse{Chunk: g.code[1:]})
}

// newGated is one that serves, a cache that fetches from it, and the module's digest.
func newGated(t *testing.T) (*gatedServer, *moduleCache, string) {
	t.Helper()
	g := &gatedServer{code: []byte("module"), gate: make(chan struct{}), began: make(chan struct{}, 9), ended: make(chan struct{}, 9)}
	addr := serve(t, listenLocal(t), func(s *connect.Server) { apiv1connect.RegisterClusterHandler(s, g) })
	dir := t.TempDir()
	c, err := newModuleCache(filepath.Join(dir, "m"), filepath.Join(dir, "c"), 1<<20, slog.New(slog.DiscardHandler), transport.NewHTTPClient(),
		func() []string { return []string{addr} })
	require.NoError(t, err)
	sum := sha256.Sum256(g.code)
	return g, c, hex.EncodeToString(sum[:])
}

// patient has the cache's fetches wait for as long as the test does.
func (c *moduleCache) patient() *moduleCache {
	c.patience = []time.Duration{time.Hour}
	return c
}

// user is one who wants the module.
func (c *moduleCache) user(t *testing.T, digest string) (giveUp context.CancelFunc, got <-chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	before := c.waiting(digest)
	go func() {
		_, release, err := c.use(ctx, digest)
		if err == nil {
			release()
		}
		done <- err
	}()
	require.Eventually(t, func() bool { return c.waiting(digest) > before }, time.Minute, time.Millisecond)
	return cancel, done
}

// waiting is how many wait for the module.
func (c *moduleCache) waiting(digest string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if use := c.uses[digest]; use != nil && use.task != nil {
		return use.task.wanted
	}
	return 0
}

// TestFetchGoesOnForTheRest: whoever gives up ends his own wait, not the fetch that others wait for, though he began it.
func TestFetchGoesOnForTheRest(t *testing.T) {
	g, c, digest := newGated(t)
	c.patient()
	giveUp, first := c.user(t, digest)
	within(t, g.began, "the fetch")
	_, second := c.user(t, digest)
	giveUp()
	require.ErrorIs(t, <-first, context.Canceled)
	require.Equal(t, 1, c.waiting(digest))
	close(g.gate)
	require.NoError(t, <-second)
	require.Empty(t, g.began, "it was fetched once")
}

// TestFetchEndsWithTheLast: when nobody wants the module any more nothing more is fetched; who wants it later has a fetch of his own.
func TestFetchEndsWithTheLast(t *testing.T) {
	g, c, digest := newGated(t)
	c.patient()
	giveUp, first := c.user(t, digest)
	within(t, g.began, "the fetch")
	alsoGiveUp, second := c.user(t, digest)
	giveUp()
	alsoGiveUp()
	require.Error(t, <-first)
	require.Error(t, <-second)
	within(t, g.ended, "its end")
	close(g.gate)
	_, release, err := c.use(t.Context(), digest)
	require.NoError(t, err)
	within(t, g.began, "another fetch")
	release()
	require.Eventually(t, func() bool { c.mu.Lock(); defer c.mu.Unlock(); return len(c.uses) == 0 }, time.Minute, time.Millisecond)
}

// TestGivenUpStartFetchesNoMore: a start waits for its module as long as its app wants an executor here.
func TestGivenUpStartFetchesNoMore(t *testing.T) {
	for name, end := range map[string]func(b *bench){
		"its app has a verdict":     func(b *bench) { b.rec.App.Verdict = "cancelled"; b.step() },
		"its migration was aborted": func(b *bench) { b.rec.Migration = nil; b.step() },
		"its app is over":           func(b *bench) { b.a.finish() },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			g, c, digest := newGated(t)
			b.a.host.modules = c.patient()
			b.a.child = nil
			b.has(part.None)
			b.rec.App.Placement, b.rec.App.Spec.ModuleDigest = []string{"h2", "h2"}, digest
			b.rec.Migration = &apiv1.Migration{Id: "m1", Phase: "pending", Moves: []*apiv1.Move{{Rank: 0, From: "h2", To: "h1"}}}
			b.step()
			within(t, g.began, "the fetch")
			require.Equal(t, apiv1.ExecutorStarting, b.status().Executor)
			end(b)
			within(t, g.ended, "its end")
			require.Nil(t, b.a.start)
			close(g.gate)
		})
	}
}

// TestWordsAreSteps: a server that says that it has others to serve first is at work for the module, and its words are no part of that.
func TestWordsAreSteps(t *testing.T) {
	g, c, digest := newGated(t)
	g.words = 5
	_, got := c.patient().user(t, digest)
	<-g.began
	require.Eventually(t, func() bool { return c.steps(digest) == 6 }, time.Minute, time.Millisecond)
	require.Zero(t, c.steps(strings.Repeat("ab", 32)), "another module's")
	close(g.gate)
	require.NoError(t, <-got)
}

// TestInLine: while others come first a worker knows it, and tells; from the first byte on no more.
func TestInLine(t *testing.T) {
	g, c, digest := newGated(t)
	g.words, g.line = 2, make(chan struct{})
	_, got := c.patient().user(t, digest)
	require.Eventually(t, func() bool { return c.inLine(digest) }, time.Minute, time.Millisecond)
	a := &app{start: newStart(c)}
	a.start.digests = []string{digest}
	require.True(t, a.startInLine())
	a.start.child.Store(new(child))
	require.False(t, a.startInLine(), "the executor is there")
	require.False(t, c.inLine(strings.Repeat("ab", 32)), "another module")
	close(g.line)
	<-g.began
	require.Eventually(t, func() bool { return !c.inLine(digest) }, time.Minute, time.Millisecond)
	close(g.gate)
	require.NoError(t, <-got)
}

// TestWhoFetchesProvesIt: by a word that the log has of this worker, and which is not its secret.
func TestWhoFetchesProvesIt(t *testing.T) {
	g, c, digest := newGated(t)
	w := &Worker{secret: "secret"}
	w.cfg.Name = "w1"
	c.caller = w.vouch
	_, got := c.patient().user(t, digest)
	<-g.began
	sum := sha256.Sum256([]byte("secret"))
	require.Equal(t, "w1", g.asked.Load().Host)
	require.Equal(t, sum[:], g.asked.Load().Proof)
	close(g.gate)
	require.NoError(t, <-got)
}

// TestRunWaitsForItsModules: when a worker's Run returns, nothing writes to its directory any more: no fetch, and no use that is not over.
func TestRunWaitsForItsModules(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Name, cfg.DataDir, cfg.Listen, cfg.Executor, cfg.Slots = "w1", t.TempDir(), "127.0.0.1:0", []string{"false"}, 1
	w, err := New(cfg, func() []string { return nil }, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	c := w.modules
	here := put(t, c, 1, 1000, time.Now())
	c.servers = func() []string { return []string{"127.0.0.1:1"} }
	began, disk := make(chan struct{}), make(chan struct{})
	c.order = func(addrs []string) []string { // the fetch is held up where no context ends it
		close(began)
		<-disk
		return nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan struct{})
	go func() { defer close(ran); _ = w.Run(ctx) }()
	_, release, err := c.use(ctx, here)
	require.NoError(t, err)
	used := make(chan error, 1)
	go func() {
		_, _, err := c.use(ctx, strings.Repeat("ab", 32))
		used <- err
	}()
	within(t, began, "the fetch")
	cancel()
	require.Error(t, <-used)
	goesOn := func(why string) {
		t.Helper()
		select {
		case <-ran:
			t.Fatal("Run has returned: " + why)
		case <-time.After(200 * time.Millisecond): // enough to see it on most machines, and wrong on none
		}
	}
	goesOn("a fetch is under way")
	close(disk)
	goesOn("an executor's end removes what it may")
	release()
	within(t, ran, "Run's end")
}
