package main

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// hostRule names a host of the cluster, and how many ranks it may take.
type hostRule struct {
	name  string // or its id, or its address
	slots int    // 0: as many as the host has
}

// parseHosts reads host[:slots],host[:slots].
func parseHosts(flag, list string) ([]hostRule, error) {
	var out []hostRule
	for _, word := range strings.Split(list, ",") {
		rule, ok := parseHost(strings.TrimSpace(word))
		if !ok {
			return nil, usagef("%s %s: %q is not host:slots", flag, list, word)
		}
		if rule.name == "" {
			return nil, usagef("%s %s: a host's name is missing", flag, list)
		}
		out = append(out, rule)
	}
	return out, nil
}

// parseHost reads host[:slots]. A host is a name, an id, or an address with its port or without. What stands behind an IP may be
// a port or a number of slots; merged tells which, once that is known.
func parseHost(word string) (rule hostRule, ok bool) {
	if ip := net.ParseIP(strings.Trim(word, "[]")); ip != nil {
		return hostRule{name: ip.String()}, true
	}
	host, count, counted := word, "", false
	if i := strings.LastIndexByte(word, ':'); i >= 0 {
		host, count, counted = word[:i], word[i+1:], true
	}
	if ip := net.ParseIP(strings.Trim(host, "[]")); ip != nil {
		host = ip.String()
	}
	if !counted || count == "*" || count == "auto" {
		return hostRule{name: host}, true
	}
	n, err := strconv.Atoi(count)
	return hostRule{name: host, slots: n}, err == nil && n > 0
}

// merged are the rules for hosts of a cluster: an IP with a number behind it is a host's address, if one has that, else the IP and
// slots. A host that is named several times takes as many ranks.
func merged(rules []hostRule, hosts []*apiv1.Host) []hostRule {
	var out []hostRule
	for _, rule := range rules {
		if addr := net.JoinHostPort(rule.name, strconv.Itoa(rule.slots)); slices.ContainsFunc(hosts, func(h *apiv1.Host) bool { return h.Addr == addr }) {
			rule = hostRule{name: addr}
		}
		out = addHost(out, rule)
	}
	return out
}

// addHost adds a rule: to the host's earlier one, if there is one.
func addHost(rules []hostRule, r hostRule) []hostRule {
	i := slices.IndexFunc(rules, func(o hostRule) bool { return o.name == r.name })
	if i < 0 {
		return append(rules, r)
	}
	rules[i].slots = max(rules[i].slots, 1) + max(r.slots, 1)
	return rules
}

// parseHostFile reads a hostfile: of Open MPI, host slots=N, or of MPICH, host:N. A # begins a comment.
func parseHostFile(path, text string) ([]hostRule, error) {
	var out []hostRule
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(strings.ReplaceAll(line, " = ", "="))
		if len(words) == 0 {
			continue
		}
		where := fmt.Sprintf("%s:%d", path, i+1)
		rules, err := parseHosts(where, words[0])
		if err != nil {
			return nil, err
		}
		rule := rules[0]
		for _, word := range words[1:] {
			key, value, _ := strings.Cut(word, "=")
			if key != "slots" && key != "cpu" {
				continue // max_slots, user and their like
			}
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 {
				return nil, usagef("%s: %q: give slots=N, N at least 1", where, word)
			}
			if rule.slots > 0 && net.ParseIP(rule.name) != nil { // the number behind the colon was a port
				rule.name = net.JoinHostPort(rule.name, strconv.Itoa(rule.slots))
			}
			rule.slots = n
		}
		out = append(out, rule)
	}
	if len(out) == 0 {
		return nil, usagef("%s names no host", path)
	}
	return out, nil
}

// room is what one host can take of an app.
type room struct {
	name string
	free int // slots free now, within what the rules allow
	all  int // slots in all, within what the rules allow
}

