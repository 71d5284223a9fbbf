package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// numbered is a host's name, taken apart at the number that it ends with.
type numbered struct {
	prefix, digits string
	number         uint64
}

func number(name string) numbered {
	at := len(strings.TrimRight(name, "0123456789"))
	n, err := strconv.ParseUint(name[at:], 10, 64)
	if err != nil { // none, or far too many digits
		return numbered{prefix: name}
	}
	return numbered{prefix: name[:at], digits: name[at:], number: n}
}

// compare orders by what precedes the number, and then by the number.
func (h numbered) compare(other numbered) int {
	return cmp.Or(cmp.Compare(h.prefix, other.prefix), cmp.Compare(h.number, other.number), cmp.Compare(len(h.digits), len(other.digits)))
}

// compareNames orders names of hosts so that w9 precedes w10.
func compareNames(a, b string) int { return number(a).compare(number(b)) }

// slurmHostList shows names of hosts as Slurm does: those that differ in the number at their end together, as w[1-3,7].
func slurmHostList(names []string) string {
	var hosts []numbered
	for _, name := range names {
		hosts = append(hosts, number(name))
	}
	slices.SortFunc(hosts, numbered.compare)
	hosts = slices.Compact(hosts)
	var list []string
	for len(hosts) > 0 {
		n := 1
		for n < len(hosts) && hosts[n].prefix == hosts[0].prefix && hosts[0].digits != "" {
			n++
		}
		list = append(list, hosts[0].prefix+numberRanges(hosts[:n]))
		hosts = hosts[n:]
	}
	return strings.Join(list, ",")
}

// numberRanges shows the numbers of hosts whose names begin alike, which are in order.
func numberRanges(hosts []numbered) string {
	if len(hosts) == 1 {
		return hosts[0].digits
	}
	var ranges []string
	for len(hosts) > 0 {
		n := 1
		for n < len(hosts) && hosts[n].digits == fmt.Sprintf("%0*d", len(hosts[0].digits), hosts[0].number+uint64(n)) { //nolint:gosec // n counts hosts
			n++
		}
		text := hosts[0].digits
		if n > 1 {
			text += "-" + hosts[n-1].digits
		}
		ranges, hosts = append(ranges, text), hosts[n:]
	}
	return "[" + strings.Join(ranges, ",") + "]"
}

// namesHost says of a list of hosts, as slurmHostList shows them, that one is among them.
func namesHost(list []string, name string) bool {
	return slices.ContainsFunc(list, func(text string) bool {
		prefix, inner, ranges := strings.Cut(text, "[")
		inner, closed := strings.CutSuffix(inner, "]")
		digits, ok := strings.CutPrefix(name, prefix)
		if !ranges || !closed || !ok {
			return text == name
		}
		n, err := strconv.ParseUint(digits, 10, 64)
		return err == nil && slices.ContainsFunc(strings.Split(inner, ","), func(part string) bool {
			first, last, ranged := strings.Cut(part, "-")
			if !ranged {
				last = first
			}
			from, err := strconv.ParseUint(first, 10, 64)
			to, err2 := strconv.ParseUint(last, 10, 64)
			// As it is written: [08-10] are 08, 09 and 10, and [8-10] are 8, 9 and 10.
			return err == nil && err2 == nil && from <= n && n <= to && digits == fmt.Sprintf("%0*d", len(first), n)
		})
	})
}
