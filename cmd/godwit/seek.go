package main

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/raftnode"
)

// maxSeekHops bounds how many servers without a cluster may lie between one that seeks and the cluster. Two that name each other
// would else remind each other for ever of a cluster that neither of them finds.
const maxSeekHops = 9

// seeking is which cluster a server without one seeks.
type seeking struct {
	any     bool              // it names no other server: whoever comes may take it
	cluster string            // to which all servers lead that it names; "": none is known, or there are several
	hops    uint32            // how many servers without a cluster lie between
	several map[string]string // where they lead to several: to which, by the address that is named
	makes   string            // the cluster that it would make with those that it found; it is none before one of them made it
}

// of says whether the cluster is one that may take this server.
func (s seeking) of(cluster string) bool {
	return cluster != "" && (s.any || cluster == s.cluster || cluster == s.makes)
}

// lead is what was proved last at an address of --retry-join: who does not answer leads where it led before.
type lead struct {
	self    bool // it is this server
	cluster string
	hops    uint32
}

// leadOf is where an answer leads: to the cluster of the server, or to the one that it seeks.
func leadOf(self ownState, res *apiv1.DiscoverResponse) lead {
	switch {
	case res.ServerId == self.id:
		return lead{self: true}
	case res.ClusterId != "":
		return lead{cluster: res.ClusterId}
	case res.SeeksCluster != "" && res.SeeksHops < maxSeekHops:
		return lead{cluster: res.SeeksCluster, hops: res.SeeksHops + 1}
	default:
		return lead{}
	}
}

// seekBy is what the addresses that the server names lead to.
func seekBy(self ownState, leads map[string]lead) seeking {
	out := seeking{any: true}
	where := map[string]string{}
	for _, addr := range self.named {
		l := leads[addr]
		if l.self {
			continue
		}
		out.any = false
		if l.cluster == "" {
			continue
		}
		where[addr] = l.cluster
		if out.cluster == "" || l.hops < out.hops {
			out.cluster, out.hops = l.cluster, l.hops
		}
	}
	for _, c := range where {
		if c != out.cluster {
			return seeking{several: where}
		}
	}
	return out
}

// seekAgain follows the addresses of --retry-join while this server is in no cluster. Holds mu.
func (d *directory) seekAgain(self ownState, answers map[string]*apiv1.DiscoverResponse) {
	if !self.isNew() {
		clear(d.strange)
		return
	}
	for _, addr := range self.named {
		if res := answers[addr]; res != nil {
			d.leads[addr] = leadOf(self, res)
		}
	}
	makes := d.seek.makes
	d.seek = seekBy(self, d.leads)
	d.seek.makes = makes
}

// wouldMake notes with whom this server would make a cluster, and which one if they are as many as it waits for. As long as something keeps it from
// making any it names nobody: others, who may not know what it knows, make none with it. Holds mu.
func (d *directory) wouldMake(self ownState) {
	self.seek = d.seek
	if d.ids = nil; !held(self, d.seen) {
		d.ids = candidateIDs(self, d.seen)
	}
	if self.isNew() && self.expect > 0 && len(d.ids) == self.expect {
		d.seek.makes = raftnode.ClusterIDOf(candidates(self, d.seen))
	}
}

// seeking is which cluster this server seeks, or sought last before it was in one.
func (d *directory) seeking() seeking {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.seek
}

// left says whether the answer is of a server that is left alone: of another cluster, or new and on the way to another one, or, while
// this server is in none, of a cluster that this one does not seek. Holds mu.
func (d *directory) left(self ownState, members []string, res *apiv1.DiscoverResponse) bool {
	switch {
	case res.ServerId == self.id:
		return false
	case self.isNew():
		return res.ClusterId != "" && !d.seek.of(res.ClusterId)
	case self.clusterID == "":
		return false
	case res.ClusterId != "":
		return res.ClusterId != self.clusterID
	default:
		return !res.Bootstrapped && !res.SeeksAny && res.SeeksCluster != self.clusterID && !slices.Contains(members, res.ServerId)
	}
}

// stranger is a server of a cluster that this one does not seek, while this one is in none: it keeps it from making a new one. at is when it
// last answered. It is asked only while it calls, or gossips here, or is named.
type stranger struct {
	id, addr, cluster string
	at                time.Time
}

