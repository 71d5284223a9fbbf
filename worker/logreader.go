package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/gate"
)

// Bounds of one message of log lines.
const (
	linesPerMessage = 1024
	bytesPerMessage = 256 << 10
)

// errMoved is returned when a rank's output is on another host now.
var errMoved = errors.New("worker: the rank runs on another host now, and its output is there")

// errOtherFile is returned when another file has taken the place of the one that was to be read: what was known of that counts no more.
var errOtherFile = errors.New("worker: the file of the output was replaced")

// errUnreadable is returned when the file of a rank's output cannot be read.
var errUnreadable = errors.New("worker: the output cannot be read")

// errForgotten is returned when an app's output had to make room for that of others.
var errForgotten = errors.New("worker: the output of the app is not kept any more")

// What readers of logs can make a worker hold, all of them together.
const (
	maxReaders = 16_384 // ranks that are being followed, half of them by one address
	maxReading = 64     // that are read at this moment, each with a buffer, a file and one message
	// readingOfOne is how many of them may be of one call: all that it reads goes the same way.
	readingOfOne = 4
	// takeWait bounds how long a caller may take for one message though nobody waits for its turn: who reads more slowly asks again.
	takeWait = 2 * time.Minute
	// turnWindow is how long it may take while others wait: its turn goes to one of them, and it asks again from where it was.
	turnWindow = 3 * time.Second
	// waitSign is how often a caller hears that its turn is yet to come: who is silent may hang.
	waitSign = time.Second
	// lastWait is how long it may take for the message on its way, and the reason, once it gets no more.
	lastWait = time.Second
)

// readers gives the turns of log readers.
type readers struct {
	following *gate.Shares
	moves     atomic.Uint64 // of turns: a message was taken, or one has ended
	reading   *gate.Gate
	buffers   sync.Pool // of those who read
}

func newReaders() *readers {
	return &readers{
		following: gate.NewShares(maxReaders),
		reading:   gate.New(gate.Config{Places: maxReading, Waiting: maxReaders, Floor: 1, Window: turnWindow, Patience: takeWait}),
		buffers:   sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 64<<10) }},
	}
}

// enter counts n more readers from an address, if they may be.
func (d *readers) enter(from netip.Addr, n int) (leave func(), err error) {
	if n > maxReaders/2 {
		return nil, apierr.New(connect.CodeInvalidArgument, apierr.ReasonInvalid, "from", fmt.Sprintf("it asks for %d ranks of this host", n),
			fmt.Sprintf("name at most %d: logs APP/RANK reads one", maxReaders/2))
	}
	if !d.following.Open(from, n) {
		return nil, apierr.New(connect.CodeResourceExhausted, apierr.ReasonOverloaded, "from", "the output of too many ranks is being read here", "try again in a moment")
	}
	return func() { d.following.Close(from, n) }, nil
}

// turnError words why a reader whose context is over reads no more.
func turnError(ctx context.Context) error {
	if why := context.Cause(ctx); errors.Is(why, gate.ErrSlow) || errors.Is(why, gate.ErrStalled) {
		return apierr.New(connect.CodeResourceExhausted, apierr.ReasonOverloaded, "from",
			"the lines were taken too slowly, and the turn to read went to others", "ask again, from the line that you want next")
	}
	return ctx.Err()
}

// sendLines passes lines to the caller; it returns when the caller has taken what was passed before.
type sendLines func(context.Context, []*apiv1.LogLine) error

// logReader reads one rank's log from a line on. While it waits for more it holds neither a file nor a buffer.
type logReader struct {
	log   *appLog
	rank  int32
	from  uint64 // the next line wanted
	since int64  // Unix time in milliseconds; lines from before are passed over

	turns  *readers
	mine   chan struct{} // of the call that it is of: a place for each of its ranks that may be read now
	offset int64         // where in the file the next record begins
	life   int           // of the file that offset is of
}

// answer sends what a request wants of the rank: where its lines begin, if that is to be found out, and the lines.
func (r *logReader) answer(ctx context.Context, req *apiv1.ReadLogsRequest, send func(context.Context, *apiv1.ReadLogsResponse) error) (bool, error) {
	lines := func(ctx context.Context, lines []*apiv1.LogLine) error {
		return send(ctx, &apiv1.ReadLogsResponse{Lines: lines})
	}
	if req.Tail != nil {
		if err := r.takeUp(ctx, lines); err != nil {
			return false, err
		}
		if err := r.skip(ctx, req.GetTail()); err != nil {
			return false, err
		}
		if err := send(ctx, &apiv1.ReadLogsResponse{Begin: []*apiv1.LogPosition{{Rank: r.rank, Seq: r.from}}}); err != nil {
			return false, err
		}
	}
	return r.read(ctx, req.Follow, lines)
}

// takeUp finds out what is in the rank's file, if an earlier life of the worker left it. Meanwhile it sends no lines now and then, as long as the
// disk gives any.
func (r *logReader) takeUp(ctx context.Context, send sendLines) error {
	if err := r.log.ready(ctx); err != nil {
		return err
	}
	if r.log.leftOver(r.rank) == nil {
		return nil
	}
	return r.inTurn(ctx, send, func(ctx context.Context, turn *gate.Place) error {
		said := time.Now()
		return turn.Work(func() error {
			return r.log.takeUp(ctx, r.rank, func() {
				if time.Since(said) >= waitSign {
					said = time.Now()
					_ = send(ctx, nil) // who has gone is found out later: what is known of the file then stays known
				}
			})
		})
	})
}

