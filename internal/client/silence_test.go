package client

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
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
	"github.com/godwit-run/godwit/internal/transport"
)

// slow is a server whose calls take long, and which says who it is until it hangs.
type slow struct {
	apiv1connect.UnimplementedControlHandler
	apiv1connect.UnimplementedClusterHandler
	takes time.Duration
	hangs time.Time // from then on; zero: never
	calls atomic.Int32
	asked atomic.Int32  // who it is
	first time.Duration // after which a stream brings more, of which pace is
	pace  time.Duration // of what a stream brings, and of what is taken of an upload; zero: nothing comes and none is taken
}

func (s *slow) call(ctx context.Context) error {
	s.calls.Add(1)
	transport.Yield(ctx)
	return pause(ctx, s.takes)
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *slow) ListApps(ctx context.Context, _ *apiv1.ListAppsRequest) (*apiv1.ListAppsResponse, error) {
	return &apiv1.ListAppsResponse{}, s.call(ctx)
}

func (s *slow) UploadModule(ctx context.Context, stream apiv1connect.ControlUploadModuleServerStream) (*apiv1.UploadModuleResponse, error) {
	if s.pace > 0 {
		s.calls.Add(1)
		for {
			if _, err := stream.Receive(); errors.Is(err, io.EOF) {
				return &apiv1.UploadModuleResponse{}, nil
			} else if err != nil {
				return nil, err
			}
			if err := pause(ctx, s.pace); err != nil {
				return nil, err
			}
		}
	}
	return &apiv1.UploadModuleResponse{}, s.call(ctx)
}

func (s *slow) Logs(ctx context.Context, _ *apiv1.LogsRequest, stream apiv1connect.ControlLogsServerStream) error {
	if err := stream.Send(&apiv1.LogsResponse{}); err != nil {
		return err
	}
	if s.pace > 0 {
		s.calls.Add(1)
		if err := pause(ctx, s.first); err != nil {
			return err
		}
		for range 200 {
			if err := errors.Join(pause(ctx, s.pace), stream.Send(&apiv1.LogsResponse{})); err != nil {
				return err
			}
		}
		return nil
	}
	return s.call(ctx)
}

func (s *slow) Discover(ctx context.Context, _ *apiv1.DiscoverRequest) (*apiv1.DiscoverResponse, error) {
	s.asked.Add(1)
	if !s.hangs.IsZero() && !time.Now().Before(s.hangs) {
		return nil, pause(ctx, 1000*time.Hour)
	}
	return of1, nil
}

// wires leads from addresses to servers, in memory: nil is one that reads and never says anything.
type wires map[string]*slow

// client makes a client of the servers at addrs that ends with the function returned.
func (w wires) client(t *testing.T, addrs string, patience time.Duration) (*Client, func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	lines := map[string]wire{}
	var serving sync.WaitGroup
	for addr, s := range w {
		line := wire{make(chan net.Conn), ctx}
		lines[addr] = line
		if s == nil {
			go line.drain()
			continue
		}
		all := connect.NewServer()
		apiv1connect.RegisterControlHandler(all, s)
		apiv1connect.RegisterClusterHandler(all, s)
		mux := http.NewServeMux()
		transport.Mount(mux, all)
		serving.Go(func() { _ = transport.Serve(ctx, line, mux) })
	}
	c, err := New(addrs, patience)
	require.NoError(t, err)
	tr, ok := c.http.Transport.(*http.Transport)
	require.True(t, ok)
	tr.DialContext = func(_ context.Context, _, addr string) (net.Conn, error) {
		here, there := net.Pipe()
		lines[addr].conns <- there
		return here, nil
	}
	return c, func() {
		tr.CloseIdleConnections()
		cancel()
		serving.Wait()
	}
}

type wire struct {
	conns chan net.Conn
	ctx   context.Context //nolint:containedctx // a listener has no other
}

func (w wire) Accept() (net.Conn, error) {
	select {
	case conn := <-w.conns:
		return conn, nil
	case <-w.ctx.Done():
		return nil, net.ErrClosed
	}
}

func (wire) Close() error   { return nil }
func (wire) Addr() net.Addr { return &net.TCPAddr{} }

func (w wire) drain() {
	for {
		conn, err := w.Accept()
		if err != nil {
			return
		}
		context.AfterFunc(w.ctx, func() { _ = conn.Close() })
		go io.Copy(io.Discard, conn) //nolint:errcheck // it ends with the connection
	}
}

// kinds are the ways of a call to have no answer.
var kinds = map[string]func(ctx context.Context, control apiv1connect.ControlClient) error{
	"a question": func(ctx context.Context, control apiv1connect.ControlClient) error {
		_, err := control.ListApps(ctx, &apiv1.ListAppsRequest{})
		return err
	},
	"an upload": func(ctx context.Context, control apiv1connect.ControlClient) error {
		stream, err := control.UploadModule(ctx)
		if err != nil {
			return err
		}
		for range 64 { // more than is taken unread
			if err := stream.Send(&apiv1.UploadModuleRequest{Chunk: []byte(strings.Repeat("x", transport.ChunkBytes/8))}); err != nil {
				break
			}
		}
		_, err = stream.CloseAndReceive()
		return err
	},
	"a stream": func(ctx context.Context, control apiv1connect.ControlClient) error {
		stream, err := control.Logs(ctx, &apiv1.LogsRequest{})
		if err != nil {
			return err
		}
		defer stream.Close() //nolint:errcheck // what counts has been received
		for {
			if _, err := stream.Receive(); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
		}
	},
}

