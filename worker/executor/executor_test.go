package executor

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/listen"
	"github.com/godwit-run/godwit/internal/pipe"
)

// testWait bounds every wait of these tests.
const testWait = 2 * time.Minute

// host plays the worker of one host for one executor.
type host struct {
	name    string
	addr    string
	control *pipe.Conn
	conns   *net.UnixConn
	done    chan error
	exec    *Executor
	link    string // where it is called
	lease   *pipe.Lease

	mu     sync.Mutex // guards lines
	lines  []*apiv1.LogLine
	events chan *apiv1.ExecEvent // all but output
}

// startHost runs an executor in this process, with a port for other executors' connections.
func startHost(t *testing.T, app, name string) *host {
	t.Helper()
	listener, link := listenerOf(t)
	lease := testLease(t)
	control, conns := call(t, link, lease)
	l, err := listen.New("127.0.0.1:0")
	require.NoError(t, err)
	acc := l.Protocol(pipe.RankProtocol)
	ctx, cancel := context.WithCancel(context.Background())
	h := &host{
		name: name, addr: l.Addr().String(), control: control, conns: conns, done: make(chan error, 1), link: link, lease: lease,
		events: make(chan *apiv1.ExecEvent, 1024),
	}
	var wg sync.WaitGroup
	wg.Go(func() { _ = l.Run(ctx) })
	wg.Go(func() {
		for {
			c, err := acc.Accept()
			if err != nil {
				return
			}
			refused := len(c.Args) < 2 || c.Args[0] != app || len(c.Args) > 2 && c.Args[2] != precopyWord && strings.HasSuffix(t.Name(), "by_streams")
			if refused || pipe.SendConn(conns, c.Conn.(*net.TCPConn), strings.Join(c.Args[1:], " ")) != nil {
				_ = c.Close()
			}
		}
	})
	wg.Go(h.read)
	h.exec = New(listener, slog.New(slog.DiscardHandler))
	wg.Go(func() { h.done <- h.exec.Run(ctx) })
	t.Cleanup(func() {
		_ = h.control.Close()
		_ = conns.Close()
		cancel()
		_ = acc.Close()
		wg.Wait()
	})
	return h
}

// listenerOf is where a worker calls an executor: in a directory, by the name of link.
func listenerOf(t *testing.T) (l *pipe.Listener, dir string) {
	t.Helper()
	dir = t.TempDir()
	f, err := pipe.Listen(dir, "link")
	require.NoError(t, err)
	l, err = pipe.NewListener(f)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l, dir
}

// call makes the connections of a worker.
func call(t *testing.T, dir string, lease *pipe.Lease) (control *pipe.Conn, conns *net.UnixConn) {
	t.Helper()
	c, err := pipe.Dial(dir, "link", pipe.Control, lease)
	require.NoError(t, err)
	conns, err = pipe.Dial(dir, "link", pipe.Handover, lease)
	require.NoError(t, err)
	return pipe.NewConn(c), conns
}

func (h *host) read() {
	for {
		ev := new(apiv1.ExecEvent)
		if h.control.Receive(ev) != nil {
			return
		}
		_ = h.control.Send(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Ack{Ack: &apiv1.ExecAck{Number: ev.Number}}}) // it may have ended
		if out := ev.GetOutput(); out != nil {
			h.mu.Lock()
			h.lines = append(h.lines, out.Lines...)
			h.mu.Unlock()
			continue
		}
		h.events <- ev
	}
}

func (h *host) say(t *testing.T, c *apiv1.ExecCommand) {
	t.Helper()
	require.NoError(t, h.control.Send(c))
}

// world is an app over several hosts; the test is its control plane.
type testApp struct {
	t         *testing.T
	as        *apiv1.ExecStart // what it was started as
	hosts     []*host
	placement []int // index of each rank's host
	epochs    []uint64
	epoch     uint64
	record    chan *listen.Conn // what frozenReceiver's rank calls
	through   string            // the address through which a rank goes to its next host; empty: that host's
	ended     map[int32]*apiv1.ExecEnded
	moves     int
	files     map[savedPart]string // of its checkpoints: their directories
	anew      []int32              // ranks of which the next checkpoint is to have everything
	rnd       *rand.Rand
}

func (a *testApp) routes() *apiv1.ExecRoutes {
	r := &apiv1.ExecRoutes{Epoch: a.epoch, Addrs: map[string]string{}, RankEpochs: a.epochs}
	for rank, h := range a.placement {
		r.Placement = append(r.Placement, a.hosts[h].name)
		r.Ended = append(r.Ended, a.ended[int32(rank)] != nil)
	}
	for _, h := range a.hosts {
		r.Addrs[h.name] = h.addr
	}
	return r
}

