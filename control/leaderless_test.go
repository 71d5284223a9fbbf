package control

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// says are the group in the log of server s1, and what is known of whether it is in it.
type says struct {
	noPeers
	noGroup
	group []ServerInfo
	found []Peer
	why   string
	new   bool // it knows no cluster
}

func (s says) ClusterID() string {
	if s.new {
		return ""
	}
	return "c1"
}

func (s says) Servers() []ServerInfo { return s.group }

func (s says) Removed() string { return s.why }

// peersOf are the others that answered.
type peersOf struct{ says }

func (p peersOf) Servers() []Peer { return p.found }

// TestWhyNobodyLeads: only a server that votes says that enough are there to elect a leader; another sends the caller on.
func TestWhyNobodyLeads(t *testing.T) {
	voter := func(id string) ServerInfo { return ServerInfo{ID: id, Voter: true} }
	for _, tc := range []struct {
		name      string
		says      says
		word, fix string
	}{
		{"enough", says{group: []ServerInfo{voter("s1"), voter("s2"), voter("s3")}, found: []Peer{{ID: "s2"}}}, "2 of 3 voters answered last, which are enough to elect one", "try again"},
		{"too few", says{group: []ServerInfo{voter("s1"), voter("s2"), voter("s3")}}, "of 3 voters 1 answer, and 2 are needed", "try again"},
		{"it is none of them", says{group: []ServerInfo{voter("s2"), voter("s3")}, found: []Peer{{ID: "s2"}, {ID: "s3"}}}, "this server does not vote", "ask another server"},
		{"it does not vote yet", says{group: []ServerInfo{{ID: "s1"}, voter("s2")}, found: []Peer{{ID: "s2"}}}, "of the 1 voters in its log 1 answer", "ask another server"},
		{"it is no member", says{group: []ServerInfo{voter("s2"), voter("s3")}, why: NoMemberText}, NoMemberText, "ask another server"},
		{"it is in no cluster", says{new: true}, "in no cluster yet", "try again"},
		{"it starts", says{}, "this server starts", "try again"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := (&Control{group: tc.says, peers: peersOf{tc.says}}).noLeader()
			require.ErrorContains(t, err, tc.word)
			require.ErrorContains(t, err, tc.fix)
		})
	}
}
