package transport

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestUnreadAnswers: answers that nobody takes are ended when too much is held for them, and who takes
// his gets it; one that stands still alone is ended, too.
func TestUnreadAnswers(t *testing.T) {
	for name, answers := range map[string]*account{"too much": newUnreads(8<<20, time.Hour), "too long": newUnreads(1<<40, 100*time.Millisecond)} {
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

// TestSmallAnswers: a small answer that its caller's window does not take ends within the patience, flushed or not.
func TestSmallAnswers(t *testing.T) {
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	noWindow := "\x00\x00\x06\x04\x00\x00\x00\x00\x00" + "\x00\x04\x00\x00\x00\x00" // SETTINGS: an initial window of 0
	get := "\x00\x00\x06\x01\x05\x00\x00\x00\x01" + "\x82\x86\x84" + "\x41\x01x"    // HEADERS of stream 1: GET http://x/
	const reset, stream = 3, 1
	for name, flush := range map[string]bool{"flushed": true, "kept": false} {
		t.Run(name, func(t *testing.T) {
			answers := newUnreads(maxUnread, 50*time.Millisecond)
			url, _ := answeringBy(t, func(ctx context.Context, l net.Listener, h http.Handler) error {
				return serve(ctx, l, h, http2Config(streamWindow), newHalves(maxHalf, time.Hour), answers)
			}, func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte("123456789"))
				if flush {
					_ = http.NewResponseController(w).Flush()
				}
			})
			c, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
			require.NoError(t, err)
			defer c.Close() //nolint:errcheck // nothing is lost
			require.NoError(t, c.SetDeadline(time.Now().Add(time.Minute)))
			_, err = io.WriteString(c, preface+noWindow+get)
			require.NoError(t, err)
			for head := make([]byte, 9); head[3] != reset; {
				_, err = io.ReadFull(c, head)
				require.NoError(t, err)
				_, err = io.CopyN(io.Discard, c, int64(head[0])<<16|int64(head[1])<<8|int64(head[2]))
				require.NoError(t, err)
				require.Contains(t, []byte{0, stream}, head[8])
			}
			require.Eventually(t, func() bool { return answers.holds() == 0 }, time.Minute, time.Millisecond)
		})
	}
}

// TestPipelined: who sends requests by HTTP/1.1 and takes no answers, however small, loses the connection.
func TestPipelined(t *testing.T) {
	for _, size := range []int{0, 100, 4000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			answers := newUnreads(maxUnread, 50*time.Millisecond)
			url, _ := answeringBy(t, func(ctx context.Context, l net.Listener, h http.Handler) error {
				return serve(ctx, l, h, http2Config(streamWindow), newHalves(maxHalf, time.Hour), answers)
			}, func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write(make([]byte, size))
				_ = http.NewResponseController(w).Flush()
			})
			c, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
			require.NoError(t, err)
			defer c.Close() //nolint:errcheck // nothing is lost
			require.NoError(t, c.SetDeadline(time.Now().Add(time.Minute)))
			for err == nil { // until the server closes what it can write nothing to
				_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			}
			require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
			require.Eventually(t, func() bool { return answers.holds() == 0 }, time.Minute, time.Millisecond)
		})
	}
}
