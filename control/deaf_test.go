package control

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/gate"
	"github.com/godwit-run/godwit/internal/transport"
)

// deafWorker opens a session of host w1 and reads no more than the welcome.
func (tr *trio) deafWorker(addr string) apiv1connect.ClusterSessionClientStream {
	tr.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(tr.t.Context()))
	tr.t.Cleanup(cancel)
	stream, err := apiv1connect.NewClusterClient(transport.NewClient(transport.NewHTTPClient(), addr)).Session(ctx)
	require.NoError(tr.t, err)
	hello := &apiv1.Hello{Secret: "s", Host: &apiv1.Host{Id: "w1", Addr: "127.0.0.1:9", Slots: 4, NodeId: "n1", Incarnation: "i1"}}
	require.NoError(tr.t, stream.Send(&apiv1.SessionRequest{Msg: &apiv1.SessionRequest_Hello{Hello: hello}}))
	_, err = stream.Receive()
	require.NoError(tr.t, err)
	return stream
}

// fill queues megabytes for a session, of which a client that does not read takes a few.
func fill(s *session, mib int) {
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // text that does not compress
	for i := range mib {
		long := make([]byte, 1<<20)
		for j := range long {
			long[j] = ' ' + byte(rng.IntN(90))
		}
		s.put(&apiv1.AppRecord{App: &apiv1.App{Id: "a" + strconv.Itoa(i), Reason: string(long)}, Gone: true})
	}
}

// TestDeafWorker: a worker that does not read holds up neither the end of the term, nor its own host for longer than a lease.
func TestDeafWorker(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"the term ends", "a lease passes"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			tr := newTrio(t, nil)
			s1, s2, s3 := tr.servers[0], tr.servers[1], tr.servers[2]
			stop := tr.lead(s1, s2, s3)
			require.Eventually(t, func() bool { return s1.machine.View().LeaseMs() != 0 }, time.Minute, time.Millisecond)
			tr.deafWorker(tr.infos[0].Addr)
			l := s1.control.current()
			s := l.sessions.of("w1")
			require.NotNil(t, s)
			fill(s, 64)
			if end == "the term ends" {
				stop() // fails the test if the term does not end
				return
			}
			require.Eventually(t, func() bool { return l.sessions.of("w1") == nil }, time.Minute, time.Millisecond)
		})
	}
}

// TestWorkerReportsOfNoApp: what is no app's id ends the session before it is kept or answered.
func TestWorkerReportsOfNoApp(t *testing.T) {
	tr := newTrio(t, nil)
	tr.lead(tr.servers[0], tr.servers[1], tr.servers[2])
	var w *link
	require.Eventually(t, func() (ok bool) {
		var err error
		w, err = tr.connect(tr.servers[0], "i1")
		return err == nil
	}, time.Minute, time.Millisecond)
	long := strings.Repeat("x", 300<<10)
	w.send(t, &apiv1.SessionRequest{Msg: &apiv1.SessionRequest_Status{Status: &apiv1.AppStatus{App: long}}})
	w.ends(t)
	_, err := tr.connect(tr.servers[0], "i1", &apiv1.AppStatus{App: long})
	require.Equal(t, apierr.ReasonInvalid, apierr.Info(err).GetReason(), "%v", err)
}

// TestSessionIsBounded: more records than a host can have apps end the session.
func TestSessionIsBounded(t *testing.T) {
	ended := false
	s := newSession("h1", "i1", func() { ended = true })
	for i := range maxWaiting {
		s.put(&apiv1.AppRecord{App: &apiv1.App{Id: strconv.Itoa(i)}})
	}
	s.put(&apiv1.AppRecord{Index: 1, App: &apiv1.App{Id: "7"}})
	require.False(t, ended, "a newer record takes the place of the older")
	s.put(&apiv1.AppRecord{App: &apiv1.App{Id: "one more"}})
	require.True(t, ended)
	require.Len(t, s.records, maxWaiting)
}

