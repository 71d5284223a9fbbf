package transport

import (
	"bytes"
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