// meetStranger notes a server of a cluster that this one does not seek. Holds mu.
func (d *directory) meetStranger(res *apiv1.DiscoverResponse) {
	if _, known := d.strange[res.ServerId]; !known && len(d.strange) >= maxPast || len(res.Addr) > 256 {
		return
	}
	d.strange[res.ServerId] = stranger{res.ServerId, res.Addr, res.ClusterId, d.now()}
}

// strangers are those of late of clusters that this server does not seek, as decide sees them. Holds mu.
func (d *directory) strangers() []seenServer {
	maps.DeleteFunc(d.strange, func(_ string, s stranger) bool { return d.now().Sub(s.at) > vouchFor || d.seek.of(s.cluster) })
	var out []seenServer
	for _, id := range slices.Sorted(maps.Keys(d.strange)) {
		s := d.strange[id]
		out = append(out, seenServer{id: s.id, addr: s.addr, clusterID: s.cluster})
	}
	return out
}

// forgetGone forgets servers that are no members and have not answered for long, and at once those that were members and are none any
// more: who starts at such an address may have nothing to do with this cluster. Holds mu.
func (d *directory) forgetGone(members []string) {
	now := d.now()
	maps.DeleteFunc(d.proved, func(id string, a answer) bool {
		return !slices.Contains(members, id) && (slices.Contains(d.were, id) || now.Sub(a.at) > vouchFor)
	})
	d.were = members
}

// unheard is an address of --retry-join at which no server has answered.
type unheard struct {
	since time.Time
	tells bool // it has been so for long enough: the next failure is told
	done  bool // a server has, or it was told
}

// missSeeds tells once of each address of --retry-join at which no server answers from the start on. Holds mu.
func (d *directory) missSeeds(heard map[string][]claim, errs map[string]error) {
	now := d.now()
	for addr, claims := range heard {
		if !slices.ContainsFunc(claims, func(c claim) bool { return c.seed }) {
			continue
		}
		u, known := d.unheard[addr]
		switch err := errs[addr]; {
		case u.done:
			continue
		case err == nil:
			u.done = true
		case !known:
			u.since = now
		case !u.tells:
			u.tells = now.Sub(u.since) >= provedFor
		default:
			u.done = true
			d.lines = append(d.lines, func(l *slog.Logger) {
				l.Warn("no server answers at an address of --retry-join: it is tried again and again; correct it if it is wrong", "addr", addr, "err", err)
			})
		}
		d.unheard[addr] = u
	}
}

// telling are the addresses of --retry-join of which a failure is told by missSeeds.
func (d *directory) telling() map[string]bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := map[string]bool{}
	for addr, u := range d.unheard {
		out[addr] = u.tells && !u.done
	}
	return out
}

// whyStrange says what keeps a new server from making a cluster, if the only clusters that it hears of are none that it seeks.
func whyStrange(own ownState, strange map[string]string) string {
	leads := "--retry-join does not lead to it"
	if own.seek.cluster != "" {
		leads = "--retry-join leads to cluster " + own.seek.cluster
	}
	return fmt.Sprintf("a server found is of a cluster that this one does not seek (%s): it calls or gossips here, and %s. To join that cluster name one "+
		"of its servers in --retry-join. Else it takes this server for one that ran at this address before: give another address or port, or wait: it "+
		"forgets the address within two minutes after `godwit servers remove` has taken that one out", describe(strange), leads)
}

// tellSeeking tells gossip which cluster this server seeks while it is in none.
func (s *server) tellSeeking() error {
	seek := s.dir.seeking()
	s.meta.Lock()
	defer s.meta.Unlock()
	m := s.gossip.Meta()
	if m.ClusterID != "" {
		return nil
	}
	names, sought := !seek.any, cmp.Or(seek.cluster, seek.makes)
	if m.Names == names && m.Seeks == sought {
		return nil
	}
	m.Names, m.Seeks = names, sought
	return s.gossip.SetMeta(m)
}

// tellTaken warns if a server that names no other was taken by a cluster that it has not made.
func (s *server) tellTaken(cluster string) {
	if seek := s.dir.seeking(); seek.any && cluster != seek.makes {
		s.log.Warn("this server names no other in --retry-join, and a cluster that found it has taken it: if it was meant for another one, stop it, "+
			"take it out with godwit servers remove, and start it again with an empty directory and with --retry-join", "cluster_id", cluster, "addr", s.node.Addr())
	}
}
