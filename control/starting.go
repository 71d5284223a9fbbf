package control

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/text"
)

// What is said of those that a starting app waits for is a line, however large the app.
const (
	maxHostsNamed = 4   // the others are counted
	maxRanksNamed = 2   // of each host
	maxWhyShown   = 200 // bytes of why one can take no new ranks
)

// awaited is whom an app that starts waits for, by what the log has: hosts that have live ranks of it and have not told that their
// executor runs. Of an app that is to stop it is those whose ranks have not ended. what says of a host what it waits for itself, if anything.
func awaited(app *apiv1.App, what func(host string) string) string {
	var hosts []string
	ranks := map[string][]int{}
	for r, host := range app.Placement {
		_, started := slices.BinarySearch(app.StartedHosts, host)
		if app.HasEnded(int32(r)) || (started && app.Verdict == "") {
			continue
		}
		if ranks[host] == nil {
			hosts = append(hosts, host)
		}
		ranks[host] = append(ranks[host], r)
	}
	var parts []string
	for _, host := range hosts[:min(len(hosts), maxHostsNamed)] {
		said := rankNames(ranks[host])
		if why := what(host); why != "" {
			said += "; " + why
		}
		parts = append(parts, fmt.Sprintf("%s (%s)", host, said))
	}
	if more := len(hosts) - len(parts); more > 0 {
		parts = append(parts, fmt.Sprintf("%d more hosts", more))
	}
	if len(parts) == 0 {
		return app.Reason
	}
	waits := "waits for " + strings.Join(parts, ", ")
	switch {
	case app.Verdict != "":
		return fmt.Sprintf("is being stopped (%s), %s to end; a host that does not answer gives them up when its worker is started again",
			cmp.Or(app.Reason, app.Verdict), waits)
	case app.Reason != "": // of an earlier attempt
		return waits + "; " + app.Reason
	}
	return waits
}

// awaited is the package's, by what the log and the hosts have told the leader last; another server knows less of it.
func (c *Control) awaited(v *fsm.View, app *apiv1.App) string {
	if fsm.Storing(app) {
		return storingText(app, c.filesTrouble(app))
	}
	l := c.current()
	return awaited(app, func(host string) string {
		if l != nil && app.Verdict == "" {
			st := l.inbox.report(fsm.HostID(host), fsm.AppID(app.Id))
			switch {
			case st.GetEpoch() != app.Epoch:
			case st.GetStartInLine():
				return "it waits for a server to give it the module"
			case st.GetStartTrouble() != "":
				return text.Line(st.GetStartTrouble(), maxWhyShown)
			}
		}
		h, _ := v.Host(fsm.HostID(host))
		return text.Line(fsm.WhyUnfit(h), maxWhyShown)
	})
}

// rankNames lists ranks, such as "rank 3, 4 and 2 more".
func rankNames(ranks []int) string {
	var names []string
	for _, r := range ranks[:min(len(ranks), maxRanksNamed)] {
		names = append(names, fmt.Sprint(r))
	}
	text := "rank " + strings.Join(names, ", ")
	if more := len(ranks) - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
