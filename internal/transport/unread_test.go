package transport

import (
	"bytes"
	"container/list"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestUnreadAnswers: answers that nobody takes are ended when too much is held for them, those that have waited longest first, and who takes
// his gets it; one that stands still alone is ended, too.
func TestUnreadAnswers(t *testing.T) {
	for name, answers := range map[string]*unreads{"too much": newUnreads(8<<20, time.Hour), "too long": newUnreads(1<<40, 100*time.Millisecond)} {
		t.Run(name, func(t *testing.T) {
			const size = 1 << 20
			ended := make(chan error, 99)
			url, _ := answeringBy(t, func(ctx context.Context, l net.Listener, h http.Handler) error {
				return serve(ctx, l, h, http2Config(streamWindow), newHalves(maxHalf, time.Hour), answers)
			}, func(w http.ResponseWriter, r *http.Request) {
				_, err := w.Write(make([]byte, size))
				if r.URL.Path == "/deaf" {
					ended <- err
				}
			})
			client := NewHTTPClient()
			const deaf = 20
			for range deaf {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/deaf", http.NoBody)
				require.NoError(t, err)
				res, err := client.Do(req)
				require.NoError(t, err)
				defer res.Body.Close() //nolint:errcheck // it is not read
			}
			least := deaf
			if name == "too much" {
				least = deaf - 8
			}
			for range least {
				require.Error(t, <-ended)
			}
			if name == "too long" {
				return
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/takes", http.NoBody)
			require.NoError(t, err)
			res, err := client.Do(req)
			require.NoError(t, err)
			got, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			require.Len(t, got, size)
			answers.mu.Lock()
			require.LessOrEqual(t, answers.held, answers.most)
			answers.mu.Unlock()
		})
	}
}

// TestPackedRequestsAreRefused: how much they hold is not to be seen.
func TestPackedRequestsAreRefused(t *testing.T) {
	url, _ := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusUnsupportedMediaType)
		}
	})
	for header, want := range map[string]int{
		"Content-Encoding": http.StatusUnsupportedMediaType, "Grpc-Encoding": http.StatusUnsupportedMediaType,
		"Connect-Content-Encoding": http.StatusUnsupportedMediaType, "X-Other": http.StatusOK,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader([]byte("body")))
		require.NoError(t, err)
		req.Header.Set(header, "gzip")
		res, err := NewHTTPClient().Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, want, res.StatusCode, header)
	}
}

// TestUnreadAccount: what was told to end is held until it has ended, and nothing else is told for it.
func TestUnreadAccount(t *testing.T) {
	var told []string
	a := newUnreads(10, time.Hour)
	begin := func(name string, n int) *list.Element { return a.begin(n, func() { told = append(told, name) }) }
	first, second := begin("first", 6), begin("second", 6)
	require.Equal(t, []string{"first"}, told)
	require.EqualValues(t, 12, a.held)
	third := begin("third", 2)
	require.Equal(t, []string{"first"}, told, "8 of 10 are left")
	a.done(first)
	require.EqualValues(t, 8, a.held)
	a.done(third)
	huge := begin("huge", 100)
	require.Equal(t, []string{"first", "second"}, told, "never what begins")
	a.done(second)
	a.done(huge)
	require.Zero(t, a.held)
	require.Zero(t, a.going)
	require.Zero(t, a.open.Len())
}

// TestSlowReader: who takes an answer slowly, and goes on, gets it, though all of it takes longer than the patience.
func TestSlowReader(t *testing.T) {
	const patience, size = 2 * time.Second, 6 * streamWindow
	url, _ := answeringBy(t, func(ctx context.Context, l net.Listener, h http.Handler) error {
		return serve(ctx, l, h, http2Config(streamWindow), newHalves(maxHalf, time.Hour), newUnreads(maxUnread, patience))
	}, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, size)) })
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	res, err := NewHTTPClient().Do(req)
	require.NoError(t, err)
	defer res.Body.Close() //nolint:errcheck // read only
	got := 0
	for pause := patience / 4; ; time.Sleep(pause) { // the reader is slow
		n, err := io.CopyN(io.Discard, res.Body, streamWindow)
		if got += int(n); err != nil {
			require.ErrorIs(t, err, io.EOF)
			break
		}
	}
	require.Equal(t, size, got)
}
