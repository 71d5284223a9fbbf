package control

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

const (
	// judgeAgain is how long after a comparison without a verdict another one is made.
	judgeAgain = 2 * time.Second
	// judgeWait bounds the questions of one comparison.
	judgeWait = 5 * time.Second
	// showFor is how long a follower that must stop answers still, so that the leader sees what is wrong with it.
	showFor = 5 * time.Second
)

// WatchState looks after this replica of the state until ctx ends. It says aloud what the log refused because it would have
// broken the state. When this replica's hash is not the leader's, or this server leads, it compares hashes with the other
// voters; the error is fsm.ErrDiverged when a majority of them agrees on another hash: then this server must stop, whether it
// leads or not. As long as no majority does, nobody stops.
func (c *Control) WatchState(ctx context.Context) error {
	sub := c.state.Feed().Subscribe(fsm.TheCluster)
	defer sub.Close()
	again := time.NewTicker(judgeAgain)
	defer again.Stop()
	var seen, judged uint64 // index of the last alarm that was told, and of the last hash that was found right
	for {
		v := c.state.View()
		seen = c.logAlarms(v, seen)
		_, leads := c.log.Leader()
		if last := v.LastHash().GetIndex(); last > judged && (leads || v.Diverged() != nil) {
			voters, votes := c.electorate()
			others := c.otherHashes(ctx)
			c.compared(v.Hashes(), others)
			index, verdict := judgeState(v.Hashes(), votes, slices.Collect(maps.Values(others)), voters)
			switch verdict {
			case fsm.AgainstMajority:
				c.showDifference(ctx)
				return fmt.Errorf("%w at index %d: move its data directory away and start it again, and it is built anew from them", fsm.ErrDiverged, index)
			case fsm.WithMajority:
				if !lags(others, index) { // who has not come so far may differ yet
					judged = index
				}
			case fsm.Undecided:
			}
		}
		select {
		case <-sub.C():
		case <-again.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// showDifference lets a follower whose state is wrong go on answering for a moment: what it serves is not its state but the
// leader's. It ends at once if it comes to lead.
func (c *Control) showDifference(ctx context.Context) {
	end := time.NewTimer(showFor)
	defer end.Stop()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for {
		if _, leads := c.log.Leader(); leads {
			return
		}
		select {
		case <-look.C:
		case <-end.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// lags says whether a server that answers has noted no hash at the index or behind it.
func lags(others map[string][]*apiv1.HashRecord, index uint64) bool {
	for _, records := range others {
		if len(records) == 0 || records[len(records)-1].Index < index {
			return true
		}
	}
	return false
}

// logAlarms logs the alarms after the index seen, and returns the last one's.
func (c *Control) logAlarms(v *fsm.View, seen uint64) uint64 {
	for alarm := range v.Alarms() {
		if alarm.Index > seen {
			c.slog.Error("a command was refused, for it would have broken the state: this is a defect of godwit", "index", alarm.Index, "what", alarm.What)
			seen = alarm.Index
		}
	}
	return seen
}

// judgeState compares the newest hash that there is a verdict about.
func judgeState(own []*apiv1.HashRecord, votes bool, others [][]*apiv1.HashRecord, voters int) (index uint64, verdict fsm.Verdict) {
	for i := len(own) - 1; i >= 0; i-- {
		if verdict := fsm.Judge(own[i], votes, others, voters); verdict != fsm.Undecided {
			return own[i].Index, verdict
		}
	}
	return 0, fsm.Undecided
}

// electorate is the number of servers that vote, and whether this one does.
func (c *Control) electorate() (voters int, votes bool) {
	for _, s := range c.group.Servers() {
		if s.Voter {
			voters++
			votes = votes || s.ID == c.group.ID()
		}
	}
	return voters, votes
}

// otherHashes asks the other voters for the hashes that they noted, by id. Who does not answer has no list.
func (c *Control) otherHashes(ctx context.Context) map[string][]*apiv1.HashRecord {
	ctx, cancel := context.WithTimeout(ctx, judgeWait)
	defer cancel()
	servers := slices.DeleteFunc(slices.Clone(c.group.Servers()), func(s ServerInfo) bool { return !s.Voter })
	out := map[string][]*apiv1.HashRecord{}
	for id, res := range c.askServers(ctx, servers) {
		out[id] = res.Hashes
	}
	return out
}

// askServers asks all of them but this one at once, and returns who answered in time, by id.
func (c *Control) askServers(ctx context.Context, servers []ServerInfo) map[string]*apiv1.DiscoverResponse {
	answers := make([]*apiv1.DiscoverResponse, len(servers))
	var g errgroup.Group
	for i, s := range servers {
		if s.ID == c.group.ID() {
			continue
		}
		g.Go(func() error {
			if res, err := c.peers.Ask(ctx, s.ID, s.Addr); err == nil {
				answers[i] = res
			}
			return nil
		})
	}
	_ = g.Wait() // the functions return no errors
	out := map[string]*apiv1.DiscoverResponse{}
	for i, s := range servers {
		if answers[i] != nil {
			out[s.ID] = answers[i]
		}
	}
	return out
}
