package main

import (
	"context"
	"slices"
	"strconv"
	"strings"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/fsm"
)

const sinfoHelp = `Usage: sinfo [OPTIONS]

List the hosts of the cluster in GODWIT_ADDR by their states, as Slurm does. godwit hosts lists each with its slots.

  -N, --Node              a line for each host
  -n, --nodes HOST,...    these hosts alone
  -t, --states STATE,...  those in these states: idle, no slot is used; mix, some are; alloc, all are; drng, no new ranks, and it has some;
                          drain, no new ranks, and it has none; down, it is gone
  -h, --noheader          no first line
  -V, --version; --help

-p, -a, -l and -r are taken. For scripts there is godwit hosts -o json in place of -o and -O.
`

// hostView is what sinfo was asked to list.
type hostView struct {
	slurmAsks

	each, noHeader bool
	hosts, states  []string
}

// hostStates are the states of hosts, in the order in which they are listed.
func hostStates() []jobState {
	return []jobState{{"down", "down"}, {"drng", "draining"}, {"drain", "drained"}, {"mix", "mixed"}, {"alloc", "allocated"}, {"idle", "idle"}}
}

// slurmHostState is what Slurm calls the state that a host is in.
func slurmHostState(h *apiv1.Host) string {
	switch {
	case fsm.HostStateOf(h).Gone():
		return "down"
	case !fsm.TakesRanks(h) && (h.Used > 0 || fsm.WishOf(h) == fsm.Draining): // a draining one may alone hold images still
		return "drng"
	case !fsm.TakesRanks(h):
		return "drain"
	case h.Used == 0:
		return "idle"
	case h.Used < h.Slots:
		return "mix"
	default:
		return "alloc"
	}
}

func hostOptions() []slurmOption[*hostView] {
	refused := slurmRefused[*hostView]
	return slices.Concat([]slurmOption[*hostView]{
		slurmSwitch("N Node", func(v *hostView) *bool { return &v.each }),
		slurmSwitch("h noheader", func(v *hostView) *bool { return &v.noHeader }),
		slurmList("n nodes w nodelist", func(v *hostView) *[]string { return &v.hosts }),
		{"t states", needsValue, func(into *hostView, flag, v string) error { return into.takeStates(flag, v) }},
		slurmIgnored[*hostView](needsValue, "p partition"),
		slurmIgnored[*hostView](noValue, "a all l long r responding v verbose hide e exact local"),
		refused(needsValue, "o format O Format", "use godwit hosts -o json, which has all that is known of the hosts"),
		refused(mayHave, "json yaml", "use godwit hosts -o json"),
		refused(noValue, "R list-reasons", "godwit hosts says why a host takes no ranks"),
		refused(noValue, "s summarize", "godwit hosts lists the slots of each host"),
		refused(noValue, "d dead", "use -t down"),
		refused(needsValue, "i iterate", "use watch -n SECONDS sinfo"),
		refused(needsValue, "S sort", "pipe it into sort"),
		refused(noValue, "T reservation", "there are no reservations"),
		refused(needsValue, "M clusters", "GODWIT_ADDR names the cluster"),
	}, slurmHelp("help usage", func(v *hostView) *slurmAsks { return &v.slurmAsks }))
}

// takeStates takes -t.
func (v *hostView) takeStates(flag, list string) error {
	words := []string(nil)
	if err := slurmList("", func(*hostView) *[]string { return &words }).take(v, flag, list); err != nil {
		return err
	}
	for _, word := range words {
		word = strings.ToLower(word)
		known := hostStates()
		i := slices.IndexFunc(known, func(s jobState) bool { return word == s.code || word == s.name })
		if i < 0 {
			return usagef("%s %s: %q is no state: give idle, mix, alloc, drng, drain or down", flag, list, word)
		}
		v.states = append(v.states, known[i].code)
	}
	return nil
}

// hostGroup are hosts in one state.
type hostGroup struct {
	state string
	names []string
}

// groups are the hosts by state; where each has a line, by name.
func (v *hostView) groups(hosts []*apiv1.Host) []hostGroup {
	var out []hostGroup
	for _, s := range hostStates() {
		g := hostGroup{state: s.code}
		for _, h := range hosts {
			if slurmHostState(h) == s.code && (len(v.hosts) == 0 || namesHost(v.hosts, h.Name)) && (len(v.states) == 0 || slices.Contains(v.states, s.code)) {
				g.names = append(g.names, h.Name)
			}
		}
		switch {
		case v.each:
			for _, name := range g.names {
				out = append(out, hostGroup{s.code, []string{name}})
			}
		case len(g.names) > 0:
			out = append(out, g)
		}
	}
	return out
}

// sinfo is the whole of that command.
func sinfo(ctx context.Context, o *options, words []string) error {
	v := &hostView{}
	rest, err := (&slurmLine[*hostView]{program: "sinfo", options: hostOptions(), anywhere: true}).read(words, v)
	if err != nil {
		return err
	}
	if done, err := v.answer("sinfo", sinfoHelp); done {
		return err
	}
	if len(rest) > 0 {
		return usagef("%q is one argument too many: sinfo -n %s lists a host", rest[0], rest[0])
	}
	res, err := ask(ctx, o, apiv1connect.ControlClient.ListHosts, &apiv1.ListHostsRequest{})
	if err != nil {
		return err
	}
	groups := v.groups(res.Hosts)
	if v.each {
		slices.SortFunc(groups, func(a, b hostGroup) int { return compareNames(a.names[0], b.names[0]) })
		return slurmTable("NODELIST NODES PARTITION STATE", v.noHeader, groups, func(g hostGroup) []string {
			return []string{g.names[0], "1", thePartition + "*", g.state}
		})
	}
	return slurmTable("PARTITION AVAIL TIMELIMIT NODES STATE NODELIST", v.noHeader, groups, func(g hostGroup) []string {
		return []string{thePartition + "*", "up", "infinite", strconv.Itoa(len(g.names)), g.state, slurmHostList(g.names)}
	})
}