// state is how far the rank's log goes. It waits while another file takes its place.
func (r *logReader) state(ctx context.Context) (logState, error) {
	for {
		s := r.log.state(r.rank)
		if !s.replacing {
			return s, nil
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
			return logState{}, ctx.Err()
		}
	}
}

// read sends lines; with follow it goes on until the log is complete or ctx ends. It returns whether the log is complete.
func (r *logReader) read(ctx context.Context, follow bool, send sendLines) (bool, error) {
	if err := r.takeUp(ctx, send); err != nil {
		return false, err
	}
	for {
		s, err := r.state(ctx)
		if err != nil {
			return false, err
		}
		if r.from < s.stored {
			if err := r.sendUpTo(ctx, s, send); err != nil && !errors.Is(err, errOtherFile) {
				return false, err
			}
			continue
		}
		if s.moved {
			return false, errMoved
		}
		// While the rank writes, a notice may yet grow; it is sent when it stands in the file.
		if s.notice != nil && r.from < s.next && (s.done || !follow) {
			r.from = s.next
			if err := send(ctx, []*apiv1.LogLine{s.notice}); err != nil {
				return false, err
			}
		}
		if s.done || !follow {
			return s.done, nil
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// skip passes over all but the last n lines of those that are there.
func (r *logReader) skip(ctx context.Context, n uint64) error {
	s, err := r.state(ctx)
	if err != nil {
		return err
	}
	if s.moved {
		return errMoved // more may have come where it is
	}
	r.from = max(r.from, s.next-min(s.next, n))
	return nil
}

// open opens the rank's file, which must be that of s, where the next record begins.
func (r *logReader) open(s logState) (*os.File, error) {
	if s.moved { // though the file may be there for a moment yet
		return nil, errMoved
	}
	f, err := os.Open(r.log.path(r.rank))
	if errors.Is(err, os.ErrNotExist) && r.log.state(r.rank).moved {
		return nil, errMoved
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil, errForgotten
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	if r.log.forgotten.Load() { // it may be another's
		return nil, errors.Join(errForgotten, f.Close())
	}
	if r.life != s.life {
		r.offset, r.life = 0, s.life
	}
	at, ok := r.log.seek(r.rank, r.life, r.from, r.since)
	if !ok {
		return nil, errors.Join(errOtherFile, f.Close())
	}
	r.offset = max(r.offset, at)
	if _, err := f.Seek(r.offset, io.SeekStart); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", errUnreadable, err), f.Close())
	}
	return f, nil
}

// inTurn waits for a turn to read, and calls f with it. Meanwhile it sends no lines now and then, as long as the turns of others move: a disk may
// hang.
func (r *logReader) inTurn(ctx context.Context, send sendLines, f func(context.Context, *gate.Place) error) error {
	select {
	case r.mine <- struct{}{}:
		defer func() { <-r.mine }()
	case <-ctx.Done():
		return ctx.Err()
	}
	before := r.turns.moves.Load()
	ctx, turn, err := r.turns.reading.EnterTold(ctx, waitSign, func(ctx context.Context) error {
		now := r.turns.moves.Load()
		if now == before {
			return nil
		}
		before = now
		return send(ctx, nil)
	})
	if err != nil {
		return err
	}
	defer func() {
		r.turns.moves.Add(1)
		turn.Leave()
	}()
	return f(ctx, turn)
}

// sendUpTo sends the lines wanted that are before s.stored.
func (r *logReader) sendUpTo(ctx context.Context, s logState, send sendLines) error {
	return r.inTurn(ctx, send, func(ctx context.Context, turn *gate.Place) error { return r.sendInTurn(ctx, turn, s, send) })
}

func (r *logReader) sendInTurn(ctx context.Context, turn *gate.Place, s logState, send sendLines) error {
	f, err := r.open(s)
	if err != nil {
		return err
	}
	defer f.Close()                             //nolint:errcheck // read only
	br := r.turns.buffers.Get().(*bufio.Reader) //nolint:forcetypeassert // of our own pool
	br.Reset(f)
	defer r.turns.buffers.Put(br)
	for r.from < s.stored {
		var lines []*apiv1.LogLine
		err := turn.Work(func() (err error) { lines, err = r.batch(ctx, br, s.stored); return err })
		if err != nil {
			return err
		}
		if len(lines) == 0 {
			continue
		}
		if err := send(ctx, lines); err != nil {
			return err
		}
		turn.Moved(1)
		r.turns.moves.Add(1)
	}
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnreadable, err)
	}
	r.offset = at - int64(br.Buffered())
	return nil
}

// batch reads the next lines wanted that are before the line end, one message of them. Lines that nobody wants are in no message, and
// may be many: it ends as soon as the reader has gone.
func (r *logReader) batch(ctx context.Context, br *bufio.Reader, end uint64) (out []*apiv1.LogLine, err error) {
	size := 0
	for n := 1; r.from < end && len(out) < linesPerMessage && size < bytesPerMessage; n++ {
		if n%linesPerMessage == 0 && ctx.Err() != nil {
			return nil, turnError(ctx)
		}
		line := new(apiv1.LogLine)
		if err := readRecord(br, line); err != nil {
			return nil, fmt.Errorf("%w: %w", errUnreadable, err)
		}
		next := line.Seq + max(1, line.Lost)
		if next <= r.from {
			continue
		}
		r.from = next
		if line.AtMs < r.since {
			continue
		}
		r.since = 0 // what follows is wanted, whatever the clock does
		out = append(out, line)
		size += len(line.Text)
	}
	return out, nil
}
