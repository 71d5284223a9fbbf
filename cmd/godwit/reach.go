package main

import (
	"net"
	"slices"
)

// checkReach refuses a loopback address to listen on beside servers on other machines: they could not reach this process, which
// would wait for ever. flag names the servers; what is no IP address is not looked at. mine says which addresses are this machine's.
func checkReach(host, flag string, servers []string, mine func(net.IP) bool) error {
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil
	}
	for _, addr := range servers {
		other, _, err := net.SplitHostPort(addr)
		if err != nil {
			other = addr
		}
		if ip := net.ParseIP(other); ip != nil && !ip.IsLoopback() && !mine(ip) {
			return usagef("--%s names %s, on another machine, which cannot reach this process at %s: give --listen with the address of this machine that it reaches",
				flag, other, host)
		}
	}
	return nil
}

// isOwnIP says whether an address is one of this machine's interfaces. Where they cannot be listed none is.
func isOwnIP(ip net.IP) bool {
	own, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(own, func(a net.Addr) bool {
		n, ok := a.(*net.IPNet)
		return ok && n.IP.Equal(ip)
	})
}
