package gossip

import (
	"bytes"
	"compress/lzw"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/stretchr/testify/require"
)

func packMsg(t *testing.T, kind byte, v any) []byte {
	t.Helper()
	b := bytes.NewBuffer([]byte{kind})
	require.NoError(t, codec.NewEncoder(b, &codec.MsgpackHandle{}).Encode(v))
	return b.Bytes()
}

// bomb is a compressed message of some kilobytes that unpacks to size bytes.
func bomb(t *testing.T, size int64) []byte {
	t.Helper()
	var b bytes.Buffer
	w := lzw.NewWriter(&b, lzw.LSB, 8)
	_, err := io.CopyN(w, zeros{}, size)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return packMsg(t, kindCompress, map[string]any{"Algo": 0, "Buf": b.Bytes()})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// send opens a connection and writes b, and waits until the other side closes it.
func sendTo(t *testing.T, addr string, b []byte) {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	require.NoError(t, err)
	defer c.Close() //nolint:errcheck // it is a stranger's
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	_, err = c.Write(b)
	require.NoError(t, err)
	_, _ = io.Copy(io.Discard, c) // until it is closed, however
}

// TestStrangers: whatever strangers send, a member allocates little for it and goes on.
func TestStrangers(t *testing.T) {
	a := run(t, testConfig("a"), slog.New(slog.DiscardHandler))
	defer a.stop(t)
	header := func(nodes, state int) []byte {
		return packMsg(t, kindPushPull, map[string]any{"Nodes": nodes, "UserStateLen": state, "Join": true})
	}
	packet := bomb(t, 24<<20)
	require.Less(t, len(packet), 60_000, "it fits a packet")
	inCompound := append(binary.BigEndian.AppendUint16([]byte{kindCompound, 1}, uint16(len(packet))), packet...)
	udp, err := new(net.Dialer).DialContext(t.Context(), "udp", a.Addr())
	require.NoError(t, err)
	defer udp.Close() //nolint:errcheck // it is a stranger's
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for name, b := range map[string][]byte{
		"a list that is announced":       header(1<<20-1, 0),
		"other state that is announced":  header(0, 20<<20),
		"fewer than none":                header(-1, -1),
		"compressed":                     packet,
		"a user's message":               packMsg(t, 8, map[string]any{"UserMsgLen": 1 << 30}),
		"with a label":                   append([]byte{244, 5}, "abcde"...),
		"encrypted":                      {10, 0, 1, 0, 0},
		"no header":                      append([]byte{kindPushPull}, bytes.Repeat([]byte{0xdf, 0xff, 0xff, 0xff, 0xff}, 1000)...),
		"a kind that there is not":       {200},
		"nothing that a list could hold": append(header(1000, 0), bytes.Repeat([]byte{0xc1}, 100)...),
	} {
		t.Log(name)
		sendTo(t, a.Addr(), b)
	}
	for range 10 {
		_, err := udp.Write(packet)
		require.NoError(t, err)
		_, err = udp.Write(inCompound)
		require.NoError(t, err)
	}
	b := run(t, testConfig("b"), slog.New(slog.DiscardHandler))
	defer b.stop(t)
	n, err := b.Join(t.Context(), []string{a.Addr()})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(20<<20))
}

// answering is a stranger that answers whoever dials it.
func answering(t *testing.T, addr string, b []byte) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", addr)
	require.NoError(t, err)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(patience))
			_, _ = c.Read(make([]byte, 1024))
			_, _ = c.Write(b)
			_ = c.Close()
		}
	})
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	return l.Addr().String()
}

// TestStrangersAnswer: whoever is dialed, as a seed or because a member does not answer a probe, answers what no member does: it costs
// little, and nobody dies of it.
func TestStrangersAnswer(t *testing.T) {
	a := run(t, testConfig("a"), slog.New(slog.DiscardHandler))
	defer a.stop(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, b := range [][]byte{
		bomb(t, 0), bomb(t, 100<<20), packMsg(t, kindPushPull, map[string]any{"Nodes": 1<<20 - 1, "UserStateLen": 0, "Join": true}), {10, 0, 0}, {}, {kindErr},
	} {
		_, err := a.Join(t.Context(), []string{answering(t, "127.0.0.1:0", b)})
		require.Error(t, err)
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(20<<20))

	b := run(t, testConfig("b"), slog.New(slog.DiscardHandler))
	_, err := b.Join(t.Context(), []string{a.Addr()})
	require.NoError(t, err)
	addr := b.Addr()
	require.NoError(t, b.list.Shutdown()) // without a goodbye: it is probed
	answering(t, addr, bomb(t, 0))
	require.Eventually(t, func() bool { return a.list.NumMembers() == 1 }, time.Minute, time.Millisecond, "it is called dead, and a lives")
	b.cancel()
	<-b.ended //nolint:errcheck // it was shut down before
}

// TestStrangersWait: connections that say nothing take turns for a while and go; there is a bound to them, and a member gets in.
func TestStrangersWait(t *testing.T) {
	c := testConfig("a")
	c.JoinTimeout = 200 * time.Millisecond
	a := run(t, c, slog.New(slog.DiscardHandler))
	defer a.stop(t)
	var silent []net.Conn
	for range 2 * maxWaiting {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", a.Addr())
		require.NoError(t, err)
		defer conn.Close() //nolint:errcheck // it is a stranger's
		silent = append(silent, conn)
	}
	b := run(t, testConfig("b"), slog.New(slog.DiscardHandler))
	defer b.stop(t)
	require.Eventually(t, func() bool {
		n, err := b.Join(t.Context(), []string{a.Addr()})
		return err == nil && n == 1
	}, time.Minute, 10*time.Millisecond)
	for _, conn := range silent {
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(time.Minute)))
		_, err := conn.Read(make([]byte, 1))
		require.Error(t, err)
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "it was closed")
	}
}

func TestPacked(t *testing.T) {
	small := []byte{kindCompress, 1, 2}
	crc := append([]byte{kindCRC, 0, 0, 0, 0}, small...)
	compound := append([]byte{kindCompound, 2, 0, 1, 0, 3, kindPing}, small...)
	for name, tt := range map[string]struct {
		b    []byte
		want bool
	}{
		"nothing": {nil, false}, "a ping": {[]byte{kindPing, kindCompress}, false}, "compressed": {small, true}, "with a checksum": {crc, true},
		"second of two": {compound, true}, "one in another": {append([]byte{kindCompound, 1, 0, byte(len(compound))}, compound...), true},
		"before one cut off": {append([]byte{kindCompound, 2, 0, 3, 0, 9}, small...), true},
		"lengths cut off":    {[]byte{kindCompound, 3, 0}, false}, "checksum cut off": {[]byte{kindCRC, 0}, false},
	} {
		require.Equal(t, tt.want, packed(tt.b), name)
	}
}

// TestExchangesAreBounded: a list without end ends for its reader, who holds all of it.
func TestExchangesAreBounded(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close() //nolint:errcheck // it is a pipe
	ended := make(chan error, 1)
	go func() {
		_, err := theirs.Write(packMsg(t, kindPushPull, map[string]any{"Nodes": 1, "UserStateLen": 0, "Join": false}))
		if err == nil {
			_, err = io.CopyN(theirs, zeros{}, 2*maxStreamBytes)
		}
		ended <- err
	}()
	s := &stream{Conn: ours, done: func() {}}
	require.NoError(t, s.look(kindPushPull))
	n, err := io.Copy(io.Discard, s)
	require.NoError(t, err)
	require.EqualValues(t, maxStreamBytes, n)
	require.NoError(t, s.Close())
	require.Error(t, <-ended, "the rest was never read")
}
