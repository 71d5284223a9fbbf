package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

const (
	// membersTick is how often the leader compares the Raft group with the servers that were found.
	membersTick = time.Second
	// maxLag is how many log entries a new server may miss when it gets its vote.
	maxLag = 100
	// maxServers bounds the group that servers join by themselves.
	maxServers = 9
	// memberWait bounds one change of the group, so that one that cannot be made does not hold up the others.
	memberWait = 5 * time.Second
)

// keepMembers makes new servers that were found and asked members of the Raft group, and follows the members' addresses. It
// removes nobody but who lost its data and came back under another id.
func (l *leader) keepMembers(ctx context.Context) error {
	t := time.NewTicker(membersTick)
	defer t.Stop()
	l.c.forgetProgress()
	said := map[string]string{} // by server id, of those found now.
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		l.c.noteProgress()
		now := map[string]string{}
		for _, step := range l.memberSteps() {
			text := step.obstacle
			if text == "" {
				if err := l.changeMember(ctx, step); err != nil && ctx.Err() == nil {
					text = err.Error()
				}
			}
			if now[step.peer.ID] = text; text != "" && said[step.peer.ID] != text {
				l.log.Warn("a server is not what it should be in the group", "server", step.peer.ID, "addr", step.peer.Addr, "reason", text)
			}
		}
		said = now
	}
}

// memberStep is what is to be done for one server that was found, or what stands against it.
type memberStep struct {
	peer     Peer
	promote  bool // else added, or given its address.
	added    bool
	obstacle string
}

// memberSteps compares the group with who was found.
func (l *leader) memberSteps() []memberStep {
	v := l.c.state.View()
	if v.ClusterID() == "" {
		return nil // the group that bootstrapped is still what the cluster's id is made of.
	}
	found := append(l.c.peers.Servers(), Peer{ID: l.c.group.ID(), Addr: l.c.cfg.Addr, ClusterID: v.ClusterID(), Index: v.Index(), Knows: l.c.state.Knows()})
	return planMembers(l.c.group.Servers(), found, v)
}

// startsText is what stands against a server that knows nothing of its log yet.
const startsText = "it starts, and its log is not open yet"

// notNew is what stands against a server that is no member and not new.
const notNew = "it is no member and has state of its own, since it was removed, or the cluster was recovered without it: " +
	"to let it join, stop it, move its data directory away and start it again"

// notSought is what stands against a new server that was found by others' word alone.
const notSought = "it is new and does not seek this cluster, for no server that it names leads here: to let it join, stop it and start it again with a " +
	"server of this cluster in --retry-join"

// seeks says whether a new server is one for the cluster, by its own proved word. A server whose log was lost still knows its cluster.
func seeks(cluster, of, sought string, whoever bool) bool {
	return of == cluster || of == "" && (whoever || sought == cluster)
}

// planMembers gives each server that was found its next step, if it needs one. A new server first receives the log, and gets its
// vote once it has the log, the cluster's id and the modules. Who does not know the feature level in force could not apply the log.
func planMembers(group []ServerInfo, found []Peer, v *fsm.View) []memberStep {
	cluster, index := v.ClusterID(), v.Index()
	byID, byAddr := map[string]ServerInfo{}, map[string]string{}
	for _, s := range group {
		byID[s.ID], byAddr[s.LogAddr] = s, s.ID
	}
	var steps []memberStep
	size := len(group)
	for _, p := range found {
		m, member := byID[p.ID]
		other := byAddr[p.Addr]
		step := memberStep{peer: p}
		switch {
		case p.Starts:
			continue
		case p.ClusterID != "" && p.ClusterID != cluster:
			continue // Peers leaves them out; this is what it would come to.
		case !member && !p.New:
			step.obstacle = notNew
		case !member && !seeks(cluster, p.ClusterID, p.Seeks, p.SeeksAny):
			step.obstacle = notSought
		case !member && p.Knows < v.FeatureLevel():
			step.obstacle = tooOld(p.Knows, v.FeatureLevel())
		case !member && size >= maxServers && other == "":
			step.obstacle = fmt.Sprintf("there are %d servers already: remove one to let it join", size)
		case !member:
			step.added = true
			if other == "" {
				size++
			}
		case m.LogAddr != p.Addr && other != "":
			continue // it is dialed where it was found; the log can follow once the other's address has changed there.
		case m.LogAddr != p.Addr:
		case m.Voter, p.ClusterID == "", p.Index+maxLag < index, p.ModulesMissing > 0:
			continue
		case p.Knows < v.FeatureLevel():
			step.obstacle = tooOld(p.Knows, v.FeatureLevel())
		default:
			step.promote = true
		}
		steps = append(steps, step)
	}
	return steps
}

func (l *leader) changeMember(ctx context.Context, s memberStep) error {
	ctx, cancel := context.WithTimeout(ctx, memberWait)
	defer cancel()
	if err := l.askAgain(ctx, s); err != nil {
		return err
	}
	if s.promote {
		if err := l.c.group.Promote(ctx, s.peer.ID); err != nil {
			return err
		}
		l.log.Info("server votes from now on", "server", s.peer.ID, "addr", s.peer.Addr)
		return nil
	}
	if err := l.c.group.AddNonvoter(ctx, s.peer.ID, s.peer.Addr); err != nil {
		return err
	}
	what := "server has another address"
	if s.added {
		what = "server joins"
	}
	l.log.Info(what, "server", s.peer.ID, "addr", s.peer.Addr) //nolint:sloglint // one of two literals
	return nil
}

// askAgain asks a server before the group is changed for it: what it said a few seconds ago may be from before it became a
// member, and was removed, or of another build.
func (l *leader) askAgain(ctx context.Context, s memberStep) error {
	actx, cancel := context.WithTimeout(ctx, peerWait)
	defer cancel()
	res, err := l.c.peers.Ask(actx, s.peer.ID, s.peer.Addr)
	switch {
	case err != nil:
		return err
	case res.Addr != s.peer.Addr:
		return fmt.Errorf("server %s at %s answers there", res.ServerId, res.Addr)
	case res.Standing == apiv1.Standing_STANDING_UNSPECIFIED:
		return errors.New(startsText)
	case s.added && res.Bootstrapped:
		return errors.New(notNew)
	case s.added && !seeks(l.c.state.View().ClusterID(), res.ClusterId, res.SeeksCluster, res.SeeksAny):
		return errors.New(notSought)
	case s.promote && res.ClusterId != l.c.state.View().ClusterID():
		return errors.New("it does not say any more that it is of this cluster")
	}
	if level := l.c.state.View().FeatureLevel(); (s.added || s.promote) && res.FeatureLevel < level {
		return errors.New(tooOld(res.FeatureLevel, level))
	}
	return nil
}
