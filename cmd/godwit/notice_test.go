package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/fsm"
)

// clouds answers as the services of metadata do: there is a notice once it is given.
func clouds(t *testing.T, given *bool) string {
	t.Helper()
	at := time.Now().Add(2 * time.Minute)
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /latest/api/token", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-aws-ec2-metadata-token-ttl-seconds") == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, "a token")
	})
	mux.HandleFunc("GET /latest/meta-data/spot/instance-action", func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("X-aws-ec2-metadata-token") != "a token":
			w.WriteHeader(http.StatusUnauthorized)
		case !*given:
			w.WriteHeader(http.StatusNotFound)
		default:
			_, _ = fmt.Fprintf(w, `{"action": "terminate", "time": "%s"}`, at.UTC().Format(time.RFC3339))
		}
	})
	mux.HandleFunc("GET /computeMetadata/v1/instance/preempted", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Metadata-Flavor") != "Google" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = io.WriteString(w, map[bool]string{true: "TRUE", false: "FALSE"}[*given])
	})
	mux.HandleFunc("GET /metadata/scheduledevents", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Metadata") != "true" || r.URL.Query().Get("api-version") == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		events := `{"EventId": "1", "EventType": "Reboot", "Resources": ["vm_7"], "NotBefore": ""},
			{"EventId": "2", "EventType": "Preempt", "Resources": ["vm_6"], "NotBefore": ""}, {"EventId": "3", "EventType": "Preempt", "EventStatus": "Completed", "Resources": ["vm_7"]}`
		if *given {
			events += fmt.Sprintf(`, {"EventId": "4", "EventType": "Preempt", "EventStatus": "Scheduled", "Resources": ["vm_6", "VM_7"], "NotBefore": "%s"}`, at.UTC().Format(http.TimeFormat))
		}
		_, _ = fmt.Fprintf(w, `{"DocumentIncarnation": 1, "Events": [%s]}`, events)
	})
	mux.HandleFunc("GET /metadata/instance/compute/name", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Metadata") != "true" || r.URL.Query().Get("format") != "text" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, "vm_7")
	})
	mux.HandleFunc("/vague/latest/api/token", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/vague/latest/meta-data/spot/instance-action", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "null") })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

// TestNotices: each who knows of notices says that there is none, then that there is one, with its time; and what it does not say clearly is an error, and no notice.
func TestNotices(t *testing.T) {
	given := false
	base, path := clouds(t, &given), filepath.Join(t.TempDir(), "notice")
	for spec, in := range map[string]time.Duration{
		"file:" + path: 90 * time.Second, "command:cat " + path: 90 * time.Second, "aws:" + base: 2 * time.Minute, "gcp:" + base: noticeTime, "azure:" + base: 2 * time.Minute,
	} {
		given = false
		_ = os.Remove(path)
		look, err := noticeFrom(spec)
		require.NoError(t, err)
		n, err := look(t.Context())
		require.NoError(t, err, spec)
		require.Nil(t, n, spec)
		given = true
		require.NoError(t, os.WriteFile(path, []byte("90 the price is too high\n"), 0o600))
		n, err = look(t.Context())
		require.NoError(t, err, spec)
		require.NotNil(t, n, spec)
		require.InDelta(t, in.Seconds(), n.in.Seconds(), 5, spec)
		require.NotEmpty(t, n.why)
	}
	for _, spec := range []string{"", "aw", "file:", "command:"} {
		_, err := noticeFrom(spec)
		require.ErrorContains(t, err, "give file:PATH", spec)
	}
	for _, spec := range []string{"aws:x", "gcp:ftp://here", "azure:http://"} {
		_, err := noticeFrom(spec)
		require.ErrorContains(t, err, "the URL of its service of metadata", spec)
	}
	look, err := noticeFrom("command:yes") // without end
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	_, err = look(ctx)
	cancel()
	require.Error(t, err)
	pids := filepath.Join(t.TempDir(), "pids")
	look, err = noticeFrom("command:sleep 1000 & echo $! >" + pids + "; echo 7; exec >&-") // which leaves a process behind
	require.NoError(t, err)
	_, _ = look(t.Context())
	left, err := os.ReadFile(pids)
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(left)))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(stat), ") Z ")
	}, time.Minute, 10*time.Millisecond)
	fifo := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	for _, spec := range []string{
		"aws:http://127.0.0.1:1", "gcp:http://127.0.0.1:1", "aws:" + base + "/vague", "azure:" + base + "/none-such", "command:sleep 100", "command:no-such-command", "command:kill -9 $$", "file:" + fifo, "file:/dev",
	} {
		look, err := noticeFrom(spec)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		n, err := look(ctx)
		cancel()
		require.Nil(t, n)
		if spec != "azure:"+base+"/none-such" {
			require.Error(t, err, spec)
		}
	}
}

// TestSaid: what files and commands say.
func TestSaid(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for text, want := range map[string]goNotice{
		"": {noticeTime, ""}, "120": {2 * time.Minute, ""}, "0.5 soon": {500 * time.Millisecond, "soon"}, "for a new kernel": {noticeTime, "for a new kernel"},
		now.Add(time.Hour).Format(time.RFC3339) + "  at last\n": {time.Hour, "at last"}, "-5": {noticeTime, "-5"},
		"90s\nthe price": {90 * time.Second, "the price"}, "NaN": {noticeTime, "NaN"}, "-1m": {noticeTime, "-1m"},
	} {
		require.Equal(t, want, *said(text, now), text)
	}
}

// wished is a server that has one host, w1, and notes what is wished of it.
type wished struct {
	apiv1connect.UnimplementedControlHandler
	t *testing.T

	mu    sync.Mutex
	state *fsm.Machine
	asked []*apiv1.SetHostWishRequest
	fails int  // so many questions
	inUse bool // something is on the host
}

// do applies a command.
func (f *wished) do(c *apiv1.Command) *apiv1.Host {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.doLocked(c)
}

func (f *wished) doLocked(c *apiv1.Command) *apiv1.Host {
	c.At = timestamppb.Now()
	data, err := fsm.Encode(&apiv1.Entry{Commands: []*apiv1.Command{c}})
	require.NoError(f.t, err)
	results, err := f.state.Apply(f.state.View().Index()+1, 1, data)
	require.NoError(f.t, err)
	require.Empty(f.t, results[0].Code, results[0].Reason)
	host, _ := f.state.View().Host("w1")
	return host
}

// people have a wish about the host.
func (f *wished) people(wish fsm.Wish, reason string) {
	op := &apiv1.SetHostWish{Host: "w1", Wish: string(wish), Reason: reason}
	if wish == fsm.Evicting {
		op.InMs = time.Hour.Milliseconds()
	}
	f.do(&apiv1.Command{Op: &apiv1.Command_SetHostWish{SetHostWish: op}})
}

func (f *wished) host() *apiv1.Host {
	f.mu.Lock()
	defer f.mu.Unlock()
	host, _ := f.state.View().Host("w1")
	host = proto.CloneOf(host)
	host.InUse = f.inUse
	return host
}

func (f *wished) GetHost(context.Context, *apiv1.GetHostRequest) (*apiv1.GetHostResponse, error) {
	f.mu.Lock()
	fails := f.fails > 0
	f.fails--
	f.mu.Unlock()
	if fails {
		return nil, connect.NewError(connect.CodeInternal, "an election lasts")
	}
	return &apiv1.GetHostResponse{Host: f.host()}, nil
}

func (f *wished) SetHostWish(_ context.Context, req *apiv1.SetHostWishRequest) (*apiv1.SetHostWishResponse, error) {
	f.mu.Lock()
	f.asked = append(f.asked, req)
	f.mu.Unlock()
	f.do(&apiv1.Command{Op: &apiv1.Command_SetHostWish{SetHostWish: &apiv1.SetHostWish{Host: req.Host, Wish: req.Wish, Reason: req.Reason, InMs: req.InMs, Force: req.Force, Own: req.Own}}})
	return &apiv1.SetHostWishResponse{Host: f.host()}, nil
}

// is waits until the host is wished to be something, for a reason.
func (f *wished) is(t *testing.T, wish fsm.Wish, reason string) {
	t.Helper()
	require.Eventually(t, func() bool {
		host := f.host()
		return fsm.WishOf(host) == wish && host.WishReason == reason
	}, time.Minute, 10*time.Millisecond, "%s, %q", wish, reason)
}

// drainerOf is of the host w1, on which there are ranks, and of which a server knows.
func drainerOf(t *testing.T) (*drainer, *wished) {
	t.Helper()
	f := &wished{t: t, state: fsm.New(), inUse: true}
	for _, c := range []*apiv1.Command{
		{Op: &apiv1.Command_InitCluster{InitCluster: &apiv1.InitCluster{ClusterId: "c1"}}},
		{Op: &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: fsm.FeatureLevel}}},
		{Op: &apiv1.Command_RegisterHost{RegisterHost: &apiv1.RegisterHost{Host: &apiv1.Host{Id: "w1", Name: "w1", Addr: "w1:1", Slots: 1, NodeId: "n", Incarnation: "i"}}}},
		{Op: &apiv1.Command_AddModule{AddModule: &apiv1.AddModule{Module: &apiv1.Module{Digest: strings.Repeat("a", 64)}}}},
		{Op: &apiv1.Command_SubmitApp{SubmitApp: &apiv1.SubmitApp{Id: "a", Spec: &apiv1.AppSpec{Name: "a", ModuleDigest: strings.Repeat("a", 64), Size: 1}}}},
		{Op: &apiv1.Command_PlaceApp{PlaceApp: fsm.NewPlaceApp("a", []string{"w1"})}},
	} {
		f.do(c)
	}
	addr := controlAddr(t, f)
	return &drainer{name: func() string { return "w1" }, servers: func() []string { return []string{addr} }, log: slog.New(slog.DiscardHandler)}, f
}

// TestNoticeEvicts: a notice becomes a wish that the host be evicted, with the time that is left, whatever its words are, and once; when it is gone the host is again what
// it was before, with all that was wished of it.
func TestNoticeEvicts(t *testing.T) {
	for _, was := range []fsm.Wish{fsm.Schedulable, fsm.Cordoned, fsm.Draining} {
		t.Run(string(was), func(t *testing.T) {
			t.Parallel()
			d, f := drainerOf(t)
			if was != fsm.Schedulable {
				f.do(&apiv1.Command{Op: &apiv1.Command_SetHostWish{SetHostWish: &apiv1.SetHostWish{Host: "w1", Wish: string(was), Reason: `the "disk"`, Force: was == fsm.Draining}}})
			}
			before := f.host()
			path := filepath.Join(t.TempDir(), "notice")
			require.NoError(t, os.WriteFile(path, []byte("60s the price; it was cordoned \"x\"\nis \x1b[2J too high\xff"), 0o600))
			ctx, cancel := context.WithCancel(t.Context())
			over := make(chan struct{})
			go func() { d.watchNotices(ctx, fileNotice(path)); close(over) }()
			t.Cleanup(func() { cancel(); <-over })
			f.is(t, fsm.Evicting, noticeReason+"the price; it was cordoned \"x\" is ?[2J too high?")
			require.NoError(t, os.Remove(path))
			f.is(t, was, before.WishReason)
			require.Equal(t, before.Force, f.host().Force)
			f.mu.Lock()
			defer f.mu.Unlock()
			require.Len(t, f.asked, 2, "a notice counts once, and so does that it is gone")
			require.InDelta(t, time.Minute.Milliseconds(), f.asked[0].InMs, 10_000)
			for _, req := range f.asked {
				require.True(t, utf8.ValidString(req.Reason))
			}
		})
	}
}

// TestNoticeStands: a host is evicted as long as there is a notice, whatever people wish of it meanwhile, and that is heeded as well, and when the notice is gone; a notice that
// says that the machine goes sooner is said again.
func TestNoticeStands(t *testing.T) {
	d, f := drainerOf(t)
	path := filepath.Join(t.TempDir(), "notice")
	require.NoError(t, os.WriteFile(path, []byte("120 spot"), 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() { d.watchNotices(ctx, fileNotice(path)); close(over) }()
	t.Cleanup(func() { cancel(); <-over })
	f.is(t, fsm.Evicting, noticeReason+"spot")
	f.people(fsm.Draining, "disk")
	require.Equal(t, fsm.Evicting, fsm.WishOf(f.host()))
	require.NoError(t, os.WriteFile(path, []byte("20 spot, sooner"), 0o600))
	f.is(t, fsm.Evicting, noticeReason+"spot, sooner")
	require.Less(t, time.Until(f.host().Deadline.AsTime()), 21*time.Second)
	f.people(fsm.Schedulable, "")
	require.Equal(t, fsm.Schedulable, fsm.WishOf(f.host()))
	f.is(t, fsm.Evicting, noticeReason+"spot, sooner")
	f.people(fsm.Draining, "disk")
	require.NoError(t, os.Remove(path))
	f.is(t, fsm.Draining, "disk")
}

// TestNoticeInARow: what is not known is not that there is no notice.
func TestNoticeInARow(t *testing.T) {
	d, f := drainerOf(t)
	said := []string{"is", "", "", "?", "", "?", "", ""}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	d.watchNotices(ctx, func(context.Context) (*goNotice, error) {
		if n == len(said) {
			cancel()
			return nil, context.Canceled
		}
		n++
		switch said[n-1] {
		case "is":
			return &goNotice{in: time.Minute, why: "spot"}, nil
		case "?":
			return nil, errors.New("nobody answers")
		}
		return nil, nil //nolint:nilnil // there is none
	})
	require.Equal(t, fsm.Evicting, fsm.WishOf(f.host()))
}

// TestNoticeOfLastStart: of what an earlier start of the worker had wished for a notice nothing is left where there is no notice; what others have wished stays; and who
// evicts the host sooner is not overruled.
func TestNoticeOfLastStart(t *testing.T) {
	d, f := drainerOf(t)
	f.people(fsm.Cordoned, "why")
	require.NoError(t, d.evictOnce(t.Context(), time.Now().Add(time.Minute), "spot"))
	require.True(t, d.takeBackOnce(t.Context(), drainReason), "an eviction is not taken back as the drain of an earlier stop")
	f.is(t, fsm.Evicting, noticeReason+"spot")
	require.True(t, d.takeBackOnce(t.Context(), noticeReason))
	f.is(t, fsm.Cordoned, "why")
	require.NoError(t, d.evictOnce(t.Context(), time.Now().Add(time.Minute), "spot"))
	require.True(t, d.takeBackOnce(t.Context(), ""), "as by a start without --notice")
	f.is(t, fsm.Cordoned, "why")
	asked := len(f.asked)
	require.True(t, d.takeBackOnce(t.Context(), ""))
	require.Len(t, f.asked, asked, "there is nothing to take back")
	for _, by := range []string{"", "an operator", drainReason, noticeReason} {
		d, f = drainerOf(t)
		f.people(fsm.Evicting, by)
		require.True(t, d.takeBackOnce(t.Context(), noticeReason))
		require.Empty(t, f.asked, "it is not the worker's own, whatever its words are")
		require.NoError(t, d.evictOnce(t.Context(), time.Now().Add(2*time.Hour), "spot"))
		require.Empty(t, f.asked)
		require.NoError(t, d.evictOnce(t.Context(), time.Now(), "spot"))
		require.Len(t, f.asked, 1)
	}
}

// TestStopKeepsWishes: a worker that is told to stop drains its host, and takes back only that; a host that was cordoned is so again, and one that is to be left anyway
// stays so. Nothing is taken back once it stops. What matters is that nothing is on the host any more.
func TestStopKeepsWishes(t *testing.T) {
	for _, was := range []fsm.Wish{fsm.Schedulable, fsm.Cordoned, fsm.Draining, fsm.Evicting} {
		d, f := drainerOf(t)
		f.people(was, "why")
		flags := &workerFlags{drainFor: time.Minute}
		flags.drains.Store(d)
		f.fails = 1 // which is not the end of it
		over := make(chan bool, 1)
		go func() { over <- flags.drained(t.Context(), nil) }()
		if was == fsm.Schedulable || was == fsm.Cordoned {
			f.is(t, fsm.Draining, drainReason)
			require.True(t, d.takeBackOnce(t.Context(), drainReason))
			require.Equal(t, fsm.Draining, fsm.WishOf(f.host()), "it is not taken back while it stops")
		}
		f.mu.Lock()
		f.inUse = false
		f.mu.Unlock()
		require.True(t, <-over)
		d.mu.Lock()
		d.stopping = false
		d.mu.Unlock()
		require.True(t, d.takeBackOnce(t.Context(), drainReason))
		f.is(t, was, map[bool]string{true: "", false: "why"}[was == fsm.Schedulable])
	}
}

// TestStopDrainIsEnded: while the ranks move a further SIGTERM leaves them where they are, and SIGINT has them end, as at once; who wants the host to take ranks ends it too.
func TestStopDrainIsEnded(t *testing.T) {
	for s, ends := range map[syscall.Signal]bool{syscall.SIGTERM: false, syscall.SIGINT: true} {
		d, f := drainerOf(t)
		flags := &workerFlags{drainFor: time.Minute}
		flags.drains.Store(d)
		signals := make(chan os.Signal, 1)
		over := make(chan bool, 1)
		go func() { over <- flags.drained(t.Context(), signals) }()
		f.is(t, fsm.Draining, drainReason)
		signals <- s
		require.Equal(t, ends, <-over, s.String())
	}
	d, f := drainerOf(t)
	flags := &workerFlags{drainFor: time.Minute}
	flags.drains.Store(d)
	over := make(chan bool, 1)
	go func() { over <- flags.drained(t.Context(), nil) }()
	f.is(t, fsm.Draining, drainReason)
	f.people(fsm.Schedulable, "")
	require.False(t, <-over)
}

// TestStopWithoutServers: a worker that is told to stop twice, before any server has answered, ends.
func TestStopWithoutServers(t *testing.T) {
	d, f := drainerOf(t)
	f.fails = 1 << 20
	flags := &workerFlags{drainFor: time.Minute}
	flags.drains.Store(d)
	signals := make(chan os.Signal, 1)
	signals <- syscall.SIGTERM
	require.False(t, flags.drained(t.Context(), signals))
}

// TestDrainerHasOneClient: a question costs no connection of its own.
func TestDrainerHasOneClient(t *testing.T) {
	d, _ := drainerOf(t)
	files := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return len(entries)
	}
	_, err := d.find(t.Context())
	require.NoError(t, err)
	before := files()
	for range 50 {
		_, err := d.find(t.Context())
		require.NoError(t, err)
	}
	require.Less(t, files(), before+20)
}

// TestDrainWaitTellsOfALoss: a host that is empty since it was lost was not drained as was wished.
func TestDrainWaitTellsOfALoss(t *testing.T) {
	for _, lost := range []bool{false, true} {
		d, f := drainerOf(t)
		f.people(fsm.Draining, "disk")
		cl, err := d.client()
		require.NoError(t, err)
		if lost {
			first := f.host()
			f.do(&apiv1.Command{Op: &apiv1.Command_SetHostState{SetHostState: &apiv1.SetHostState{Host: "w1", Incarnation: "i", State: "lost"}}})
			require.Equal(t, fsm.Drained, fsm.WishOf(f.host()))
			_, err = awaitDrained(t.Context(), cl, first, time.Minute)
			require.ErrorContains(t, err, "w1 was lost, or its worker began anew")
			continue
		}
		first := f.host()
		f.do(&apiv1.Command{Op: &apiv1.Command_StopApp{StopApp: &apiv1.StopApp{App: "a", Phase: "cancelled"}}})
		f.do(&apiv1.Command{Op: &apiv1.Command_RanksEnded{RanksEnded: &apiv1.RanksEnded{App: "a", Host: "w1", Ranks: []*apiv1.EndedRank{{Epoch: 1}}}}})
		host, err := awaitDrained(t.Context(), cl, first, time.Minute)
		require.NoError(t, err)
		require.Equal(t, fsm.Drained, fsm.WishOf(host))
	}
}
