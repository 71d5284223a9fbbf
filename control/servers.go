package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/transport"
)

// ListServers implements the Control service.
func (c *Control) ListServers(ctx context.Context, _ *apiv1.ListServersRequest) (*apiv1.ListServersResponse, error) {
	v, err := c.read(ctx)
	if err != nil {
		return nil, err
	}
	peers := map[string]Peer{}
	for _, p := range c.peers.Servers() {
		peers[p.ID] = p
	}
	differing, behind := c.differing(), c.behind()
	res := &apiv1.ListServersResponse{Index: v.Index(), Alarms: slices.Collect(v.Alarms()), FeatureLevel: v.FeatureLevel(), PastServers: c.pastServers()}
	for _, s := range c.group.Servers() {
		p, found := peers[s.ID]
		out := &apiv1.Server{Id: s.ID, Addr: s.Addr, Role: apiv1.ServerVoter, Index: p.Index, FeatureLevel: p.Knows}
		if found {
			out.Addr = p.Addr // where it answers; the log follows.
		}
		switch {
		case s.ID == c.group.ID():
			out.Role, out.Index, s.Live, s.LastContact = apiv1.ServerLeader, v.Index(), true, 0
			out.FeatureLevel = c.state.Knows()
		case !s.Voter:
			out.Role = apiv1.ServerNonvoter
		}
		if s.LastContact >= 0 {
			out.LastContact = durationpb.New(s.LastContact)
		}
		out.Health = health(s, p, found || s.ID == c.group.ID(), v.Index())
		if out.Health == "ok" && out.Index == 0 {
			out.Health = "starts: it does not know its state yet"
		} else if n := behind[s.ID]; n > 0 && out.Health == "ok" {
			out.Health = fmt.Sprintf("behind: %d entries", n)
		} else if n := c.catchingUp(out.Index); n > 0 && out.Health == "ok" {
			out.Health = catchingUp(n)
		}
		if index, ok := differing[s.ID]; ok {
			out.Health = fmt.Sprintf("its state differed from the leader's at entry %d; %s", index, out.Health)
		}
		res.Servers = append(res.Servers, out)
	}
	return res, nil
}

// RemovedText is what a server says that was removed, to its log and to callers.
const RemovedText = "this server was removed from its cluster: to join again, move its data directory away and start it with an empty one"

// NoMemberText is the same of one whose own log leaves it out: that is no proof, since the entry may not be committed, or others may follow.
const NoMemberText = "by its own log this server is no member of its cluster: it was removed, or has not all of the log yet"

// noLeader is what a caller is told while this server knows no leader.
func (c *Control) noLeader() error {
	why, fix := c.peers.Removed(), "ask another server"
	if why == "" {
		why, fix = c.leaderless()
	}
	return apierr.New(connect.CodeUnavailable, apierr.ReasonNoLeader, "", why, fix)
}

// leaderless says what this server knows of why nobody leads, if it is a member, and what to do.
func (c *Control) leaderless() (why, fix string) {
	fix = "try again"
	found := map[string]bool{c.group.ID(): true}
	for _, p := range c.peers.Servers() {
		found[p.ID] = true
	}
	voters, answer, votes := 0, 0, false
	for _, s := range c.group.Servers() {
		if s.Voter {
			voters++
			votes = votes || s.ID == c.group.ID()
			if found[s.ID] {
				answer++
			}
		}
	}
	if voters == 0 && c.group.ClusterID() != "" {
		return "this server starts, or waits for the leader to send it the log", fix
	}
	if voters == 0 {
		return "this server is in no cluster yet; its log says what it waits for", fix
	}
	if !votes { // what it counts may be of the past
		return fmt.Sprintf("this server does not vote, and hears from no leader; of the %d voters in its log %d answer", voters, answer), "ask another server"
	}
	if answer > voters/2 {
		return fmt.Sprintf("the servers have no leader at the moment: %d of %d voters answered last, which are enough to elect one", answer, voters), fix
	}
	return fmt.Sprintf("the servers have no leader at the moment: of %d voters %d answer, and %d are needed", voters, answer, voters/2+1), fix
}

// health says in a few words what keeps a server from being of use.
func health(s ServerInfo, p Peer, found bool, index uint64) string {
	switch {
	case !s.Live && s.LastContact < 0:
		return "never heard of by this leader"
	case !s.Live:
		return "does not answer"
	case !found:
		return "answers no requests, though Raft hears it"
	case s.Voter:
		return "ok"
	case p.Index+maxLag < index:
		return catchingUp(index - p.Index)
	case p.ModulesMissing > 0:
		return fmt.Sprintf("fetching %d modules", p.ModulesMissing)
	}
	return "ok"
}

