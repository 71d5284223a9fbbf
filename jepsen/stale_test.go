package jepsen

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/jepsen/history"
)

// readersEach is how many clients ask each server without a pause: so many that some ask in the moment in which a server
// leads already and has not applied yet what it holds.
const readersEach = 6

// TestReadsOfANewLeader kills the leader as soon as it has accepted something. The next one holds it, and has not heard yet
// that it was committed: it may answer no read before it has applied it.
func TestReadsOfANewLeader(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{servers: 3})
	c.must("module", "push", helloModule)
	tr := &traffic{c: c, rec: history.NewRecorder(), live: map[string]bool{}, kept: map[string]bool{}}
	waits := &apiv1.AppSpec{Name: "waits", ModuleDigest: c.module("hello"), Size: 1} // no host: nothing comes after it
	shown := 0
	for i := range rounds(4, 30) {
		old := c.leader()
		ctx, stop := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for k := range readersEach * len(c.servers) {
			r := &caller{tr: tr, id: 1000*i + k, addr: c.api.addrs[k%len(c.servers)], api: newClient()}
			if r.addr == old.addr {
				continue
			}
			all.Go(func() {
				for ctx.Err() == nil {
					r.list()
				}
			})
		}
		writer := &caller{tr: tr, id: 100_000 + i, addr: old.addr, api: newClient()}
		written := writer.submit(waits, true)
		old.kill()
		c.eventually(patience, "another leads", func() error {
			if c.leaderNow() == nil {
				return errors.New("nobody does")
			}
			return nil
		})
		<-time.After(200 * time.Millisecond) // for the last of the reads
		stop()
		all.Wait()
		for _, read := range tr.rec.Ops() {
			if written.End != history.OK || read.Kind != history.List || read.End != history.OK || read.Call <= written.Return {
				continue
			}
			shown++
			require.GreaterOrEqual(t, read.Index, written.Index, "a stale read: %s answers with less than was accepted", read.Server)
		}
		old.start(t)
		c.rejoined(old)
	}
	require.NotZero(t, shown, "no read was answered by a new leader")
}