func startApp(t *testing.T, module string, placement []int, hosts int, args ...string) *testApp {
	t.Helper()
	path, err := filepath.Abs(module)
	require.NoError(t, err)
	return startPrograms(t, placement, hosts, &apiv1.ExecProgram{
		ModulePath: path, CacheDir: cacheDir(t), Args: append([]string{"prog"}, args...), Ranks: int32(len(placement)),
	})
}

func startPrograms(t *testing.T, placement []int, hosts int, programs ...*apiv1.ExecProgram) *testApp {
	t.Helper()
	return startAs(t, placement, hosts, &apiv1.ExecStart{Programs: programs})
}

// startAs starts an app as is said of it.
func startAs(t *testing.T, placement []int, hosts int, as *apiv1.ExecStart) *testApp {
	t.Helper()
	return startAt(t, placement, hosts, as, 1, true)
}

// startAt starts an app at an epoch, with its ranks or without.
func startAt(t *testing.T, placement []int, hosts int, as *apiv1.ExecStart, epoch uint64, withRanks bool) *testApp {
	t.Helper()
	a := &testApp{
		t: t, as: as, placement: slices.Clone(placement), epoch: epoch, epochs: slices.Repeat([]uint64{epoch}, len(placement)),
		ended: map[int32]*apiv1.ExecEnded{}, files: map[savedPart]string{},
	}
	for i := range hosts {
		a.hosts = append(a.hosts, startHost(t, "app-test", fmt.Sprintf("h%d", i)))
	}
	for i, h := range a.hosts {
		var ranks []int32
		for r, on := range placement {
			if on == i && withRanks {
				ranks = append(ranks, int32(r))
			}
		}
		start := proto.CloneOf(as)
		start.App, start.Size, start.Ranks, start.Routes, start.Host = "app-test", int32(len(placement)), ranks, a.routes(), h.name
		h.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Start{Start: start}})
	}
	for _, h := range a.hosts {
		ev := a.next(h)
		require.NotNil(t, ev.GetReady(), "%v", ev)
	}
	return a
}

// cacheDir is shared by the tests of one run, so that a module is compiled once.
func cacheDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("godwit-executor-test-%d", os.Getpid()))
	require.NoError(t, os.MkdirAll(dir, 0o700))
	return dir
}

func TestMain(m *testing.M) {
	code := m.Run()
	_ = os.RemoveAll(filepath.Join(os.TempDir(), fmt.Sprintf("godwit-executor-test-%d", os.Getpid())))
	os.Exit(code)
}

// next is the host's next event; ends of ranks are noted and passed over.
func (a *testApp) next(h *host) *apiv1.ExecEvent {
	a.t.Helper()
	for {
		select {
		case ev := <-h.events:
			if e := ev.GetEnded(); e != nil {
				a.ended[e.Rank] = e
			}
			return ev
		case <-time.After(testWait):
			require.FailNow(a.t, "no event from "+h.name)
		}
	}
}

// nextOfAny is the next event of whichever host has one: a rank's end on one may be what another waits to hear of.
func (a *testApp) nextOfAny() *apiv1.ExecEvent {
	a.t.Helper()
	cases := []reflect.SelectCase{{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(time.After(testWait))}}
	for _, h := range a.hosts {
		cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(h.events)})
	}
	i, v, _ := reflect.Select(cases)
	if i == 0 {
		require.FailNow(a.t, "no event from any host")
	}
	ev := v.Interface().(*apiv1.ExecEvent)
	if e := ev.GetEnded(); e != nil {
		a.ended[e.Rank] = e
	}
	return ev
}

// expect has a host expect a rank.
func (a *testApp) expect(migration string, rank int32, target *host) {
	a.t.Helper()
	target.say(a.t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Expect{Expect: &apiv1.ExecExpect{Migration: migration, Ranks: []int32{rank}}}})
	for {
		if x := a.next(target).GetExpecting(); x != nil {
			require.Equal(a.t, migration, x.Migration)
			require.Empty(a.t, x.Error)
			return
		}
	}
}

// precopy has a rank's memory go ahead until it is ready to be frozen. It returns false when the rank ended first.
func (a *testApp) precopy(migration string, rank int32, from, target *host) bool {
	a.t.Helper()
	from.say(a.t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Precopy{Precopy: &apiv1.ExecPrecopy{
		Migration: migration, Ranks: []*apiv1.PrecopyTarget{{Rank: rank, Host: target.name, Addr: cmp.Or(a.through, target.addr)}},
	}}})
	for {
		ahead := a.next(from).GetAhead()
		if a.ended[rank] != nil {
			return false
		}
		if ahead.GetReady() && ahead.Migration == migration && ahead.Rank == rank {
			return true
		}
	}
}

