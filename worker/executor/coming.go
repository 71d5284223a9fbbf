package executor

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/failpoint"
	"github.com/godwit-run/godwit/internal/pages"
	"github.com/godwit-run/godwit/mpi"
	"github.com/godwit-run/godwit/worker/stand"
)

// imageVersion is the version of an ImageHeader and of what follows it; it counts up when old ones can no longer be read.
const imageVersion = 2

// maxHeaderBytes bounds an ImageHeader, which holds the rank's MPI state with its buffered messages.
const maxHeaderBytes = 1 << 30

// coming is how a rank comes from another host: its memory ahead, over connections of which those of the newest attempt count, and the rest when it stands still there; or from files.
type coming struct {
	migration string
	receiver  *pages.Receiver
	digest    string            // once it is staged; guarded by the executor's mutex
	staged    *apiv1.ExecStaged // what is said of it then; likewise

	mu      sync.Mutex   // held while an attempt takes the place of another
	takes   stand.Coming // of connections
	conns   []io.Closer  // or files
	readers sync.WaitGroup

	used atomic.Bool // the guest has been restored, in part at least: it takes no other attempt
}

// expectAll makes the guests that are asked for, in the order in which they are: one asked for later takes the place of an earlier one.
func (e *Executor) expectAll(ctx context.Context) error {
	for {
		select {
		case next := <-e.expecting:
			next(ctx)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// later has expectAll make guests: of a migration, or of a checkpoint.
func (e *Executor) later(f func(context.Context)) error {
	select {
	case e.expecting <- f:
		e.beginExpecting()
		return nil
	default:
		return errors.New("executor: the worker expects ranks of too many migrations at once")
	}
}

// expect makes guests for ranks that are about to come.
func (e *Executor) expect(ctx context.Context, x *apiv1.ExecExpect) {
	ev := &apiv1.ExecExpecting{Migration: x.Migration, Ranks: x.Ranks}
	for _, id := range x.Ranks {
		if _, err := e.expectRank(ctx, x.Migration, mpi.Rank(id), nil); err != nil {
			ev.Error = err.Error()
			break
		}
	}
	e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_Expecting{Expecting: ev}})
}

// expectRank makes a guest for a rank; instead of another if that is not nil, and still expected.
func (e *Executor) expectRank(ctx context.Context, migration string, id mpi.Rank, instead *rank) (*rank, error) {
	p, err := e.programOf(id)
	if err != nil {
		return nil, err
	}
	out := e.newOutput(id)
	guest, err := p.module.Expect(ctx, e.guestConfig(p, id, out))
	if err != nil {
		return nil, fmt.Errorf("executor: rank %d: %w", id, err)
	}
	r := &rank{id: id, guest: guest, out: out, Rank: stand.Rank{State: stand.Expected}, coming: &coming{migration: migration}}
	r.coming.receiver = pages.NewReceiver(guest.Memory().Image, func(n int) error {
		if err := guest.Grow(n); err != nil {
			return &noRoom{id, err}
		}
		return nil
	})
	e.mu.Lock()
	defer e.mu.Unlock()
	old := e.ranks[id]
	does := stand.Expect(old.stands(), e.cancelled != nil)
	for ; does == stand.ExpectLater; does = stand.Expect(old.stands(), e.cancelled != nil) { // it comes back before it was gone
		e.mu.Unlock()
		<-old.dropped
		e.mu.Lock()
		old = e.ranks[id]
	}
	if instead != nil && old != instead {
		e.discard(ctx, r)
		return r, nil // nobody has it
	}
	switch does {
	case stand.ExpectCancelled:
		err = e.cancelled
	case stand.ExpectNew, stand.ExpectLater:
	case stand.ExpectInstead:
		e.dropComing(ctx, old)
	case stand.ExpectHere:
		err = fmt.Errorf("executor: rank %d is here already", id)
	}
	if err != nil {
		e.discard(ctx, r)
		return nil, err
	}
	e.ranks[id] = r
	return r, nil
}

// noRoom is of a rank that has more memory than there is here: no other connection would change that.
type noRoom struct {
	id  mpi.Rank
	err error
}

func (n *noRoom) Error() string { return fmt.Sprintf("executor: rank %d: %v", n.id, n.err) }
func (n *noRoom) Unwrap() error { return n.err }

// dropComing releases a rank that has come, or was to come, in vain. Holds mu.
func (e *Executor) dropComing(ctx context.Context, r *rank) {
	if e.ranks[r.id] == r {
		delete(e.ranks, r.id)
	}
	if r.State == stand.Staged {
		e.discard(ctx, r)
		return
	}
	r.State = stand.Ended
	e.runGroup.Go(func() error {
		r.coming.end()
		e.discard(ctx, r) // nobody has it any more
		return nil
	})
}

// end takes nothing more, and returns when nobody fills the memory any more.
func (c *coming) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.takes.End()
	c.stop()
}

