package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/transport"
)

// lookEach is how often a server is asked who it is while a call to it is under way.
const lookEach = 3 * time.Second

// errSilent is the reason for which a call is ended whose server does not even say who it is. What came of the call is not known.
var errSilent = errors.New("takes requests and answers none")

// call calls f with the server at addr, for as long as that answers anything: what moves of the call itself, or who it is. It ends with errSilent
// when a server that has answered leaves a question for the patience while nothing moves, and when one that has answered nothing does so until
// the time that is given; zero: for the patience. It says whether something of an answer has come.
func (c *Client) call(ctx context.Context, addr string, until time.Time, f func(ctx context.Context, control apiv1connect.ControlClient) error) (bool, error) {
	ctx, cut := context.WithCancelCause(ctx)
	defer cut(nil)
	if until.IsZero() {
		until = time.Now().Add(c.patience)
	}
	m := &moving{RoundTripper: c.http.Transport}
	go c.watch(ctx, addr, until, m, cut) // ends with ctx
	err := f(ctx, apiv1connect.NewControlClient(transport.NewClient(&http.Client{Transport: m}, addr)))
	if why := context.Cause(ctx); errors.Is(why, errSilent) && (Retryable(err) || errors.Is(err, context.Canceled)) {
		err = why
	}
	return m.answered.Load(), err
}

// watch asks the server now and then who it is, unless its call moves, and cuts the call when there is no answer and nothing has moved
// meanwhile: a question waits behind what is on its way over a slow line, and behind others of its address. An error is an answer: the
// transport finds out whether the connection still stands that the call has.
func (c *Client) watch(ctx context.Context, addr string, until time.Time, m *moving, cut context.CancelCauseFunc) {
	why := fmt.Errorf("%s %w", addr, errSilent)
	look := time.NewTicker(lookEach)
	defer look.Stop()
	for answered := false; ; answered = true {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
		began := time.Now()
		if m.since(began.Add(-lookEach / 3)) {
			continue
		}
		if answered {
			until = began.Add(c.patience)
		}
		wait := max(time.Until(until), askWait)
		asking, cancel := context.WithTimeout(ctx, wait)
		say := time.AfterFunc(sayAfter, func() {
			if !m.since(began) {
				c.tell(asking, why, wait-sayAfter)
			}
		})
		_, err := c.discover(asking, addr)
		say.Stop()
		none := late(asking, err)
		cancel()
		if none && !m.since(began) {
			cut(why) // nothing, if ctx has ended
			return
		}
	}
}

// tell tells Waiting why a call fails that is still wanted.
func (c *Client) tell(ctx context.Context, why error, more time.Duration) {
	if c.Waiting != nil && ctx.Err() == nil && more > 0 {
		c.told.Do(func() { c.Waiting(why, more) })
	}
}
