package transport

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	"connectrpc.com/connect/v2"

	"github.com/godwit-run/godwit/internal/apierr"
)

// headBytes is the length of what stands before each message of gRPC, and of a stream of Connect: a byte of flags, and the message's length.
const headBytes = 5

// body is a request's body that tells of the bytes that come, long before a message is whole, and counts the message under way among the
// halves.
type body struct {
	io.ReadCloser
	told *atomic.Pointer[func(n int)] // told of what comes; nil: nobody is
	half *entry

	packed bool         // the request says that it is compressed
	framed bool         // messages have heads; otherwise the body is one message
	single bool         // the body is to have one message: it is handed over when the body has ended, and work on it has its turn
	enter  func() error // has work on the request have its turn
	leave  func() bool  // ends the turn
	begun  bool         // it had its turn
	served bool         // by a procedure of ours; else the body is only passed on, and is no work
	first  bool         // of a stream: it has one, for its first message, until more is asked for
	kept   []byte       // of a single framed message: its last byte, and what follows it; handed over when nothing is awaited any more
	most   int          // of the message under way
	head   [headBytes]byte
	past   int // of a single request's message, once another follows it
	got    int // of the message under way, with its head
	left   int // of it, behind its head
}

// newBody wraps the body of r.
func newBody(r *http.Request, told *atomic.Pointer[func(n int)], half *entry) *body {
	kind := r.Header.Get("Content-Type")
	packed := false
	for _, h := range []string{"Content-Encoding", "Grpc-Encoding", "Connect-Content-Encoding"} {
		how := r.Header.Get(h)
		packed = packed || how != "" && how != "identity"
	}
	return &body{
		packed: packed, ReadCloser: r.Body, told: told, half: half, most: MaxMessageBytes,
		framed: strings.HasPrefix(kind, "application/grpc") || strings.HasPrefix(kind, "application/connect+"),
	}
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if why := b.half.why(); why != nil {
		b.half.close()
		return 0, why
	}
	if b.packed {
		b.half.close()
		return 0, apierr.New(connect.CodeUnimplemented, apierr.ReasonInvalid, "", "compressed requests are not taken", "send it as it is")
	}
	if len(p) == 0 {
		return 0, nil
	}
	if b.first {
		b.first = false
		b.leave()
	}
	if len(b.kept) > 0 && b.begun {
		n := copy(p, b.kept)
		b.kept = b.kept[n:]
		return n, nil
	}
	n, err := b.next(p)
	for n == 0 && err == nil && len(b.kept) > 0 { // all but the end is there, and nothing to hand over
		n, err = b.next(p)
	}
	return n, err
}

// next reads from the request once.
func (b *body) next(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if f := b.told.Load(); f != nil && n > 0 {
		(*f)(n)
	}
	last := len(b.kept) > 0 // this was to be the end
	if b.single && !b.begun && (errors.Is(err, io.EOF) || last && n > 0) {
		if why := b.begin(); why != nil {
			b.half.close()
			return 0, why
		}
	}
	if why := b.note(p[:n], err != nil); why != nil {
		b.half.close()
		return 0, why
	}
	switch {
	case b.first && !b.begun:
		if why := b.begin(); why != nil {
			b.half.close()
			return 0, why
		}
		if b.half.whole(); err != nil {
			b.half.close()
		}
	case last && b.begun:
		b.kept = append(b.kept, p[:n]...)
		n = copy(p, b.kept)
		b.kept = b.kept[n:]
		return n, nil // the end comes again
	case b.single && b.framed && !b.begun && err == nil && n > 0 && b.got >= headBytes && b.left == 0:
		b.kept = append(b.kept, p[n-1])
		n--
	}
	return n, err
}

// begin waits until work on the request has its turn.
func (b *body) begin() error {
	b.begun = true
	if err := b.enter(); err != nil {
		return cmp.Or(b.half.why(), err)
	}
	return nil
}

// note counts what has come.
func (b *body) note(p []byte, end bool) error {
	came := len(p)
	for len(p) > 0 {
		n := len(p)
		if b.framed {
			n = b.part(p)
		}
		b.got += n
		if size := b.got + b.left; size > b.most+headBytes {
			return apierr.New(connect.CodeResourceExhausted, apierr.ReasonInvalid, "",
				fmt.Sprintf("a message of %d bytes or more where at most %d are taken", size-headBytes, b.most), "send less at a time")
		}
		p = p[n:]
		if b.framed && b.got >= headBytes && b.left == 0 && !b.single {
			switch {
			case !b.served || b.begun:
				b.half.whole()
			case !b.first: // it is counted until it has its turn
				b.first = true
				if why := b.half.has(halfGrowth*int64(b.got), came); why != nil {
					return why
				}
			}
			b.got, b.most = 0, MaxMessageBytes
		}
	}
	why := b.half.why()
	switch {
	case b.first && !b.begun: // next goes on
	case end: // whatever it held has gone on, or goes with the request
		b.half.close()
	case b.got > 0 && why == nil:
		return b.half.has(halfGrowth*int64(b.past+b.got), came)
	}
	return why
}

// part is how many of p are of the head under way, or of the message behind it; whole or not.
func (b *body) part(p []byte) int {
	if b.got >= headBytes && b.left > 0 {
		n := min(len(p), b.left)
		b.left -= n
		return n
	}
	if b.got >= headBytes { // behind the one message of a single request: an error that its reader words
		b.past, b.got = b.past+b.got, 0
	}
	n := copy(b.head[b.got:], p)
	if b.got+n == headBytes {
		b.left = int(binary.BigEndian.Uint32(b.head[1:]))
	}
	return n
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
		switch single := m.single[pattern]; {
		case ok && wr.body != nil:
			wr.body.served, wr.body.single = true, single
			wr.body.most = m.most(pattern)
		case ok && single:
			if wr.enter(r.Context()) != nil {
				return // the client is gone
			}
		}
		h.ServeHTTP(w, r)
	})
}
