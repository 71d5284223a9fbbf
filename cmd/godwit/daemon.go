package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/gossip"
	"github.com/godwit-run/godwit/internal/client"
	"github.com/godwit-run/godwit/internal/listen"
	"github.com/godwit-run/godwit/internal/transport"
)

// maxAddrsShown bounds the addresses that a message names.
const maxAddrsShown = 16

const (
	discoverWait = time.Second
	seedFast     = 300 * time.Millisecond
	seedSlow     = 5 * time.Second
)

// checkListen checks host:port of a flag: the host must be one address, because it is also what others are told. The port may be left out where
// there is a standard one; 0: there is none.
func checkListen(ctx context.Context, flag, addr string, standard int) (host string, port int, err error) {
	full := addr
	if standard != 0 && !strings.Contains(addr, "/") {
		full = client.WithPort(addr, strconv.Itoa(standard))
	}
	host, p, err := net.SplitHostPort(full)
	if err != nil {
		return "", 0, usagef("--%s %s: use host:port: %w", flag, addr, err)
	}
	port, err = strconv.Atoi(p)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, usagef("--%s %s: the port must be 0 to 65535", flag, addr)
	}
	ip := net.ParseIP(host)
	if host == "" || (ip != nil && ip.IsUnspecified()) {
		return "", 0, usagef("--%s %s: name the one address that other hosts reach, not all interfaces", flag, addr)
	}
	if ip == nil {
		ips, err := new(net.Resolver).LookupIP(ctx, "ip", host)
		if err != nil || len(ips) == 0 {
			return "", 0, usagef("--%s %s: the host cannot be resolved", flag, addr)
		}
		host = ips[0].String()
	}
	if err := ownAddress(ctx, flag, addr, host); err != nil {
		return "", 0, err
	}
	return host, port, nil
}

// ownAddress says if an address cannot be listened on because this machine does not have it, and which ones it has.
func ownAddress(ctx context.Context, flag, addr, host string) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	if err == nil {
		return l.Close()
	}
	if !errors.Is(err, syscall.EADDRNOTAVAIL) {
		return nil // whoever listens says it
	}
	var have []string
	if all, err := net.InterfaceAddrs(); err == nil {
		for _, a := range all {
			if n, ok := a.(*net.IPNet); ok && !n.IP.IsLinkLocalUnicast() && len(have) < maxAddrsShown {
				have = append(have, n.IP.String())
			}
		}
	}
	if len(have) == 0 {
		have = append(have, "none")
	}
	return usagef("--%s %s: %s is not an address of this machine, which has: %s", flag, addr, host, strings.Join(have, ", "))
}

// seeds learns a worker the gossip addresses of the servers named by --join, by asking their API.
type seeds struct {
	http  *http.Client
	addrs []string

	mu     sync.Mutex // guards gossip
	gossip map[string]string
}

func newSeeds(addrs []string, d listen.Dialer) *seeds {
	return &seeds{http: transport.NewHTTPClientBy(d), addrs: addrs, gossip: map[string]string{}}
}

// list is what is known now.
func (s *seeds) list() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, g := range s.gossip {
		out = append(out, g)
	}
	slices.Sort(out)
	return out
}

// discover asks one server who it is.
func (s *seeds) discover(ctx context.Context, addr string) (*apiv1.DiscoverResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, discoverWait)
	defer cancel()
	return apiv1connect.NewClusterClient(transport.NewClient(s.http, addr)).Discover(ctx, &apiv1.DiscoverRequest{})
}

// run asks the servers again and again, and joins gossip when it learns of an address, until ctx ends.
func (s *seeds) run(ctx context.Context, g *gossip.Gossip) error {
	for {
		news := false
		for _, addr := range s.addrs {
			res, err := s.discover(ctx, addr)
			if err != nil {
				continue // not up yet, or gone: asked again
			}
			s.mu.Lock()
			news = news || s.gossip[addr] != res.GossipAddr
			s.gossip[addr] = res.GossipAddr
			s.mu.Unlock()
		}
		if news {
			jctx, cancel := context.WithTimeout(ctx, seedSlow)
			_, _ = g.Join(jctx, s.list()) // Gossip tries its seeds again by itself
			cancel()
		}
		wait := seedSlow
		if len(s.list()) < len(s.addrs) {
			wait = seedFast
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// aliveServers are the API addresses and ids of the servers that gossip sees.
func aliveServers(g *gossip.Gossip) []gossip.Member {
	return slices.DeleteFunc(g.Members(), func(m gossip.Member) bool {
		return m.Role != gossip.RoleServer || m.State != gossip.StateAlive
	})
}
