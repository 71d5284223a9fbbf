package transport

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/gate"
)

// worker is a Data service whose requests do what how says, with their turn.
type worker struct {
	apiv1connect.UnimplementedDataHandler
	inside atomic.Int64
	how    func(ctx context.Context)
}

func (k *worker) do(ctx context.Context) {
	k.inside.Add(1)
	defer k.inside.Add(-1)
	k.how(ctx)
}

func (k *worker) Inspect(ctx context.Context, _ *apiv1.InspectRequest) (*apiv1.InspectResponse, error) {
	k.do(ctx)
	return &apiv1.InspectResponse{}, nil
}

func (k *worker) ReadLogs(ctx context.Context, _ *apiv1.ReadLogsRequest, s apiv1connect.DataReadLogsServerStream) error {
	if err := s.SendHeaders(); err != nil {
		return err
	}
	k.do(ctx)
	return nil
}

func (k *worker) Transfer(ctx context.Context, s apiv1connect.DataTransferServerStream) (*apiv1.TransferResponse, error) {
	_, err := s.Receive()
	k.do(ctx)
	for err == nil {
		_, err = s.Receive()
	}
	return &apiv1.TransferResponse{}, nil
}

// working serves a worker until the test ends.
func working(t *testing.T, k *worker) string {
	t.Helper()
	s := connect.NewServer()
	apiv1connect.RegisterDataHandler(s, k)
	mux := http.NewServeMux()
	Mount(mux, s)
	url, _ := answeringBy(t, Serve, mux.ServeHTTP)
	return strings.TrimPrefix(url, "http://")
}

// TestTurns: however many requests come, as many are worked on as there are turns, in each form of request; none is forgotten.
func TestTurns(t *testing.T) {
	turns := int64(turnsPerCore * runtime.GOMAXPROCS(0))
	for name, form := range map[string]struct {
		path, kind string
		message    []byte
	}{
		"JSON":             {"Inspect", "application/json", []byte("{}")},
		"nothing":          {"Inspect", "application/proto", nil},
		"framed":           {"Inspect", "application/grpc", headOf(0)},
		"first of several": {"Transfer", "application/grpc", append(headOf(0), headOf(0)...)},
	} {
		t.Run(name, func(t *testing.T) {
			leave := make(chan struct{})
			k := &worker{how: func(context.Context) { <-leave }}
			url := "http://" + working(t, k) + "/godwit.v1.Data/" + form.path
			client, answers := NewHTTPClient(), make(chan error, 3*turns)
			for range 3 * turns {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(string(form.message)))
				require.NoError(t, err)
				req.Header.Set("Content-Type", form.kind)
				go func() {
					res, err := client.Do(req)
					if err == nil {
						_, err = io.Copy(io.Discard, res.Body)
						_ = res.Body.Close()
					}
					answers <- err
				}()
			}
			require.Eventually(t, func() bool { return k.inside.Load() == turns }, time.Minute, time.Millisecond)
			for range 2 * turns {
				leave <- struct{}{}
				require.LessOrEqual(t, k.inside.Load(), turns)
			}
			close(leave)
			for range 3 * turns {
				require.NoError(t, <-answers)
			}
		})
	}
}

