package worker

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// lead is who leads, as a server says.
type lead struct {
	addr string
	term uint64
	// foreign: of a cluster that was recovered from the data of the worker's own.
	foreign bool
	cluster string // of which the server is that says so
}

// elsewhere says that the other one leads another cluster.
func (l lead) elsewhere(other lead) bool {
	return l.cluster != "" && other.cluster != "" && l.cluster != other.cluster
}

// reply is what one server says.
type reply struct {
	lead
	server, at string // who, and where it was asked
	former     []string
	applied    uint64
	members    []*apiv1.GroupMember // of its group, by its log
}

// side is what the servers of one cluster say.
type side struct {
	best    lead            // of the latest term
	newest  reply           // of the latest term, and the furthest in it
	answers map[string]bool // servers that answered
	at      []string        // where they did
}

func (s *side) add(r reply) {
	if s.answers == nil {
		s.answers = map[string]bool{}
	}
	s.answers[r.server] = true
	s.at = append(s.at, r.at)
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
// recovered from it, whose terms are later whatever their worth. The own one of a worker that has joined none is the oldest that answers.
type tally struct {
	cluster    string // that the worker has joined, or ""
	replies    []reply
	silent     int // servers of which nothing is known: they may be slow
	own, other side
}

func (t *tally) add(r reply) {
	t.replies = append(t.replies, r)
	oldest := t.cluster
	if elders := t.elders(); oldest == "" && len(elders) > 0 {
		oldest = elders[0]
	}
	t.own, t.other = side{}, side{}
	for i := range t.replies {
		r := &t.replies[i]
		if r.foreign = r.cluster != oldest && r.cluster != ""; r.foreign {
			t.other.add(*r)
		} else {
			t.own.add(*r)
		}
	}
}

// elders are the clusters that answer, without those that were recovered from another one of them: more than one have nothing to do
// with each other, or were recovered from the same.
func (t *tally) elders() []string { return eldersOf(t.replies) }

// branches are the elders of those that are not the worker's own: more than one were recovered from its own apart from each other.
func (t *tally) branches() []string {
	return eldersOf(slices.DeleteFunc(slices.Clone(t.replies), func(r reply) bool { return !r.foreign }))
}

func eldersOf(replies []reply) []string {
	var out []string
	for _, r := range replies {
		if r.cluster != "" && !slices.Contains(out, r.cluster) {
			out = append(out, r.cluster)
		}
	}
	all := slices.Clone(out)
	return slices.DeleteFunc(out, func(c string) bool {
		return slices.ContainsFunc(replies, func(r reply) bool {
			return r.cluster == c && slices.ContainsFunc(r.former, func(f string) bool { return f != c && slices.Contains(all, f) })
		})
	})
}

// recovered says that the worker's own cluster would be one that it knows to have been recovered from another.
func (t *tally) recovered() bool {
	return t.cluster == "" && slices.ContainsFunc(t.replies, func(r reply) bool { return len(r.former) > 0 && !r.foreign })
}

// mayHurry says that the own cluster has a leader, and that those who have not answered need not be waited for long. Of two clusters each
// server of the own one counts, however late it answers; and to one that has joined none each server does.
func (t *tally) mayHurry(mayGo bool) bool {
	return t.cluster != "" && t.own.best.addr != "" && (!mayGo || t.other.have() == 0)
}

// sure says that the answers that are missing change nothing: asked is how many were asked. To one that has joined none each does: it
// may be of an older cluster.
func (t *tally) sure(asked int) bool {
	switch {
	case t.own.best.addr == "":
		return false
	case t.cluster != "" && t.own.majority():
		return true
	case t.cluster == "":
		return len(t.replies) == asked
	}
	return t.other.have() == 0 && len(t.replies) > asked/2
}

// choose returns the leader to go to. A worker's own cluster can be well beside one that was recovered from it, which knows nothing of
// what runs here since, and would end it. So the own leader counts, while its cluster is a majority of servers that answer, and the
// other one only once mayGo says that none of the own has led for as long as the lease allows. One that has joined none goes by the
// same rule to the older cluster, and to one that was recovered only if it is known of all servers that none is of an older one, or mayGo.
func (t *tally) choose(mayGo bool) (lead, error) {
	own, other := t.own.best, t.other.best
	elders := t.elders()
	switch {
	case t.cluster == "" && len(elders) > 1:
		return lead{}, fmt.Errorf("worker: the servers are of clusters that were not recovered from one another: %s; give --join the servers of one", t.places())
	case own.addr != "" && t.recovered() && t.silent > 0 && !mayGo:
		return lead{}, recoveredAlone("worker: the leader at %s is of a recovered cluster, and %d servers have not answered, which may be of the older one: "+
			"this host goes there if it hears of none for %v", own.addr, t.silent, welcomeWait)
	case own.addr != "" && (other.addr == "" || !mayGo || t.own.majority()):
		return own, nil
	case other.addr != "" && len(t.branches()) > 1:
		return lead{}, fmt.Errorf("worker: several clusters were recovered from this host's own one apart from each other (%s): it goes to none of "+
			"them; stop the servers of all but one", t.places())
	case other.addr != "" && mayGo:
		return other, nil
	case other.addr != "" && t.cluster == "":
		return lead{}, recoveredAlone("worker: the servers of the older of two clusters (%s) have no leader; this host, which has joined neither, goes to the "+
			"leader at %s of the recovered one if it hears of no older one for %v", t.places(), other.addr, welcomeWait)
	case other.addr != "":
		return lead{}, recoveredAlone("worker: the servers of cluster %s, which this host is of, have no leader; the leader at %s is of cluster %s, which was "+
			"recovered from it: this host goes there if it hears of no leader of its own for half its lease", t.cluster, other.addr, t.other.newest.cluster)
	}
	return lead{}, errors.New("worker: the servers have no leader")
}

// recoveredAloneError is returned where only a recovered cluster has a leader, and the older one may have one yet.
type recoveredAloneError struct{ text string }

func (e *recoveredAloneError) Error() string { return e.text }

func recoveredAlone(format string, args ...any) error {
	return &recoveredAloneError{fmt.Sprintf(format, args...)}
}

// places says which servers are of which cluster.
func (t *tally) places() string {
	at := map[string][]string{}
	for _, r := range t.replies {
		if r.cluster != "" {
			at[r.cluster] = append(at[r.cluster], r.at)
		}
	}
	var out []string
	for _, c := range slices.Sorted(maps.Keys(at)) {
		slices.Sort(at[c])
		out = append(out, fmt.Sprintf("%s at %s", c, strings.Join(at[c], ", ")))
	}
	return strings.Join(out, "; ")
}