// stop ends the attempt. Holds mu.
func (c *coming) stop() {
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.conns = nil
	c.readers.Wait()
}

// begin makes a connection one of an attempt; the first of one begins anew. It is waited for until it says that it has ended.
func (c *coming) begin(r *rank, hello *apiv1.PrecopyHello, conn net.Conn) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch c.takes.Take(hello.Word, int(hello.Stream)) {
	case stand.TakeNot:
		return errNotExpected
	case stand.TakeNew:
		if c.stop(); !c.takes.May(c.used.Load()) { // by the attempt that has just ended
			return errNotExpected
		}
		if err := r.guest.Empty(); err != nil {
			return err
		}
		c.receiver.Reset()
		c.takes.Begin(hello.Word)
	case stand.TakeMore:
	}
	c.conns = append(c.conns, conn)
	c.readers.Add(1)
	return nil
}

var errNotExpected = errors.New("the rank is not expected there")

// hear waits for what a caller says first. Few may not have said it, the one that has waited longest has to go, and none waits for long.
func (e *Executor) hear(conn net.Conn, hello *apiv1.PrecopyHello) error {
	quit, leave := e.hellos.enter()
	defer leave()
	said := make(chan struct{})
	defer close(said)
	go func() { // until it is said
		select {
		case <-quit:
			_ = conn.Close()
		case <-said:
		}
	}()
	if err := conn.SetReadDeadline(time.Now().Add(helloWait)); err != nil {
		return err
	}
	return protodelim.UnmarshalOptions{MaxSize: maxHello}.UnmarshalFrom(bufio.NewReaderSize(conn, maxHello), hello)
}

// receive takes part of a rank that comes over a connection.
func (e *Executor) receive(ctx context.Context, conn net.Conn) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer conn.Close() //nolint:errcheck // all was said
	var hello apiv1.PrecopyHello
	if e.hear(conn, &hello) != nil {
		return // a stranger
	}
	if conn.SetReadDeadline(time.Time{}) != nil {
		return
	}
	for {
		r, digest := e.expects(&hello)
		if r == nil {
			_ = answer(conn, &apiv1.PrecopyAnswer{Error: errNotExpected.Error()})
			return
		}
		if digest != "" {
			_ = answer(conn, &apiv1.PrecopyAnswer{Digest: digest})
			return
		}
		if err := r.coming.begin(r, &hello, conn); err != nil {
			_ = answer(conn, &apiv1.PrecopyAnswer{Error: err.Error()})
			return
		}
		if again, digest := e.expects(&hello); again == r && digest == "" { // the attempt before has not made it whole
			defer r.coming.readers.Done()
			e.fill(ctx, r, &hello, conn)
			return
		}
		r.coming.readers.Done()
	}
}

// expects is the rank that a connection is about; nil: none such is expected. One that is here whole has a digest.
func (e *Executor) expects(hello *apiv1.PrecopyHello) (r *rank, digest string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r = e.ranks[mpi.Rank(hello.Rank)]
	if r == nil || r.coming == nil || r.coming.migration != hello.Migration {
		return nil, ""
	}
	return r, r.coming.digest
}

func answer(conn net.Conn, a *apiv1.PrecopyAnswer) error {
	if err := conn.SetWriteDeadline(time.Now().Add(helloWait)); err != nil {
		return err
	}
	_, err := protodelim.MarshalTo(conn, a)
	return err
}

// fill takes rounds, and over the first connection what follows them. What breaks off is begun anew by the source.
func (e *Executor) fill(ctx context.Context, r *rank, hello *apiv1.PrecopyHello, conn net.Conn) {
	if answer(conn, &apiv1.PrecopyAnswer{}) != nil {
		return
	}
	br := bufio.NewReaderSize(conn, 64<<10)
	for {
		last, err := r.coming.receiver.Round(br)
		if err != nil {
			var full *noRoom
			if errors.As(err, &full) {
				e.notStaged(r, full)
			}
			_ = answer(conn, &apiv1.PrecopyAnswer{Error: err.Error(), Refused: full != nil}) // if it is the connection, nobody hears it
			return
		}
		if answer(conn, &apiv1.PrecopyAnswer{}) != nil {
			return
		}
		if last {
			break
		}
	}
	if hello.Stream > 0 {
		return
	}
	came := time.Now()
	failpoint.Here("executor.stage")
	ev, err := e.stage(r, br, e.start.App, maxHeaderBytes)
	failpoint.Here("executor.staged")
	if err == nil {
		ev.SinceMs += float64(time.Since(came)) / float64(time.Millisecond)
		e.staged(ev)
		_ = answer(conn, &apiv1.PrecopyAnswer{Digest: ev.Digest}) // who does not hear it asks again
		return
	}
	broke := connectionBroke(err)
	if broke { // the guest is half restored
		if _, xerr := e.expectRank(ctx, r.coming.migration, r.id, r); xerr != nil {
			err, broke = xerr, false
		}
	}
	if !broke {
		e.notStaged(r, err)
	}
	_ = answer(conn, &apiv1.PrecopyAnswer{Error: err.Error(), Refused: !broke})
}

