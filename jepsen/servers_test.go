package jepsen

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// unconfirmed is what `godwit servers -o json` says where no leader does.
type unconfirmed struct {
	Confirmed bool
	Note      string
	Voters    int
	Reached   int `json:"voters_reached"`
	Servers   []struct {
		Addr, Role, Health string
		Reached            bool
	}
}

// TestServersWithoutAMajority kills two of three servers and stops the third: each state is told as it is, from one address, and a
// server that hangs holds up nothing.
func TestServersWithoutAMajority(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{servers: 3})
	last := c.follower()
	// ask wants the code, and how many of the voters answer.
	ask := func(addrs string, code, reached int) unconfirmed {
		var said unconfirmed
		c.eventually(patience, "the state is told", func() error {
			r := startCommand(t, addrs, "servers", "-o", "json").wait()
			said = unconfirmed{}
			decode(t, r.stdout, &said)
			if r.code != code || said.Reached != reached {
				return fmt.Errorf("code %d: %s %s", r.code, r.stdout, r.stderr)
			}
			return nil
		})
		require.Equal(t, code == 0, said.Confirmed)
		return said
	}
	ask(last.addr, 0, 0)
	for _, s := range c.servers {
		if s != last {
			s.kill()
		}
	}
	said := ask(last.addr, 75, 1)
	require.Equal(t, 3, said.Voters)
	require.Contains(t, said.Note, "not confirmed by a majority: 1 of 3 voters answers, and 2 are needed")
	require.Len(t, said.Servers, 3)
	for _, s := range said.Servers {
		require.Equal(t, s.Addr == last.addr, s.Reached, s.Health)
		require.Equal(t, "voter", s.Role)
	}
	r := startCommand(t, last.addr, "servers").wait()
	require.Contains(t, r.stdout, "not confirmed by a majority: 1 of 3")
	require.Contains(t, r.stderr, "godwit server recover --help")
	r = startCommand(t, c.addrs(), "hosts", "--timeout", "1s").wait()
	require.Equal(t, 75, r.code, r.stderr)
	require.Contains(t, r.stderr, last.addr)
	require.Contains(t, r.stderr, "godwit servers shows")

	// One that hangs is told from one that refuses, and holds up no answer of another.
	other := c.servers[slices.IndexFunc(c.servers, func(s *process) bool { return s != last })]
	last.freeze()
	said = ask(c.addrs(), 69, 0)
	for _, s := range said.Servers {
		require.Equal(t, s.Addr == last.addr, s.Health == "no answer within 2s", s.Health)
	}
	other.start(t)
	said = ask(last.addr+","+other.addr, 75, 1)
	require.Len(t, said.Servers, 3, "from what the one that answers says")
	last.thaw()
	ask(last.addr, 0, 0)
	for _, s := range c.servers {
		if s != last && s != other {
			s.start(t)
		}
	}
}