func catchingUp(behind uint64) string { return fmt.Sprintf("catching up, %d entries behind", behind) }

// minIDPrefix is how much of an id must be given at the least, so that a slip of the hand names no server.
const minIDPrefix = 4

// findServer is the member with the id or address (without a port, if only one server is at that host), or the only one
// whose id begins so.
func (c *Control) findServer(ref string) (ServerInfo, error) {
	found, whole := matching(c.group.Servers(), ref)
	switch {
	case len(found) > 0 && !whole && len(ref) < minIDPrefix:
		return ServerInfo{}, apierr.New(connect.CodeInvalidArgument, apierr.ReasonInvalid, "id",
			fmt.Sprintf("%q is too little of a server's id", ref), fmt.Sprintf("give at least %d characters, or its address", minIDPrefix))
	case len(found) == 1:
		return found[0], nil
	case len(found) == 0:
		return ServerInfo{}, apierr.New(connect.CodeNotFound, apierr.ReasonNotFound, "id", fmt.Sprintf("no server %.80q", ref), "godwit servers lists them")
	}
	return ServerInfo{}, apierr.New(connect.CodeInvalidArgument, apierr.ReasonAmbiguous, "id",
		fmt.Sprintf("%.80q is %d servers: %s and %s", ref, len(found), found[0].ID, found[1].ID), "give the id of one")
}

// matching are the servers that ref may mean: the one with the id, else those at the address, else those whose id begins so, which is
// not the whole of a name.
func matching(servers []ServerInfo, ref string) (found []ServerInfo, whole bool) {
	var at, begun []ServerInfo
	for _, s := range servers {
		switch {
		case s.ID == ref:
			return []ServerInfo{s}, true
		case IsAt(ref, s.Addr) || IsAt(ref, s.LogAddr):
			at = append(at, s)
		case ref != "" && strings.HasPrefix(s.ID, ref):
			begun = append(begun, s)
		}
	}
	if len(at) > 0 {
		return at, true
	}
	return begun, false
}

// IsAt tells whether ref is the address (host:port), or its host alone.
func IsAt(ref, addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return ref != "" && (ref == addr || (err == nil && ref == host))
}

// TransferLeadership implements the Control service.
func (c *Control) TransferLeadership(ctx context.Context, req *apiv1.TransferLeadershipRequest) (*apiv1.TransferLeadershipResponse, error) {
	if _, err := c.read(ctx); err != nil {
		return nil, err
	}
	transport.Yield(ctx)
	if req.Id == "" && req.From != "" {
		if err := c.checkFrom(ctx, req.From); err != nil {
			return nil, err
		}
		if req.From != c.group.ID() {
			return &apiv1.TransferLeadershipResponse{Id: c.group.ID()}, nil // an earlier request has done it, or an election
		}
	}
	id := ""
	if req.Id != "" {
		s, err := c.findServer(req.Id)
		if err != nil {
			return nil, err
		}
		id = s.ID
	}
	if err := c.group.TransferLeadership(ctx, id); err != nil {
		return nil, groupError(err)
	}
	return &apiv1.TransferLeadershipResponse{Id: id}, nil
}

// checkFrom refuses what no server is, or was until it was removed, as the one that leads as far as the caller knows.
func (c *Control) checkFrom(ctx context.Context, id string) error {
	is := func(s ServerInfo) bool { return s.ID == id }
	if slices.ContainsFunc(c.group.Servers(), is) {
		return nil
	}
	former, err := c.group.Former(ctx)
	switch {
	case err != nil:
		return groupError(err)
	case slices.ContainsFunc(former, is):
		return nil
	}
	return apierr.New(connect.CodeNotFound, apierr.ReasonNotFound, "from", fmt.Sprintf("no server has the id %.80q, so it does not lead", id),
		"give the whole id of the server that leads, as ListServers has it, or leave the field out")
}

// groupError is what a client sees of a change of the group that failed.
func groupError(err error) error {
	switch {
	case errors.Is(err, ErrUnsafe):
		return apierr.New(connect.CodeFailedPrecondition, apierr.ReasonRefused, "id", err.Error(),
			"bring servers back first, or remove those that are gone for good; godwit servers shows them")
	case errors.Is(err, ErrBehind):
		return apierr.New(connect.CodeFailedPrecondition, apierr.ReasonRefused, "id", err.Error(), "godwit servers shows who has a vote and is up to date")
	case errors.Is(err, ErrNoServer):
		return apierr.New(connect.CodeNotFound, apierr.ReasonNotFound, "id", err.Error(), "godwit servers lists them")
	}
	return apiError(err)
}
