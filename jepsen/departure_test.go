package jepsen

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// asksToLeave puts into a stopped server's directory what one leaves that had asked to be removed and got no answer.
func asksToLeave(t *testing.T, p *process, id string) (note string) {
	t.Helper()
	note = filepath.Join(p.dir, "leaving.json")
	require.NoError(t, os.WriteFile(note, fmt.Appendf(nil, `{"server_id":%q,"left":false}`, id), 0o600))
	return note
}

// TestDepartureIsSettled starts servers that had asked to leave and got no answer: one that was removed comes back as a new server,
// one that was not goes on with its data.
func TestDepartureIsSettled(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{servers: 3})
	all := slices.Clone(c.servers)

	stays := c.follower()
	id := c.member(stays.addr).Id
	require.Zero(t, stays.interrupt(t))
	note := asksToLeave(t, stays, id)
	stays.start(t)
	c.says(stays, "still a member of the group")
	c.votersAre(all...)
	require.Equal(t, id, c.member(stays.addr).Id)
	require.NoFileExists(t, note)
	require.NoDirExists(t, filepath.Join(stays.dir, "raft.left"))

	goes := c.follower()
	id = c.member(goes.addr).Id
	require.Zero(t, goes.interrupt(t))
	c.must("servers", "remove", id)
	note = asksToLeave(t, goes, id)
	goes.start(t)
	c.says(goes, "had left the group for good")
	c.votersAre(all...)
	require.NotEqual(t, id, c.member(goes.addr).Id)
	require.NoFileExists(t, note)
	require.DirExists(t, filepath.Join(goes.dir, "raft.left"))
	starts := regexp.MustCompile(`msg="server started".* gossip=(\S+)`).FindAllStringSubmatch(tailOf(goes.log, 1000), -1)
	require.GreaterOrEqual(t, len(starts), 3, "as a new one in the same process too")
	for _, s := range starts {
		require.Equal(t, starts[0][1], s[1])
	}
}

// TestDepartureOfTheLast recovers servers that had asked to leave: one that has left needs another word, and what is made of either is a
// cluster, which is not put away at its start.
func TestDepartureOfTheLast(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{servers: 3})
	last := c.follower()
	id := c.member(last.addr).Id
	for _, p := range c.servers {
		p.kill()
	}
	c.servers = []*process{last}
	note := asksToLeave(t, last, id)
	c.must("server", "recover", "--yes", "--data-dir", last.dir)
	require.NoFileExists(t, note)
	last.start(t)
	c.votersAre(last)
	last.kill()

	require.NoError(t, os.WriteFile(note, fmt.Appendf(nil, `{"server_id":%q,"left":true}`, id), 0o600))
	r := c.godwit("server", "recover", "--yes", "--data-dir", last.dir)
	require.NotZero(t, r.code)
	require.Contains(t, r.stderr, "has left its cluster")
	require.FileExists(t, note)
	c.must("server", "recover", "--yes", "--removed", "--data-dir", last.dir)
	last.start(t)
	c.votersAre(last)
}

// TestLeaveWithoutAnswer stops a server that wants to leave while the others are frozen: whether they remove it when they go on is
// theirs to decide, and the server's next start finds out.
func TestLeaveWithoutAnswer(t *testing.T) {
	inCheck(t)
	t.Parallel()
	c := newCluster(t, shape{servers: 3, serverArgs: []string{"--leave-on-stop"}})
	all := slices.Clone(c.servers)
	leaves := c.follower()
	others := slices.DeleteFunc(slices.Clone(all), func(p *process) bool { return p == leaves })
	for _, p := range others {
		p.freeze()
	}
	require.Zero(t, leaves.interrupt(t))
	for _, p := range others {
		p.thaw()
	}
	leaves.start(t)
	c.votersAre(all...)
	c.eventually(patience, "the departure is settled", func() error {
		if _, err := os.Stat(filepath.Join(leaves.dir, "leaving.json")); !os.IsNotExist(err) {
			return fmt.Errorf("leaving.json: %w", err)
		}
		return nil
	})
	c.votersAre(all...)
}
