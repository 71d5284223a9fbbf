package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// network is hosts, as the peers' launchers are told of them, and the way between them.
type network struct {
	noun   string   // what rows call the hosts
	addrs  []string // of the hosts; programs are started on the first
	device string   // that carries what goes between hosts
	enter  []string // what runs a command on the first host; empty: nothing
	agent  string   // a program that the launchers take for ssh
}

// agentScript runs a command as if on another host. Open MPI makes files that are named after the machine, which is the same for
// all of them: each has a directory for its own.
const agentScript = `#!/bin/sh
# AGENT [OPTIONS] HOST COMMAND...
while [ "${1#-}" != "$1" ]; do shift; done
host=$1; shift
TMPDIR=%s/$host; mkdir -p "$TMPDIR"
export TMPDIR OMPI_MCA_btl_vader_backing_directory="$TMPDIR"
exec %s sh -c "$*"
`

// mostHosts is the most hosts that any program is on.
const mostHosts = 8

// loopback is hosts that all are this machine.
func (b *bench) loopback() (*network, error) {
	n := &network{noun: "hosts", device: "lo"}
	for i := range mostHosts {
		n.addrs = append(n.addrs, fmt.Sprintf("127.0.0.%d", i+2)) // not 127.0.0.1: the launchers would take it for no other host
	}
	return n, b.writeAgent(n, "")
}

// writeAgent makes the agent of a network; enter is what runs a command on $host.
func (b *bench) writeAgent(n *network, enter string) error {
	n.agent = filepath.Join(b.dir, n.noun+"-agent")
	return os.WriteFile(n.agent, fmt.Appendf(nil, agentScript, b.shm, enter), 0o700) //nolint:gosec // a script
}

// on is a place on so many workers of a cluster on this machine.
func (b *bench) on(hosts int) place { return place{b.hosts, hosts} }
