package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
)

// maxMatrix is of how many ranks a matrix is shown; of more the pairs of ranks are that send most.
const (
	maxMatrix     = 16
	maxPairsShown = 64
)

// sending is what one rank sends another.
type sending struct {
	from, to int32
	rate     float64
}

// showTraffic prints what the ranks of an app send each other.
func showTraffic(ctx context.Context, o *options, ref string) error {
	res, err := ask(ctx, o, apiv1connect.ControlClient.InspectRanks, &apiv1.InspectRanksRequest{App: ref, Traffic: true})
	if err != nil {
		return err
	}
	if o.output == "json" {
		return printJSON(os.Stdout, jsonValue(res.ProtoReflect()))
	}
	if a := res.App; len(res.Ranks) == 0 {
		return show("no rank runs: %s %s%s\n", a.Id, apiv1.AppStands(a.Phase, false), because(a.Reason))
	}
	return show("%s", trafficText(res.Ranks))
}

// trafficText is a matrix, senders down and receivers across, or a list of the pairs that send most, with how much of all goes between hosts.
func trafficText(ranks []*apiv1.RankDoing) string {
	var all []sending
	total, between := 0.0, 0.0
	hosts := make(map[int32]string, len(ranks))
	for _, r := range ranks {
		hosts[r.Rank] = r.Host
	}
	for _, r := range ranks {
		for _, h := range r.Heard {
			all = append(all, sending{h.From, r.Rank, h.BytesPerSecond})
			if total += h.BytesPerSecond; hosts[h.From] != r.Host {
				between += h.BytesPerSecond
			}
		}
	}
	var b strings.Builder
	for _, r := range ranks {
		if r.MemoryBytes == 0 {
			fmt.Fprintf(&b, "rank %d on %s: nothing is known of what it receives: %s\n", r.Rank, r.Host, r.Doing)
		}
	}
	fmt.Fprintf(&b, "bytes a second: %s, of which %s between hosts\n", bytesText(total), bytesText(between))
	if len(ranks) <= maxMatrix {
		b.WriteString(matrixText(ranks, all))
		return b.String()
	}
	slices.SortFunc(all, func(x, y sending) int {
		return cmp.Or(cmp.Compare(y.rate, x.rate), cmp.Compare(x.from, y.from), cmp.Compare(x.to, y.to))
	})
	for _, s := range all[:min(len(all), maxPairsShown)] {
		fmt.Fprintf(&b, "rank %d on %s to rank %d on %s: %s\n", s.from, hosts[s.from], s.to, hosts[s.to], bytesText(s.rate))
	}
	if more := len(all) - maxPairsShown; more > 0 {
		fmt.Fprintf(&b, "and %d more pairs (-o json has them all)\n", more)
	}
	return b.String()
}

// matrixText has a line for each rank that sends.
func matrixText(ranks []*apiv1.RankDoing, all []sending) string {
	const width = 8
	var b strings.Builder
	fmt.Fprintf(&b, "%-16s", "FROM \\ TO")
	for _, r := range ranks {
		fmt.Fprintf(&b, "%*s", width, strconv.Itoa(int(r.Rank)))
	}
	b.WriteString("\n")
	for _, from := range ranks {
		fmt.Fprintf(&b, "%-16.16s", fmt.Sprintf("%d %s", from.Rank, from.Host))
		for _, to := range ranks {
			cell := "-"
			if i := slices.IndexFunc(all, func(s sending) bool { return s.from == from.Rank && s.to == to.Rank }); i >= 0 {
				cell = bytesText(all[i].rate)
			}
			fmt.Fprintf(&b, "%*s", width, cell)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// bytesText is a number of bytes for a narrow column.
func bytesText(n float64) string {
	for _, unit := range []string{"", "k", "M", "G"} {
		if n < 999.5 {
			return fmt.Sprintf("%.3g%s", n, unit)
		}
		n /= 1000
	}
	return fmt.Sprintf("%.3gT", n)
}
