package jepsen

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// transfer makes another server lead, as an operator does.
type transfer struct{}

func (transfer) name() string { return "leadership transferred" }

func (transfer) start(c *cluster, _ *rand.Rand) (string, error) {
	r := c.godwit("servers", "transfer", "--timeout", "1s")
	return fmt.Sprintf("code %d %s", r.code, r.stderr), nil // it may be refused while the cluster is in trouble
}

func (transfer) heal(*cluster) error { return nil }

// guest is a server that joins a cluster and is removed again. Meanwhile the group has one voter more.
type guest struct{ server *process }

func (g *guest) name() string { return "a guest among the servers" }

func (g *guest) start(c *cluster, _ *rand.Rand) (string, error) {
	name := "guest" + strconv.Itoa(c.guests)
	c.guests++
	g.server = c.newProcess("server", name, c.newAddr(name, serverPort),
		append([]string{"--retry-join", c.addrs(), "--lease", c.shape.lease}, c.shape.serverArgs...)...)
	c.visitors = append(c.visitors, g.server)
	g.server.start(c.t)
	return name, nil
}

// heal stops the guest and takes it out of the group once the others are well: while it votes and is dead, none of them
// may be, nor the old self of one that was wiped.
func (g *guest) heal(c *cluster) error {
	if g.server == nil {
		return nil
	}
	for _, s := range c.servers {
		if err := restart(c, s); err != nil {
			return err
		}
	}
	for _, s := range c.servers {
		c.caughtUp(s)
	}
	g.server.kill()
	deadline := time.Now().Add(settleWithin)
	for {
		c.revive()
		m, err := memberNow(c, g.server.addr)
		if err == nil && m == nil {
			return os.RemoveAll(g.server.dir)
		}
		if m != nil {
			r := c.godwit("servers", "remove", m.GetId(), "--timeout", "5s")
			err = fmt.Errorf("code %d %s", r.code, r.stderr)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s stays in the group: %w", g.server.name, err)
		}
		<-time.After(200 * time.Millisecond)
	}
}

// memberNow is the member with an address; nil without an error: there is none.
func memberNow(c *cluster, addr string) (*apiv1.Server, error) {
	res, err := c.serversNow()
	for _, m := range res {
		if m.GetAddr() == addr {
			return m, nil
		}
	}
	return nil, err
}
