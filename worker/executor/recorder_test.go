package executor

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/encoding/protodelim"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/listen"
	"github.com/godwit-run/godwit/internal/pages"
	"github.com/godwit-run/godwit/internal/pipe"
)

// image is a rank's, as its target gets it.
type image struct {
	rank   int32
	memory []byte
	header *apiv1.ImageHeader
	state  []byte // of the guest
}

// recorded is the image of frozenReceiver's rank, which stands still all the time.
func recorded(a *testApp, rank int32) *image {
	t := a.t
	t.Helper()
	c := <-a.record
	defer c.Close() //nolint:errcheck // of a test
	require.Equal(t, precopyWord, c.Args[2])
	br := bufio.NewReader(c)
	var hello apiv1.PrecopyHello
	require.NoError(t, protodelim.UnmarshalFrom(br, &hello))
	require.NoError(t, answer(c, &apiv1.PrecopyAnswer{}))
	img := &image{rank: rank, header: &apiv1.ImageHeader{}}
	whole, err := unix.Mmap(-1, 0, 64<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	require.NoError(t, err)
	t.Cleanup(func() { _ = unix.Munmap(whole) })
	receiver := pages.NewReceiver(func() []byte { return img.memory }, func(n int) error { img.memory = whole[:n*pages.Bytes]; return nil })
	for last := false; !last; {
		last, err = receiver.Round(br)
		require.NoError(t, err)
		require.NoError(t, answer(c, &apiv1.PrecopyAnswer{}))
	}
	require.NoError(t, protodelim.UnmarshalOptions{MaxSize: maxHeaderBytes}.UnmarshalFrom(br, img.header))
	// What follows ends when the source waits for an answer.
	require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Second)))
	rest, err := io.ReadAll(br)
	var of net.Error
	require.ErrorAs(t, err, &of)
	for n := range rest { // the end is the message that takes the rest
		var end apiv1.PrecopyEnd
		r := bytes.NewReader(rest[n:])
		if protodelim.UnmarshalFrom(r, &end) == nil && r.Len() == 0 && len(end.Digest) == 2*sha256.Size {
			img.state = rest[:n]
			break
		}
	}
	require.NotEmpty(t, img.state)
	return img
}

// sent is what an executor says of an image.
type sent struct{ Error, Digest string }

// play sends the image to a host that expects its rank.
func (img *image) play(a *testApp, to *host, migration string) sent {
	a.t.Helper()
	return img.playCut(a, to, migration, 0)
}

// playCut sends all of the image but its last bytes.
func (img *image) playCut(a *testApp, to *host, migration string, cut int) sent {
	a.t.Helper()
	conn, br := img.hello(a.t, to, migration)
	defer conn.Close() //nolint:errcheck // of a test
	if img.send(a.t, conn, cut); cut > 0 {
		return sent{}
	}
	var s sent
	for range 2 {
		var got apiv1.PrecopyAnswer
		if err := protodelim.UnmarshalFrom(br, &got); err != nil {
			return sent{Error: err.Error()}
		}
		s = sent{got.Error, got.Digest}
	}
	return s
}

// begin sends all of the image but its last bytes over a connection that stays.
func (img *image) begin(a *testApp, to *host, migration string, cut int) net.Conn {
	a.t.Helper()
	for {
		conn, _, err := img.try(a.t, to, migration, 0)
		if err == nil {
			img.send(a.t, conn, cut)
			return conn
		}
	}
}

func (img *image) send(t *testing.T, conn net.Conn, cut int) {
	t.Helper()
	sender := pages.NewSender(func() []byte { return img.memory }, pages.NewGuess())
	_, err := sender.Round([]io.Writer{conn}, true, true)
	require.NoError(t, err)
	tail := img.tail(t, sender)
	_, err = conn.Write(tail[:len(tail)-cut])
	require.NoError(t, err)
}

// tail is what follows the memory.
func (img *image) tail(t *testing.T, sender *pages.Sender) []byte {
	t.Helper()
	sum := sha256.New()
	sender.HashInto(sum)
	var b bytes.Buffer
	_, err := protodelim.MarshalTo(&b, img.header)
	require.NoError(t, err)
	b.Write(img.state)
	sum.Write(b.Bytes())
	_, err = protodelim.MarshalTo(&b, &apiv1.PrecopyEnd{Digest: hex.EncodeToString(sum.Sum(nil))})
	require.NoError(t, err)
	return b.Bytes()
}

// hello calls a host about the image's rank, which it expects.
func (img *image) hello(t *testing.T, to *host, migration string) (net.Conn, *bufio.Reader) {
	t.Helper()
	return img.helloOn(t, to, migration, 0)
}

// helloOn is hello for one of several connections. While an attempt before is being ended the host says that it is not expected.
func (img *image) helloOn(t *testing.T, to *host, migration string, stream int32) (net.Conn, *bufio.Reader) {
	t.Helper()
	for deadline := time.Now().Add(testWait); ; {
		conn, br, err := img.try(t, to, migration, stream)
		if err == nil || time.Now().After(deadline) {
			require.NoError(t, err)
			return conn, br
		}
	}
}

// try is one call.
func (img *image) try(t *testing.T, to *host, migration string, stream int32) (net.Conn, *bufio.Reader, error) {
	t.Helper()
	conn, err := listen.Dial(t.Context(), to.addr, pipe.RankProtocol, "app-test", "player", precopyWord)
	require.NoError(t, err)
	_, err = protodelim.MarshalTo(conn, &apiv1.PrecopyHello{Migration: migration, Rank: img.rank, Word: "w", From: "player", Stream: stream})
	require.NoError(t, err)
	br := bufio.NewReader(conn)
	var got apiv1.PrecopyAnswer
	require.NoError(t, protodelim.UnmarshalFrom(br, &got))
	if got.Error != "" {
		return nil, nil, errors.Join(errors.New(got.Error), conn.Close())
	}
	return conn, br, nil
}
