package transport

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
)

// taker is a Data service that counts what reaches it.
type taker struct {
	apiv1connect.UnimplementedDataHandler
	handled atomic.Int64
}

func (k *taker) Inspect(context.Context, *apiv1.InspectRequest) (*apiv1.InspectResponse, error) {
	k.handled.Add(1)
	return &apiv1.InspectResponse{}, nil
}

func (k *taker) ReadLogs(_ context.Context, r *apiv1.ReadLogsRequest, s apiv1connect.DataReadLogsServerStream) error {
	k.handled.Add(1)
	return s.Send(&apiv1.ReadLogsResponse{Complete: []int32{int32(len(r.App))}})
}

func (k *taker) Transfer(_ context.Context, s apiv1connect.DataTransferServerStream) (*apiv1.TransferResponse, error) {
	var n int64
	for {
		m, err := s.Receive()
		if errors.Is(err, io.EOF) {
			k.handled.Add(1)
			return &apiv1.TransferResponse{LogBytes: n}, nil
		}
		if err != nil {
			return nil, err
		}
		n += int64(len(m.GetLog()))
	}
}

const firstBytes = 1000 // of a Transfer, here

// taking serves a taker until the test ends.
func taking(t *testing.T, all *account) (addr string, k *taker) {
	t.Helper()
	k = &taker{}
	s := connect.NewServer()
	apiv1connect.RegisterDataHandler(s, k)
	mux := http.NewServeMux()
	MountBounded(mux, s, map[string]int{
		apiv1connect.DataTransferProcedure: firstBytes, apiv1connect.DataReadLogsProcedure: MaxMessageBytes,
	})
	url, _ := answeringBy(t, func(ctx context.Context, l net.Listener, h http.Handler) error {
		return serve(ctx, l, h, http2Config(streamWindow), all, newUnreads(maxUnread, time.Minute))
	}, mux.ServeHTTP)
	return strings.TrimPrefix(url, "http://"), k
}

func (a *account) holds() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.held
}

// part begins a request with head and n bytes of its body, and no end of it before ctx's. Its answer goes to answers.
func part(ctx context.Context, c *http.Client, url, kind string, head []byte, n int, answers chan<- string) error {
	r, w := io.Pipe()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, r)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", kind)
	go func() {
		_, _ = w.Write(slices.Concat(head, bytes.Repeat([]byte{15 << 3, 0}, n/2))) // unknown fields; it fails if the server says no before
	}()
	go func() {
		var answer string
		if res, err := c.Do(req); err == nil {
			b, _ := io.ReadAll(res.Body)
			_ = res.Body.Close()
			answer = fmt.Sprint(res.Status, res.Header, res.Trailer, string(b))
		} else {
			answer = err.Error()
		}
		_ = r.Close()
		answers <- answer
	}()
	return nil
}

// headOf is the head of a message of n bytes.
func headOf(n int) []byte { return binary.BigEndian.AppendUint32([]byte{0}, uint32(n)) } //nolint:gosec // the tests' own sizes

// TestHalfSent: callers who send most of a message and stop, or all of it and not their end, make a server hold no more than it may, in each
// form of request. Meanwhile honest callers get through, if not at once: a slow one and large ones. When all are gone nothing is held.
func TestHalfSent(t *testing.T) {
	const (
		size = 200_000
		most = 16 << 20
		n    = 2 * (maxStreams - 4)
	)
	for name, c := range map[string]struct {
		path, kind string
		head       []byte
	}{
		"unary":          {"Inspect", "application/proto", nil},
		"unary, framed":  {"Inspect", "application/grpc", headOf(size + 1)},
		"unary, no end":  {"Inspect", "application/grpc", headOf(size)},
		"server stream":  {"ReadLogs", "application/connect+proto", headOf(size + 1)},
		"client stream":  {"Transfer", "application/grpc", append(headOf(0), headOf(size+1)...)},
		"connect stream": {"Transfer", "application/connect+proto", append(headOf(0), headOf(size+1)...)},
	} {
		t.Run(name, func(t *testing.T) {
			all := newHalves(most, time.Hour)
			addr, k := taking(t, all)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			slow := dripping(ctx, t, addr)
			answers := make(chan string, n)
			clients := []*http.Client{NewHTTPClient(), NewHTTPClient()}
			for i := range n {
				slow.drip(200)
				require.NoError(t, part(ctx, clients[i%2], "http://"+addr+"/godwit.v1.Data/"+c.path, c.kind, c.head, size, answers))
			}
			for range n - most/(halfGrowth*size) {
				select {
				case answer := <-answers:
					require.Contains(t, answer, "does not get on")
					slow.drip(200)
				case <-ctx.Done():
					require.Fail(t, "too many half messages are kept", "%d bytes are held", all.holds())
				}
			}
			require.Zero(t, k.handled.Load())
			large(ctx, t, addr)
			slow.finish()
			cancel()
			require.Eventually(t, func() bool { return all.holds() == 0 }, time.Minute, time.Millisecond)
		})
	}
}

