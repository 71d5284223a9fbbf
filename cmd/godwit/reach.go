package main

import "net"

// checkReach refuses a loopback address to listen on beside servers on other machines: they could not reach this process, which
// would wait for ever. flag names the servers; what is no IP address is not looked at.
func checkReach(host, flag string, servers []string, mine []net.Addr) error {
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil
	}
	for _, addr := range servers {
		other, _, err := net.SplitHostPort(addr)
		if err != nil {
			other = addr
		}
		if ip := net.ParseIP(other); ip != nil && !ip.IsLoopback() && !isMine(ip, mine) {
			return usagef("--%s names %s, on another machine, which cannot reach this process at %s: give --listen with the address of this machine that it reaches",
				flag, other, host)
		}
	}
	return nil
}

func isMine(ip net.IP, mine []net.Addr) bool {
	for _, a := range mine {
		if n, ok := a.(*net.IPNet); ok && n.IP.Equal(ip) {
			return true
		}
	}
	return false
}