// move takes a rank to another host: its memory ahead, freeze, the rest, then commit or abort. It returns false when the rank ended first.
func (a *testApp) move(rank int32, to int, commit bool) bool {
	a.t.Helper()
	from, target := a.hosts[a.placement[rank]], a.hosts[to]
	id := fmt.Sprintf("mig%d", a.moves)
	a.moves++
	a.expect(id, rank, target)
	if !a.precopy(id, rank, from, target) {
		target.say(a.t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Drop{Drop: &apiv1.ExecDrop{Ranks: []int32{rank}}}})
		return false
	}
	from.say(a.t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Freeze{Freeze: &apiv1.ExecFreeze{Migration: id, Ranks: []int32{rank}}}})
	for {
		ev := a.next(from)
		if a.ended[rank] != nil {
			target.say(a.t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Drop{Drop: &apiv1.ExecDrop{Ranks: []int32{rank}}}})
			return false
		}
		if f := ev.GetFrozen(); f != nil && f.Migration == id && f.Error != fmt.Sprintf("rank %d has ended", rank) { // its end follows
			require.Empty(a.t, f.Error)
			break
		}
	}
	for {
		if s := a.next(target).GetStaged(); s != nil {
			require.Empty(a.t, s.Error)
			break
		}
	}
	if !commit {
		target.say(a.t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Drop{Drop: &apiv1.ExecDrop{Ranks: []int32{rank}}}})
		from.say(a.t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Resume{Resume: &apiv1.ExecResume{Ranks: []int32{rank}}}})
		return true
	}
	a.epoch++
	a.epochs = slices.Clone(a.epochs)
	a.epochs[rank], a.placement[rank] = a.epoch, to
	from.say(a.t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Drop{Drop: &apiv1.ExecDrop{Ranks: []int32{rank}}}})
	order := a.rnd.Perm(len(a.hosts)) // hosts learn of the commit in any order
	for _, i := range order {
		a.hosts[i].say(a.t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Routes{Routes: a.routes()}})
	}
	target.say(a.t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Thaw{Thaw: &apiv1.ExecThaw{Ranks: []int32{rank}, Epoch: a.epoch}}})
	return true
}

// finish waits until all ranks have ended and returns rank 0's output.
func (a *testApp) finish() string {
	a.t.Helper()
	var b strings.Builder
	next := uint64(0)
	for _, l := range a.finishAll() {
		if l.Rank == 0 {
			require.Equal(a.t, next, l.Seq, "rank 0's lines are numbered without a gap")
			next++
			fmt.Fprintf(&b, "%s\n", l.Text)
		}
	}
	return b.String()
}

// finishAll returns the lines of all ranks, each rank's in order.
func (a *testApp) finishAll() []*apiv1.LogLine {
	a.t.Helper()
	for len(a.ended) < len(a.placement) {
		if a.nextOfAny().GetEnded() != nil { // the others hear of it by the record: nobody answers them any more
			for _, other := range a.hosts {
				other.say(a.t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Routes{Routes: a.routes()}})
			}
		}
	}
	for r, e := range a.ended {
		require.Zero(a.t, e.ExitCode, "rank %d: %s", r, e.Reason)
	}
	var all []*apiv1.LogLine
	for _, h := range a.hosts {
		h.mu.Lock()
		all = append(all, h.lines...)
		h.mu.Unlock()
	}
	slices.SortStableFunc(all, func(x, y *apiv1.LogLine) int { return int(x.Seq) - int(y.Seq) })
	return all
}

// TestMovedRunsPrintTheSame runs programs under random schedules of moves, committed and aborted, and compares what they
// print with a run that stays where it is (STYLE rule 18).
func TestMovedRunsPrintTheSame(t *testing.T) {
	programs := []struct {
		name, module string
		args         []string
	}{
		{"heat2d", "../../examples/heat2d/heat2d.wasm", []string{"64", "64", "3000", "500"}},
		{"alltoall", "../../examples/alltoall/alltoall.wasm", []string{"800", "2000"}},
		{"alltoall by streams", "../../examples/alltoall/alltoall.wasm", []string{"800", "2000"}},
		{"cg", "../../examples/cg/cg.wasm", []string{"2000", "300"}},
	}
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			seed := testSeed(t)
			rnd := rand.New(rand.NewPCG(seed, 1))
			want := startApp(t, p.module, []int{0, 0, 0, 0}, 1, p.args...).finish()
			require.NotEmpty(t, want)
			a := startApp(t, p.module, []int{0, 1, 2, 0}, 3, p.args...)
			a.rnd = rnd
			moved := 0
			for range 30 {
				rank := int32(rnd.IntN(4))
				to := (a.placement[rank] + 1 + rnd.IntN(2)) % 3
				if a.ended[rank] != nil || !a.move(rank, to, rnd.IntN(4) > 0) {
					break
				}
				moved++
			}
			t.Logf("%d moves", moved)
			require.Equal(t, want, a.finish())
			require.Positive(t, moved)
		})
	}
}

