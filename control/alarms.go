package control

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/text"
)

// maxAlarmShown bounds what health says of one alarm, in bytes.
const maxAlarmShown = 256

// ClearAlarms implements the Control service.
func (c *Control) ClearAlarms(ctx context.Context, req *apiv1.ClearAlarmsRequest) (*apiv1.ClearAlarmsResponse, error) {
	if err := checkKey(req.IdempotencyKey); err != nil {
		return nil, err
	}
	if req.Index == 0 {
		return nil, invalid("index", "it is 0", "give the entry of the last alarm that was seen; ListServers lists them")
	}
	cmd := c.command(req.IdempotencyKey)
	cmd.Op = &apiv1.Command_ClearAlarms{ClearAlarms: &apiv1.ClearAlarms{Index: req.Index}}
	res, err := c.mutate(ctx, cmd)
	if err != nil {
		return nil, err
	}
	return &apiv1.ClearAlarmsResponse{Index: res.Index}, nil
}

// compared notes which of the voters that answered have noted another hash than this server at the last entry of which both
// have one. Of who does not answer the last word stays.
func (c *Control) compared(own []*apiv1.HashRecord, others map[string][]*apiv1.HashRecord) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := map[string]uint64{}
	for _, s := range c.group.Servers() {
		if records, answers := others[s.ID]; answers {
			if index := differsAt(own, records); index > 0 {
				now[s.ID] = index
				if c.differs[s.ID] != index {
					c.slog.Error("another server's state differs from that of this server", "server", s.ID, "addr", s.Addr, "index", index)
				}
			}
		} else if index, ok := c.differs[s.ID]; ok {
			now[s.ID] = index
		}
	}
	c.differs = now
}

// differsAt is the last entry of which both have noted a hash, if it is not the same; else 0.
func differsAt(own, other []*apiv1.HashRecord) uint64 {
	for _, mine := range slices.Backward(own) {
		for _, theirs := range other {
			if mine.Index == theirs.Index {
				if string(mine.Hash) != string(theirs.Hash) {
					return mine.Index
				}
				return 0
			}
		}
	}
	return 0
}

// differing are the servers whose state differs from this one's.
func (c *Control) differing() map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.differs)
}

// alarms is what health says beside whether this server can be used: a line an alarm.
func (c *Control) alarms() string {
	var b strings.Builder
	v := c.state.View()
	for a := range v.Alarms() {
		fmt.Fprintf(&b, "alarm: entry %d was refused, for it would have broken the state: %s\n", a.Index, text.Line(a.What, maxAlarmShown))
	}
	if d := v.Diverged(); d != nil {
		fmt.Fprintf(&b, "alarm: at entry %d this server's state differed from the leader's; this goes by itself, when the server has been built anew\n", d.Index)
	}
	differing := c.differing()
	for _, id := range slices.Sorted(maps.Keys(differing)) {
		fmt.Fprintf(&b, "alarm: at entry %d the state of server %s differed from this server's; this goes by itself, when that one has been built anew\n", differing[id], id)
	}
	here := c.workersHere()
	for _, p := range c.peers.Past() {
		fmt.Fprintf(&b, "alarm: %s\n", pastText(p, here))
	}
	return b.String()
}

// pastText says of a server of a cluster that this one was recovered from what it means that it runs, and what to do, as far as this server
// knows where the workers are.
func pastText(p Peer, here workersHere) string {
	const goes = ". This alarm goes by itself when that server has stopped"
	if p.Apart {
		which := map[workersHere]string{
			someWorkers:    "this cluster has workers: keep it, unless those that you need are with the other (godwit hosts there)",
			noWorkers:      "this cluster has no worker: keep the other, if godwit hosts there shows some",
			workersUnknown: unknownText,
		}[here]
		return fmt.Sprintf("server %.64s at %.256s runs as a member of cluster %.64s, which was recovered from the same cluster as this one; new workers, and those of the "+
			"cluster before, go to neither. Keep one of the two; %s. Stop the servers of the one that is not kept, move their data directories away and start them with "+
			"empty ones. What it has accepted since it was recovered, apps for one, is lost with it", p.ID, p.Addr, p.ClusterID, which) + goes
	}
	text := fmt.Sprintf("server %.64s at %.256s still runs as a member of cluster %.64s, which this cluster was recovered from: two clusters take themselves "+
		"for one. ", p.ID, p.Addr, p.ClusterID)
	if here == workersUnknown {
		return text + "One of the two has to stop; " + unknownText + goes
	}
	if here == someWorkers {
		return text + "This cluster has the workers: stop that server, move its data directory away and start it with an empty one. What that " +
			"one's cluster has accepted since the recovery, apps for one, is lost with it" + goes
	}
	return text + "This cluster has no worker, and workers stay with the older one while most of its servers answer. If those do, stop this cluster's servers, " +
		"move their data directories away and start them with empty ones: they join the older one, and what this cluster has accepted since it was recovered, apps for one, is lost (see godwit ps, and submit it again " +
		"there). Else stop that server and do so with its own: then what its cluster has accepted since is lost" + goes
}

// workersHere says whether this cluster has workers, as far as a server knows: hosts that the log calls ready may be of before a recovery.
type workersHere int

const (
	workersUnknown workersHere = iota // this server does not lead, or those that its log knows may yet come
	someWorkers
	noWorkers
)

// unknownText is what to do where it is not known.
const unknownText = "which of them has the workers this server does not know. Once its cluster has a leader godwit servers says it, at the latest when the leases of the " +
	"workers that were there are over: stop nothing before. A cluster most of whose servers are gone for good gets none, and what ran there has ended"

func (c *Control) workersHere() workersHere {
	if l := c.current(); l != nil {
		return l.sessions.workers()
	}
	return workersUnknown
}

// pastServers is what the list of servers says of them.
func (c *Control) pastServers() (out []*apiv1.PastServer) {
	here := c.workersHere()
	for _, p := range c.peers.Past() {
		out = append(out, &apiv1.PastServer{Id: p.ID, Addr: p.Addr, ClusterId: p.ClusterID, What: pastText(p, here)})
	}
	return out
}
