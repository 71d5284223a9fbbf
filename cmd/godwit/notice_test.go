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
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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
		events := `{"EventId": "1", "EventType": "Reboot", "NotBefore": ""}`
		if *given {
			events += fmt.Sprintf(`, {"EventId": "2", "EventType": "Preempt", "NotBefore": "%s"}`, at.UTC().Format(http.TimeFormat))
		}
		_, _ = fmt.Fprintf(w, `{"DocumentIncarnation": 1, "Events": [%s]}`, events)
	})
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
	for _, spec := range []string{"aws:http://127.0.0.1:1", "gcp:http://127.0.0.1:1", "azure:" + base + "/none-such", "command:sleep 100"} {
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
	} {
		require.Equal(t, want, *said(text, now), text)
	}
}

// wished is a server that notes what is wished of hosts, and does not know at first.
type wished struct {
	apiv1connect.UnimplementedControlHandler
	asked chan *apiv1.SetHostWishRequest
}

func (f wished) SetHostWish(_ context.Context, req *apiv1.SetHostWishRequest) (*apiv1.SetHostWishResponse, error) {
	f.asked <- req
	return &apiv1.SetHostWishResponse{Host: &apiv1.Host{Id: req.Host, Wish: req.Wish}}, nil
}

// TestNoticeEvicts: a notice becomes a wish that the host be evicted, with the time that is left.
func TestNoticeEvicts(t *testing.T) {
	f := wished{asked: make(chan *apiv1.SetHostWishRequest, 1)}
	addr := controlAddr(t, f)
	d := &drainer{name: func() string { return "w1" }, servers: func() []string { return []string{addr} }, log: slog.New(slog.DiscardHandler)}
	d.watchNotices(t.Context(), func(context.Context) (*goNotice, error) { return &goNotice{time.Minute, "spot"}, nil })
	req := <-f.asked
	require.Equal(t, "w1", req.Host)
	require.Equal(t, "evicting", req.Wish)
	require.Equal(t, "spot", req.Reason)
	require.InDelta(t, time.Minute.Milliseconds(), req.InMs, 5000)
}
