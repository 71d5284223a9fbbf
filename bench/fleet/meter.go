package fleet

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ticks is how many units of a process's times make a second, in /proc.
const ticks = 100

// usage is what a process has used.
type usage struct {
	cpu time.Duration
	rss int64 // bytes, now
}

// usageOf reads a process's.
func usageOf(pid int) (usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return usage{}, err
	}
	// The name, in parentheses, may hold anything. Behind it come the state and ten numbers, then the times of user and kernel; the pages in memory are the 22nd.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 22 {
		return usage{}, fmt.Errorf("fleet: /proc/%d/stat is %q", pid, stat)
	}
	var n [3]int64
	for i, at := range []int{11, 12, 21} {
		if n[i], err = strconv.ParseInt(string(fields[at]), 10, 64); err != nil {
			return usage{}, fmt.Errorf("fleet: /proc/%d/stat: %w", pid, err)
		}
	}
	return usage{cpu: time.Duration(n[0]+n[1]) * time.Second / ticks, rss: n[2] * int64(os.Getpagesize())}, nil
}

// received is what has come over this process's open connections to these ports.
func received(ports map[int]bool) (n uint64, err error) {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0, err
	}
	for _, e := range fds {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || !isSocket(e.Name()) {
			continue
		}
		peer, err := unix.Getpeername(fd)
		if err != nil {
			continue // closed meanwhile, or it listens
		}
		if in, ok := peer.(*unix.SockaddrInet4); !ok || !ports[in.Port] {
			continue
		}
		if info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			n += info.Bytes_received
		}
	}
	return n, nil
}

func isSocket(fd string) bool {
	to, err := os.Readlink("/proc/self/fd/" + fd)
	return err == nil && strings.HasPrefix(to, "socket:")
}
