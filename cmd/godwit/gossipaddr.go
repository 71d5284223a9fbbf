package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/godwit-run/godwit/internal/client"
	"github.com/godwit-run/godwit/internal/durable"
)

// The standard ports: of the API, which is client.DefaultPort, and of a worker, and gossip's own beside them; a server and a worker may
// share a machine.
const (
	standardDataPort = 7403
	serverGossipPort = 7402
	workerGossipPort = 7404
)

// standardAPIPort is client.DefaultPort as a number.
func standardAPIPort() int {
	port, err := strconv.Atoi(client.DefaultPort)
	if err != nil {
		panic(err) // a constant
	}
	return port
}

// gossipListenHelp is the help of --gossip-listen.
func gossipListenHelp(own int, beside string) string {
	return fmt.Sprintf("host:port of gossip, TCP and UDP (default: port %d beside --listen port %s, else any free one)", own, beside)
}

// gossipBind is where gossip listens: as the flag says; else its standard port, if --listen has its own; else, and where
// that is taken or several processes share the loopback, the port used before on this data directory, or any free one.
// Others learn of it from Discover and from gossip itself. own is the port of --listen, which may not be bound yet. It is to be asked once a
// process: what it gives is claimed.
func gossipBind(ctx context.Context, flag, dataDir, host string, own int) (string, error) {
	if flag != "" {
		h, p, err := checkListen(ctx, "gossip-listen", flag, standardGossip(own))
		return net.JoinHostPort(h, strconv.Itoa(p)), err
	}
	standard := standardGossip(own)
	if ip := net.ParseIP(host); standard != 0 && ip != nil && !ip.IsLoopback() && claimPort(ctx, host, standard) {
		return net.JoinHostPort(host, strconv.Itoa(standard)), nil
	}
	if b, err := os.ReadFile(gossipPortFile(dataDir)); err == nil {
		if p, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && p != own && claimPort(ctx, host, p) {
			return net.JoinHostPort(host, strconv.Itoa(p)), nil
		}
	}
	port, err := freePort(ctx, host, own)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(host, strconv.Itoa(port)), nil
}

// gossipPortFile is where a data directory says which port gossip had.
func gossipPortFile(dataDir string) string { return filepath.Join(dataDir, "gossip_port") }

// rememberGossip notes where gossip listens, for the next start. The data directory is this process's by now.
func rememberGossip(dataDir, bind string) {
	file := gossipPortFile(dataDir)
	_, port, err := net.SplitHostPort(bind)
	if said, _ := os.ReadFile(file); err != nil || port == "0" || string(said) == port+"\n" {
		return
	}
	_ = durable.WriteFile(file, []byte(port+"\n"), 0o600) // else the next start takes another port
}

// routeTo is this machine's address on the way to the first of the servers whose name can be resolved, with the standard
// port or, if that is taken, any free one.
func routeTo(ctx context.Context, servers []string, port int) (string, error) {
	for _, s := range servers {
		conn, err := new(net.Dialer).DialContext(ctx, "udp", s) // sends nothing; asks the routing table
		if err != nil {
			continue
		}
		host, _, err := net.SplitHostPort(conn.LocalAddr().String())
		_ = conn.Close() // nothing was sent
		if err != nil {
			continue
		}
		if !claimPort(ctx, host, port) {
			if port, err = freePort(ctx, host); err != nil {
				return "", err
			}
		}
		return net.JoinHostPort(host, strconv.Itoa(port)), nil
	}
	return "", usagef("no way to the servers %s: correct --join, or give --listen", strings.Join(servers, ","))
}

// standardGossip is gossip's port beside a standard --listen port; 0: another port has none.
func standardGossip(port int) int {
	switch port {
	case standardAPIPort():
		return serverGossipPort
	case standardDataPort:
		return workerGossipPort
	default:
		return 0
	}
}

// portFree tells whether nobody uses the port, by TCP or UDP.
func portFree(ctx context.Context, host string, port int) bool {
	addr := net.JoinHostPort(host, strconv.Itoa(port))
	tcp, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	defer tcp.Close() //nolint:errcheck // it was only to see whether it is free
	udp, err := new(net.ListenConfig).ListenPacket(ctx, "udp", addr)
	if err != nil {
		return false
	}
	return udp.Close() == nil
}

// claimPort tells whether nobody uses the port, and keeps other processes of Godwit on this machine from choosing it, or looking at it, before
// who is to have it has bound it: of two that find the same port free one gets it. A claim is a socket without a file, which the kernel gives
// up with this process.
func claimPort(ctx context.Context, host string, port int) bool {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	if unix.Bind(fd, &unix.SockaddrUnix{Name: "@godwit-port-" + net.JoinHostPort(host, strconv.Itoa(port))}) == nil && portFree(ctx, host, port) {
		return true
	}
	_ = unix.Close(fd) // it was only a claim
	return false
}

// Ports chosen by freePort lie below those that the kernel gives to outgoing connections, so that a process that was
// stopped finds its port free when it starts again.
const (
	freePortsFrom = 15_000
	freePortsTo   = 32_000
)

// freePort is a port that nobody uses, by TCP or UDP, and none of those that are meant for something else. It is this process's for as long
// as that lives: see claimPort.
func freePort(ctx context.Context, host string, not ...int) (int, error) {
	for range 1000 {
		port := freePortsFrom + rand.IntN(freePortsTo-freePortsFrom)
		if !slices.Contains(not, port) && claimPort(ctx, host, port) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no free port from %d to %d on %s", freePortsFrom, freePortsTo, host)
}
