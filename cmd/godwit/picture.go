package main

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// picture is what the servers' own words come to while no leader confirms anything.
type picture struct {
	servers []pictured
	// cluster is the one whose group is counted: that of the first address that answers.
	cluster string
	// voters are those of the group by the log that is furthest, reached those of them that answered.
	voters, reached int
	// answers is how many servers answered at all.
	answers int
	// absent are the addresses of voters that did not answer; leaders those that are believed to lead.
	absent, leaders []string
}

// pictured is one server, or one address at which none is known to be.
type pictured struct {
	ID      string `json:"id"`
	Addr    string `json:"addr"`
	Role    string `json:"role"`
	Reached bool   `json:"reached"`
	// Health is why it is not reached, or what is to be known of its answer.
	Health    string `json:"health"`
	ClusterID string `json:"cluster_id"`
	Term      uint64 `json:"term"`
	LastTerm  uint64 `json:"last_log_term"`
	LastIndex uint64 `json:"last_log_index"`
	Index     uint64 `json:"index"`
	Leader    string `json:"leader_addr"`
	Level     uint32 `json:"feature_level"` // the highest that its build knows
}

// newPicture puts together what a survey found.
func newPicture(found []surveyed) picture {
	var p picture
	var group *apiv1.DiscoverResponse // who knows the newest group
	for _, s := range found {
		if s.res == nil {
			continue
		}
		p.cluster = cmp.Or(p.cluster, s.res.ClusterId)
		if s.res.ClusterId == p.cluster && len(s.res.Members) > 0 && (group == nil || further(s.res, group)) {
			group = s.res
		}
	}
	reached := map[string]bool{} // by server id, of this cluster or of none
	process := map[string]bool{}
	for _, s := range found {
		if s.res == nil || process[s.res.ProcessId] {
			continue // the same process by another of its addresses
		}
		process[s.res.ProcessId] = true
		p.answers++
		p.servers = append(p.servers, answered(s.res, p.cluster))
		if s.res.ClusterId == p.cluster {
			reached[s.res.ServerId] = true
			if l := s.res.LeaderAddr; l != "" && !slices.Contains(p.leaders, l) {
				p.leaders = append(p.leaders, l)
			}
		}
	}
	p.addSilent(found, group.GetMembers(), reached)
	return p
}

// further says whether a's log is further than b's.
func further(a, b *apiv1.DiscoverResponse) bool {
	return cmp.Or(cmp.Compare(a.LastLogTerm, b.LastLogTerm), cmp.Compare(a.LastLogIndex, b.LastLogIndex)) > 0
}

// answered is a server that answered, in its own words.
func answered(res *apiv1.DiscoverResponse, cluster string) pictured {
	s := pictured{
		ID: res.ServerId, Addr: res.Addr, Reached: true, Health: "answers", ClusterID: res.ClusterId, Term: res.Term,
		LastTerm: res.LastLogTerm, LastIndex: res.LastLogIndex, Index: res.AppliedIndex, Leader: res.LeaderAddr,
		Level: res.FeatureLevel,
	}
	i := slices.IndexFunc(res.Members, func(m *apiv1.GroupMember) bool { return m.Id == res.ServerId })
	switch {
	case res.ClusterId != cluster && res.ClusterId != "":
		s.Health = "answers, of another cluster: " + res.ClusterId
	case i < 0 && starts(res):
		s.Health = "answers, and starts: its log is not open yet"
	case i < 0 && res.Bootstrapped:
		s.Health = "answers, and is no member by its own log"
	case i < 0:
		s.Health = "answers, and is in no cluster yet"
	}
	if i >= 0 {
		s.Role = roleOf(res.Members[i])
	}
	return s
}

// starts says of a signed answer that its server's log is not open yet: it knows no members, nor how far it is.
func starts(res *apiv1.DiscoverResponse) bool {
	return res.Standing == apiv1.Standing_STANDING_UNSPECIFIED
}

func roleOf(m *apiv1.GroupMember) string {
	if m.Voter {
		return apiv1.ServerVoter
	}
	return apiv1.ServerNonvoter
}