// dripper is an honest caller that sends slowly, and begins again when it is sent away, as clients do: on a loaded machine it may be slower
// than it means to be.
type dripper struct {
	t    *testing.T
	ctx  context.Context //nolint:containedctx // of the test
	addr string
	sent int // bytes that say nothing, which a call that begins again sends at once
	w    *io.PipeWriter
	end  chan error
}

func dripping(ctx context.Context, t *testing.T, addr string) *dripper {
	t.Helper()
	d := &dripper{t: t, ctx: ctx, addr: addr}
	d.begin()
	return d
}

func (d *dripper) begin() {
	r, w := io.Pipe()
	req, err := http.NewRequestWithContext(d.ctx, http.MethodPost, "http://"+d.addr+"/godwit.v1.Data/Inspect", r)
	require.NoError(d.t, err)
	req.Header.Set("Content-Type", "application/json")
	end := make(chan error, 1)
	d.w, d.end = w, end
	go func() {
		res, err := NewHTTPClient().Do(req)
		if err == nil && res.StatusCode != http.StatusOK {
			err = errors.New(res.Status)
		}
		if err == nil {
			err = res.Body.Close()
		}
		_ = r.Close()
		end <- err
	}()
}

// drip sends n more bytes.
func (d *dripper) drip(n int) {
	d.sent += n
	_, err := d.w.Write(bytes.Repeat([]byte(" "), n))
	for err != nil {
		require.NoError(d.t, d.ctx.Err(), "the last call ended with %v", <-d.end)
		d.begin()
		_, err = d.w.Write(bytes.Repeat([]byte(" "), d.sent))
	}
}

// finish sends the last bytes, and is there when they are answered.
func (d *dripper) finish() {
	for {
		_, err := d.w.Write([]byte("{}"))
		_ = d.w.Close()
		if answer := <-d.end; err == nil && answer == nil {
			return
		}
		require.NoError(d.t, d.ctx.Err())
		d.begin()
		_, _ = d.w.Write(bytes.Repeat([]byte(" "), d.sent)) // the next write says so if it fails
	}
}

// large are honest calls with messages as large as may be, each sent again when it is told to, as clients do.
func large(ctx context.Context, t *testing.T, addr string) {
	t.Helper()
	client := apiv1connect.NewDataClient(NewClient(NewHTTPClient(), addr))
	app := strings.Repeat("x", MaxMessageBytes-16)
	for range 3 {
		for {
			s, err := client.ReadLogs(ctx, &apiv1.ReadLogsRequest{App: app})
			var m *apiv1.ReadLogsResponse
			if err == nil {
				m, err = s.Receive()
			}
			if connect.CodeOf(err) == connect.CodeResourceExhausted && err != nil {
				continue
			}
			require.NoError(t, err)
			require.Equal(t, []int32{int32(len(app))}, m.Complete) //nolint:gosec // it fits
			break
		}
	}
}

// TestStandsStill: a message of which nothing comes any more ends with words that say so, on both protocols.
func TestStandsStill(t *testing.T) {
	h1 := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	for name, client := range map[string]*http.Client{"HTTP/1.1": h1, "HTTP/2": NewHTTPClient()} {
		t.Run(name, func(t *testing.T) {
			all := newHalves(1<<20, 50*time.Millisecond)
			addr, k := taking(t, all)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			answers := make(chan string, 1)
			require.NoError(t, part(ctx, client, "http://"+addr+"/godwit.v1.Data/Inspect", "application/json", []byte("{"), 0, answers))
			require.Contains(t, <-answers, "the request did not get on for 50ms")
			require.Zero(t, k.handled.Load())
			require.Eventually(t, func() bool { return all.holds() == 0 }, time.Minute, time.Millisecond)
		})
	}
}

