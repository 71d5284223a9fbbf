package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/godwit-run/godwit/raftnode"
)

// ownState is what a server's data directory says at its start.
type ownState struct {
	id, addr  string
	hasState  bool     // a term, a log or a snapshot
	clusterID string   // "": none is known
	expect    int      // --bootstrap-expect; 0: join only
	formerIDs []string // of the clusters that this one was recovered from
	named     []string // by --retry-join, without its own address
	seek      seeking  // for decide
}

// isNew says that the server has nothing of a cluster.
func (o ownState) isNew() bool { return !o.hasState && o.clusterID == "" }

// seenServer is what is known of another server: from gossip, from asking it, or both.
type seenServer struct {
	id, addr  string
	seed      bool   // named by --retry-join, and asked there
	gossiped  bool   // gossip shows it alive
	gossipOf  string // the cluster that gossip says it is of
	answered  bool   // it answered at its address under its id
	hasState  bool
	clusterID string
	wouldMake []string // the servers it would make a cluster with, sorted
	expect    int
}

// cluster is what is known of the cluster the server is of.
func (s seenServer) cluster() string {
	if s.clusterID != "" {
		return s.clusterID
	}
	return s.gossipOf
}

// move is what a server that starts does next.
type move int

const (
	// moveWait: look again; the reason says for what.
	moveWait move = iota
	// moveRun: this server has state, and takes part.
	moveRun
	// moveBootstrap: make a new cluster of the servers named.
	moveBootstrap
)

// decision is a move with its reason, for the log, and for moveBootstrap the servers.
type decision struct {
	move    move
	why     string
	wrong   bool // it waits until somebody corrects what a server was started with
	servers []raftnode.Server
}

// decide says what a server that starts does next, from all that it knows. A new cluster is made only by servers that are all
// new, that all found the same ones, and when nobody who was found is of a cluster: whoever lost the data waits
// to be added, and never takes the place of who kept it. Nor does a server make one beside a cluster that it does not seek: it says so.
func decide(own ownState, seen []seenServer) decision {
	if own.hasState {
		return decision{move: moveRun}
	}
	sought, strange := map[string]string{}, map[string]string{}
	for _, s := range seen {
		switch c := s.cluster(); {
		case c == "":
		case own.seek.of(c):
			sought[c] = s.addr
		default:
			strange[c] = s.addr
		}
	}
	switch {
	case own.clusterID != "":
		if d, ok := decideAgain(own, seen); ok {
			return d
		}
		return decision{why: fmt.Sprintf("this server's data directory is of cluster %s and its log is gone: it waits until that cluster adds it", own.clusterID)}
	case own.seek.several != nil:
		return decision{wrong: true, why: "the servers of --retry-join are of several clusters, or seek them (" + describeLeads(own.seek.several) + "): give it servers of one"}
	case len(sought) > 1:
		return decision{wrong: true, why: "the servers found are of several clusters (" + describe(sought) + "): give --retry-join servers of one"}
	case len(sought) == 1:
		return decision{why: "a server found is of a cluster (" + describe(sought) + "): this one waits until that cluster adds it. If most of its " +
			"servers are gone for good, godwit server recover on one that is left makes it work again"}
	case own.seek.cluster != "":
		return decision{why: "--retry-join leads to cluster " + own.seek.cluster + ", of which no server is found at the moment: this one waits until that cluster adds it"}
	case len(strange) > 0:
		return decision{why: whyStrange(own, strange)}
	case own.expect == 0:
		return decision{why: "no server that was named is of a cluster: this one waits until one of them is found (without --bootstrap-expect it makes none)"}
	}
	return decideNew(own, seen)
}

// held says whether a new server knows of a cluster, or of a server with state, so that it makes none whoever else is found.
func held(own ownState, seen []seenServer) bool {
	return own.seek.cluster != "" || own.seek.several != nil || slices.ContainsFunc(seen, func(s seenServer) bool {
		c := s.cluster()
		return s.id != own.id && (s.hasState || c != "" && c != own.clusterID)
	})
}

