package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"connectrpc.com/connect/v2"

	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/gate"
	"github.com/godwit-run/godwit/internal/transport"
)

// Bounds of modules on their way, for all callers together: what has come lies in files, at the most maxIncoming of
// fsm.MaxModuleBytes each; one chunk of each is in memory, and the whole of one module, while it is looked at.
const (
	maxIncoming = 8
	maxUploads  = 256 // of clients: those that have such a place, and those that have sent all and wait for the other servers
	maxOutgoing = 64
	maxFetchers = 16_384 // that wait for a place: the workers of a large app come at once
	// maxStrangers bounds those that do not prove to be a worker or a server, and maxStrangersWaiting those of them that wait: they are
	// served beside the others, and keep each other waiting alone.
	maxStrangers        = 8
	maxStrangersWaiting = 256
	// Who sends less than incomingFloor in an incomingWindow, 32 KiB a second, loses the place to another upload; who takes less than a
	// chunk in an outgoingWindow, to another fetch. When nobody else comes, only who stands still for streamPatience does.
	incomingFloor  = 320 << 10
	incomingWindow = 10 * time.Second
	outgoingWindow = 20 * time.Second
	streamPatience = time.Minute
	// lastWait is how long a client may take for the chunk on its way, and the reason, once the place is lost.
	lastWait = time.Second
	// waitWord is how often a client that waits hears so: silence is that of a server which is not there.
	waitWord = 400 * time.Millisecond
)

// newIncoming turns away who finds no place, rather than have them wait with what they hold. One address has share places at the most; 0: all.
func newIncoming(share int) *gate.Gate {
	return gate.New(gate.Config{Places: maxIncoming, Share: share, Floor: incomingFloor, Window: incomingWindow, Patience: streamPatience})
}

// newOutgoing has callers wait: they hold nothing meanwhile.
func newOutgoing(places, waiting int) *gate.Gate {
	return gate.New(gate.Config{
		Places: places, Waiting: waiting, Floor: transport.ChunkBytes, Window: outgoingWindow, Patience: streamPatience,
	})
}

// enterReading gives the request of ctx a place in a gate, which is judged by what comes of its body.
func enterReading(ctx context.Context, g *gate.Gate, what string) (context.Context, *gate.Place, error) {
	inside, place, err := g.EnterFrom(ctx, transport.From(ctx))
	if err != nil {
		return nil, nil, placeError(err, what)
	}
	transport.OnRead(ctx, place.Moved)
	return inside, place, nil
}

// enterWriting gives the request of ctx a place in a gate, which is judged by what its client takes. A write that waits for the client is
// broken soon after the place is lost.
func enterWriting(ctx context.Context, g *gate.Gate, what string) (_ context.Context, _ *gate.Place, leave func(), err error) {
	inside, place, err := g.Enter(ctx)
	if err != nil {
		return nil, nil, nil, placeError(err, what)
	}
	keep := context.AfterFunc(inside, func() { transport.WriteWithin(ctx, lastWait) })
	return inside, place, func() { keep(); place.Leave() }, nil
}

// telling does f, and meanwhile tells the client of ctx's request, again and again, that it is at work for it. f ends soon after cancel was called.
func telling(ctx context.Context, cancel func(), tell, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }() // it is waited for
	t := time.NewTicker(waitWord)
	defer t.Stop()
	for {
		select {
		case err := <-done:
			transport.WriteAnytime(ctx) // what the place says about it comes later, or has ended its context
			return err
		case <-t.C:
			transport.WriteWithin(ctx, streamPatience)
			if err := tell(); err != nil {
				cancel()
				return errors.Join(err, <-done)
			}
		}
	}
}

// placeError words why there is no place.
func placeError(err error, what string) error {
	if errors.Is(err, gate.ErrFull) {
		return apierr.New(connect.CodeResourceExhausted, apierr.ReasonOverloaded, "", "too many "+what+" at a time", "try again in a moment")
	}
	return apiError(err)
}

// streamError words why a stream whose context is over has ended.
func streamError(ctx context.Context) error {
	switch why := context.Cause(ctx); {
	case errors.Is(why, gate.ErrSlow):
		return apierr.New(connect.CodeResourceExhausted, apierr.ReasonOverloaded, "",
			"the module moved too slowly while others waited for this place", "try again in a moment")
	case errors.Is(why, gate.ErrStalled):
		return apierr.New(connect.CodeDeadlineExceeded, apierr.ReasonInvalid, "chunk", fmt.Sprintf("nothing of the module moved for %s", streamPatience), "send it again")
	}
	return apiError(ctx.Err())
}

// within returns a stream's next message, if it comes before ctx is over. No other may be asked for after that.
func within[M any](ctx context.Context, receive func() (M, error)) (M, error) {
	type message struct {
		m   M
		err error
	}
	ch := make(chan message, 1)
	go func() { // ends with the stream, which ends with the request
		m, err := receive()
		ch <- message{m, err}
	}()
	select {
	case r := <-ch:
		return r.m, r.err
	case <-ctx.Done():
		var none M
		return none, streamError(ctx)
	}
}

// emptyStream words the end of a stream without a message.
func emptyStream(err error) error {
	if errors.Is(err, io.EOF) {
		return invalid("digest", "the stream is empty", "send the module")
	}
	return err
}
