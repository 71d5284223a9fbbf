package control

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// What is said of those that a starting app waits for is a line, however large the app.
const (
	maxHostsNamed = 4 // the others are counted
	maxRanksNamed = 2 // of each host
)

// whyStarting is whom a starting app waits for, by what the log has: hosts that have live ranks of it and have not told that their
// executor runs. Of an app that is to stop it is those whose ranks have not ended.
func whyStarting(app *apiv1.App) string {
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
		parts = append(parts, fmt.Sprintf("%s (%s)", host, rankNames(ranks[host])))
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
