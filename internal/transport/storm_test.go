package transport

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/gate"
)

// counting is a server of a worker that shows what it counts.
type counting struct {
	halves, answers *account
	open            *gate.Shares
	turns           *gate.Turns
	url             string
}

const (
	countedTurns = 3
	countedOpen  = 400
)

func newCounting(t *testing.T, k *worker, patience time.Duration) *counting {
	t.Helper()
	c := &counting{
		halves: newHalves(1<<20, patience), answers: newUnreads(1<<20, patience),
		open: gate.NewShares(countedOpen), turns: gate.NewTurns(countedTurns),
	}
	s := connect.NewServer()
	apiv1connect.RegisterDataHandler(s, k)
	mux := http.NewServeMux()
	Mount(mux, s)
	mux.HandleFunc("/passed", func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	server := httptest.NewUnstartedServer(withWriter(mux, c.halves, c.answers, c.open, c.turns))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Config.HTTP2 = http2Config(streamWindow)
	server.Start()
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

// nothing is whether nothing is counted any more, and all turns are there.
func (c *counting) nothing() bool {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	turns, open := 0, 0
	for c.turns.Enter(over, netip.Addr{}) == nil {
		defer c.turns.Leave()
		turns++
	}
	from := netip.MustParseAddr("127.0.0.1")
	for c.open.Open(from, 1) {
		defer c.open.Close(from, 1)
		open++
	}
	return turns == countedTurns && open == countedOpen/2 && c.halves.holds() == 0 && c.answers.holds() == 0
}

// storm makes requests of every form, from its seed.
type storm struct {
	*rand.Rand
	url     string
	clients []*http.Client
}

// request is a request of some form, whose body is cut into parts. fair is whether it is as it should be.
func (s storm) request(ctx context.Context) (req *http.Request, parts [][]byte, fair bool, err error) {
	form := []struct{ path, kind string }{
		{"godwit.v1.Data/Inspect", "application/grpc"},
		{"godwit.v1.Data/Inspect", "Application/gRPC-Web+proto"},
		{"godwit.v1.Data/Inspect", "application/proto"},
		{"godwit.v1.Data/Inspect", "application/json; charset=utf-8"},
		{"godwit.v1.Data/ReadLogs", "application/connect+proto"},
		{"godwit.v1.Data/Transfer", "application/GRPC"},
		{"godwit.v1.Data/Transfer", "application/connect+proto"},
		{"passed", "application/octet-stream"},
	}[s.IntN(8)]
	message := func() []byte { return bytes.Repeat([]byte{15 << 3, 0}, s.IntN(2)*s.IntN(10_000)) } // unknown fields
	var whole []byte
	switch {
	case strings.Contains(form.kind, "json"):
		whole = []byte("{}" + strings.Repeat(" ", s.IntN(2)*s.IntN(10_000)))
	case !strings.Contains(strings.ToLower(form.kind), "grpc") && !strings.Contains(form.kind, "connect"):
		whole = message()
	default:
		for range 1 + s.IntN(4)*len(form.path)/len("godwit.v1.Data/Transfer") {
			m := message()
			whole = slices.Concat(whole, headOf(len(m)), m)
			if !strings.HasSuffix(form.path, "Transfer") {
				break
			}
		}
	}
	fair = s.IntN(3) > 0
	if !fair { // cut off, or with something behind it
		whole = append(whole[:s.IntN(len(whole)+1)], whole[:s.IntN(min(len(whole)+1, 9))]...)
	}
	for rest := whole; len(rest) > 0; {
		n := min(1+s.IntN(1<<s.IntN(15)), len(rest))
		parts = append(parts, rest[:n])
		rest = rest[n:]
	}
	req, err = http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/"+form.path, http.NoBody)
	if err != nil {
		return nil, nil, false, err
	}
	req.Header.Set("Content-Type", form.kind)
	req.ContentLength = -1
	if s.IntN(2) == 0 {
		req.ContentLength = int64(len(whole))
	}
	if s.IntN(4) == 0 {
		req.Header.Set("Expect", "100-continue")
	}
	if s.IntN(16) == 0 {
		req.Header.Set("Grpc-Encoding", "gzip")
		req.Header.Set("Content-Encoding", "gzip")
		fair = false
	}
	return req, parts, fair, nil
}

// do makes one request, and ends it early now and then. It returns what is wrong with the answer to a fair one.
func (s storm) do(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, parts, fair, err := s.request(ctx)
	if err != nil {
		return err
	}
	stop := -1
	if s.IntN(3) == 0 {
		stop = s.IntN(len(parts) + 1)
	}
	r, w := io.Pipe()
	defer r.Close() //nolint:errcheck // it is a pipe
	req.Body = r
	go func() {
		for i, part := range parts {
			if i == stop {
				cancel()
			}
			_, _ = w.Write(part) // the answer may be there before
		}
		if stop == len(parts) {
			cancel()
		}
		_ = w.Close()
	}()
	res, err := s.clients[s.IntN(2)].Do(req)
	if stop >= 0 || !fair {
		if err == nil {
			_, _ = io.CopyN(io.Discard, res.Body, int64(s.IntN(20)))
			_ = res.Body.Close()
		}
		return nil
	}
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	body, err := io.ReadAll(res.Body)
	status := res.Header.Get("Grpc-Status") + res.Trailer.Get("Grpc-Status")
	if err != nil || res.StatusCode != http.StatusOK || status != "" && status != "0" {
		return fmt.Errorf("%s of %s: %s, %s, %q, %w", req.URL.Path, req.Header.Get("Content-Type"), res.Status, status, body, err)
	}
	return nil
}

// TestStorm: of requests of every form, cut anywhere, that end anywhere, by either protocol, nothing is counted once they are over, and no turn
// is lost; those that are as they should be are answered.
func TestStorm(t *testing.T) {
	const each, callers = 60, 10
	c := newCounting(t, &worker{how: func(ctx context.Context) {
		switch rand.IntN(5) { //nolint:gosec // a test's
		case 0:
			Yield(ctx)
		case 1:
			_ = Wait(ctx, func() error { return nil })
		case 2:
			if ctx.Err() != nil {
				panic(http.ErrAbortHandler)
			}
		}
	}}, time.Minute)
	h1 := &http.Transport{DisableCompression: true, ExpectContinueTimeout: time.Minute}
	defer h1.CloseIdleConnections()
	seed := rand.Uint64() //nolint:gosec // a test's
	t.Logf("seed %d", seed)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var under sync.WaitGroup
	for i := range callers {
		s := storm{
			Rand: rand.New(rand.NewPCG(seed, uint64(i))), //nolint:gosec // a test's
			url:  c.url, clients: []*http.Client{{Transport: h1}, NewHTTPClient()},
		}
		under.Go(func() {
			for range each {
				if err := s.do(ctx); err != nil {
					t.Errorf("caller %d: %v", i, err)
				}
			}
		})
	}
	under.Wait()
	require.Eventually(t, c.nothing, time.Minute, time.Millisecond)
}

// TestResets: whoever sends a part of a request and is gone, at whatever byte, leaves nothing behind.
func TestResets(t *testing.T) {
	c := newCounting(t, &worker{how: func(context.Context) {}}, time.Minute)
	addr := strings.TrimPrefix(c.url, "http://")
	whole := "POST /godwit.v1.Data/Inspect HTTP/1.1\r\nHost: x\r\nContent-Type: application/proto\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nxxxx\r\n4\r\nxxxx\r\n0\r\n\r\n"
	for n := range len(whole) + 1 {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
		require.NoError(t, err)
		_, err = io.WriteString(conn, whole[:n])
		require.NoError(t, err)
		if n%2 == 0 {
			require.NoError(t, conn.(*net.TCPConn).SetLinger(0)) //nolint:forcetypeassert // it is one
		}
		require.NoError(t, conn.Close())
	}
	require.Eventually(t, c.nothing, time.Minute, time.Millisecond)
}

// TestRefusedWithoutEnd: a request over HTTP/1.1 that is refused before its end, which never comes, is over within the patience;
// one that asks first whether to send anything is answered at once.
func TestRefusedWithoutEnd(t *testing.T) {
	for name, form := range map[string]struct {
		head     string
		patience time.Duration
	}{
		"compressed": {"Content-Encoding: gzip\r\n", 50 * time.Millisecond},
		"unknown":    {"Content-Type: text/x-none\r\n", 50 * time.Millisecond},
		"asks first": {"Content-Encoding: gzip\r\nExpect: 100-continue\r\n", time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCounting(t, &worker{how: func(context.Context) {}}, form.patience)
			conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(c.url, "http://"))
			require.NoError(t, err)
			defer conn.Close() //nolint:errcheck // nothing is lost
			require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
			_, err = io.WriteString(conn, "POST /godwit.v1.Data/Transfer HTTP/1.1\r\nHost: x\r\nContent-Type: application/grpc\r\n"+form.head+"Transfer-Encoding: chunked\r\n\r\n")
			require.NoError(t, err)
			if form.patience == time.Hour {
				_, err = bufio.NewReader(conn).ReadString('\n')
			} else {
				_, err = io.ReadAll(conn) // an answer, if there was time for it, and the end of the connection
			}
			require.NoError(t, err)
			require.Eventually(t, c.nothing, time.Minute, time.Millisecond)
		})
	}
}