// TestEndOfAnIncarnation: what ends one incarnation of a host takes nothing from the next, which may have a session already.
func TestEndOfAnIncarnation(t *testing.T) {
	b := newBench(t, nil)
	b.running()
	ended := false
	before := b.l.sessions.of("h1")
	next := newSession("h1", "i2", func() { ended = true })
	b.l.inbox.open(next, nil)
	b.l.inbox.put(before, &apiv1.AppStatus{App: "a"})
	require.Nil(t, b.l.inbox.report("h1", "a"), "what comes over a session of before counts no more")
	require.False(t, b.l.sessions.hear(before))
	b.l.inbox.endHost("h1", "i-h1")
	require.False(t, ended)
	b.report("h1", &apiv1.AppStatus{App: "a"})
	require.NotNil(t, b.l.inbox.report("h1", "a"))
	b.l.inbox.endHost("h1", "i2")
	require.True(t, ended)
	require.Nil(t, b.l.inbox.report("h1", "a"))
}

// TestSessionsOpenAtOnce: however two sessions of a host interleave, the one that counts is the one whose reports do.
func TestSessionsOpenAtOnce(t *testing.T) {
	b := newBench(t, nil)
	b.running()
	for range 2000 {
		opened := make(chan struct{}, 2)
		start := make(chan struct{})
		for range 2 {
			s := newSession("h1", "i-h1", func() {})
			go func() {
				<-start
				b.l.inbox.open(s, nil)
				opened <- struct{}{}
			}()
		}
		close(start)
		<-opened
		<-opened
		b.report("h1", &apiv1.AppStatus{App: "a"})
		require.NotNil(t, b.l.inbox.report("h1", "a"))
		b.l.inbox.forgetApp(fsm.AppID("a"))
	}
}

// TestDeafFetchers: those who fetch a module and do not read it lose their places to others, as soon as others want them.
func TestDeafFetchers(t *testing.T) {
	t.Parallel()
	tr := newTrio(t, nil)
	c := tr.servers[0].control
	code := make([]byte, 12<<20)       // more than a client takes that does not read
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // bytes that do not compress
	for i := range code {
		code[i] = byte(rng.Uint32())
	}
	digest := digestOf(code)
	in, err := c.modules.begin(digest)
	require.NoError(t, err)
	defer in.drop()
	for part := range slices.Chunk(code, 1<<20) {
		require.NoError(t, in.add(part))
	}
	require.NoError(t, in.keep())
	fetch := func() apiv1connect.ClusterFetchModuleClientStream {
		client := apiv1connect.NewClusterClient(transport.NewClient(transport.NewHTTPClient(), tr.infos[0].Addr))
		st, err := client.FetchModule(t.Context(), &apiv1.FetchModuleRequest{Digest: digest})
		require.NoError(t, err)
		return st
	}
	const places = 4
	c.strangers = gate.New(gate.Config{Places: places, Waiting: 1, Floor: transport.ChunkBytes, Window: time.Second, Patience: time.Hour})
	deaf := make([]apiv1connect.ClusterFetchModuleClientStream, places)
	for i := range deaf {
		deaf[i] = fetch()
	}
	require.Eventually(t, func() bool { return c.strangers.Inside() == places }, time.Minute, time.Millisecond)
	last := fetch()
	for {
		m, err := last.Receive()
		require.NoError(t, err)
		if len(m.Chunk) > 0 { // it has a place
			break
		}
	}
}

// TestWhoWaitsHearsSo: who wants a module hears, again and again, that others come first, until it has a place.
func TestWhoWaitsHearsSo(t *testing.T) {
	t.Parallel()
	tr := newTrio(t, nil)
	c := tr.servers[0].control
	code := []byte("module")
	digest := digestOf(code)
	in, err := c.modules.begin(digest)
	require.NoError(t, err)
	defer in.drop()
	require.NoError(t, in.add(code))
	require.NoError(t, in.keep())
	c.strangers = gate.New(gate.Config{Places: 1, Waiting: 1, Floor: 1, Window: time.Hour, Patience: time.Hour})
	_, place, err := c.strangers.Enter(t.Context())
	require.NoError(t, err)
	client := apiv1connect.NewClusterClient(transport.NewClient(transport.NewHTTPClient(), tr.infos[0].Addr))
	stream, err := client.FetchModule(t.Context(), &apiv1.FetchModuleRequest{Digest: digest})
	require.NoError(t, err)
	for range 3 {
		m, err := stream.Receive()
		require.NoError(t, err)
		require.Empty(t, m.Chunk)
	}
	place.Leave()
	var got []byte
	for {
		m, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		got = append(got, m.Chunk...)
	}
	require.Equal(t, code, got)
	require.Zero(t, c.strangers.Inside())
}