// TestSilentServerIsLeft: a server that takes calls and does not even say who it is has the patience and no more.
func TestSilentServerIsLeft(t *testing.T) {
	const forever = 1000 * time.Hour
	for how, after := range map[string]time.Duration{"its handlers hang": time.Second, "they hang later": time.Minute, "it is frozen": 0} {
		servers := func() wires {
			if after == 0 {
				return wires{"a:1": nil, "b:1": {}}
			}
			return wires{"a:1": {takes: forever, hangs: time.Now().Add(after)}, "b:1": {}}
		}
		for kind, f := range kinds {
			for _, patience := range []time.Duration{time.Second, 5 * time.Second, 30 * time.Second} {
				t.Run(how+"/"+kind+"/"+patience.String(), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						c, end := servers().client(t, "a:1", patience)
						defer end()
						var told atomic.Bool
						c.Waiting = func(error, time.Duration) { told.Store(true) }
						ctx, cancel := context.WithTimeout(t.Context(), forever/2)
						defer cancel()
						began := time.Now()
						err := c.Do(ctx, f)
						require.ErrorIs(t, err, ErrUnreachable)
						require.ErrorContains(t, err, "a:1 takes requests and answers none; see godwit servers")
						// A connection that the transport found dead is a failure, from which the patience counts anew.
						require.LessOrEqual(t, time.Since(began), after+patience+9*time.Second)
						require.GreaterOrEqual(t, time.Since(began), patience)
						if after > lookEach {
							require.GreaterOrEqual(t, time.Since(began), after+patience)
						}
						require.Equal(t, patience > lookEach+sayAfter || patience > sayAfter && after > lookEach, told.Load())
					})
				})
				t.Run(how+"/"+kind+"/"+patience.String()+", another is there", func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						w := servers()
						c, end := w.client(t, "a:1,b:1", patience)
						defer end()
						ctx, cancel := context.WithTimeout(t.Context(), forever/2)
						defer cancel()
						began := time.Now()
						require.NoError(t, c.Do(ctx, f))
						require.LessOrEqual(t, time.Since(began), after+patience+4*time.Second)
						require.EqualValues(t, 1, w["b:1"].calls.Load())
					})
				})
			}
		}
	}
}

// TestLongCallIsLeftAlone: a call may take any time while its server says who it is.
func TestLongCallIsLeftAlone(t *testing.T) {
	for kind, f := range kinds {
		for _, addrs := range []string{"a:1", "a:1,b:1"} {
			t.Run(kind+"/"+addrs, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := wires{"a:1": {takes: 10 * time.Minute}, "b:1": {}}
					c, end := w.client(t, addrs, time.Second)
					defer end()
					require.NoError(t, c.Do(t.Context(), f))
					require.EqualValues(t, 1, w["a:1"].calls.Load())
				})
			})
		}
	}
}

// TestMovingCallIsLeftAlone: a call of which something moves is not cut, though its server, or the line to it, has no answer for a question.
func TestMovingCallIsLeftAlone(t *testing.T) {
	for _, kind := range []string{"a stream", "an upload"} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := wires{"a:1": {hangs: time.Now().Add(time.Second), pace: 300 * time.Millisecond}}
				c, end := w.client(t, "a:1", 5*time.Second)
				defer end()
				c.Waiting = func(why error, _ time.Duration) { t.Errorf("told: %v", why) }
				require.NoError(t, c.Do(t.Context(), kinds[kind]))
				require.EqualValues(t, 1, w["a:1"].calls.Load())
				if kind == "a stream" { // an upload stands still while its end is taken
					require.Zero(t, w["a:1"].asked.Load(), "there is nothing to ask")
				}
			})
		})
	}
}

// TestSlowCallIsLeftAlone: of a call that moves now and then it is asked who is there, and what moves while there is no answer counts as one.
func TestSlowCallIsLeftAlone(t *testing.T) {
	for _, patience := range []time.Duration{lookEach + sayAfter, 10 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			// It stands still at each look, and moves before a word of it would be said.
			w := wires{"a:1": {hangs: time.Now(), first: lookEach / 2, pace: lookEach}}
			c, end := w.client(t, "a:1", patience)
			defer end()
			c.Waiting = func(why error, _ time.Duration) { t.Errorf("told: %v", why) }
			require.NoError(t, c.Do(t.Context(), kinds["a stream"]))
			require.EqualValues(t, 1, w["a:1"].calls.Load())
			require.NotZero(t, w["a:1"].asked.Load())
		})
	}
}

// TestSilentServersOneAfterAnother: the patience counts anew after a call that brought something, however long ago another server failed.
func TestSilentServersOneAfterAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const forever = 1000 * time.Hour
		w := wires{
			"a:1": {takes: forever, hangs: time.Now().Add(time.Minute)},
			"b:1": {takes: forever, hangs: time.Now().Add(time.Hour)},
			"c:1": {},
		}
		c, end := w.client(t, "a:1,b:1,c:1", 10*time.Second)
		defer end()
		require.NoError(t, c.Do(t.Context(), kinds["a stream"]))
		require.EqualValues(t, 1, w["c:1"].calls.Load())
	})
}
