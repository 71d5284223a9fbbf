package transport

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	"connectrpc.com/connect/v2"

	"github.com/godwit-run/godwit/internal/apierr"
)

// body is a request's body. It tells of the bytes that come, long before a message is whole, and fails once the account has its request end.
// What else is to be known of them its messages know.
type body struct {
	raw      io.Reader
	told     *atomic.Pointer[func(n int)] // told of what comes; nil: nobody is
	half     *entry                       // what has come of a message and is not whole, or waits for its turn
	messages messages

	packed bool  // the request says that it is compressed
	framed bool  // messages have heads; otherwise the body is one message
	end    error // of a read: the body's end, or why it ended early

	enter func() error // waits until work on the request has its turn
	leave func() bool  // ends the turn
}

// messages are a body's: they are counted as they come, and say when work on the request has its turn. There are singleMessage and
// messageStream.
type messages interface {
	// read is a Read of the body into p, which is not empty.
	read(p []byte) (int, error)
}

// newBody wraps the body of r, which is passed on and is no work unless it is said what it is.
func newBody(r *http.Request, told *atomic.Pointer[func(n int)], half *entry) *body {
	kind := strings.ToLower(r.Header.Get("Content-Type"))
	packed := false
	for _, h := range []string{"Content-Encoding", "Grpc-Encoding", "Connect-Content-Encoding"} {
		how := r.Header.Get(h)
		packed = packed || how != "" && how != "identity"
	}
	b := &body{
		raw: r.Body, told: told, half: half, packed: packed,
		framed: strings.HasPrefix(kind, "application/grpc") || strings.HasPrefix(kind, "application/connect+"),
	}
	b.messages = &messageStream{body: b, message: b.message(MaxMessageBytes), stage: noTurn}
	return b
}

// isSingle says that the body is to be one message of a procedure's, of at most that many bytes.
func (b *body) isSingle(most int) {
	b.messages = &singleMessage{body: b, message: b.message(most)}
}

// isStream says that the body is a procedure's stream, whose first message has at most that many bytes.
func (b *body) isStream(most int) {
	b.messages = &messageStream{body: b, message: b.message(most)}
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	why := b.half.why()
	if why == nil && b.packed {
		why = apierr.New(connect.CodeUnimplemented, apierr.ReasonInvalid, "", "compressed requests are not taken", "send it as it is")
	}
	if why != nil {
		b.half.close()
		return 0, why
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := b.messages.read(p)
	if err == nil {
		return n, nil
	}
	if why := b.half.arrived(); why != nil {
		n, err = 0, why
	}
	b.half.close()
	b.end = err
	return n, err
}

// Close does nothing. net/http closes a body when the answer is written, and would wait here for a rest of it that may never come, before its
// caller hears that no more is wanted.
func (b *body) Close() error { return nil }

// receive reads what comes of the request.
func (b *body) receive(p []byte) (int, error) {
	n, err := b.raw.Read(p)
	if f := b.told.Load(); f != nil && n > 0 {
		(*f)(n)
	}
	return n, err
}

// waitTurn waits until work on the message that has come has its turn.
func (b *body) waitTurn() error {
	b.half.waits()
	return b.enter()
}

// specMux tells the body of each request what is known of its procedure.
type specMux struct {
	*http.ServeMux
	single map[string]bool // procedures whose requests are one message
	first  map[string]int
}

func newSpecMux(mux *http.ServeMux, s *connect.Server, first map[string]int) specMux {
	m := specMux{ServeMux: mux, single: map[string]bool{}, first: first}
	for spec := range s.Specs() {
		m.single[spec.Procedure] = spec.StreamType&connect.StreamTypeClient == 0
	}
	return m
}

// most is how many bytes the first message of a request may have.
func (m specMux) most(procedure string) int {
	if most, ok := m.first[procedure]; ok {
		return most
	}
	return maxSmall
}

// Handle implements connecthttp.ServeMux.
func (m specMux) Handle(pattern string, h http.Handler) {
	m.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		wr, ok := r.Context().Value(writerKey{}).(*writer)
		single := m.single[pattern]
		switch {
		case !ok:
		case wr.body == nil && single:
			if wr.enter(r.Context()) != nil {
				return // the client is gone
			}
		case wr.body != nil && single:
			wr.body.isSingle(m.most(pattern))
		case wr.body != nil:
			wr.body.isStream(m.most(pattern))
		}
		h.ServeHTTP(w, r)
	})
}
