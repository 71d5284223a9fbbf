package transport

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// TestBulk: of what a bulk server or client reads, a stream carries megabytes before anything of it has been read.
func TestBulk(t *testing.T) {
	const sent = bulkWindow - 2*maxFrame
	t.Run("requests", func(t *testing.T) {
		all := make(chan struct{})
		url, _ := answeringBy(t, ServeBulk, func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-all:
				_, _ = io.Copy(w, r.Body)
			case <-r.Context().Done():
			}
		})
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		body := &toldEnd{Reader: bytes.NewReader(make([]byte, sent)), end: all}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
		require.NoError(t, err)
		res, err := NewHTTPClient().Do(req)
		require.NoError(t, err)
		n, err := io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.EqualValues(t, sent, n)
	})
	t.Run("answers", func(t *testing.T) {
		all := make(chan struct{})
		url, _ := answering(t, func(w http.ResponseWriter, _ *http.Request) {
			if _, err := w.Write(make([]byte, sent)); err == nil {
				close(all)
			}
		})
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		require.NoError(t, err)
		res, err := NewBulkHTTPClient().Do(req)
		require.NoError(t, err)
		select {
		case <-all:
		case <-ctx.Done():
			require.Fail(t, "the answer waits to be read")
		}
		n, err := io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.EqualValues(t, sent, n)
	})
}

// toldEnd says when all of it has been taken.
type toldEnd struct {
	io.Reader
	end chan struct{}
}

func (r *toldEnd) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && r.end != nil {
		close(r.end)
		r.end = nil
	}
	return n, err
}

// BenchmarkLongLine sends 64 MiB by one stream over a line of 10 ms there and back, to each kind of server.
func BenchmarkLongLine(b *testing.B) {
	for name, serve := range map[string]func(context.Context, net.Listener, http.Handler) error{"callers": Serve, "bulk": ServeBulk} {
		b.Run(name, func(b *testing.B) {
			url, _ := answeringBy(b, serve, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
			url = "http://" + line(b, strings.TrimPrefix(url, "http://"), 5*time.Millisecond)
			client := NewHTTPClient()
			body := make([]byte, 64<<20)
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, bytes.NewReader(body))
				require.NoError(b, err)
				res, err := client.Do(req)
				require.NoError(b, err)
				require.NoError(b, res.Body.Close())
			}
		})
	}
}

// line is a relay to addr that holds everything for d, each way.
func line(b *testing.B, addr string, d time.Duration) string {
	b.Helper()
	l, err := new(net.ListenConfig).Listen(b.Context(), "tcp", "127.0.0.1:0")
	require.NoError(b, err)
	var g errgroup.Group
	g.Go(func() error {
		for {
			near, err := l.Accept()
			if err != nil {
				return nil //nolint:nilerr // closed at the end
			}
			far, err := new(net.Dialer).DialContext(b.Context(), "tcp", addr)
			if err != nil {
				_ = near.Close()
				continue
			}
			g.Go(func() error { return held(far, near, d) })
			g.Go(func() error { return held(near, far, d) })
			context.AfterFunc(b.Context(), func() { _, _ = near.Close(), far.Close() })
		}
	})
	b.Cleanup(func() { require.NoError(b, l.Close()); require.NoError(b, g.Wait()) })
	return l.Addr().String()
}

// held copies from src to dst, each part d after it came.
func held(dst io.WriteCloser, src io.Reader, d time.Duration) error {
	type part struct {
		due  time.Time
		data []byte
	}
	parts := make(chan part, 4096)
	go func() {
		defer close(parts)
		for {
			buf := make([]byte, 64<<10)
			n, err := src.Read(buf)
			if n > 0 {
				parts <- part{due: time.Now().Add(d), data: buf[:n]}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range parts {
		time.Sleep(time.Until(p.due))
		_, _ = dst.Write(p.data) // the other end may have gone
	}
	_ = dst.Close()
	return nil
}
