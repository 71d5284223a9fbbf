package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/client"
)

const (
	// leaderWait is how long `godwit servers` goes on looking for a leader, unless it is told.
	leaderWait = 2 * time.Second
	// leaderSlow is how much longer an answer may take that is under way then.
	leaderSlow = 2 * time.Second
)

// listServers prints the leader's list, or else what each server says for itself.
func listServers(ctx context.Context, o *options, wait time.Duration) error {
	if err := o.checkOutput(); err != nil {
		return err
	}
	c, err := o.client()
	if err != nil {
		return err
	}
	res, tried, err := leadersList(ctx, c, newDiscoverer(c.HTTP()), wait)
	if err != nil {
		return err
	}
	if res != nil {
		return printServers(o, res)
	}
	// Over new connections: an old one that is found dead meanwhile would say so, and no more.
	p := newPicture(survey(ctx, tried, newDiscoverer(c.HTTP()), func(string) {}))
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := p.print(o); err != nil {
		return err
	}
	return p.unconfirmed(tried)
}

// leadersList asks for the leader's list at every address and at those of the members that answers name, all at a time: one that hangs
// holds up none of the others. It goes on for as long as wait, and a moment more for a slow answer. Without a list and an error no
// leader was found. tried are the addresses that were asked.
func leadersList(ctx context.Context, c *client.Client, ask discoverer, wait time.Duration) (res *apiv1.ListServersResponse, tried []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, wait+leaderSlow)
	defer cancel()
	var (
		mu     sync.Mutex // guards res and failed
		failed error      // what no other moment changes
		asking sync.WaitGroup
		told   sync.Once
	)
	say := func(_ error, more time.Duration) {
		told.Do(func() { c.Waiting(fmt.Errorf("no leader answers at %s", strings.Join(c.Addrs(), ",")), more) })
	}
	at := func(addr string) {
		tried = append(tried, addr)
		asking.Go(func() {
			got, err := listAt(ctx, addr, wait, say)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil && res == nil:
				res = got
				cancel()
			case err != nil && ctx.Err() == nil && final(err):
				failed = err
			}
		})
	}
	survey(ctx, c.Addrs(), ask, at) // its answers are old by the time that they would be printed
	asking.Wait()
	if res != nil {
		failed = nil
	}
	return res, tried, failed
}

// final says whether an error has nothing to do with who leads, and whether anybody answers.
func final(err error) bool {
	return !client.Retryable(err) && !errors.Is(err, client.ErrUnreachable) && connect.CodeOf(err) != connect.CodeDeadlineExceeded
}

// listAt asks one server for the leader's list.
func listAt(
	ctx context.Context, addr string, wait time.Duration, waiting func(why error, more time.Duration),
) (res *apiv1.ListServersResponse, err error) {
	c, err := client.New(addr, wait)
	if err != nil {
		return nil, err
	}
	c.Waiting = waiting
	err = c.Do(ctx, func(ctx context.Context, control apiv1connect.ControlClient) (err error) {
		res, err = control.ListServers(ctx, &apiv1.ListServersRequest{})
		return err
	})
	return res, err
}