// TestFirstMessage: a request's first message is refused by what its head says, where it is known to be small; later ones are not, and
// messages of any form and cut come whole.
func TestFirstMessage(t *testing.T) {
	addr, k := taking(t, newHalves(64<<20, time.Hour))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	answers := make(chan string, 1)
	url := "http://" + addr + "/godwit.v1.Data/Transfer"
	require.NoError(t, part(ctx, NewHTTPClient(), url, "application/grpc", headOf(firstBytes+1), 0, answers))
	require.Contains(t, <-answers, "a message of 1001 bytes or more where at most 1000 are taken")
	require.Zero(t, k.handled.Load())
	client := apiv1connect.NewDataClient(NewClient(NewHTTPClient(), addr))
	s, err := client.Transfer(ctx)
	require.NoError(t, err)
	var sum int64
	for i, n := range []int{firstBytes - 10, 0, 1, 3 << 20, 2, 100_000} {
		require.NoError(t, s.Send(&apiv1.TransferRequest{Msg: &apiv1.TransferRequest_Log{Log: make([]byte, n)}}), i)
		sum += int64(n)
	}
	res, err := s.CloseAndReceive()
	require.NoError(t, err)
	require.Equal(t, sum, res.LogBytes)
}

// TestCuts: however a body is cut, what is under way is known: the message that has begun, or none.
func TestCuts(t *testing.T) {
	whole := slices.Concat(headOf(3), []byte("abc"), headOf(0), headOf(70_000), make([]byte, 70_000))
	rapid.Check(t, func(t *rapid.T) {
		all := newHalves(64<<20, time.Hour)
		half := all.begin(netip.Addr{}, func() {})
		b := &body{half: half, framed: true}
		m := &messageStream{body: b, message: b.message(MaxMessageBytes), stage: noTurn}
		at := 0
		for at < len(whole) {
			n := rapid.IntRange(1, len(whole)-at).Draw(t, "n")
			require.NoError(t, m.note(whole[at:at+n]))
			at += n
			under := int64(0)
			for start := 0; start < at; {
				size := map[int]int{0: headBytes + 3, headBytes + 3: headBytes, 2*headBytes + 3: headBytes + 70_000}[start]
				if at < start+size {
					under = entryBase + halfGrowth*int64(at-start)
				}
				start += size
			}
			require.Equal(t, under, all.held, at)
		}
		half.close()
	})
}

// TestSecondMessage: a request that is one message is refused when another follows, before work on it begins.
func TestSecondMessage(t *testing.T) {
	addr, k := taking(t, newHalves(64<<20, time.Hour))
	two := slices.Concat(headOf(0), headOf(0))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+apiv1connect.DataInspectProcedure, bytes.NewReader(two))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/grpc")
	res, err := NewHTTPClient().Do(req)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, fmt.Sprint(int(connect.CodeUnimplemented)), cmp.Or(res.Trailer.Get("Grpc-Status"), res.Header.Get("Grpc-Status")))
	require.Zero(t, k.handled.Load())
}

// TestFirstIsCounted: a stream's first message is counted for as long as it waits for its turn, which it has once, until more is asked for.
func TestFirstIsCounted(t *testing.T) {
	all := newHalves(64<<20, time.Hour)
	half := all.begin(netip.Addr{}, func() {})
	defer half.close()
	var waited []int64
	left := 0
	message := append(headOf(1000), make([]byte, 1000)...)
	b := &body{
		raw: bytes.NewReader(append(message, message...)), told: new(atomic.Pointer[func(int)]), half: half,
		framed: true,
		enter:  func() error { waited = append(waited, all.holds()); require.True(t, half.queue); return nil },
		leave:  func() bool { left++; return true },
	}
	b.isStream(1000)
	for range 2 {
		_, err := io.ReadFull(b, make([]byte, len(message)))
		require.NoError(t, err)
		require.Zero(t, all.holds())
	}
	require.Equal(t, []int64{entryBase + halfGrowth*int64(len(message))}, waited)
	require.Equal(t, 1, left)
}
