package main

import (
	"context"
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
	"github.com/godwit-run/godwit/internal/transport"
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
	// maxMet bounds the claims of callers among them.
	maxMet = 16
	// sayAgain is how often the same trouble with an address is logged.
	sayAgain = time.Minute
)

// errTwin ends a server whose id another process has too.
var errTwin = fmt.Errorf("another process runs under this server's id")

// claim is an address at which a server is said to be; id is "" for an address alone.
type claim struct {
	id, addr string
	seed     bool
	gossipOf string // the cluster that gossip says it is of
	gossiped bool
}

// answer is what a server said when it was asked at its own address.
type answer struct {
	*apiv1.DiscoverResponse
	at   time.Time
	seed bool
}

// directory finds servers: it hears claims from gossip, seeds, the log and callers, and believes none of them. It asks at each
// address; who answers there with that address, under its id, and is of this cluster or of none, is proved to be there.
type directory struct {
	http *http.Client
	log  *slog.Logger
	now  func() time.Time
	// ask asks one address who it is.
	ask func(ctx context.Context, addr string) (*apiv1.DiscoverResponse, error)
	// self gives this server; claims what gossip, the seeds and the log say at the moment.
	self   func() ownState
	claims func() []claim
	// members are the ids in this server's log; only they and seeds can vouch for others.
	members func() []string
	process string
	started time.Time
	wakeCh  chan struct{} // room for one: ask at once.

	// mu guards what stands below.
	mu     sync.Mutex
	proved map[string]answer    // by server id.
	met    map[string]claim     // by address.
	seen   []seenServer         // of the last round.
	ids    []string             // candidates of the last round.
	said   map[string]time.Time // troubles that were logged.
	lines  []func(*slog.Logger)
	rounds int
}

func newDirectory(log *slog.Logger) *directory {
	d := &directory{
		http: transport.NewHTTPClient(), log: log, now: time.Now, process: uuid.NewString(), started: time.Now(), wakeCh: make(chan struct{}, 1),
		proved: map[string]answer{}, met: map[string]claim{}, said: map[string]time.Time{},
	}
	d.ask = d.discover
	return d
}

func (d *directory) discover(ctx context.Context, addr string) (*apiv1.DiscoverResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, discoverWait)
	defer cancel()
	self := d.self()
	return apiv1connect.NewClusterClient(transport.NewClient(d.http, addr)).Discover(ctx, &apiv1.DiscoverRequest{ServerId: self.id, Addr: self.addr})
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
	select {
	case d.wakeCh <- struct{}{}:
	default:
	}
}

// Met notes the claim of a caller.
func (d *directory) Met(id, addr string) {
	self := d.self()
	if addr == self.addr || len(id) > 64 || len(addr) > 256 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if a, ok := d.proved[id]; ok && a.Addr == addr {
		return
	}
	if _, ok := d.met[addr]; ok || len(d.met) >= maxMet {
		return
	}
	d.met[addr] = claim{id: id, addr: addr}
	d.wake()
}

