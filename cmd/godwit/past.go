package main

import (
	"slices"
	"strings"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// pastServer is a server that is a member of a cluster from whose data this server's was recovered, or of one that was recovered from the same data
// as this server's.
type pastServer struct {
	id, addr, cluster string
	apart             bool      // the latter
	at                time.Time // of its last answer
}

// maxPast bounds the servers of the past that are told of. A group has 9.
const maxPast = 16

// meetPast notes that a server of the past runs: it should not, or this one should not. Each is logged once, until it has not answered
// for vouchFor and is forgotten. Holds mu.
func (d *directory) meetPast(res *apiv1.DiscoverResponse, apart bool) {
	d.forgetPast()
	_, known := d.past[res.ServerId]
	if !known && len(d.past) >= maxPast || len(res.Addr) > 256 {
		return
	}
	d.past[res.ServerId] = pastServer{id: res.ServerId, addr: res.Addr, cluster: res.ClusterId, apart: apart, at: d.now()}
	switch {
	case known:
	case apart:
		d.say("past "+res.ServerId, "a server runs as a member of another cluster that was recovered from the same one as this: see godwit servers",
			"server", res.ServerId, "addr", res.Addr, "cluster_id", res.ClusterId)
	default:
		d.say("past "+res.ServerId, "a server still runs as a member of the cluster that this one was recovered from: see godwit servers",
			"server", res.ServerId, "addr", res.Addr, "cluster_id", res.ClusterId)
	}
}

// forgetPast forgets those that have not answered for long. Holds mu.
func (d *directory) forgetPast() {
	for id, p := range d.past {
		if d.now().Sub(p.at) > vouchFor {
			delete(d.past, id)
		}
	}
}

// pastServers are the servers of the past that answered of late, by their ids.
func (d *directory) pastServers() []pastServer {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forgetPast()
	var out []pastServer
	for _, p := range d.past {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b pastServer) int { return strings.Compare(a.id, b.id) })
	return out
}
