package client

import (
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// moving sends requests and notes when bytes of them, or of their answers, last moved. Of a request they do only as fast as its server takes them.
type moving struct {
	http.RoundTripper
	at       atomic.Int64 // in nanoseconds since 1970
	answered atomic.Bool  // something of an answer has come
}

// RoundTrip implements http.RoundTripper.
func (m *moving) RoundTrip(req *http.Request) (*http.Response, error) {
	r := *req
	if r.Body != nil {
		r.Body = movingBody{r.Body, m, false}
	}
	res, err := m.RoundTripper.RoundTrip(&r)
	if res != nil {
		res.Body = movingBody{res.Body, m, true}
	}
	return res, err
}

// since says whether bytes have moved since then.
func (m *moving) since(t time.Time) bool { return m.at.Load() > t.UnixNano() }

type movingBody struct {
	io.ReadCloser
	m      *moving
	answer bool
}

func (b movingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.m.at.Store(time.Now().UnixNano())
		if b.answer {
			b.m.answered.Store(true)
		}
	}
	return n, err
}
