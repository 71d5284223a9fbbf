package executor

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/encoding/protodelim"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/failpoint"
	"github.com/godwit-run/godwit/internal/pages"
	"github.com/godwit-run/godwit/internal/pipe"
	"github.com/godwit-run/godwit/mpi"
	"github.com/godwit-run/godwit/worker/stand"
)

// toHost is a rank's way to another host.
type toHost struct {
	e         *Executor
	migration string
	to        *apiv1.PrecopyTarget
}

var _ way = (*toHost)(nil)

func (h *toHost) name() string { return h.migration }

func (h *toHost) absent(error) {
	h.e.ahead(&apiv1.ExecAhead{Migration: h.migration, Rank: h.to.Rank, Ready: true}) // the freeze will tell
}

func (h *toHost) failed(since time.Time, err error) { h.e.frozen(h.migration, h.to.Rank, since, err) }

func (h *toHost) arrived(time.Time) {} // the target tells

// watch watches a memory for this way alone: its mapping has one watch at a time.
func (h *toHost) watch(p *precopy) (*pages.Sender, func()) {
	h.e.mu.Lock()
	p.rank.series.close()
	p.rank.series = nil
	h.e.mu.Unlock()
	mem := p.rank.guest.Memory()
	watch := pages.NewWatch(mem.Mapping())
	return pages.NewSender(mem.Image, watch), watch.Close
}

func (h *toHost) begin(p *precopy) (attempt, error) {
	s, err := h.connect(p)
	if err != nil || s.staged {
		return nil, err
	}
	return s, nil
}

// fault is an error of what goes to the host.
func (h *toHost) fault(err error) error {
	var of *net.OpError
	if errors.As(err, &of) { // the ports tell nobody anything
		err = of.Err
	}
	return fmt.Errorf("host %s: %w", h.to.Host, err)
}

// sending is one attempt's connections.
type sending struct {
	*precopy
	host   *toHost
	conns  []net.Conn
	froms  []*bufio.Reader
	tos    []io.Writer
	stops  []func() bool // what closes them when nobody wants the sending any more
	staged bool          // the target has the rank
}

// connect makes an attempt's connections.
func (h *toHost) connect(p *precopy) (s *sending, err error) {
	word := make([]byte, 16)
	_, _ = rand.Read(word) // it does not fail
	s = &sending{precopy: p, host: h}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	streams := min(1+len(p.rank.guest.Memory().Image())/streamBytes, stand.MostStreams)
	for i := range streams {
		if !h.e.fence.passes() {
			return s, ErrLeaseOver
		}
		ctx, cancel := context.WithTimeout(p.ctx, dialTimeout)
		conn, err := h.e.links.dialer().Dial(ctx, h.to.Addr, pipe.RankProtocol, h.e.start.App, h.e.start.Host, precopyWord)
		cancel()
		if err != nil {
			return s, h.fault(fmt.Errorf("it cannot be reached: %w", err))
		}
		setTimeout(conn, lineTimeout)
		s.stops = append(s.stops, context.AfterFunc(p.ctx, func() { _ = conn.Close() }))
		s.conns, s.froms, s.tos = append(s.conns, conn), append(s.froms, bufio.NewReaderSize(conn, maxHello)), append(s.tos, conn)
		hello := &apiv1.PrecopyHello{
			Migration: h.migration, Rank: h.to.Rank, From: h.e.start.Host, Word: hex.EncodeToString(word), Stream: int32(i),
		}
		if err := conn.SetWriteDeadline(time.Now().Add(helloWait)); err != nil {
			return s, err
		}
		if _, err := protodelim.MarshalTo(conn, hello); err != nil {
			return s, h.fault(err)
		}
		a, err := s.answer(i, helloWait)
		if err != nil {
			return s, err
		}
		if a.Digest != "" {
			s.staged = true
			s.close()
			return s, nil
		}
	}
	return s, nil
}

func (s *sending) close() {
	for _, stop := range s.stops {
		stop()
	}
	for _, c := range s.conns {
		_ = c.Close()
	}
}

