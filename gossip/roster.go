package gossip

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	// maxGone bounds the dead and left members that are remembered; the longest gone are forgotten first.
	maxGone = 1024
	// maxAlive bounds the members that are there: anybody can gossip that there are more.
	maxAlive = 1 << 15
	// maxStrangers bounds the memory of which foreign members were logged.
	maxStrangers = 256
	// strangeFor is how long a foreign member is shown after it was last kept out.
	strangeFor  = 30 * time.Second
	foreignText = "member of another cluster"
)

var (
	errForeign = errors.New(foreignText)
	errFull    = errors.New("too many members")
)

// roster keeps what memberlist reports. It is memberlist's delegate: its methods are called under memberlist's locks, so they
// only take mu for a moment and never call back.
type roster struct {
	id  string
	log *slog.Logger

	// mu guards what stands below.
	mu        sync.Mutex
	own       Meta
	encoded   []byte
	members   map[string]entry
	alive     int              // of members
	strangers map[string]entry // gone is when it was last kept out
	changed   chan struct{}
}

type entry struct {
	Member
	gone time.Time // when it died or left; zero while alive.
}

func newRoster(id string, log *slog.Logger) *roster {
	return &roster{
		id: id, log: log,
		members:   make(map[string]entry),
		strangers: make(map[string]entry),
		changed:   make(chan struct{}),
	}
}

// setMeta changes what NodeMeta gives from now on. Who is leaving stays so.
func (r *roster) setMeta(m Meta) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	m.Leaving = m.Leaving || r.own.Leaving
	b, err := m.encode()
	if err != nil {
		return err
	}
	r.own, r.encoded = m, b
	r.notify()
	return nil
}

func (r *roster) meta() Meta {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.own
}

// list returns the members of our cluster by ID.
func (r *roster) list() []Member {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Member, 0, len(r.members))
	for _, e := range r.members {
		if !foreign(e.Meta, r.own) {
			out = append(out, e.Member)
		}
	}
	slices.SortFunc(out, func(a, b Member) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// watch returns a channel that is closed at the next change.
func (r *roster) watch() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

// notify needs mu.
func (r *roster) notify() {
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *roster) put(n *memberlist.Node, alive bool) {
	m := Member{ID: n.Name, Meta: decodeMeta(n.Meta), GossipAddr: n.Address(), State: StateAlive}
	var gone time.Time
	switch {
	case alive:
	case m.Leaving:
		m.State, gone = StateLeft, time.Now()
	default:
		m.State, gone = StateDead, time.Now()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if old, ok := r.members[m.ID]; ok && old.gone.IsZero() {
		r.alive--
	}
	if alive {
		r.alive++
	}
	r.members[m.ID] = entry{m, gone}
	if !alive {
		r.forget()
	}
	r.notify()
}

// forget drops the member gone longest if too many are. It needs mu.
func (r *roster) forget() {
	gone, oldest := 0, ""
	for id, e := range r.members {
		if e.gone.IsZero() {
			continue
		}
		gone++
		if oldest == "" || e.gone.Before(r.members[oldest].gone) {
			oldest = id
		}
	}
	if gone > maxGone {
		delete(r.members, oldest)
	}
}

// kept returns the foreign members that were kept out of late, by ID.
func (r *roster) kept() []Member {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Member
	for _, e := range r.strangers {
		if time.Since(e.gone) < strangeFor {
			out = append(out, e.Member)
		}
	}
	slices.SortFunc(out, func(a, b Member) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// refuse returns errForeign for a member of another cluster, and logs it the first time.
func (r *roster) refuse(n *memberlist.Node) error {
	theirs := decodeMeta(n.Meta)
	r.mu.Lock()
	ours := r.own
	if !foreign(theirs, ours) {
		r.mu.Unlock()
		return nil
	}
	_, known := r.strangers[n.Name]
	if !known && len(r.strangers) >= maxStrangers {
		clear(r.strangers)
	}
	r.strangers[n.Name] = entry{Member{ID: n.Name, Meta: theirs, GossipAddr: n.Address(), State: StateAlive}, time.Now()}
	r.mu.Unlock()
	if !known {
		r.log.Warn("ignored a "+foreignText, "member", n.Name, "gossip_addr", n.Address(), "cluster_id", theirs.ClusterID, "our_cluster_id", ours.ClusterID)
	}
	return errForeign
}

// The methods below are those of memberlist's delegates.

func (r *roster) NotifyJoin(n *memberlist.Node)   { r.put(n, true) }
func (r *roster) NotifyUpdate(n *memberlist.Node) { r.put(n, true) }
func (r *roster) NotifyLeave(n *memberlist.Node)  { r.put(n, false) }

// NotifyAlive keeps foreign members out when others talk of them, and those that are too many.
func (r *roster) NotifyAlive(n *memberlist.Node) error {
	if err := r.refuse(n); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if old, ok := r.members[n.Name]; r.alive >= maxAlive && (!ok || !old.gone.IsZero()) {
		return errFull
	}
	return nil
}

// NotifyMerge keeps a foreign cluster out as a whole, with its workers, who are foreign to nobody. Of a list in which others of our cluster
// stand, NotifyAlive keeps out who is foreign. Who is dead says nothing of a list: he may have died before he knew his cluster.
func (r *roster) NotifyMerge(peers []*memberlist.Node) (err error) {
	ours := false
	for _, n := range peers {
		if n.Name == r.id || n.State == memberlist.StateDead || n.State == memberlist.StateLeft {
			continue
		}
		if refused := r.refuse(n); refused != nil {
			err = refused
		} else if m := decodeMeta(n.Meta); m.ClusterID != "" || m.Names {
			ours = true
		}
	}
	if ours {
		return nil
	}
	return err
}

// NotifyConflict is called when two processes use one ID, or a dead one came back elsewhere before ReclaimAfter.
func (r *roster) NotifyConflict(existing, other *memberlist.Node) {
	r.log.Warn("two processes gossip under one id, or one came back too early under another address",
		"member", existing.Name, "gossip_addr", existing.Address(), "other_gossip_addr", other.Address())
}

func (r *roster) NodeMeta(limit int) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.encoded) > limit {
		panic("gossip: meta over its bound, in spite of encode")
	}
	return r.encoded
}

func (r *roster) NotifyMsg([]byte)                {}
func (r *roster) GetBroadcasts(_, _ int) [][]byte { return nil }
func (r *roster) LocalState(bool) []byte          { return nil }
func (r *roster) MergeRemoteState([]byte, bool)   {}