// testSeed is GODWIT_SEED, or of this moment; it is printed.
func testSeed(t *testing.T) uint64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("GODWIT_SEED"); s != "" {
		v, err := strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
		seed = v
	}
	t.Logf("GODWIT_SEED=%d", seed)
	return seed
}

// TestFreezeWithdrawn: an abort that comes before the rank has stopped, or while its image is written, lets it run on.
func TestFreezeWithdrawn(t *testing.T) {
	args := []string{"64", "64", "3000", "1000"}
	module := "../../examples/heat2d/heat2d.wasm"
	want := startApp(t, module, []int{0, 0}, 1, args...).finish()
	a := startApp(t, module, []int{0, 1}, 2, args...)
	away := []*host{a.deaf(), a.hosts[1], a.hosts[0]}
	for i := range 40 {
		h, rank := a.hosts[i%2], int32(i%2)
		id, to := fmt.Sprintf("m%d", i), away[min(i%4, 1)*(1+i%2)]
		if to.control != nil {
			a.expect(id, rank, to)
		}
		h.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Precopy{Precopy: &apiv1.ExecPrecopy{
			Migration: id, Ranks: []*apiv1.PrecopyTarget{{Rank: rank, Host: to.name, Addr: to.addr}},
		}}})
		h.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Freeze{Freeze: &apiv1.ExecFreeze{Migration: id, Ranks: []int32{rank}}}})
		for i%8 > 3 && a.ended[rank] == nil && a.next(h).GetFrozen() == nil {
			continue
		}
		h.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Resume{Resume: &apiv1.ExecResume{Ranks: []int32{rank}}}})
		if to.control != nil {
			to.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Drop{Drop: &apiv1.ExecDrop{Ranks: []int32{rank}}}})
		}
	}
	require.Equal(t, want, a.finish())
}

// TestComputingRankDelaysNobody: while rank 0 computes without a call, the other ranks exchange their messages and print.
func TestComputingRankDelaysNobody(t *testing.T) {
	a := startApp(t, "../wasm/testdata/spin.wasm", []int{0, 0, 0}, 1, "1500", "2000")
	require.Eventually(t, func() bool { return a.lines(1) >= 10 }, testWait, 10*time.Millisecond)
	require.Zero(t, a.lines(0), "rank 0 still computes when the others have played")
	a.finish()
	require.Positive(t, a.lines(0))
}

// lines counts the lines a rank has printed so far.
func (a *testApp) lines(rank int32) int {
	n := 0
	for _, h := range a.hosts {
		h.mu.Lock()
		for _, l := range h.lines {
			if l.Rank == rank {
				n++
			}
		}
		h.mu.Unlock()
	}
	return n
}

// TestBadModule: what cannot be compiled is reported, with the reason.
func TestBadModule(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bad.wasm")
	require.NoError(t, os.WriteFile(path, []byte("not a module"), 0o600))
	h := startHost(t, "app-test", "h0")
	h.say(t, &apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Start{Start: &apiv1.ExecStart{
		App: "app-test", Programs: []*apiv1.ExecProgram{{ModulePath: path, Ranks: 1}}, Size: 1, Ranks: []int32{0}, Host: "h0",
		Routes: &apiv1.ExecRoutes{Epoch: 1, Placement: []string{"h0"}, RankEpochs: []uint64{1}},
	}}})
	select {
	case ev := <-h.events:
		require.Contains(t, ev.GetFailed().GetReason(), "module")
	case <-time.After(testWait):
		require.FailNow(t, "no event")
	}
}

// TestEndWithoutFinalize: a rank that ends by exit(0) before MPI_Finalize has failed, and what is said of it is what it did.
func TestEndWithoutFinalize(t *testing.T) {
	a := startApp(t, "../wasm/testdata/life.wasm", []int{0}, 1, "exit0")
	for a.ended[0] == nil {
		a.next(a.hosts[0])
	}
	require.EqualValues(t, 1, a.ended[0].ExitCode)
	require.Equal(t, "ended without MPI_Finalize (exit code 0)", a.ended[0].Reason)
	require.True(t, a.ended[0].ToldByReason, "exit code 1 is not the program's")
}

// TestEndsWithItsWorker: the end of the link ends Run.
func TestEndsWithItsWorker(t *testing.T) {
	a := startApp(t, "../../examples/hello/hello.wasm", []int{0}, 1)
	a.finish()
	require.NoError(t, a.hosts[0].control.Close())
	select {
	case err := <-a.hosts[0].done:
		if err != nil {
			require.ErrorIs(t, err, io.EOF)
		}
	case <-time.After(testWait):
		require.FailNow(t, "Run goes on")
	}
}
