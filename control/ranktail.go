package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/text"
)

// rankTail is how far one rank's output is read. It belongs to the appTail, or to the hostTail that reads it.
type rankTail struct {
	*appTail
	rank  int32
	next  uint64
	last  *uint64   // see question
	since int64     // see question; once a line has come no clock says any more which are wanted
	over  bool      // nothing more is to be said of it
	at    place     // where it was when it was last asked for
	again time.Time // when it is to be asked for next

	failures int       // in a row: what its host answered is that it cannot
	failing  time.Time // since when its host answers something else than its output; zero: it does not
}

// goesTo notes where the rank's output is: what another host answered counts no more.
func (r *rankTail) goesTo(at place) {
	if at.host != r.at.host {
		r.failures, r.failing = 0, time.Time{}
	}
	r.at = at
}

// settle says what follows when the rank's host was asked, or what it answered of the rank: err is how that ended, since when the host gives
// nothing.
func (r *rankTail) settle(ctx context.Context, err error, since time.Time) error {
	at := r.at
	switch {
	case errors.Is(err, errNoOutput) && at.over:
		return r.lost(ctx, at.ran, fmt.Sprintf("host %s does not keep it any more (--keep-logs of godwit worker, or its disk was full)", at.host))
	case err == nil || errors.Is(err, errNoOutput):
		r.failures, r.failing, r.again = 0, time.Time{}, r.soon()
		if err != nil {
			r.again = time.Now().Add(placeRetry) // its start wakes us
		}
		r.over = at.over || !r.follow
		return nil
	case errors.Is(err, errSilent), errors.Is(err, errElsewhere), errors.Is(err, errUnsaid), connect.CodeOf(err) == connect.CodeUnavailable,
		connect.CodeOf(err) == connect.CodeCanceled, // how a connection that breaks may be told
		apierr.Info(err).GetReason() == apierr.ReasonOverloaded:
		// it may be busy, and has had its time; or it may come back
	default:
		r.failures++
	}
	lasted := time.Since(since)
	why := ""
	if !errors.Is(err, errSilent) {
		why = text.Line(fmt.Sprintf("does not give it (%v)", err), maxReasonBytes-len(at.host))
	}
	if lasted >= min(logSilence, r.wait) {
		if err := r.sayAwaited(ctx, at.host, why); err != nil {
			return err
		}
	}
	cannot := r.failures > maxLogFailures && (at.over || !r.follow)
	if cannot || !r.follow && lasted >= r.wait {
		return r.lost(ctx, at.ran || cannot, fmt.Sprintf("host %s %s; godwit logs, when it does, has it", at.host, cmp.Or(why, "does not answer")))
	}
	r.again = r.soon()
	return nil
}

// soon is when ranks are asked for again that came back now: those that came shortly after each other go in one stream.
func (t *appTail) soon() time.Time {
	return t.began.Add((time.Since(t.began) + 2*logRetry).Truncate(logRetry)) // by a clock that nobody sets
}

// fault is settle for what is wrong with this rank's output alone.
func (r *rankTail) fault(ctx context.Context, err error) error {
	if r.failing.IsZero() {
		r.failing = time.Now()
	}
	return r.settle(ctx, err, r.failing)
}

// took notes that a line was sent on.
func (r *rankTail) took(l *apiv1.LogLine) {
	r.next, r.last, r.since = l.Seq+max(1, l.Lost), nil, 0
	r.failures, r.failing = 0, time.Time{} // a stream may break more often than that while the lines come
}

// begin tells where the rank's lines begin, if that was to be found out: what is asked from now on begins there.
func (r *rankTail) begin(ctx context.Context, seq uint64) error {
	if r.last == nil {
		return nil
	}
	r.next, r.last = seq, nil
	return r.send(ctx, &apiv1.LogsResponse{Begin: []*apiv1.LogPosition{{Rank: r.rank, Seq: seq}}})
}

// lost tells that the output of a rank is nowhere, if it has run, and ends its reading.
func (r *rankTail) lost(ctx context.Context, ran bool, reason string) error {
	r.over = true
	if !ran {
		return nil
	}
	return r.send(ctx, &apiv1.LogsResponse{Missing: []*apiv1.MissingOutput{{Rank: r.rank, Reason: reason}}})
}

// place is where a rank's output is.
type place struct {
	host, addr string // addr is empty if the host is gone, or there is none yet
	over       bool   // the rank has ended, for good
	ran        bool   // it has run on that host
	fresh      bool   // the app has not begun
}

func (r *rankTail) where(v *fsm.View) place {
	app, ok := v.App(r.app)
	if !ok {
		return place{over: true}
	}
	phase := fsm.PhaseOf(app)
	at := place{over: phase.Terminal(), fresh: phase == fsm.Queued || phase == fsm.Starting}
	switch {
	case len(app.Placement) == 0 && len(app.Left) == 0:
		return at
	case len(app.Placement) == 0: // it has been somewhere, and is to be again
		at.host, at.ran, at.fresh = apiv1.HostAt(app.Left, r.rank), true, false
	default:
		at.host = app.Placement[r.rank]
		at.over = at.over || app.HasEnded(r.rank) && !again(app) // else it runs again
		at.ran = slices.Contains(app.StartedHosts, at.host)
	}
	if host, ok := v.Host(fsm.HostID(at.host)); ok && !fsm.HostStateOf(host).Gone() {
		at.addr = host.Addr
	}
	return at
}
