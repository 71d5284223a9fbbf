package main

import (
	"maps"
	"slices"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// claim is an address at which a server is said to be; id is "" for an address alone.
type claim struct {
	id, addr string
	seed     bool
	gossipOf string // the cluster that gossip says it is of
	gossiped bool
	met      bool // a caller's word
	log      bool // this server's log has a member there
	kept     bool // gossip keeps it out
}

// tells says whether who is asked at the address because of the claims is told who asks, so that it asks in turn. Who called knows this
// server. One who is not of this server's cluster, nor may come to be, is not called, but where this server's own log has a member: else two servers
// that have nothing to do with each other would keep each other calling. Holds mu.
func (d *directory) tells(addr string, because []claim) bool {
	if slices.ContainsFunc(because, func(c claim) bool { return c.log }) {
		return true
	}
	return !d.foreign[addr] && slices.ContainsFunc(because, func(c claim) bool { return !c.met && !c.kept })
}

// Met notes what a caller claims: it is asked at the next round, with others' claims that came first.
func (d *directory) Met(req *apiv1.DiscoverRequest) {
	d.hearTwin(req.Self)
	id, addr := req.ServerId, req.Addr
	if id == "" || addr == "" || addr == d.self().addr || len(id) > 64 || len(addr) > 256 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if a, ok := d.proved[id]; ok && a.Addr == addr || len(d.met) >= maxMet {
		return
	}
	d.met[addr] = claim{id: id, addr: addr}
}

// heard are the claims of this moment by address, those that come from the most trusted first if there are too many: seeds and the
// log, where members were found, gossip, and what strangers say.
func (d *directory) heard(self ownState) map[string][]claim {
	claims, members := d.claims(), d.members()
	d.mu.Lock()
	defer d.mu.Unlock()
	var gossiped, others, all []claim
	for _, c := range claims {
		if c.gossiped {
			gossiped = append(gossiped, c)
		} else {
			all = append(all, c)
		}
	}
	for id, a := range d.proved {
		if slices.Contains(members, id) {
			all = append(all, claim{id: id, addr: a.Addr, log: true})
		} else {
			others = append(others, claim{id: id, addr: a.Addr})
		}
	}
	for _, p := range d.past {
		others = append(others, claim{id: p.id, addr: p.addr})
	}
	all = slices.AppendSeq(all, maps.Values(d.named))
	clear(d.named)
	all = slices.Concat(all, gossiped, others)
	if now := d.now(); now.Sub(d.metAt) >= askEach {
		d.metAt = now
		for _, c := range d.met {
			c.met = true
			all = append(all, c)
		}
		clear(d.met)
	}
	out := map[string][]claim{}
	for _, c := range all {
		if c.addr == "" || c.addr == self.addr || out[c.addr] == nil && len(out) >= maxHeard {
			continue
		}
		out[c.addr] = append(out[c.addr], c)
	}
	return out
}

// name notes where somebody is said to be by who was asked because of the claims. What comes of a caller's word alone is a
// caller's word too. Holds mu.
func (d *directory) name(c claim, because []claim) {
	into := d.named
	if !slices.ContainsFunc(because, func(c claim) bool { return !c.met }) {
		into = d.met
	}
	if len(into) >= maxMet || len(c.addr) > 256 {
		return
	}
	into[c.addr] = c
}

// questions are what is asked at the addresses.
func (d *directory) questions(self ownState, byAddr map[string][]claim) map[string]*apiv1.DiscoverRequest {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := map[string]*apiv1.DiscoverRequest{}
	for addr, claims := range byAddr {
		out[addr] = &apiv1.DiscoverRequest{}
		if d.tells(addr, claims) {
			out[addr].ServerId, out[addr].Addr = self.id, self.addr
		}
	}
	return out
}