// round asks at every address once, all at a time.
func (d *directory) round(ctx context.Context) error {
	self := d.self()
	byAddr := d.heard(self)
	type reply struct {
		addr string
		res  *apiv1.DiscoverResponse
	}
	replies := make(chan reply, len(byAddr))
	for addr := range byAddr {
		go func() { // ends within discoverWait.
			res, err := d.ask(ctx, addr)
			if err != nil {
				res = nil
			}
			replies <- reply{addr, res}
		}()
	}
	answers := map[string]*apiv1.DiscoverResponse{}
	for range byAddr {
		if r := <-replies; r.res != nil {
			answers[r.addr] = r.res
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	lines, err := d.judge(d.self(), byAddr, answers)
	for _, line := range lines { // not under mu: the log may hang, and Raft asks where servers are.
		line(d.log)
	}
	return err
}

// heard are the claims of this moment by address, those that come from the most trusted first if there are too many.
func (d *directory) heard(self ownState) map[string][]claim {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := d.claims()
	for id, a := range d.proved {
		all = append(all, claim{id: id, addr: a.Addr})
	}
	all = slices.AppendSeq(all, maps.Values(d.met))
	clear(d.met)
	out := map[string][]claim{}
	for _, c := range all {
		if c.addr == "" || c.addr == self.addr || out[c.addr] == nil && len(out) >= maxHeard {
			continue
		}
		out[c.addr] = append(out[c.addr], c)
	}
	return out
}

// judge decides what the answers of a round prove, and returns what is to be logged.
func (d *directory) judge(self ownState, heard map[string][]claim, answers map[string]*apiv1.DiscoverResponse) ([]func(*slog.Logger), error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer func() { d.lines = nil }()
	now := d.now()
	for addr, res := range answers {
		seed := slices.ContainsFunc(heard[addr], func(c claim) bool { return c.seed })
		switch {
		case res.ServerId == "" || res.Addr == "":
		case res.ServerId == self.id && res.ProcessId == d.process:
		case res.ServerId == self.id:
			if err := d.twin(res); err != nil {
				return d.lines, err
			}
		case foreignTo(self, res.ClusterId):
			d.say("foreign "+addr, "a server found is of another cluster and is left alone: correct --retry-join, or use the right --data-dir",
				"addr", addr, "cluster_id", res.ClusterId, "our_cluster_id", self.clusterID)
		case res.Addr != addr: // a name, or another spelling: it is asked where it says it is.
			if len(d.met) < maxMet {
				d.met[res.Addr] = claim{id: res.ServerId, addr: res.Addr, seed: seed}
			}
			if old, ok := d.proved[res.ServerId]; !ok || old.Addr != res.Addr {
				d.wake()
			}
		default:
			d.prove(answer{res, now, seed}, answers)
		}
		for _, m := range res.Members { // where the others look for this server, a copy of it may run.
			if m.Id == self.id && m.Addr != self.addr && len(d.met) < maxMet && !foreignTo(self, res.ClusterId) {
				d.met[m.Addr] = claim{id: m.Id, addr: m.Addr}
			}
		}
	}
	d.rounds++
	d.forget()
	d.seen = d.look(heard, answers)
	d.ids = candidateIDs(self, d.seen)
	return d.lines, nil
}

// foreignTo says whether a server of the cluster is none of ours.
func foreignTo(self ownState, cluster string) bool {
	return self.clusterID != "" && cluster != "" && cluster != self.clusterID
}

// prove takes an answer that was given at the right place. Of two processes that answer under one id the older one counts.
func (d *directory) prove(a answer, answers map[string]*apiv1.DiscoverResponse) {
	old, ok := d.proved[a.ServerId]
	there := answers[old.GetAddr()]
	if ok && old.Addr != a.Addr && there.GetServerId() == a.ServerId && there.ProcessId != a.ProcessId && older(there, a.DiscoverResponse) {
		d.say("twins "+a.ServerId, "two processes run under one server id: stop the one that was copied",
			"server", a.ServerId, "addr", old.Addr, "other_addr", a.Addr)
		return
	}
	a.seed = a.seed || ok && old.seed && old.Addr == a.Addr
	d.proved[a.ServerId] = a
}

// twin says whether this process must end for another of its id.
func (d *directory) twin(other *apiv1.DiscoverResponse) error {
	self := &apiv1.DiscoverResponse{ProcessId: d.process, StartedAt: timestamppb.New(d.started)}
	if older(self, other) {
		d.say("twin", "another process runs under this server's id, from a copy of its data directory: stop it", "addr", other.Addr)
		return nil
	}
	return fmt.Errorf("%w, at %s: this data directory is a copy of that server's; remove it, and start with an empty one to add a server", errTwin, other.Addr)
}

// older says whether a was started before b; both order two processes in the same way.
func older(a, b *apiv1.DiscoverResponse) bool {
	at, bt := a.GetStartedAt().AsTime(), b.GetStartedAt().AsTime()
	if !at.Equal(bt) {
		return at.Before(bt)
	}
	return a.ProcessId < b.ProcessId
}

// forget drops the answers of who was gone longest when there are too many.
func (d *directory) forget() {
	for len(d.proved) > maxHeard {
		oldest := ""
		for id, a := range d.proved {
			if oldest == "" || a.at.Before(d.proved[oldest].at) {
				oldest = id
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
		if res.ServerId == "" {
			continue
		}
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
	return out
}

// say has round log a trouble, each once within sayAgain. Holds mu.
func (d *directory) say(key, msg string, args ...any) {
	now := d.now()
	if at, ok := d.said[key]; ok && now.Sub(at) < sayAgain {
		return
	}
	if len(d.said) >= maxHeard {
		clear(d.said)
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

// introduce fills in what tells this process from others, and with whom it would make a cluster.
func (d *directory) introduce(res *apiv1.DiscoverResponse) {
	self := d.self()
	d.mu.Lock()
	defer d.mu.Unlock()
	res.ProcessId, res.StartedAt = d.process, timestamppb.New(d.started)
	res.BootstrapIds, res.BootstrapExpect = d.ids, int32(self.expect) //nolint:gosec // 0 to 9
}