// TestNoWordsForADisk: who waits for a module that this server gets from another hears only of what comes, and of this server's disk nothing:
// silence sends it to another.
func TestNoWordsForADisk(t *testing.T) {
	t.Parallel()
	tr := newTrio(t, nil)
	c := tr.servers[0].control
	digest := digestOf([]byte("module"))
	release, began := make(chan struct{}), make(chan struct{})
	go func() {
		_, _, _ = c.pulls.Do(digest, func() (any, error) { close(began); <-release; return nil, noModule(digest) }) // as one whose disk hangs
	}()
	<-began
	client := apiv1connect.NewClusterClient(transport.NewClient(transport.NewHTTPClient(), tr.infos[0].Addr))
	words, over := make(chan struct{}, 99), make(chan error, 1)
	go func() {
		stream, err := client.FetchModule(t.Context(), &apiv1.FetchModuleRequest{Digest: digest})
		if err != nil {
			over <- err
			return
		}
		for {
			if _, err := stream.Receive(); err != nil {
				over <- err
				return
			}
			words <- struct{}{}
		}
	}()
	require.Eventually(t, func() bool { return c.strangers.Inside() == 1 }, time.Minute, time.Millisecond)
	for len(words) > 0 { // from before it had the place
		<-words
	}
	select { // it can only miss a fault
	case <-words:
		require.Fail(t, "a word, and nothing has moved")
	case <-time.After(3 * waitWord):
	}
	c.pulling.step(digest)
	<-words
	close(release)
	require.ErrorContains(t, <-over, "no server has module")
}

// TestAnswersGoFirst: however many records wait, an answer to a heartbeat waits for one of them at the most.
func TestAnswersGoFirst(t *testing.T) {
	s := newSession("h1", "i1", func() {})
	for i := range 100 {
		s.put(&apiv1.AppRecord{App: &apiv1.App{Id: strconv.Itoa(i)}})
	}
	for beat := uint64(1); beat <= 100; beat++ {
		s.echo(beat)
		seq, rec, some := s.take()
		require.True(t, some)
		require.Equal(t, beat, seq)
		require.NotNil(t, rec)
	}
	_, _, some := s.take()
	require.False(t, some)
}

// TestCondemned: while the loss of a host is on its way into the log nothing extends its lease: not the session that it has, nor
// another one. It may come back when the log has refused the loss, and as another incarnation when it has not; not while nobody knows.
func TestCondemned(t *testing.T) {
	for _, refusal := range []error{nil, ErrOverloaded, ErrUnknownOutcome} {
		refused := refusal != nil
		b := newBench(t, func(c *Config) { c.Lease = 10 * time.Second })
		b.propose(&apiv1.Command{Op: &apiv1.Command_SetClusterConfig{SetClusterConfig: &apiv1.SetClusterConfig{Config: &apiv1.ClusterConfig{LeaseMs: 10_000}}}})
		b.running()
		now := time.Now()
		b.l.sessions.heard.set("h1", now.Add(-time.Minute))
		s := b.l.sessions.of("h1")
		again := newSession("h1", "i-h1", func() {})
		held := &heldLog{memoryLog: b.log, refuse: refusal, before: func() {
			require.False(t, b.l.sessions.hear(s))
			require.False(t, b.l.sessions.current(s))
			require.False(t, b.l.inbox.open(again, nil), "nor by another session")
			b.l.answer(s, 1)
			seq, _, _ := s.take()
			require.Zero(t, seq, "its heartbeat is not answered")
		}}
		b.l.c.log = held
		b.l.expireLeases(b.ctx, now)
		require.True(t, held.was)
		require.Equal(t, refused, b.l.inbox.report("h1", "a") != nil, "only a loss that the log has taken ends what the host said")
		if errors.Is(refusal, ErrUnknownOutcome) { // the log may still take it
			require.False(t, b.l.sessions.hear(s))
			require.False(t, b.l.inbox.open(again, nil))
			continue
		}
		err := b.l.openSession(again, &apiv1.Hello{})
		if refused {
			require.NoError(t, err)
			require.True(t, b.l.sessions.hear(again))
			continue
		}
		h, _ := b.l.c.state.View().Host("h1")
		require.Equal(t, fsm.Lost, fsm.HostStateOf(h))
		require.Equal(t, apierr.ReasonIncarnationOver, apierr.Info(err).GetReason(), "it registered before, and is welcomed no more")
	}
}

