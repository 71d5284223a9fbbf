package worker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/synctrace"
	"github.com/godwit-run/godwit/internal/transport"
)

// pipes is a listener whose connections are in this process, so that the clock of a test may be stopped.
type pipes struct {
	conns chan net.Conn
	ended chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.ended:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { close(p.ended); return nil }

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	p.conns <- there
	return here, nil
}

// slowServer sends a module in parts, each after a pause.
type slowServer struct {
	fakeLeader
	code   []byte
	pauses []time.Duration
	asked  atomic.Int32
}

func (s *slowServer) FetchModule(ctx context.Context, _ *apiv1.FetchModuleRequest, stream apiv1connect.ClusterFetchModuleServerStream) error {
	s.asked.Add(1)
	each := len(s.code) / len(s.pauses)
	for i, pause := range s.pauses {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := stream.Send(&apiv1.FetchModuleResponse{Chunk: s.code[i*each : (i+1)*each]}); err != nil {
			return err
		}
	}
	return nil
}

// TestPatience: a server has little time for its first word while others may be nearer to theirs, and has much once it has said one.
func TestPatience(t *testing.T) {
	for name, tc := range map[string]struct {
		pauses []time.Duration
		asked  int
		fails  bool
	}{
		"at once":             {[]time.Duration{answerWait - time.Millisecond, transportWait - time.Millisecond, transportWait - time.Millisecond}, 1, false},
		"at the second time":  {[]time.Duration{answerWait + time.Millisecond, 0, transportWait - time.Millisecond}, 2, false},
		"never a first word":  {[]time.Duration{transportWait + time.Millisecond, 0, 0}, 5, true},
		"never a second word": {[]time.Duration{0, transportWait + time.Millisecond, 0}, 4, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &slowServer{code: []byte("module"), pauses: tc.pauses}
				cs := connect.NewServer()
				apiv1connect.RegisterClusterHandler(cs, s)
				mux := http.NewServeMux()
				transport.Mount(mux, cs)
				l := &pipes{conns: make(chan net.Conn), ended: make(chan struct{})}
				serving := make(chan struct{})
				ctx, stop := context.WithCancel(t.Context())
				go func() {
					defer close(serving)
					_ = transport.Serve(ctx, l, mux) // it was told to end
				}()
				h := transport.NewHTTPClient()
				h.Transport.(*http.Transport).DialContext = l.dial //nolint:forcetypeassert // else the test ends
				dir := t.TempDir()
				c, err := newModuleCache(filepath.Join(dir, "m"), filepath.Join(dir, "c"), 1<<20, slog.New(slog.DiscardHandler), h,
					func() []string { return []string{"server:1"} })
				require.NoError(t, err)
				sum := sha256.Sum256(s.code)
				wanted, over := context.WithTimeout(t.Context(), 4*transportWait)
				defer over()
				_, release, err := c.use(wanted, hex.EncodeToString(sum[:]))
				if err == nil {
					release()
				}
				if tc.fails {
					require.ErrorIs(t, err, context.DeadlineExceeded, "as long as it is wanted it is asked for")
				} else {
					require.NoError(t, err)
				}
				require.EqualValues(t, tc.asked, s.asked.Load())
				c.wait()
				stop()
				h.CloseIdleConnections()
				<-serving
			})
		})
	}
}

// TestFetchedModuleSurvivesAPowerCut: its name vouches for its bytes.
func TestFetchedModuleSurvivesAPowerCut(t *testing.T) {
	var c *moduleCache
	var digest string
	prepare := func(string) error {
		var g *gatedServer
		g, c, digest = newGated(t)
		close(g.gate)
		return nil
	}
	require.Empty(t, synctrace.Lost(t, prepare, func(dir string) error {
		c.dir = filepath.Join(dir, "modules")
		if err := os.Mkdir(c.dir, 0o700); err != nil {
			return err
		}
		d, err := os.Open(dir)
		if err != nil {
			return err
		}
		if err := d.Sync(); err != nil {
			return err
		}
		_, release, err := c.patient().use(t.Context(), digest)
		if err != nil {
			return err
		}
		release()
		return d.Close()
	}))
}

// TestDiskRefusesAFetch: the error says what to do.
func TestDiskRefusesAFetch(t *testing.T) {
	g, c, digest := newGated(t)
	close(g.gate)
	require.NoError(t, os.Remove(c.dir))
	require.NoError(t, os.WriteFile(c.dir, nil, 0o600)) // no directory any more
	_, _, err := c.patient().use(t.Context(), digest)
	require.ErrorContains(t, err, "the operating system refuses it: mend that")
	require.EqualError(t, diskError(io.EOF), "this host's disk: EOF")
	require.NoError(t, diskError(nil))
}
