package worker

import (
	"cmp"
	"errors"
	"fmt"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// lead is who leads, as a server says.
type lead struct {
	addr string
	term uint64
	// foreign: of a cluster that was recovered from the data of the worker's own.
	foreign bool
}

// reply is what one server says.
type reply struct {
	lead
	server, cluster string
	applied         uint64
	members         []*apiv1.GroupMember // of its group, by its log
}

// side is what the servers of one cluster say.
type side struct {
	best    lead            // of the latest term
	newest  reply           // of the latest term, and the furthest in it
	answers map[string]bool // servers that answered
}

func (s *side) add(r reply) {
	if s.answers == nil {
		s.answers = map[string]bool{}
	}
	s.answers[r.server] = true
	if cmp.Or(cmp.Compare(r.term, s.newest.term), cmp.Compare(r.applied, s.newest.applied)) >= 0 {
		s.newest = r
	}
	if r.addr != "" && r.term >= s.best.term {
		s.best = r.lead
	}
}

func (s *side) have() int { return len(s.answers) }

// majority says whether most voters of the newest group answered.
func (s *side) majority() bool {
	voters, answered := 0, 0
	for _, m := range s.newest.members {
		if m.Voter {
			voters++
			if s.answers[m.Id] {
				answered++
			}
		}
	}
	return voters > 0 && answered > voters/2
}

// tally is what comes of asking servers who leads: those of the worker's own cluster, and apart from them those of clusters that were
// recovered from it, whose terms are later whatever their worth. To a worker that has joined none all servers are its own.
type tally struct {
	cluster    string // the worker's own; "": it has joined none
	have       int    // answers
	own, other side
}

func (t *tally) add(r reply) {
	t.have++
	if r.foreign {
		t.other.add(r)
	} else {
		t.own.add(r)
	}
}

// sure says that the answers that are missing change nothing: asked is how many were asked.
func (t *tally) sure(asked int) bool {
	switch {
	case t.own.best.addr == "":
		return false
	case t.cluster != "" && t.own.majority():
		return true
	}
	return t.other.have() == 0 && t.have > asked/2
}

// choose returns the leader to go to. A worker's own cluster can be well beside one that was recovered from it, which knows nothing of
// what runs here since, and would end it. So the own leader counts, while its cluster is a majority of servers that answer, and the
// other one only once mayGo says that none of the own has led for as long as the lease allows.
func (t *tally) choose(mayGo bool) (lead, error) {
	own, other := t.own.best, t.other.best
	switch {
	case own.addr != "" && (other.addr == "" || !mayGo || t.own.majority()):
		return own, nil
	case other.addr != "" && mayGo:
		return other, nil
	case other.addr != "":
		return lead{}, fmt.Errorf("worker: the servers of cluster %s, which this host is of, have no leader; the leader at %s is of cluster %s, which was "+
			"recovered from it: this host goes there if it hears of no leader of its own for half its lease", t.cluster, other.addr, t.other.newest.cluster)
	}
	return lead{}, errors.New("worker: the servers have no leader")
}
