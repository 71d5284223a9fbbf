package executor

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
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
	t := a.t
	t.Helper()
	conn, br := img.hello(t, to, migration)
	defer conn.Close() //nolint:errcheck // of a test
	sender := pages.NewSender(func() []byte { return img.memory }, pages.NewGuess())
	_, err := sender.Round([]io.Writer{conn}, true, true)
	require.NoError(t, err)
	sum := sha256.New()
	sender.HashInto(sum)
	var b bytes.Buffer
	_, err = protodelim.MarshalTo(&b, img.header)
	require.NoError(t, err)
	b.Write(img.state)
	sum.Write(b.Bytes())
	_, err = protodelim.MarshalTo(&b, &apiv1.PrecopyEnd{Digest: hex.EncodeToString(sum.Sum(nil))})
	require.NoError(t, err)
	_, err = conn.Write(b.Bytes()[:b.Len()-cut])
	require.NoError(t, err)
	if cut > 0 {
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

// hello calls a host about the image's rank, which it expects.
func (img *image) hello(t *testing.T, to *host, migration string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := listen.Dial(t.Context(), to.addr, pipe.RankProtocol, "app-test", "player", precopyWord)
	require.NoError(t, err)
	_, err = protodelim.MarshalTo(conn, &apiv1.PrecopyHello{Migration: migration, Rank: img.rank, Word: "w", From: "player"})
	require.NoError(t, err)
	br := bufio.NewReader(conn)
	var got apiv1.PrecopyAnswer
	require.NoError(t, protodelim.UnmarshalFrom(br, &got))
	require.Empty(t, got.Error)
	return conn, br
}
