package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/apierr"
)

// What has nothing to be read is not sent.
func TestEmpty(t *testing.T) {
	path := filepath.Join(t.TempDir(), "in")
	require.NoError(t, os.WriteFile(path, []byte("text"), 0o600))
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close() //nolint:errcheck // only read
	require.False(t, empty(f))
	_, err = io.ReadAll(f)
	require.NoError(t, err)
	require.True(t, empty(f), "all of it was read by somebody else")
	null, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer null.Close() //nolint:errcheck // only read
	require.True(t, empty(null))
	r, w, err := os.Pipe()
	require.NoError(t, err)
	require.False(t, empty(r), "something may come")
	require.NoError(t, w.Close())
	require.NoError(t, r.Close())
}

// pipedApp is a server with an app that takes an input as answers say, one after the other.
type pipedApp struct {
	apiv1connect.UnimplementedControlHandler
	answer func(try int, req *apiv1.WriteInputRequest) (*apiv1.WriteInputResponse, error)

	tries     int
	has       []byte
	ended     bool // all has come: the app is over when it is asked again
	cancelled string
}

func (p *pipedApp) WriteInput(_ context.Context, req *apiv1.WriteInputRequest) (*apiv1.WriteInputResponse, error) {
	p.tries++
	if res, err := p.answer(p.tries, req); res != nil || err != nil {
		return res, err
	}
	if p.ended {
		return &apiv1.WriteInputResponse{Taken: req.At, Over: true}, nil
	}
	p.has = append(p.has, req.Data[int64(len(p.has))-req.At:]...)
	p.ended = req.End
	return &apiv1.WriteInputResponse{Taken: int64(len(p.has)), Kept: true}, nil
}

func (p *pipedApp) CancelApp(_ context.Context, req *apiv1.CancelAppRequest) (*apiv1.CancelAppResponse, error) {
	p.cancelled = req.Reason
	return &apiv1.CancelAppResponse{App: &apiv1.App{Id: req.App}}, nil
}

// fed is an input that was sent.
func fed(t *testing.T, p *pipedApp, text string) *feeding {
	t.Helper()
	path := filepath.Join(t.TempDir(), "in")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	f, err := os.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	out := &feeding{r: &runner{f: &submitFlags{quiet: true}, client: serveControl(t, p), stdin: f, id: "a"}, ended: make(chan struct{})}
	out.feed(t.Context())
	return out
}

// An input waits for a disk that is full for a moment, and for a home that is elsewhere; all of it comes.
func TestFeedWaits(t *testing.T) {
	p := &pipedApp{answer: func(try int, req *apiv1.WriteInputRequest) (*apiv1.WriteInputResponse, error) {
		switch try {
		case 1:
			return &apiv1.WriteInputResponse{Taken: req.At, Trouble: "no room"}, nil
		case 2:
			return &apiv1.WriteInputResponse{Taken: req.At}, nil
		}
		return nil, nil
	}}
	f := fed(t, p, "text")
	require.False(t, closed(f.ended))
	require.Equal(t, "text", string(p.has))
	require.Empty(t, p.cancelled)
}

// An app that cannot have all of its input is ended, with the reason: it would wait for the rest.
func TestFeedEndsTheApp(t *testing.T) {
	for why, answer := range map[string]func() (*apiv1.WriteInputResponse, error){
		"the disk is broken": func() (*apiv1.WriteInputResponse, error) {
			return nil, apierr.New(connect.CodeInternal, apierr.ReasonInternal, "", "the disk is broken", "")
		},
		"has lost a part of it": func() (*apiv1.WriteInputResponse, error) { return &apiv1.WriteInputResponse{Taken: -1}, nil },
	} {
		p := &pipedApp{answer: func(int, *apiv1.WriteInputRequest) (*apiv1.WriteInputResponse, error) { return answer() }}
		f := fed(t, p, "text")
		require.True(t, closed(f.ended), why)
		require.ErrorContains(t, f.why, why)
		require.Contains(t, p.cancelled, "the program cannot have the rest of its standard input: ")
	}
	p := &pipedApp{answer: func(int, *apiv1.WriteInputRequest) (*apiv1.WriteInputResponse, error) {
		return &apiv1.WriteInputResponse{Over: true}, nil
	}}
	require.False(t, closed(fed(t, p, "text").ended), "it reads no more")
	require.Empty(t, p.cancelled)
}

// An app that goes on from a checkpoint is given again what it had had since, also when it has had all.
func TestFeedGoesBack(t *testing.T) {
	text := strings.Repeat("0123456789abcdef", 3*inputPart/16)
	for _, at := range []int{2, 3, 4} {
		var p *pipedApp
		p = &pipedApp{answer: func(try int, req *apiv1.WriteInputRequest) (*apiv1.WriteInputResponse, error) {
			if try != at {
				return nil, nil
			}
			p.has, p.ended = p.has[:inputPart/2], false
			return &apiv1.WriteInputResponse{Taken: int64(len(p.has))}, nil
		}}
		f := fed(t, p, text)
		require.False(t, closed(f.ended))
		require.Equal(t, text, string(p.has))
		require.Greater(t, p.tries, 4)
	}
}