// answer waits for the target's word on one connection.
func (s *sending) answer(i int, wait time.Duration) (*apiv1.PrecopyAnswer, error) {
	if err := s.conns[i].SetReadDeadline(time.Now().Add(wait)); err != nil {
		return nil, s.host.fault(err)
	}
	a := &apiv1.PrecopyAnswer{}
	if err := (protodelim.UnmarshalOptions{MaxSize: maxHello}).UnmarshalFrom(s.froms[i], a); err != nil {
		return nil, s.host.fault(err)
	}
	switch {
	case a.Refused:
		return nil, fmt.Errorf("host %s: %w: %s", s.host.to.Host, errRefused, a.Error)
	case a.Error != "":
		return nil, fmt.Errorf("host %s: %s", s.host.to.Host, a.Error)
	}
	return a, nil
}

// round sends a round, and waits until it has come.
func (s *sending) round(last bool) (pages.Stats, error) {
	if !s.e.fence.passes() {
		return pages.Stats{}, ErrLeaseOver
	}
	stats, err := s.sender.Load().Round(s.tos, last, last)
	if err != nil {
		return stats, s.host.fault(err)
	}
	for i := range s.conns {
		if last && i == 0 {
			continue // its answer comes at the end
		}
		if _, err := s.answer(i, answerWait); err != nil {
			return stats, err
		}
	}
	return stats, nil
}

// finish sends the rest of a rank that stands still.
func (s *sending) finish() error {
	if _, err := s.round(true); err != nil {
		return err
	}
	failpoint.Here("executor.rest")
	if _, err := s.tail(deadlineWriter{s.conns[0]}, false); err != nil {
		var own *ownFault
		if errors.As(err, &own) {
			return err
		}
		return s.host.fault(err)
	}
	if _, err := s.answer(0, answerWait); err != nil { // of the round
		return err
	}
	_, err := s.answer(0, answerWait)
	return err
}

// setTimeout has the kernel end a connection on which nothing has moved for so long that is to be sent.
func setTimeout(conn net.Conn, d time.Duration) {
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err == nil {
		_ = raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
		}) // then a write's deadline ends it
	}
}

// tail writes what follows the memory, once the last round has gone, and says how many bytes that is. Keep: other ranks run on, and stop later. What is wrong at this end is an ownFault.
func (p *precopy) tail(to io.Writer, keep bool) (int64, error) {
	sender := p.sender.Load()
	sum := sha256.New()
	sender.HashInto(sum)
	w := &countedWriter{to: bufio.NewWriterSize(to, 256<<10), sum: sum}
	if _, err := protodelim.MarshalTo(w, p.rest.header); err != nil {
		return w.n, err
	}
	err := p.rank.guest.CaptureState(w, keep)
	switch {
	case w.err != nil:
		return w.n, w.err
	case err != nil:
		return w.n, &ownFault{imageFault(p.rank.id, err)}
	}
	end := &apiv1.PrecopyEnd{
		Digest: hex.EncodeToString(sum.Sum(nil)), SinceMs: float64(time.Since(p.rest.since)) / float64(time.Millisecond),
		PauseBytes: p.paused() + w.n, AheadBytes: p.rest.sent, Rounds: p.rounds.Gone,
	}
	if _, err := protodelim.MarshalTo(w.to, end); err != nil {
		return w.n, err
	}
	return w.n, w.to.Flush()
}

// paused is how many bytes of memory have gone since the rank stands still.
func (p *precopy) paused() int64 { return p.sent() - p.rest.sent }

// imageFault says that an image could not be written, without the names of this host's files.
func imageFault(id mpi.Rank, err error) error {
	var of *fs.PathError
	if errors.As(err, &of) {
		err = of.Err
	}
	return fmt.Errorf("executor: rank %d: write the image: %w", id, err)
}

// countedWriter counts and hashes what goes to a connection, and keeps its fault apart from others'.
type countedWriter struct {
	to  *bufio.Writer
	sum hash.Hash
	n   int64
	err error
}

func (w *countedWriter) Write(b []byte) (int, error) {
	n, err := w.to.Write(b)
	w.sum.Write(b[:n])
	w.n += int64(n)
	w.err = err
	return n, err
}

// deadlineWriter gives each write a deadline.
type deadlineWriter struct{ conn net.Conn }

func (w deadlineWriter) Write(b []byte) (int, error) {
	if err := w.conn.SetWriteDeadline(time.Now().Add(answerWait)); err != nil {
		return 0, err
	}
	return w.conn.Write(b)
}