// heldLog does something just before a loss is proposed.
type heldLog struct {
	*memoryLog

	before func()
	refuse error
	was    bool
}

func (l *heldLog) Propose(ctx context.Context, c *apiv1.Command) (*apiv1.Result, error) {
	if c.GetSetHostState() != nil {
		l.was = true
		l.before()
		if l.refuse != nil {
			return nil, l.refuse
		}
	}
	return l.memoryLog.Propose(ctx, c)
}

// TestStrangersHoldUpNoStart: callers who prove nothing have all the places that they can get, and a worker has one at once, as has a server.
func TestStrangersHoldUpNoStart(t *testing.T) {
	b := newBench(t, nil)
	c := b.l.c
	b.host("w1", 1)
	secret := []byte("the worker's secret")
	sum := sha256.Sum256(secret)
	require.NoError(t, b.register(&apiv1.Host{Id: "w2", Name: "w2", Addr: "127.0.0.1:1", Slots: 1, Incarnation: "i", NodeId: "n"}, sum[:]))
	ask := func(host string, proof []byte) *gate.Gate {
		return c.lineOf(&apiv1.FetchModuleRequest{Digest: testDigest, Host: host, Proof: proof})
	}
	require.Same(t, c.outgoing, ask("w2", sum[:]))
	for name, got := range map[string]*gate.Gate{
		"nothing": ask("", nil), "no proof": ask("w2", nil), "another's": ask("w1", sum[:]), "none to prove": ask("w1", nil),
		"no host": ask("w3", sum[:]), "the secret": ask("w2", secret),
	} {
		require.Same(t, c.strangers, got, name)
	}
	require.Same(t, c.outgoing, c.lineOf(c.asServer(testDigest)), "a server that gets the module first")

	digest := b.store("module")
	client := apiv1connect.NewClusterClient(transport.NewClient(transport.NewHTTPClient(), serve(t, c)))
	for range maxStrangers {
		_, place, err := c.lineOf(&apiv1.FetchModuleRequest{}).Enter(t.Context())
		require.NoError(t, err)
		defer place.Leave()
	}
	strange, err := client.FetchModule(t.Context(), &apiv1.FetchModuleRequest{Digest: digest})
	require.NoError(t, err)
	m, err := strange.Receive()
	require.NoError(t, err)
	require.Empty(t, m.Chunk, "it waits")
	known, err := client.FetchModule(t.Context(), &apiv1.FetchModuleRequest{Digest: digest, Host: "w2", Proof: sum[:]})
	require.NoError(t, err)
	for len(m.Chunk) == 0 { // but for a moment of this machine's
		m, err = known.Receive()
		require.NoError(t, err)
	}
	require.Equal(t, "module", string(m.Chunk))
}

// TestStrangersHoldUpNoUpload: callers who prove nothing have all the places for what they push, and a server pushes to one beside them.
func TestStrangersHoldUpNoUpload(t *testing.T) {
	b := newBench(t, nil)
	c := b.l.c
	sum := sha256.Sum256([]byte("the worker's secret"))
	addr := serve(t, c)
	for range maxIncoming {
		_, place, err := c.offered.Enter(t.Context())
		require.NoError(t, err)
		defer place.Leave()
	}
	digest := b.store("module")
	require.ErrorContains(t, c.push(t.Context(), addr, digest), "too many modules on their way", "no host is there that it could name")
	require.NoError(t, b.register(&apiv1.Host{Id: "w1", Name: "w1", Addr: "127.0.0.1:1", Slots: 1, Incarnation: "i", NodeId: "n"}, sum[:]))
	require.NoError(t, c.push(t.Context(), addr, digest))
	require.Zero(t, c.pushed.Inside())
}
