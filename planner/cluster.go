package planner

import (
	"maps"
	"slices"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// hostsOf is the cluster as policies see it, in name order. Gone hosts are left out.
func hostsOf(v *fsm.View) []Host {
	tenants := make(map[string]map[string]bool)
	for app := range v.Placed() {
		for r, host := range app.GetPlacement() {
			if app.GetRanks()[r].GetEnded() {
				continue
			}
			if tenants[host] == nil {
				tenants[host] = make(map[string]bool)
			}
			tenants[host][app.GetSpec().GetTenant()] = true
		}
	}
	var out []Host
	for host := range v.Hosts() {
		if fsm.HostStateOf(host).Gone() {
			continue
		}
		out = append(out, Host{
			Name:     host.GetId(),
			Slots:    int(host.GetSlots()),
			Used:     int(host.GetUsed()),
			Evicting: !fsm.TakesRanks(host),
			Tenants:  slices.Sorted(maps.Keys(tenants[host.GetId()])),
		})
	}
	return out
}

// emptied is the same cluster with nothing on it.
func emptied(hosts []Host) []Host {
	out := slices.Clone(hosts)
	for i := range out {
		out[i].Used, out[i].Tenants = 0, nil
	}
	return out
}

func slotsOf(hosts []Host) int {
	n := 0
	for _, h := range hosts {
		if !h.Evicting {
			n += h.Slots
		}
	}
	return n
}

// liveRanks lists the ranks of a placed app that have not ended.
func liveRanks(app *apiv1.App) []int {
	var out []int
	for r, rank := range app.GetRanks() {
		if !rank.GetEnded() {
			out = append(out, r)
		}
	}
	return out
}
