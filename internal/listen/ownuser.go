package listen

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

// OwnUserOnly has connections closed that do not come from a process of this process's user, or of root's, on this machine: what listens on loopback is
// reached by all who have an account. It must be called before Run.
func (l *Listener) OwnUserOnly() { l.ownUser = true }

// fromOwnUser says whether the process at the other end of a connection over IPv4 on this machine is this user's, or root's. The kernel lists who has
// which end.
func fromOwnUser(c net.Conn) bool {
	here, ok1 := c.LocalAddr().(*net.TCPAddr)
	there, ok2 := c.RemoteAddr().(*net.TCPAddr)
	if !ok1 || !ok2 || here.IP.To4() == nil || there.IP.To4() == nil {
		return false
	}
	f, err := os.Open("/proc/net/tcp")
	if err != nil {
		return false
	}
	defer f.Close()                                //nolint:errcheck // only read
	local, remote := hexAddr(there), hexAddr(here) // as the other end has them
	for s := bufio.NewScanner(f); s.Scan(); {
		fields := strings.Fields(s.Text())
		if len(fields) > 9 && fields[1] == local && fields[2] == remote {
			if fields[9] == "0" { // no process has it any more, and the kernel has forgotten whose it was: it says 0
				return false
			}
			uid, err := strconv.Atoi(fields[7])
			return err == nil && (uid == os.Getuid() || uid == 0)
		}
	}
	return false
}

// hexAddr is an address as the kernel writes it: a word in its own order of bytes.
func hexAddr(a *net.TCPAddr) string {
	return fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(a.IP.To4()), a.Port)
}
