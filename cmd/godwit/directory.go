package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/client"
	"github.com/godwit-run/godwit/internal/identity"
	"github.com/godwit-run/godwit/internal/notify"
	"github.com/godwit-run/godwit/internal/transport"
	"github.com/godwit-run/godwit/raftnode"
)

const (
	// askEach is how often every server that was heard of is asked who it is.
	askEach = time.Second
	// askSoon is the same while this server is in no cluster.
	askSoon = 200 * time.Millisecond
	// provedFor is how long an answer makes a server count as found.
	provedFor = 5 * time.Second
	// vouchFor is how long what a server says of the group counts.
	vouchFor = 30 * time.Second
	// maxHeard bounds the addresses that are asked, and with it the answers kept.
	maxHeard = 64
	// maxMet bounds the claims of callers among them, which are asked once within askEach, and the places that answers name.
	maxMet = 16
	// maxAnswer bounds an answer in bytes.
	maxAnswer = 64 << 10
	// sayAgain is how often the same trouble with an address is logged; of maxHeard troubles within it the rest is not.
	sayAgain = time.Minute
)

// answer is what a server said when it was asked at its own address.
type answer struct {
	*apiv1.DiscoverResponse
	at   time.Time
	seed bool
}

// directory finds servers: it hears claims from gossip, seeds, the log and callers, and believes none of them. It asks at each
// address; who answers there with that address, signed with the key that its id is made of, and is of this cluster or of none, is
// proved to be there. What proves nothing is a warning, and changes nothing.
type directory struct {
	http *http.Client
	log  *slog.Logger
	now  func() time.Time
	// ask asks one address who it is; the answer may be anybody's.
	ask func(ctx context.Context, addr string, req *apiv1.DiscoverRequest) (*apiv1.DiscoverResponse, error)
	// self gives this server; claims what gossip, the seeds and the log say at the moment.
	self   func() ownState
	claims func() []claim
	// members are the ids in this server's log; only they and seeds can vouch for others.
	members func() []string
	// key is this server's, and standing how far this process is.
	key      identity.Key
	standing func() (raftnode.Standing, error)

	process string
	started time.Time
	wakeCh  notify.Signal // ask at once.

	// mu guards what stands below.
	mu     sync.Mutex
	proved map[string]answer       // by server id.
	met    map[string]claim        // callers' claims that were not asked yet, by address.
	metAt  time.Time               // when callers' claims were last asked.
	named  map[string]claim        // where answers say that somebody is, by address.
	past   map[string]pastServer   // by server id.
	told   *apiv1.DiscoverResponse // what another process of this server's id has said of itself.
	seen   []seenServer            // of the last round.
	ids    []string                // candidates of the last round.
	said   map[string]time.Time    // troubles that were logged.
	lines  []func(*slog.Logger)
	rounds int

	seek    seeking
	leads   map[string]lead     // by address of --retry-join
	strange map[string]stranger // by server id
	foreign map[string]bool     // addresses of the last round at which a server answers that is left alone
	were    []string            // the members of the last round
	unheard map[string]unheard  // by address of --retry-join
}

func newDirectory(log *slog.Logger) *directory {
	d := &directory{
		http: transport.NewHTTPClient(), log: log, now: time.Now, process: uuid.NewString(), started: time.Now(), wakeCh: notify.NewSignal(),
		proved: map[string]answer{}, met: map[string]claim{}, named: map[string]claim{}, past: map[string]pastServer{}, said: map[string]time.Time{},
		leads: map[string]lead{}, strange: map[string]stranger{}, foreign: map[string]bool{}, unheard: map[string]unheard{},
	}
	d.ask = d.discover
	return d
}

func (d *directory) discover(ctx context.Context, addr string, req *apiv1.DiscoverRequest) (*apiv1.DiscoverResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, discoverWait)
	defer cancel()
	return apiv1connect.NewClusterClient(transport.NewBoundedClient(d.http, addr, maxAnswer)).Discover(ctx, req)
}

