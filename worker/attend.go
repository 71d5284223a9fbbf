package worker

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"
)

// attendBeat is how often who waits for a long answer of this host is told that it is at work.
const attendBeat = 5 * time.Second

// errAttendOver ends what is done for a caller who has been answered.
var errAttendOver = errors.New("the answer has been given up")

// attended sends the messages of one long answer. What makes them has a goroutine of its own, which may stand still in the disk: the call does not for that.
type attended struct {
	beat time.Duration // between two signs; 0: attendBeat

	mu   sync.Mutex // held while a message is sent
	over bool       // the answer has ended
	last time.Time  // when something was sent last
}

// send does send, unless the answer has ended.
func (a *attended) send(send func() error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return errAttendOver
	}
	a.last = time.Now()
	return send()
}

// attend does work, and calls sign at each beat in which it has sent nothing. It ends with work, or with the first error of look, which is called at each
// beat: ctx of work ends then, and nothing that it sends after that is sent.
func (w *Worker) attend(ctx context.Context, a *attended, work func(context.Context) error, sign, look func() error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	w.tasks.Go(func() error { done <- work(ctx); return nil })
	beat := cmp.Or(a.beat, attendBeat)
	t := time.NewTicker(beat)
	defer t.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-t.C:
		}
		err := look()
		if a.mu.TryLock() { // else it is sending
			if err == nil && time.Since(a.last) >= beat {
				a.last = time.Now()
				_ = sign() // what is wrong with the stream the next message finds
			}
			a.mu.Unlock()
		}
		if err != nil {
			cancel()
			a.mu.Lock()
			a.over = true
			a.mu.Unlock()
			return err
		}
	}
}