// addSilent counts the group's voters, and adds the members and addresses that did not answer.
func (p *picture) addSilent(found []surveyed, group []*apiv1.GroupMember, reached map[string]bool) {
	why := map[string]error{}
	for _, s := range found {
		if s.res == nil {
			why[s.addr] = s.err
		}
	}
	elsewhere := map[string]bool{} // addresses that members have left, or at which they are listed
	for _, m := range group {
		elsewhere[m.Addr] = true
		if m.Voter {
			p.voters++
		}
		if reached[m.Id] {
			if m.Voter {
				p.reached++
			}
			continue
		}
		if m.Voter {
			p.absent = append(p.absent, m.Addr)
		}
		s := pictured{ID: m.Id, Addr: m.Addr, Role: roleOf(m), Health: "another server answers there", ClusterID: p.cluster}
		if err := why[m.Addr]; err != nil {
			s.Health = whyNotReached(err)
		}
		p.servers = append(p.servers, s)
	}
	for _, s := range found {
		if s.res == nil && !elsewhere[s.addr] {
			p.servers = append(p.servers, pictured{Addr: s.addr, Health: whyNotReached(s.err)})
		}
	}
}

// needed is how many voters make a majority.
func (p picture) needed() int { return p.voters/2 + 1 }

// note says in one line how much the picture is worth.
func (p picture) note() string {
	leader := "no leader"
	if len(p.leaders) > 0 {
		leader = strings.Join(p.leaders, " and ") + " is believed to lead, and does not confirm it"
	}
	verb := "answer"
	if p.reached == 1 {
		verb = "answers"
	}
	switch {
	case p.answers == 0:
		return "not confirmed by a majority: no server answers"
	case p.voters == 0:
		return "not confirmed by a majority: what answers is in no cluster, or only starts"
	case p.reached < p.needed():
		return fmt.Sprintf("not confirmed by a majority: %d of %d voters %s, and %d are needed; %s", p.reached, p.voters, verb, p.needed(), leader)
	}
	return fmt.Sprintf("not confirmed by a majority: %d of %d voters %s; %s", p.reached, p.voters, verb, leader)
}

// unconfirmed is the error with which a command ends that could print a picture alone; it says what to do.
func (p picture) unconfirmed(tried []string) error {
	switch {
	case p.answers == 0:
		return &exitError{exitUnreachable, fmt.Sprintf("no server answers at %s: is the cluster up, and GODWIT_ADDR right?", strings.Join(tried, ", "))}
	case p.voters == 0:
		return &exitError{exitNoLeader, "the servers that answer are in no cluster yet, or only start: their logs say what they wait for"}
	case p.reached < p.needed():
		return &exitError{exitNoLeader, fmt.Sprintf("too few servers answer to do anything: bring back at least %d of %s; only if they are lost for good, "+
			"make a cluster of one from a server that is left: see godwit server recover --help",
			p.needed()-p.reached, strings.Join(p.absent, ", "))}
	}
	return &exitError{exitNoLeader, "enough servers answer, and none of them is known to lead: they elect one in a moment; if this lasts, see their logs"}
}

// print shows the picture as the flags ask for.
func (p picture) print(o *options) error {
	if o.output == "json" {
		servers := p.servers
		if servers == nil {
			servers = []pictured{}
		}
		return printJSON(os.Stdout, orderedObject{
			{"confirmed", false},
			{"note", p.note()},
			{"voters", p.voters},
			{"voters_reached", p.reached},
			{"servers", servers},
		})
	}
	if err := show("%s\n", p.note()); err != nil {
		return err
	}
	return printTable("ID ADDR ROLE TERM LAST LEADER HEALTH", p.servers, func(s pictured) []string {
		number := func(n uint64) string {
			if !s.Reached {
				return "-"
			}
			return strconv.FormatUint(n, 10)
		}
		return []string{orDash(s.ID), s.Addr, orDash(s.Role), number(s.Term), number(s.LastIndex), orDash(s.Leader), s.Health}
	})
}
