package transport

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/internal/gate"
)

// TestWriteWithin: a handler whose client does not read gets its write back, over both protocols; after the handler has returned
// a call does nothing.
func TestWriteWithin(t *testing.T) {
	h1 := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	for name, client := range map[string]*http.Client{"HTTP/1.1": h1, "HTTP/2": NewHTTPClient()} {
		t.Run(name, func(t *testing.T) {
			l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
			require.NoError(t, err)
			wrote := make(chan error, 1)
			after := make(chan context.Context, 1)
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				after <- r.Context()
				_ = http.NewResponseController(w).Flush() // the answer's head has come, however slow the machine is
				WriteWithin(context.WithoutCancel(r.Context()), 100*time.Millisecond)
				piece := make([]byte, 1<<20)
				for {
					if _, err := w.Write(piece); err != nil {
						wrote <- err
						return
					}
				}
			})
			ctx, cancel := context.WithCancel(t.Context())
			served := make(chan error, 1)
			go func() { served <- Serve(ctx, l, h) }()
			defer func() { cancel(); require.NoError(t, <-served) }()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String(), nil)
			require.NoError(t, err)
			res, err := client.Do(req)
			require.NoError(t, err)
			defer res.Body.Close() //nolint:errcheck // read to its end or broken
			select {
			case err := <-wrote:
				require.Error(t, err)
			case <-time.After(time.Minute):
				t.Fatal("the write waits for ever")
			}
			_, err = io.Copy(io.Discard, res.Body)
			require.Error(t, err, "what has come ends early")
			WriteWithin(context.WithoutCancel(<-after), time.Second)
		})
	}
}

// TestBrokenStays: who has lost its writes does not get them back with a later deadline, though no write waited when it lost them.
func TestBrokenStays(t *testing.T) {
	wrote := make(chan error, 1)
	url, _ := answering(t, func(w http.ResponseWriter, r *http.Request) {
		wr := r.Context().Value(writerKey{}).(*writer) //nolint:forcetypeassert // withWriter made it
		wr.breakWrite()
		WriteWithin(r.Context(), time.Minute)
		WriteAnytime(r.Context())
		_, err := w.Write(make([]byte, 1<<20))
		wrote <- err
	})
	for name, client := range map[string]*http.Client{"HTTP/1.1": {Transport: &http.Transport{}}, "HTTP/2": NewHTTPClient()} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
			require.NoError(t, err)
			if res, err := client.Do(req); err == nil {
				_, err = io.Copy(io.Discard, res.Body)
				require.Error(t, err)
				require.NoError(t, res.Body.Close())
			}
			require.Error(t, <-wrote)
		})
	}
}

// TestRequestsAreBounded: so many are answered at a time, of one address half as many; who is turned away may come again.
func TestRequestsAreBounded(t *testing.T) {
	open := gate.NewShares(4)
	inside, leave := make(chan struct{}), make(chan struct{})
	h := withWriter(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		inside <- struct{}{}
		<-leave
	}), newHalves(maxHalf, time.Hour), newUnreads(maxUnread, time.Hour), open, gate.NewTurns(4))
	ask := func(from string) int {
		w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.RemoteAddr = from
		h.ServeHTTP(w, r)
		return w.Code
	}
	ended := make(chan int, 8)
	enter := func(from string) {
		go func() { ended <- ask(from) }()
		<-inside
	}
	enter("10.0.0.1:1")
	enter("10.0.0.1:2")
	require.Equal(t, http.StatusServiceUnavailable, ask("10.0.0.1:3"))
	enter("[::1]:1")
	enter("10.0.0.2:1")
	require.Equal(t, http.StatusServiceUnavailable, ask("10.0.0.3:1"))
	leave <- struct{}{}
	require.Equal(t, http.StatusOK, <-ended)
	enter("10.0.0.4:1")
	close(leave)
	for range 4 {
		require.Equal(t, http.StatusOK, <-ended)
	}
	enter("10.0.0.1:4")
	<-ended
}
