package planner

import (
	"slices"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// hostsOf is the cluster as policies see it, in name order. Gone hosts are left out.
func hostsOf(v *fsm.View) []Host {
	out := bareHostsOf(v)
	for i := range out {
		out[i].Tenants = tenantsOn(v, fsm.HostID(out[i].Name))
	}
	return out
}

// bareHostsOf is the same without the tenants, which cost a look at all apps on the hosts.
func bareHostsOf(v *fsm.View) []Host {
	var out []Host
	for host := range v.Hosts() {
		if fsm.HostStateOf(host).Gone() {
			continue
		}
		out = append(out, Host{
			Name:     host.GetId(),
			Slots:    int(host.GetSlots()),
			Used:     min(int(host.GetUsed()), maxRanks), // beyond the slots it makes no difference
			Evicting: !fsm.TakesRanks(host),
			Why:      fsm.WhyNoRanks(host),
			Volumes:  fsm.VolumeNames(host),
			Labels:   host.GetLabels(),

			Memory: host.GetMemoryBytes(), MemoryUsed: host.GetMemoryUsed(), RankMemory: host.GetRankMemoryBytes(), Speed: host.GetSpeed(),
		})
	}
	return out
}

// anywhere tells whether an app asks nothing of its hosts but slots.
func anywhere(spec *apiv1.AppSpec) bool {
	return len(spec.GetMounts()) == 0 && len(spec.GetOn()) == 0 && spec.GetSpread() == ""
}

// offering is the cluster as an app finds it that mounts volumes, or asks for labels: hosts without one of them take none of its ranks.
func offering(hosts []Host, spec *apiv1.AppSpec) []Host {
	if anywhere(spec) {
		return hosts
	}
	out, rules, volumes := slices.Clone(hosts), fsm.LabelRulesOf(spec), fsm.MountNames(spec)
	for i := range out {
		h := &out[i]
		for _, name := range volumes {
			if !h.Evicting && !slices.Contains(h.Volumes, name) {
				h.Evicting, h.Why = true, "without volume "+fsm.VolumeText(name)
			}
		}
		if lacks := rules.Lacks(h.Labels); !h.Evicting && lacks != "" {
			h.Evicting, h.Why = true, "without "+lacks
		}
	}
	return out
}

// emptied is the same cluster with nothing on it.
func emptied(hosts []Host) []Host {
	out := slices.Clone(hosts)
	for i := range out {
		out[i].Used, out[i].MemoryUsed, out[i].Tenants = 0, 0, nil
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

// tenantsOn lists the tenants with live ranks on the host, each once, in order.
func tenantsOn(v *fsm.View, id fsm.HostID) []string {
	var out []string
	for app, share := range v.AppsOn(id) {
		if share.Ranks > 0 {
			out = append(out, app.GetSpec().GetTenant())
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// liveRanks lists the ranks of a placed app that have not ended.
func liveRanks(app *apiv1.App) []int {
	out := make([]int, 0, app.GetSize())
	for r := range int(app.GetSize()) {
		if !app.HasEnded(int32(r)) {
			out = append(out, r)
		}
	}
	return out
}
