package main

import (
	"context"
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

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
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

// wished is a server that has one host, and notes what is wished of it.
type wished struct {
	apiv1connect.UnimplementedControlHandler
	mu    sync.Mutex
	host  *apiv1.Host
	asked []*apiv1.SetHostWishRequest
}

func (f *wished) ListHosts(context.Context, *apiv1.ListHostsRequest) (*apiv1.ListHostsResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &apiv1.ListHostsResponse{Hosts: []*apiv1.Host{proto.CloneOf(f.host)}}, nil
}

func (f *wished) SetHostWish(_ context.Context, req *apiv1.SetHostWishRequest) (*apiv1.SetHostWishResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, req)
	f.host.Wish, f.host.WishReason, f.host.Deadline = req.Wish, req.Reason, nil
	if req.InMs > 0 {
		f.host.Deadline = timestamppb.New(time.Now().Add(time.Duration(req.InMs) * time.Millisecond))
	}
	return &apiv1.SetHostWishResponse{Host: proto.CloneOf(f.host)}, nil
}

// is waits until the host is wished to be something, for a reason.
func (f *wished) is(t *testing.T, wish, reason string) {
	t.Helper()
	require.Eventually(t, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.host.Wish == wish && f.host.WishReason == reason
	}, time.Minute, 10*time.Millisecond, "%s, %q", wish, reason)
}

// drainerOf is of the host w1, of which a server knows.
func drainerOf(t *testing.T, wish, reason string) (*drainer, *wished) {
	t.Helper()
	f := &wished{host: &apiv1.Host{Id: "w1", Wish: wish, WishReason: reason}}
	addr := controlAddr(t, f)
	return &drainer{name: func() string { return "w1" }, servers: func() []string { return []string{addr} }, log: slog.New(slog.DiscardHandler)}, f
}

// TestNoticeEvicts: a notice becomes a wish that the host be evicted, with the time that is left, whatever its words are, and once; when it is gone the host is again what
// it was before.
func TestNoticeEvicts(t *testing.T) {
	for was, after := range map[string]string{"schedulable": "schedulable", "cordoned": "cordoned", "draining": "draining", "drained": "draining"} {
		t.Run(was, func(t *testing.T) {
			t.Parallel()
			why := map[bool]string{true: "", false: `the "disk"`}[was == "schedulable"]
			d, f := drainerOf(t, was, why)
			path := filepath.Join(t.TempDir(), "notice")
			require.NoError(t, os.WriteFile(path, []byte("60s the price\nis \x1b[2J too high\xff"), 0o600))
			ctx, cancel := context.WithCancel(t.Context())
			over := make(chan struct{})
			go func() { d.watchNotices(ctx, fileNotice(path)); close(over) }()
			t.Cleanup(func() { cancel(); <-over })
			reason := noticeReason + "the price is ?[2J too high?"
			if why != "" {
				reason += `; it was ` + after + ` "the \"disk\""`
			}
			f.is(t, "evicting", reason)
			require.NoError(t, os.Remove(path))
			f.is(t, after, why)
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

// TestNoticeOfLastStart: of what an earlier start of the worker had wished for a notice nothing is left where there is no notice; what others have wished stays; and who
// evicts the host sooner is not overruled.
func TestNoticeOfLastStart(t *testing.T) {
	d, f := drainerOf(t, "evicting", noticeReason+`spot; it was cordoned "why"; 3 ranks are on it`)
	require.True(t, d.takeBackOnce(t.Context(), noticeReason))
	f.is(t, "cordoned", "why")
	d, f = drainerOf(t, "drained", drainReason+`; it was cordoned "why"`)
	require.NoError(t, d.evictOnce(t.Context(), time.Now().Add(time.Minute), "spot"))
	f.is(t, "evicting", noticeReason+`spot; it was cordoned "why"`)
	require.True(t, d.takeBackOnce(t.Context(), drainReason), "an eviction is not taken back as the drain of an earlier stop")
	f.is(t, "evicting", noticeReason+`spot; it was cordoned "why"`)
	for _, by := range []string{"", "an operator", drainReason} {
		d, f = drainerOf(t, "evicting", by)
		require.True(t, d.takeBackOnce(t.Context(), noticeReason))
		f.host.Deadline = timestamppb.New(time.Now().Add(time.Second))
		d.evict(t.Context(), time.Now().Add(time.Minute), "spot")
		require.Empty(t, f.asked)
		d.evict(t.Context(), time.Now(), "spot")
		require.Len(t, f.asked, 1)
	}
}

// TestStopKeepsWishes: a worker that is told to stop drains its host, and takes back only that; a host that was cordoned is so again, and one that is to be left anyway
// stays so. Nothing is taken back once it stops.
func TestStopKeepsWishes(t *testing.T) {
	for was, after := range map[string]string{"schedulable": "schedulable", "cordoned": "cordoned", "drained": "drained", "evicting": "evicting"} {
		d, f := drainerOf(t, was, "why")
		flags := &workerFlags{drainFor: time.Minute}
		flags.drains.Store(d)
		if over := make(chan bool, 1); was == "schedulable" || was == "cordoned" {
			go func() { over <- flags.drained(t.Context(), nil) }()
			f.is(t, "draining", map[bool]string{true: drainReason + `; it was cordoned "why"`, false: drainReason}[was == "cordoned"])
			require.True(t, d.takeBackOnce(t.Context(), drainReason))
			f.mu.Lock()
			require.Equal(t, "draining", f.host.Wish, "it is not taken back while it stops")
			f.host.Wish = "drained"
			f.mu.Unlock()
			require.True(t, <-over)
		} else {
			require.Equal(t, was == "drained", flags.drained(t.Context(), nil))
			require.Empty(t, f.asked)
		}
		d.stopping = false
		require.True(t, d.takeBackOnce(t.Context(), drainReason))
		f.is(t, after, map[bool]string{true: "", false: "why"}[was == "schedulable"])
	}
}
