package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/client"
	"github.com/godwit-run/godwit/internal/identity"
	"github.com/godwit-run/godwit/internal/text"
	"github.com/godwit-run/godwit/internal/transport"
)

const (
	// surveyWait is how long a survey takes at most, and with it each of the servers that it asks.
	surveyWait = 2 * time.Second
	// maxSurveyed bounds the addresses of one survey: a group has 9 servers, and each may have moved.
	maxSurveyed = 32
	// maxWhy bounds what is shown of the reason that a server is not reached.
	maxWhy = 200
)

// surveyed is what came of asking at one address who is there.
type surveyed struct {
	addr string
	// res is proved to be said by the server that it names; nil if err is set.
	res *apiv1.DiscoverResponse
	err error
}

// discoverer asks at an address who is there, and returns what is proved.
type discoverer func(ctx context.Context, addr string) (*apiv1.DiscoverResponse, error)

// newDiscoverer asks over the network.
func newDiscoverer(h *http.Client) discoverer {
	return func(ctx context.Context, addr string) (*apiv1.DiscoverResponse, error) {
		nonce := identity.Nonce()
		cluster := apiv1connect.NewClusterClient(transport.NewBoundedClient(h, addr, maxAnswer))
		res, err := cluster.Discover(ctx, &apiv1.DiscoverRequest{Nonce: nonce})
		if err != nil {
			return nil, client.AsStranger(ctx, h, addr, err)
		}
		if err := identity.Verify(nonce, res); err != nil {
			return nil, err
		}
		return res, nil
	}
}

// survey asks at the addresses, and at those of the servers that the answers name, all at a time. It ends when all have answered, and
// after surveyWait: who has not answered by then is not reached. met, which must not block, is told of each address as it is asked.
// The result is in the order in which the addresses became known.
func survey(ctx context.Context, addrs []string, ask discoverer, met func(addr string)) []surveyed {
	ctx, cancel := context.WithTimeout(ctx, surveyWait)
	defer cancel()
	var out []surveyed
	at := map[string]int{}
	answers := make(chan surveyed, maxSurveyed) // room for all: none of those that ask outlives ctx by its answer.
	visit := func(addr string) {
		if _, known := at[addr]; known || addr == "" || len(out) >= maxSurveyed {
			return
		}
		at[addr] = len(out)
		out = append(out, surveyed{addr: addr, err: context.DeadlineExceeded})
		met(addr)
		go func() {
			res, err := ask(ctx, addr)
			answers <- surveyed{addr, res, err}
		}()
	}
	for _, addr := range addrs {
		visit(addr)
	}
	for got := 0; got < len(out); got++ {
		select {
		case s := <-answers:
			out[at[s.addr]] = s
			visit(s.res.GetAddr())
			for _, m := range s.res.GetMembers() {
				visit(m.Addr)
			}
		case <-ctx.Done():
			return out
		}
	}
	return out
}

// whyNotReached says in a few words why nobody is known to be at an address.
func whyNotReached(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("no answer within %v", surveyWait)
	case errors.Is(err, identity.ErrUnproved):
		return "what answers does not prove which server it is"
	}
	return text.Line(apierr.Message(err), maxWhy)
}
