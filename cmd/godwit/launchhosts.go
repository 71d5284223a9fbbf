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
	name  string
	slots int // 0: as many as the host has
}

// parseHosts reads host[:slots],host[:slots]. A host that is named several times takes as many ranks.
func parseHosts(flag, list string) ([]hostRule, error) {
	var out []hostRule
	for _, word := range strings.Split(list, ",") {
		name, count, counted := strings.Cut(strings.TrimSpace(word), ":")
		rule := hostRule{name: name}
		if counted && count != "*" && count != "auto" {
			n, err := strconv.Atoi(count)
			if err != nil || n < 1 {
				return nil, usagef("%s %s: %q is not host:slots", flag, list, word)
			}
			rule.slots = n
		}
		if name == "" {
			return nil, usagef("%s %s: a host's name is missing", flag, list)
		}
		out = addHost(out, rule)
	}
	return out, nil
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
			rule.slots = n
		}
		out = addHost(out, rule)
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
	var ready []*apiv1.Host
	var names []string
	for _, h := range hosts {
		if fsm.TakesRanks(h) {
			ready, names = append(ready, h), append(names, h.Name)
		}
	}
	slices.Sort(names)
	slices.SortFunc(ready, func(a, b *apiv1.Host) int { return strings.Compare(a.Name, b.Name) })
	if len(rules) == 0 {
		rules = make([]hostRule, len(names))
		for i, name := range names {
			rules[i].name = name
		}
	}
	var out []room
	for _, rule := range rules {
		found := false
		for _, h := range ready {
			if h.Name != rule.name && h.Id != rule.name && (!isLocalName(rule.name) || !local(h)) {
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
			return nil, &exitError{exitFailed, fmt.Sprintf("no host %s that takes ranks; there is: %s (see godwit hosts)", rule.name, orDash(strings.Join(names, ", ")))}
		}
	}
	return out, nil
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