// rooms are the hosts that the rules allow, in their order; without rules all that are ready, by name.
func rooms(rules []hostRule, hosts []*apiv1.Host, local func(*apiv1.Host) bool) ([]room, error) {
	hosts = slices.SortedFunc(slices.Values(hosts), func(a, b *apiv1.Host) int { return strings.Compare(a.Name, b.Name) })
	rules = merged(rules, hosts)
	if len(rules) == 0 {
		for _, h := range hosts {
			if fsm.TakesRanks(h) {
				rules = append(rules, hostRule{name: h.Name})
			}
		}
	}
	var out []room
	for _, rule := range rules {
		found := false
		for _, h := range hosts {
			if !fsm.TakesRanks(h) || !rule.means(h, local) {
				continue
			}
			found = true
			if slices.ContainsFunc(out, func(r room) bool { return r.name == h.Name }) {
				continue
			}
			r := room{name: h.Name, all: int(h.Slots), free: max(0, int(h.Slots-h.Used))}
			if rule.slots > 0 {
				r.all, r.free = min(r.all, rule.slots), min(r.free, rule.slots)
			}
			out = append(out, r)
		}
		if !found {
			return nil, &exitError{exitFailed, rule.nowhere(hosts, local)}
		}
	}
	if len(out) == 0 {
		return nil, &exitError{exitFailed, noHost(hosts)}
	}
	return out, nil
}

// noHost says why no host takes ranks.
func noHost(hosts []*apiv1.Host) string {
	if len(hosts) == 0 {
		return "no host takes ranks: there is none; godwit worker adds one"
	}
	var why []string
	for _, h := range hosts[:min(len(hosts), maxHostsShown)] {
		why = append(why, h.Name+" is "+fsm.WhyNoRanks(h))
	}
	if more := len(hosts) - len(why); more > 0 {
		why = append(why, fmt.Sprintf("and %d more", more))
	}
	return "no host takes ranks: " + strings.Join(why, "; ") + " (godwit hosts shows them; godwit worker adds one)"
}

// means says whether the rule is for the host: by its name, its id, its address with the port or without, or as this machine.
func (r hostRule) means(h *apiv1.Host, local func(*apiv1.Host) bool) bool {
	if r.name == h.Name || r.name == h.Id || r.name == h.Addr || (isLocalName(r.name) && local(h)) {
		return true
	}
	ip, _, err := net.SplitHostPort(h.Addr)
	return err == nil && r.name == ip
}

// maxHostsShown bounds the hosts that a message names.
const maxHostsShown = 16

// nowhere says why no host is meant that takes ranks, and which hosts there are.
func (r hostRule) nowhere(hosts []*apiv1.Host, local func(*apiv1.Host) bool) string {
	var there, not []string
	for _, h := range hosts {
		switch {
		case fsm.TakesRanks(h):
			there = append(there, h.Name+" ("+h.Addr+")")
		case r.means(h, local):
			not = append(not, h.Name+" is "+fsm.WhyNoRanks(h))
		}
	}
	if more := len(there) - maxHostsShown; more > 0 {
		there = append(there[:maxHostsShown], fmt.Sprintf("and %d more", more))
	}
	why := ""
	if len(not) > 0 {
		why = " (" + strings.Join(not[:min(len(not), maxHostsShown)], ", ") + ")"
	}
	return fmt.Sprintf("no host %.80s takes ranks%s; name one by its name or address, there is: %s (see godwit hosts)",
		r.name, why, orDash(strings.Join(there, ", ")))
}

// isLocalName says whether a name means the machine that mpirun runs on.
func isLocalName(name string) bool {
	if ip := net.ParseIP(name); ip != nil {
		return ip.IsLoopback()
	}
	host, err := os.Hostname()
	return name == "localhost" || name == "localhost.localdomain" || (err == nil && (name == host || strings.HasPrefix(host, name+".")))
}

// isLocalHost says whether a host of the cluster is the machine that mpirun runs on.
func isLocalHost(h *apiv1.Host) bool {
	if h.Name != "localhost" && isLocalName(h.Name) {
		return true
	}
	address, _, err := net.SplitHostPort(h.Addr)
	ip := net.ParseIP(address)
	if err != nil || ip == nil {
		return false
	}
	return ip.IsLoopback() || isOwnIP(ip)
}
