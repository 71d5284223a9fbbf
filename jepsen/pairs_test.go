package jepsen

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
)

// TestPairs has every two nemeses do their harm at the same time, once, to one cluster after the other.
func TestPairs(t *testing.T) {
	if os.Getenv(envLong) == "" {
		t.Skipf("takes half an hour: set %s, or run make jepsen", envLong)
	}
	if err := canNetwork(); err != nil {
		t.Skip(err)
	}
	kinds := []func() nemesis{
		func() nemesis { return &crash{of: "leader"} },
		func() nemesis { return &pause{of: "leader"} },
		func() nemesis { return &crash{of: "worker"} },
		func() nemesis { return &partition{leaderAlone} },
		func() nemesis { return &partition{halves} },
		func() nemesis { return &partition{workerToLeader} },
		func() nemesis { return &hang{} },
		func() nemesis { return &full{} },
		func() nemesis { return &blackout{} },
		func() nemesis { return &wipe{} },
		func() nemesis { return &flip{} },
		func() nemesis { return &guest{} },
		func() nemesis { return transfer{} },
	}
	for i, first := range kinds[:len(kinds)-1] {
		t.Run(first().name(), func(t *testing.T) {
			o := newOrdeal(t, shape{servers: 3, workers: 3, slots: 6, network: true, disks: 2})
			o.run(func() {
				for _, second := range kinds[i+1:] {
					a, b := first(), second()
					if o.mayMeet(a, b) {
						o.inflict(a, b)
						o.whole()
					}
				}
			})
			require.NotEmpty(t, o.fired)
		})
	}
}

// mayMeet says whether two nemeses leave a cluster of three what it was promised to need: no two servers may lose what they
// have stored at a time, and a nemesis does not meet itself.
func (o *ordeal) mayMeet(a, b nemesis) bool {
	forgets := func(n nemesis) bool {
		switch n.(type) {
		case *wipe, *flip:
			return true
		default:
			return false
		}
	}
	return a.name() != b.name() && (!forgets(a) || !forgets(b))
}

// whole waits until all servers and hosts are at work: a server that was wiped must hold everything again before the next
// may lose what it has.
func (o *ordeal) whole() {
	o.c.t.Helper()
	o.c.waitReadyWithin(settleWithin)
	for _, s := range o.c.servers {
		o.c.caughtUp(s)
	}
}

// caughtUp waits until a server is a voter and has applied all that was committed before the call.
func (c *cluster) caughtUp(p *process) {
	c.t.Helper()
	var committed uint64
	c.ask(func(ctx context.Context, control apiv1connect.ControlClient) error {
		res, err := control.ListServers(ctx, &apiv1.ListServersRequest{})
		committed = res.GetIndex()
		return err
	})
	c.eventually(settleWithin, p.name+" has caught up", func() error {
		c.revive()
		ctx, cancel := context.WithTimeout(context.Background(), callLimit)
		defer cancel()
		res, err := c.api.cluster(p.addr).Discover(ctx, &apiv1.DiscoverRequest{})
		if err != nil {
			return err
		}
		votes := false
		for _, m := range c.members() { // one that was wiped is another, at the address of its old self
			votes = votes || m.GetId() == res.GetServerId() && (m.GetRole() == "voter" || m.GetRole() == "leader")
		}
		if !votes {
			return fmt.Errorf("it does not vote as %s", res.GetServerId())
		}
		if res.GetAppliedIndex() < committed {
			return fmt.Errorf("it has applied %d of %d entries", res.GetAppliedIndex(), committed)
		}
		return nil
	})
}
