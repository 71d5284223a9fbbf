package control

import (
	"context"
	"maps"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// holdingsTeller tells each host which checkpoints it holds, or is to hold.
func (l *leader) holdingsTeller() func(context.Context) {
	feed, told := newFollower(l.c.state), map[fsm.CheckpointID]map[string]bool{}
	return func(context.Context) {
		v, changes, all := feed.look()
		ids := map[fsm.CheckpointID]bool{}
		if all {
			for id := range told {
				ids[id] = true
			}
			for c := range v.Checkpoints() {
				ids[fsm.CheckpointID(c.Id)] = true
			}
		}
		for _, c := range changes {
			for _, id := range c.Checkpoints {
				ids[id] = true
			}
		}
		for id := range ids {
			c, ok := v.Checkpoint(id)
			now := map[string]bool{}
			if ok {
				now = holdersOf(c)
			}
			gone := maps.Clone(told[id])
			if ok && len(now) == 0 { // hosts may have heard of it by the app's record alone
				gone = holders(c.Parts)
			}
			for host := range gone {
				if s := l.sessions.of(fsm.HostID(host)); s != nil && !now[host] {
					l.tellHolds(s, id)
				}
			}
			for host := range now {
				if s := l.sessions.of(fsm.HostID(host)); s != nil && !told[id][host] {
					l.tellHolds(s, id)
				}
			}
			if told[id] = now; len(now) == 0 {
				delete(told, id)
			}
		}
	}
}

// tellHolds tells a host what it is to hold of a checkpoint.
func (l *leader) tellHolds(s *session, id fsm.CheckpointID) {
	s.hold(string(id), func() (*apiv1.Checkpoint, *apiv1.Host) {
		v := l.c.state.View()
		c, _ := v.Checkpoint(id)
		host, _ := v.Host(s.host)
		return c, host
	})
}

// toHold is what a host that holds a part has to know of a checkpoint. The digest says that it holds the part by now, as the log has it: if it does not find it, it tells, and the part is made anew.
func toHold(c *apiv1.Checkpoint, host *apiv1.Host) *apiv1.Checkpoint {
	parts := make([]*apiv1.CheckpointPart, len(c.Parts))
	for i, p := range c.Parts {
		parts[i] = &apiv1.CheckpointPart{Host: p.Host, Second: p.Second, Third: p.Third}
		if fsm.HeldBy(p, host) {
			parts[i].Digest = p.Digest
		}
	}
	return &apiv1.Checkpoint{Id: c.Id, App: c.App, Parts: parts}
}

// holdersOf are the hosts that hold parts of a checkpoint, or are to.
func holdersOf(c *apiv1.Checkpoint) map[string]bool {
	if c.Phase == apiv1.CheckpointAborted || c.Imported {
		return nil
	}
	return holders(c.Parts)
}

func holders(parts []*apiv1.CheckpointPart) map[string]bool {
	hosts := map[string]bool{}
	for _, p := range parts {
		for _, h := range p.Holders() {
			hosts[h.Host] = true
		}
	}
	return hosts
}

// allHoldings is all that a host holds, or is to hold.
func allHoldings(v *fsm.View, host fsm.HostID) *apiv1.Holdings {
	h := &apiv1.Holdings{Whole: true}
	is, _ := v.Host(host)
	for c := range v.Checkpoints() {
		if holdersOf(c)[string(host)] {
			h.Hold = append(h.Hold, toHold(c, is))
		}
	}
	return h
}