// proof asks at the address, and returns what is proved to be said there: else the error is identity.ErrUnproved, or that of asking.
func (d *directory) proof(ctx context.Context, addr string, req *apiv1.DiscoverRequest) (*apiv1.DiscoverResponse, error) {
	req.Nonce = identity.Nonce()
	res, err := d.ask(ctx, addr, req)
	if err != nil {
		return nil, err
	}
	return res, identity.Verify(req.Nonce, res)
}

// Ask asks the server with the id at the address; who is another there, or proves nothing, is an error.
func (d *directory) Ask(ctx context.Context, id, addr string) (*apiv1.DiscoverResponse, error) {
	res, err := d.proof(ctx, addr, &apiv1.DiscoverRequest{})
	switch {
	case err != nil:
		return nil, err
	case res.ServerId != id:
		return nil, fmt.Errorf("server %s answers at %s, and not server %s", res.ServerId, addr, id)
	}
	return res, nil
}

// run asks until ctx ends, or until it finds that this process must: errTwin.
func (d *directory) run(ctx context.Context) error {
	for {
		if err := d.round(ctx); err != nil {
			return err
		}
		pause := askEach
		if !d.self().hasState {
			pause = askSoon
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-d.wakeCh:
			t.Stop()
			t.Reset(askSoon) // many may call.
			select {
			case <-t.C:
			case <-ctx.Done():
			}
		case <-ctx.Done():
		}
		t.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// wake makes run ask at once.
func (d *directory) wake() {
	d.wakeCh.Set()
}

// round asks at every address once, all at a time. It returns errTwin if this process must end.
func (d *directory) round(ctx context.Context) error {
	self := d.self()
	byAddr := d.heard(self)
	type reply struct {
		addr string
		res  *apiv1.DiscoverResponse
		err  error
	}
	replies := make(chan reply, len(byAddr))
	telling := d.telling()
	for addr, req := range d.questions(self, byAddr) {
		go func() { // ends within discoverWait; of a seed, the once that it is told of, some seconds later.
			res, err := d.proof(ctx, addr, req)
			if err != nil && telling[addr] {
				err = client.AsStranger(ctx, d.http, addr, err) // it asks more than once: not in each round
			}
			replies <- reply{addr, res, err}
		}()
	}
	answers, errs := map[string]*apiv1.DiscoverResponse{}, map[string]error{}
	for range byAddr {
		if r := <-replies; r.err == nil {
			answers[r.addr] = r.res
		} else {
			errs[r.addr] = r.err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	lines := d.take(d.self(), byAddr, answers, errs)
	for _, line := range lines { // not under mu: the log may hang, and Raft asks where servers are.
		line(d.log)
	}
	return d.meetTwins(ctx, answers)
}

// take judges the answers of a round, and returns what is to be logged.
func (d *directory) take(self ownState, heard map[string][]claim, answers map[string]*apiv1.DiscoverResponse, errs map[string]error) []func(*slog.Logger) {
	members := d.members()
	d.mu.Lock()
	defer d.mu.Unlock()
	defer func() { d.lines = nil }()
	now := d.now()
	d.seekAgain(self, answers)
	d.missSeeds(heard, errs)
	foreign := map[string]bool{}
	for addr, err := range errs {
		foreign[addr] = d.foreign[addr]
		if !errors.Is(err, identity.ErrUnproved) {
			continue
		}
		d.say("unproved "+addr, "what answers at an address does not prove that it is the server it says: it is left alone", "addr", addr, "err", err)
	}
	for addr, res := range answers {
		seed := slices.ContainsFunc(heard[addr], func(c claim) bool { return c.seed })
		foreign[addr] = d.left(self, members, res)
		switch {
		case res.ServerId == self.id: // this process, by another way, or one that meetTwins meets.
		case foreignTo(self, res.ClusterId) && slices.Contains(res.FormerClusterIds, self.clusterID):
			d.say("recovered "+addr, "a server of this cluster was made a cluster of its own by `godwit server recover`: if that was right, what this "+
				"server has is the past: stop it, move its data directory away and start it again with an empty one",
				"addr", addr, "cluster_id", res.ClusterId, "our_cluster_id", self.clusterID)
			continue
		case foreignTo(self, res.ClusterId) && slices.Contains(self.formerIDs, res.ClusterId):
			d.meetPast(res, false)
			continue
		case foreignTo(self, res.ClusterId) && slices.ContainsFunc(res.FormerClusterIds, func(id string) bool { return slices.Contains(self.formerIDs, id) }):
			d.meetPast(res, true)
			continue
		case foreignTo(self, res.ClusterId):
			d.say("foreign "+addr, "a server found is of another cluster and is left alone: correct --retry-join, or use the right --data-dir",
				"addr", addr, "cluster_id", res.ClusterId, "our_cluster_id", self.clusterID)
			continue
		case foreign[addr] && self.isNew():
			d.meetStranger(res) // what comes of it decide says
			continue
		case foreign[addr]:
			delete(d.proved, res.ServerId)
			d.say("elsewhere "+addr, "a new server found does not seek this cluster and is left alone: to let it join, start it with a server of this "+
				"cluster in its --retry-join", "addr", addr, "server", res.ServerId, "seeks", res.SeeksCluster)
			continue
		case res.Addr != addr: // a name, or another spelling: it is asked where it says it is.
			d.name(claim{id: res.ServerId, addr: res.Addr, seed: seed}, heard[addr])
			continue
		default:
			d.prove(answer{res, now, seed}, answers)
		}
		for _, m := range res.Members { // where the others look for this server, a copy of it may run.
			if m.Id == self.id && m.Addr != self.addr {
				d.name(claim{id: m.Id, addr: m.Addr}, heard[addr])
			}
		}
	}
	d.rounds++
	d.foreign = foreign
	d.forgetGone(members)
	d.forget(members)
	d.seen = d.look(heard, answers)
	d.wouldMake(self)
	return d.lines
}

// foreignTo says whether a server of the cluster is none of ours.
func foreignTo(self ownState, cluster string) bool {
	return self.clusterID != "" && cluster != "" && cluster != self.clusterID
}

// prove takes an answer that was given at the right place. Of two processes that answer under one id, which both have its key,
// the one at the place that is known counts, as long as it answers there.
func (d *directory) prove(a answer, answers map[string]*apiv1.DiscoverResponse) {
	old, ok := d.proved[a.ServerId]
	there := answers[old.GetAddr()]
	if ok && old.Addr != a.Addr && there.GetServerId() == a.ServerId && there.Addr == old.Addr && there.ProcessId != a.ProcessId {
		d.say("twins "+a.ServerId, "two processes run as one server, one of them in a copy of the other's data directory: stop both, "+
			"keep the directory whose log is newer, and move the other away", "server", a.ServerId, "addr", old.Addr, "other_addr", a.Addr)
		return
	}
	a.seed = a.seed || ok && old.seed && old.Addr == a.Addr
	d.proved[a.ServerId] = a
}

// forget drops the answers of who was gone longest when there are too many, members last.
func (d *directory) forget(members []string) {
	for len(d.proved) > maxHeard {
		oldest, member := "", false
		for id, a := range d.proved {
			m := slices.Contains(members, id)
			if oldest == "" || member && !m || member == m && a.at.Before(d.proved[oldest].at) {
				oldest, member = id, m
			}
		}
		delete(d.proved, oldest)
	}
}

// look puts together what is known of each server now, for decide.
func (d *directory) look(heard map[string][]claim, answers map[string]*apiv1.DiscoverResponse) []seenServer {
	var out []seenServer
	add := func(s seenServer) {
		for i, o := range out {
			if o.addr == s.addr && (o.id == s.id || s.id == "") {
				out[i].gossiped, out[i].seed = o.gossiped || s.gossiped, o.seed || s.seed
				if o.gossipOf == "" {
					out[i].gossipOf = s.gossipOf
				}
				return
			}
		}
		out = append(out, s)
	}
	for _, addr := range slices.Sorted(maps.Keys(answers)) {
		res := answers[addr]
		ids := slices.Sorted(slices.Values(res.BootstrapIds))
		add(seenServer{
			id: res.ServerId, addr: res.Addr, answered: res.Addr == addr, hasState: res.Bootstrapped, clusterID: res.ClusterId,
			wouldMake: ids, expect: int(res.BootstrapExpect),
		})
	}
	for _, addr := range slices.Sorted(maps.Keys(heard)) {
		for _, c := range heard[addr] {
			if c.gossiped || c.seed && answers[addr] != nil && answers[addr].Addr == addr {
				add(seenServer{id: c.id, addr: c.addr, gossiped: c.gossiped, gossipOf: c.gossipOf, seed: c.seed})
			}
		}
	}
	for _, s := range d.strangers() {
		add(s)
	}
	return out
}

// say has round log a trouble, each once within sayAgain. Holds mu.
func (d *directory) say(key, msg string, args ...any) {
	now := d.now()
	if at, ok := d.said[key]; ok && now.Sub(at) < sayAgain {
		return
	}
	maps.DeleteFunc(d.said, func(_ string, at time.Time) bool { return now.Sub(at) >= sayAgain })
	if len(d.said) >= maxHeard {
		return
	}
	d.said[key] = now
	d.lines = append(d.lines, func(l *slog.Logger) { l.Warn(msg, args...) }) //nolint:sloglint // every caller gives a literal
}

// Locate returns the address at which the server was last proved to be, or "".
func (d *directory) Locate(id string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.proved[id].GetAddr()
}

// Vouch says whether a member or a seed of this cluster said of late that the server is a member.
func (d *directory) Vouch(id string) bool {
	self, members := d.self(), d.members()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, a := range d.proved {
		trusted := a.seed || slices.Contains(members, a.ServerId)
		if !trusted || a.ClusterId == "" || a.ClusterId != self.clusterID || d.now().Sub(a.at) > vouchFor {
			continue
		}
		if slices.ContainsFunc(a.Members, func(m *apiv1.GroupMember) bool { return m.Id == id }) {
			return true
		}
	}
	return false
}

// found are the answers that are fresh, by server id.
func (d *directory) found() []answer {
	self := d.self()
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []answer
	for _, a := range d.proved {
		if d.now().Sub(a.at) < provedFor && !foreignTo(self, a.ClusterId) {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, func(a, b answer) int { return strings.Compare(a.ServerId, b.ServerId) })
	return out
}

// ofCluster are the addresses of servers that answered of late as members of this server's cluster.
func (d *directory) ofCluster() []string {
	own := d.self().clusterID
	var out []string
	for _, a := range d.found() {
		if own != "" && a.ClusterId == own && a.Bootstrapped {
			out = append(out, a.Addr)
		}
	}
	return out
}

// known is what the last round saw, for decide; ok is false before the first.
func (d *directory) known() (seen []seenServer, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.seen), d.rounds > 0
}

// gossipAddrs are where the servers found gossip.
func (d *directory) gossipAddrs() []string {
	var out []string
	for _, a := range d.found() {
		if a.GossipAddr != "" {
			out = append(out, a.GossipAddr)
		}
	}
	slices.Sort(out)
	return out
}

// introduce fills in what tells this process from others, and with whom it would make a cluster. It signs who this is for a
// caller who gives a nonce.
func (d *directory) introduce(nonce []byte, res *apiv1.DiscoverResponse) {
	self := d.self()
	d.mu.Lock()
	res.BootstrapIds, res.BootstrapExpect = d.ids, int32(self.expect) //nolint:gosec // 0 to 9
	if self.isNew() {
		res.SeeksCluster, res.SeeksAny, res.SeeksHops = d.seek.cluster, d.seek.any, d.seek.hops
	}
	d.mu.Unlock()
	res.ProcessId, res.StartedAt = d.process, timestamppb.New(d.started)
	if len(nonce) == 0 {
		return
	}
	if err := d.present(res); err == nil { // a disk that cannot be read ends the server elsewhere
		d.key.Sign(nonce, res)
	}
}
