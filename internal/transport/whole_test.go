package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// framed is a message of n bytes with its head.
func framed(n int) []byte {
	b := binary.BigEndian.AppendUint32([]byte{0}, uint32(n))
	return append(b, bytes.Repeat([]byte{byte(n)}, n)...)
}

// bodyOf is a body whose writer writes each piece by itself, and ends it with err.
func bodyOf(err error, pieces ...[]byte) *wholeMessages {
	r, w := io.Pipe()
	go func() { // until all is read
		for _, p := range pieces {
			_, _ = w.Write(p) // nobody closes the other end
		}
		_ = w.CloseWithError(err)
	}()
	return &wholeMessages{ReadCloser: r}
}

func TestMessagesAreReadWhole(t *testing.T) {
	one, none, large := framed(3), framed(0), framed(100)
	why := errors.New("over")
	b := bodyOf(why, one[:5], one[5:], none, large[:5], large[5:], one[:2], one[2:5], one[5:])
	p := make([]byte, 64)
	for _, want := range [][]byte{one, none, large[:64], large[64:], one} {
		n, err := b.Read(p)
		require.NoError(t, err)
		require.Equal(t, want, p[:n])
	}
	for range 2 {
		n, err := b.Read(p)
		require.Zero(t, n)
		require.ErrorIs(t, err, why)
	}
}

// A message that breaks off is passed on as far as it came, and then why.
func TestMessageBreaksOff(t *testing.T) {
	why := errors.New("broke off")
	b := bodyOf(why, framed(9)[:5], framed(9)[5:8])
	p := make([]byte, 64)
	n, err := b.Read(p)
	require.NoError(t, err)
	require.Equal(t, framed(9)[:8], p[:n])
	_, err = b.Read(p)
	require.ErrorIs(t, err, why)
}

// Whatever the pieces and the buffers are, all bytes come, in order.
func TestWholeMessagesChangeNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var all []byte
		for range rng.IntN(5) {
			all = append(all, framed(rng.IntN(40))...)
		}
		var pieces [][]byte
		for rest := all; len(rest) > 0; {
			n := 1 + rng.IntN(min(len(rest), 20))
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		b, got := bodyOf(io.EOF, pieces...), []byte(nil)
		for {
			p := make([]byte, 1+rng.IntN(50))
			n, err := b.Read(p)
			got = append(got, p[:n]...)
			if err != nil {
				require.ErrorIs(t, err, io.EOF)
				break
			}
			require.Positive(t, n)
		}
		require.Equal(t, string(all), string(got))
	}
}

// A read that waits for the rest of a message ends when the body is closed.
func TestWholeMessagesAreClosed(t *testing.T) {
	r, w := io.Pipe()
	b := &wholeMessages{ReadCloser: r}
	read := make(chan error, 1)
	go func() {
		p := make([]byte, 64)
		_, err := b.Read(p)
		if err == nil {
			_, err = b.Read(p)
		}
		read <- err
	}()
	_, err := w.Write(framed(9)[:5])
	require.NoError(t, err)
	require.NoError(t, b.Close())
	select {
	case err := <-read:
		require.ErrorIs(t, err, io.ErrClosedPipe)
	case <-time.After(10 * time.Second):
		require.Fail(t, "the read goes on")
	}
}

type sends func(*http.Request) (*http.Response, error)

func (s sends) Do(r *http.Request) (*http.Response, error) { return s(r) }

// Only streams are read by messages, and the caller's request stays as it is.
func TestOnlyStreamsAreWhole(t *testing.T) {
	var sent *http.Request
	c := wholeClient{sends(func(r *http.Request) (*http.Response, error) { sent = r; return nil, errors.New("no") })}
	for length, whole := range map[int64]bool{-1: true, 3: false} {
		body := io.NopCloser(strings.NewReader("abc"))
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://h/", body)
		require.NoError(t, err)
		r.ContentLength = length
		_, err = c.Do(r) //nolint:bodyclose // there is none
		require.Error(t, err)
		_, is := sent.Body.(*wholeMessages)
		require.Equal(t, whole, is)
		require.Equal(t, body, r.Body)
	}
}
