package transport

import (
	"encoding/binary"
	"io"
	"net/http"

	"connectrpc.com/connect/v2/connecthttp"
)

// messageHead is how long the head of a message is: a byte of flags, and the length of the rest.
const messageHead = 5

// wholeClient sends the messages of a stream with their heads, which connect-go writes one after the other: each write would be a frame, a call of the kernel
// on both sides, and something to wake up for. A heartbeat is two such writes.
type wholeClient struct{ connecthttp.HTTPClient }

// Do implements connecthttp.HTTPClient.
func (c wholeClient) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.ContentLength < 0 {
		r = r.WithContext(r.Context()) // a copy: the caller closes its own body
		r.Body = &wholeMessages{ReadCloser: r.Body}
	}
	return c.HTTPClient.Do(r)
}

// wholeMessages is a body of messages with heads, whose writer has the whole of a message when it begins with it: a read ends with a message, or with its buffer's
// end, so it waits for nothing but the rest of what has begun.
type wholeMessages struct {
	io.ReadCloser

	head [messageHead]byte
	have int    // of the head
	left uint32 // of the message behind it
	end  error  // that came with the last bytes
}

// Read implements io.Reader.
func (w *wholeMessages) Read(p []byte) (n int, err error) {
	if w.end != nil {
		return 0, w.end
	}
	for n < len(p) && err == nil && (n == 0 || w.begun()) {
		var m int
		m, err = w.ReadCloser.Read(p[n:])
		w.note(p[n : n+m])
		n += m
	}
	if n > 0 && err != nil {
		w.end, err = err, nil
	}
	return n, err
}

// begun says whether a message has begun and is not whole.
func (w *wholeMessages) begun() bool { return w.have > 0 }

// note takes what was read.
func (w *wholeMessages) note(b []byte) {
	for len(b) > 0 {
		if w.have < messageHead {
			n := copy(w.head[w.have:], b)
			w.have, b = w.have+n, b[n:]
			if w.have == messageHead {
				w.left = binary.BigEndian.Uint32(w.head[1:])
			}
		}
		if w.have == messageHead {
			n := min(uint64(w.left), uint64(len(b)))
			w.left, b = w.left-uint32(n), b[n:]
			if w.left == 0 {
				w.have = 0
			}
		}
	}
}
