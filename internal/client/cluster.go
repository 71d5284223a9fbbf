package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/transport"
)

const (
	// askWait bounds the question which cluster a server is of. Who has not answered by then is not there.
	askWait = 2 * time.Second
	// knownFor is for how long an answer counts, while calls to the server go well: a server is not recovered in that time.
	knownFor = time.Second
	// maxAnswer bounds an answer, in bytes.
	maxAnswer = 1 << 20
)

// TwoClustersError is returned when the client's addresses are of more than one cluster that is alive: one was recovered from the data of a
// server of the other while others of that run. Nothing was asked of either. Clusters that never had to do with each other are not looked for.
type TwoClustersError struct {
	// At are the addresses at which each answered.
	At map[string][]string
}

// Error implements error.
func (e *TwoClustersError) Error() string {
	var parts []string
	for _, id := range slices.Sorted(maps.Keys(e.At)) {
		parts = append(parts, fmt.Sprintf("%s at %s", id, strings.Join(e.At[id], ",")))
	}
	return fmt.Sprintf("the servers are of different clusters: %s. Nothing was asked of any. Give --address or GODWIT_ADDR servers of one; "+
		"`godwit servers --address` with one of each says which is to be stopped", strings.Join(parts, "; "))
}

// discover asks a server who it is.
func (c *Client) discover(ctx context.Context, addr string) (*apiv1.DiscoverResponse, error) {
	return apiv1connect.NewClusterClient(transport.NewBoundedClient(c.http, addr, maxAnswer)).Discover(ctx, &apiv1.DiscoverRequest{})
}

// late says that ctx was over before there was an answer. The server, which knows how long it has, may be the first to say so.
func late(ctx context.Context, err error) bool {
	return err != nil && (ctx.Err() != nil || connect.CodeOf(err) == connect.CodeDeadlineExceeded)
}

// errNoAnswer is returned when a server has not said in time which cluster it is of.
var errNoAnswer = errors.New("does not answer")

// ask asks a server which cluster it is of.
func (c *Client) ask(ctx context.Context, addr string) (*apiv1.DiscoverResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	res, err := c.discover(ctx, addr)
	if late(ctx, err) {
		return nil, fmt.Errorf("%s %w", addr, errNoAnswer)
	}
	return res, err
}

// checkCluster makes sure that the server is of the cluster that the client calls: of two it never goes from one to the other by the chance
// of which server answers. The first that answers is the one, and no other server is asked, unless it was recovered from an older one: then
// all are asked, and only if one cluster is all that is alive it goes on. Later servers of another one are passed over, until the client's
// own is alive no more and that was recovered from it.
func (c *Client) checkCluster(ctx context.Context, addr string) error {
	if len(c.addrs) == 1 {
		return nil // who is named is meant
	}
	c.mu.Lock()
	known := time.Since(c.known[addr]) < knownFor
	c.mu.Unlock()
	if known {
		return nil
	}
	res, err := c.asks(ctx, addr)
	if err != nil {
		return err
	}
	c.mu.Lock()
	now := c.cluster
	c.mu.Unlock()
	switch {
	case res.ClusterId == "": // of none yet
	case res.ClusterId == now, now == "" && len(res.FormerClusterIds) == 0:
		c.is(res, addr)
	default:
		return c.askAll(ctx, now, addr)
	}
	return nil
}

// is notes which cluster a server is of: the client's.
func (c *Client) is(res *apiv1.DiscoverResponse, addr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cluster = res.ClusterId
	c.known[addr] = time.Now()
}

// failed notes that a call to a server has: it may be another's when it is back.
func (c *Client) failed(addr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.known, addr)
}

// askAll asks all servers which cluster they are of, since the one at addr is of another one than the client, or of a recovered one.
func (c *Client) askAll(ctx context.Context, now string, addr string) error {
	answers := make([]*apiv1.DiscoverResponse, len(c.addrs))
	done := make(chan struct{}, len(c.addrs))
	for i, addr := range c.addrs {
		go func() { // ends with askWait
			answers[i], _ = c.asks(ctx, addr) // who does not answer is not there
			done <- struct{}{}
		}()
	}
	for range c.addrs {
		<-done
	}
	all := map[string]*party{}
	for i, res := range answers {
		if id := res.GetClusterId(); id != "" {
			p := all[id]
			if p == nil {
				p = new(party)
				all[id] = p
			}
			p.add(res, c.addrs[i])
		}
	}
	id, err := choose(all, now)
	if err != nil {
		return err
	}
	of := ""
	for i, res := range answers {
		if res.GetClusterId() == id {
			c.is(res, c.addrs[i])
		}
		if c.addrs[i] == addr {
			of = res.GetClusterId()
		}
	}
	if of != id {
		return connect.NewError(connect.CodeUnavailable, fmt.Sprintf("%s is not of cluster %s, which is asked", addr, id))
	}
	return nil
}

// party is what the servers of one cluster say.
type party struct {
	at      []string
	servers map[string]bool
	newest  *apiv1.DiscoverResponse
	leads   bool
}

func (p *party) add(res *apiv1.DiscoverResponse, addr string) {
	if p.servers == nil {
		p.servers = map[string]bool{}
	}
	p.at = append(p.at, addr)
	p.servers[cmp.Or(res.ServerId, addr)] = true
	p.leads = p.leads || res.LeaderAddr != ""
	if p.newest == nil || cmp.Or(cmp.Compare(res.Term, p.newest.Term), cmp.Compare(res.AppliedIndex, p.newest.AppliedIndex)) > 0 {
		p.newest = res
	}
}

// alive says that the cluster has a leader, or could: a server of the past that comes back alone has none and gets none.
func (p *party) alive() bool {
	if p == nil {
		return false
	}
	voters, here := 0, 0
	for _, m := range p.newest.Members {
		if m.Voter {
			voters++
			if p.servers[m.Id] {
				here++
			}
		}
	}
	return p.leads || 2*here > voters
}

// choose says which cluster a client goes on with, that has called one before or none (now is empty): its own, one that was recovered
// from that once that is not alive; at first the one that is.
func choose(all map[string]*party, now string) (string, error) {
	living := map[string][]string{}
	for id, p := range all {
		if p.alive() {
			living[id] = p.at
		}
	}
	if now != "" && living[now] == nil {
		for id := range living {
			if !slices.Contains(all[id].newest.FormerClusterIds, now) {
				delete(living, id) // the past takes nobody back, nor do others
			}
		}
	}
	switch {
	case living[now] != nil:
		return now, nil
	case len(living) == 0:
		return "", connect.NewError(connect.CodeUnavailable, "no cluster's servers lead, or are enough to elect a leader")
	case len(living) > 1:
		return "", &TwoClustersError{living}
	}
	for id := range living {
		now = id
	}
	return now, nil
}
