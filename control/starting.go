package control

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// What is said of those that a starting app waits for is a line, however large the app.
const (
	maxHostsNamed = 4 // the others are counted
	maxRanksNamed = 2 // of each host
)

// whyStarting is whom a starting app waits for, by what the log has: hosts that have live ranks of it and have not told that their
// executor runs. Of an app that is to stop it is those whose ranks have not ended.
// inLine says of a host that the server that it asks for the module has none for it yet.
func whyStarting(app *apiv1.App, inLine func(host string) bool) string {
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
		if app.Verdict == "" && inLine(host) {
			said += "; it waits for a server to give it the module"
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

// whyStarting is the package's, by what the hosts have told the leader last; another server knows nothing of it.
func (c *Control) whyStarting(app *apiv1.App) string {
	l := c.current()
	return whyStarting(app, func(host string) bool {
		if l == nil {
			return false
		}
		st := l.inbox.report(fsm.HostID(host), fsm.AppID(app.Id))
		return st.GetEpoch() == app.Epoch && st.GetStartInLine()
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