// decideAgain is for a server that stopped between writing the cluster's id and its first log: the same servers may make the
// same cluster.
func decideAgain(own ownState, seen []seenServer) (decision, bool) {
	for i := range seen {
		if seen[i].cluster() == own.clusterID && !seen[i].hasState {
			seen[i].clusterID, seen[i].gossipOf = "", ""
		}
		if seen[i].cluster() != "" {
			return decision{}, false
		}
	}
	d := decideNew(own, seen)
	return d, d.move == moveBootstrap && raftnode.ClusterIDOf(d.servers) == own.clusterID
}

// decideNew is for a server that has nothing, among servers of which none is of a cluster.
func decideNew(own ownState, seen []seenServer) decision {
	group := candidates(own, seen)
	ids := candidateIDs(own, seen)
	for _, s := range seen {
		switch {
		case s.id == own.id:
		case s.hasState:
			return decision{why: fmt.Sprintf("server %s has state of a cluster that it does not know yet: this one waits for it", s.addr)}
		case s.gossiped && !s.answered:
			return decision{why: fmt.Sprintf("gossip shows server %s at %s, which does not answer there under that id", s.id, s.addr)}
		}
	}
	if why := otherNumbers(own, seen); why != "" {
		return decision{wrong: true, why: why}
	}
	switch n := len(group); {
	case n < own.expect:
		return decision{why: fmt.Sprintf("%d of the %d servers of --bootstrap-expect are found: it waits for the others", n, own.expect)}
	case n > own.expect:
		return decision{wrong: true, why: fmt.Sprintf("%d servers are found and --bootstrap-expect says %d: correct it on all of them, or stop those that are too many", n, own.expect)}
	}
	for _, s := range seen {
		if s.id == own.id || !s.answered || s.expect == 0 {
			continue
		}
		if !slices.Equal(s.wouldMake, ids) {
			return decision{why: fmt.Sprintf("server %s has not found the same servers yet, or knows of a cluster: its log says what it waits for", s.addr)}
		}
	}
	return decision{move: moveBootstrap, servers: group}
}

// maxNumbersShown bounds the servers that otherNumbers names.
const maxNumbersShown = 9

// otherNumbers names the new servers that wait for another number of servers than this one, if there are any. No number of them
// that are found helps: each waits for what another one will not make.
func otherNumbers(own ownState, seen []seenServer) string {
	var others []string
	for _, s := range seen {
		if s.id != own.id && s.answered && s.expect > 0 && s.expect != own.expect && len(others) < maxNumbersShown {
			others = append(others, fmt.Sprintf("server %s has --bootstrap-expect %d", s.addr, s.expect))
		}
	}
	if others == nil {
		return ""
	}
	slices.Sort(others)
	return fmt.Sprintf("%s, this one has %d: no cluster is made until all have the same; stop those with the wrong number, and start them with the right one",
		strings.Join(others, ", "), own.expect)
}

// candidates are this server and those found that answer, are new and want to make a cluster, by id.
func candidates(own ownState, seen []seenServer) []raftnode.Server {
	out := []raftnode.Server{{ID: own.id, Addr: own.addr, Voter: true}}
	for _, s := range seen {
		if s.id != own.id && s.answered && !s.hasState && s.cluster() == "" && s.expect > 0 {
			out = append(out, raftnode.Server{ID: s.id, Addr: s.addr, Voter: true})
		}
	}
	slices.SortFunc(out, func(a, b raftnode.Server) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// candidateIDs are the ids of candidates: what a server tells others that ask.
func candidateIDs(own ownState, seen []seenServer) []string {
	var ids []string
	for _, s := range candidates(own, seen) {
		ids = append(ids, s.ID)
	}
	return ids
}

// describeLeads says to which cluster each address leads.
func describeLeads(leads map[string]string) string {
	var out []string
	for addr, id := range leads {
		out = append(out, addr+" to "+id)
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// describe says of which clusters, by their ids, servers are, one each.
func describe(clusters map[string]string) string {
	var out []string
	for id, addr := range clusters {
		out = append(out, addr+" of "+id)
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}