// TestWithoutTurn: requests that wait, that write, or of which the end is missing, keep no other one waiting.
func TestWithoutTurn(t *testing.T) {
	many := 2 * turnsPerCore * runtime.GOMAXPROCS(0)
	yields := func(ctx context.Context) { Yield(ctx); <-ctx.Done() }
	for name, c := range map[string]struct {
		path    string
		message []byte
		how     func(ctx context.Context)
	}{
		"yields":  {"Inspect", headOf(0), yields},
		"waits":   {"Inspect", headOf(0), func(ctx context.Context) { _ = Wait(ctx, func() error { <-ctx.Done(); return nil }) }},
		"writes":  {"ReadLogs", headOf(0), func(ctx context.Context) { <-ctx.Done() }},
		"no end":  {"Inspect", headOf(0), nil},
		"no more": {"Transfer", headOf(0), func(context.Context) {}},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Bool
			k := &worker{how: func(ctx context.Context) {
				if !asked.Load() {
					c.how(ctx)
				}
			}}
			addr := working(t, k)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			answers := make(chan string, many)
			var ends []*io.PipeWriter
			for range many {
				r, w := io.Pipe()
				ends = append(ends, w)
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/godwit.v1.Data/"+c.path, r)
				require.NoError(t, err)
				req.Header.Set("Content-Type", "application/grpc")
				go func() {
					res, err := NewHTTPClient().Do(req)
					if err != nil {
						answers <- err.Error()
						return
					}
					_, _ = io.Copy(io.Discard, res.Body)
					answers <- res.Trailer.Get("Grpc-Status")
				}()
				_, err = w.Write(c.message)
				require.NoError(t, err)
				if open := c.how == nil || c.path == "Transfer"; !open {
					_ = w.Close()
				}
			}
			if c.how != nil && c.path != "Transfer" {
				require.Eventually(t, func() bool { return k.inside.Load() == int64(many) }, time.Minute, time.Millisecond)
			}
			asked.Store(true)
			_, err := apiv1connect.NewDataClient(NewClient(NewHTTPClient(), addr)).Inspect(ctx, &apiv1.InspectRequest{})
			require.NoError(t, err)
			if c.how == nil { // those without an end have one now
				for _, w := range ends {
					_ = w.Close()
				}
				for range many {
					require.Equal(t, "0", <-answers)
				}
			}
		})
	}
}

// TestSecondOfOne: a second message behind the one of a request is refused whenever it comes.
func TestSecondOfOne(t *testing.T) {
	addr := working(t, &worker{how: func(context.Context) {}})
	for _, second := range []string{string(headOf(0)), string(headOf(3)) + "\x0a\x01a"} {
		r, w := io.Pipe()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+"/godwit.v1.Data/Inspect", r)
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/grpc")
		go func() {
			_, _ = w.Write(append(headOf(3), "\x0a\x01a"...)) // the answer says it
			_, _ = io.WriteString(w, second)
			_ = w.Close()
		}()
		res, err := NewHTTPClient().Do(req)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
		require.Equal(t, "12", res.Trailer.Get("Grpc-Status")+res.Header.Get("Grpc-Status"))
		require.Contains(t, res.Trailer.Get("Grpc-Message")+res.Header.Get("Grpc-Message"), "multiple messages")
	}
}

// TestTurnsOfWhoLeaves: requests that end at any moment, also while somebody else than their handler reads them, take no turn along.
func TestTurnsOfWhoLeaves(t *testing.T) {
	turns := gate.NewTurns(1)
	late := &writer{turns: turns, done: true}
	require.ErrorIs(t, late.enter(t.Context()), errOver)
	twice := &writer{turns: turns}
	require.NoError(t, twice.enter(t.Context()))
	require.True(t, twice.leave())
	require.False(t, twice.leave())
	require.NoError(t, turns.Enter(t.Context(), netip.Addr{}))

	// What is passed on is no work: it has no turn.
	turns = gate.NewTurns(0)
	passed := make(chan error, 1)
	h := withWriter(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		passed <- err
	}), newHalves(maxHalf, time.Hour), newUnreads(maxUnread, time.Hour), gate.NewShares(4), turns)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(string(headOf(0))))
	r.Header.Set("Content-Type", "application/grpc")
	h.ServeHTTP(httptest.NewRecorder(), r)
	require.NoError(t, <-passed)

	// Of many that are cancelled at once nothing is left.
	var held atomic.Pointer[worker] // who does the work now
	k := &worker{how: func(ctx context.Context) {
		if now := held.Load(); now != nil && ctx.Err() == nil {
			now.do(ctx)
		}
	}}
	addr := working(t, k)
	client, seed := NewHTTPClient(), rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test's
	var under sync.WaitGroup
	for i := range 3000 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(seed.IntN(2000))*time.Microsecond)
		path := []string{"Inspect", "Transfer"}[i%2]
		under.Go(func() {
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/godwit.v1.Data/"+path, strings.NewReader(string(headOf(0))))
			if err != nil {
				return
			}
			req.Header.Set("Content-Type", "application/grpc")
			if res, err := client.Do(req); err == nil {
				_ = res.Body.Close()
			}
		})
		if i%50 == 0 {
			under.Wait()
		}
	}
	under.Wait()
	n := turnsPerCore * runtime.GOMAXPROCS(0)
	leave := make(chan struct{})
	k = &worker{how: func(context.Context) { <-leave }}
	held.Store(k)
	for range n {
		under.Go(func() {
			_, err := apiv1connect.NewDataClient(NewClient(client, addr)).Inspect(t.Context(), &apiv1.InspectRequest{})
			require.NoError(t, err)
		})
	}
	require.Eventually(t, func() bool { return k.inside.Load() == int64(n) }, time.Minute, time.Millisecond, "all turns are there")
	close(leave)
	under.Wait()
}