// notStaged tells that a rank cannot come, and why.
func (e *Executor) notStaged(r *rank, err error) {
	e.staged(&apiv1.ExecStaged{Migration: r.coming.migration, Rank: int32(r.id), Error: err.Error()})
}

// connectionBroke says whether an error is of what may go better over another connection.
func connectionBroke(err error) bool {
	var of *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.As(err, &of)
}

// stage makes a rank whose memory has come whole, and one that may run: whatever could fail is done here, where it aborts the migration. The image is one of an app's, with a header of so many bytes
// at the most.
func (e *Executor) stage(r *rank, br *bufio.Reader, app string, maxHeader int64) (*apiv1.ExecStaged, error) {
	ev := &apiv1.ExecStaged{Migration: r.coming.migration, Rank: int32(r.id)}
	// What follows comes when the source has heard that all streams' parts are there.
	if _, err := br.Peek(1); err != nil {
		return ev, fmt.Errorf("executor: rank %d: read the image: %w", r.id, err)
	}
	r.coming.used.Store(true)
	sum := sha256.New()
	r.coming.receiver.HashInto(sum)
	from := &hashedReader{br, sum}
	var h apiv1.ImageHeader
	if err := (protodelim.UnmarshalOptions{MaxSize: maxHeader}).UnmarshalFrom(from, &h); err != nil {
		return ev, fmt.Errorf("executor: rank %d: read the image: %w", r.id, err)
	}
	if h.Version != imageVersion || h.App != app || h.Rank != int32(r.id) {
		return ev, fmt.Errorf("executor: an image is version %d, app %s, rank %d; want version %d, app %s, rank %d",
			h.Version, h.App, h.Rank, imageVersion, app, r.id)
	}
	r.out.restore(&h)
	if err := r.guest.RestoreState(from); err != nil {
		return ev, fmt.Errorf("executor: rank %d: %w", r.id, err)
	}
	var end apiv1.PrecopyEnd
	if err := (protodelim.UnmarshalOptions{MaxSize: maxHello}).UnmarshalFrom(br, &end); err != nil {
		return ev, fmt.Errorf("executor: rank %d: read the image: %w", r.id, err)
	}
	digest := sum.Sum(nil)
	if want, err := hex.DecodeString(end.Digest); err != nil || !bytes.Equal(want, digest) {
		return ev, fmt.Errorf("executor: the image of rank %d arrived with digest %.6x, it was sent with %.12s", r.id, digest, end.Digest)
	}
	proc, err := e.world.Decode(r.id, r.guest.Memory(), h.MpiState)
	if err == nil && proc.Ended() != r.guest.Ended() {
		err = fmt.Errorf("%w: the program has ended, and has not", mpi.ErrState)
	}
	if err != nil {
		return ev, fmt.Errorf("executor: the image of rank %d: %w", r.id, err)
	}
	r.guest.Bind(proc)
	ev.Digest, ev.SinceMs, ev.PauseBytes, ev.AheadBytes, ev.Rounds = hex.EncodeToString(digest), end.SinceMs, end.PauseBytes, end.AheadBytes, end.Rounds
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.cancelled != nil:
		return ev, e.cancelled
	case e.ranks[r.id] != r || !r.Arrive():
		return ev, errNotExpected
	}
	r.proc, r.coming.digest, r.coming.staged = proc, ev.Digest, proto.CloneOf(ev)
	return ev, nil
}

// hashedReader hashes what is read.
type hashedReader struct {
	*bufio.Reader
	sum hash.Hash
}

func (r *hashedReader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	r.sum.Write(b[:n])
	return n, err
}

func (r *hashedReader) ReadByte() (byte, error) {
	b, err := r.Reader.ReadByte()
	if err == nil {
		r.sum.Write([]byte{b})
	}
	return b, err
}