// TestTurnOfARequest: it stands in its address's line, has none while it waits and one again after that, and ends with the first byte written.
func TestTurnOfARequest(t *testing.T) {
	turns := gate.NewTurns(1)
	h := withWriter(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wr := r.Context().Value(writerKey{}).(*writer) //nolint:forcetypeassert // withWriter's
		require.Equal(t, netip.MustParseAddr("10.1.2.3"), wr.from)
		require.NoError(t, wr.enter(r.Context()))
		require.NoError(t, Wait(r.Context(), func() error {
			require.False(t, wr.inside)
			require.NoError(t, turns.Enter(t.Context(), netip.Addr{}))
			turns.Leave()
			return nil
		}))
		require.True(t, wr.inside)
		_, err := w.Write([]byte("a"))
		require.NoError(t, err)
		require.False(t, wr.inside)
		require.NoError(t, Wait(r.Context(), func() error { return nil }))
		require.False(t, wr.inside, "it had none")
	}), newHalves(maxHalf, time.Hour), newUnreads(maxUnread, time.Hour), gate.NewShares(4), turns)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.RemoteAddr = "[::ffff:10.1.2.3]:4"
	h.ServeHTTP(httptest.NewRecorder(), r)
}

// TestWaitsAsLongAsItsCaller: who waits for its turn is ended by no clock, and is gone when its caller is.
func TestWaitsAsLongAsItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := connect.NewServer()
		apiv1connect.RegisterDataHandler(s, &worker{how: func(context.Context) {}})
		mux := http.NewServeMux()
		Mount(mux, s)
		halves := newHalves(maxHalf, stillWait)
		h := withWriter(mux, halves, newUnreads(maxUnread, time.Hour), gate.NewShares(4), gate.NewTurns(0))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/godwit.v1.Data/Inspect", strings.NewReader("{}"))
		r.Header.Set("Content-Type", "application/json")
		began := time.Now()
		h.ServeHTTP(httptest.NewRecorder(), r)
		require.Equal(t, time.Hour, time.Since(began))
		require.Zero(t, halves.holds())
	})
}

// TestLineIsNotSlow: of requests that wait for their turn none goes because it waits, however long: when they are too many, those are turned away that come
// last, of the address that has the most.
func TestLineIsNotSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := connect.NewServer()
		k := &worker{how: func(context.Context) {}}
		apiv1connect.RegisterDataHandler(s, k)
		mux := http.NewServeMux()
		Mount(mux, s)
		const size, room = 8 << 10, 16
		halves, turns := newHalves(room*(entryBase+halfGrowth*size), stillWait), gate.NewTurns(1)
		h := withWriter(mux, halves, newUnreads(maxUnread, time.Hour), gate.NewShares(100), turns)
		require.NoError(t, turns.Enter(t.Context(), netip.Addr{})) // a work that takes long
		answers := map[string]*httptest.ResponseRecorder{}
		ask := func(name, from string) {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/godwit.v1.Data/Inspect", strings.NewReader("{}"+strings.Repeat(" ", size-2)))
			r.Header.Set("Content-Type", "application/json")
			r.RemoteAddr = from + ":1"
			w := httptest.NewRecorder()
			answers[name] = w
			go h.ServeHTTP(w, r)
			time.Sleep(time.Minute)
		}
		for i := range room {
			ask(fmt.Sprint(i), "10.0.0.1")
		}
		ask("another's", "10.0.0.2")
		ask("too much", "10.0.0.1")
		ask("too much again", "10.0.0.1")
		turns.Leave()
		synctest.Wait()
		for name, late := range map[string]bool{"0": false, "1": false, "another's": false, "15": true, "too much again": false} {
			if late {
				require.Contains(t, answers[name].Body.String(), "does not get on", name)
			} else {
				require.Equal(t, http.StatusOK, answers[name].Code, "%s: %s", name, answers[name].Body)
			}
		}
		require.Zero(t, halves.holds())
	})
}
