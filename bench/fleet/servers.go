package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// serverCount is how many servers there are.
const serverCount = 3

// servers are the processes of a cluster's servers.
type servers struct {
	godwit, dir string
	addrs       []string
	running     []*exec.Cmd // nil: killed
	logs        []*os.File
}

// startServers starts a new cluster's.
func startServers(ctx context.Context, godwit, dir string) (*servers, error) {
	s := &servers{godwit: godwit, dir: dir, running: make([]*exec.Cmd, serverCount), logs: make([]*os.File, serverCount)}
	var held []net.Listener // until all ports are chosen
	for range serverCount {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		held, s.addrs = append(held, l), append(s.addrs, l.Addr().String())
	}
	for _, l := range held {
		if err := l.Close(); err != nil {
			return nil, err
		}
	}
	for i := range serverCount {
		if err := s.start(i); err != nil {
			return nil, errors.Join(err, s.stop())
		}
	}
	return s, nil
}

// start starts one, on what it has on its disk.
func (s *servers) start(i int) error {
	name := filepath.Join(s.dir, "s"+strconv.Itoa(i+1))
	log, err := os.OpenFile(name+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	//nolint:gosec,noctx // the binary that is measured; ended by stop
	cmd := exec.Command(s.godwit, "server", "--log-level", "warn", "--data-dir", name, "--listen", s.addrs[i],
		"--retry-join", strings.Join(s.addrs, ","), "--bootstrap-expect", strconv.Itoa(serverCount))
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		return errors.Join(err, log.Close())
	}
	s.running[i], s.logs[i] = cmd, log
	return nil
}

// kill kills one, and waits for its end.
func (s *servers) kill(i int) error {
	cmd := s.running[i]
	if cmd == nil {
		return nil
	}
	s.running[i] = nil
	_ = cmd.Process.Kill() // it may have ended
	_ = cmd.Wait()         // by that
	return s.logs[i].Close()
}

// stop ends all. Nobody needs what they have.
func (s *servers) stop() (err error) {
	for i := range s.running {
		err = errors.Join(err, s.kill(i))
	}
	return err
}

// pid is a server's process.
func (s *servers) pid(i int) int { return s.running[i].Process.Pid }

// at is which server has an address.
func (s *servers) at(addr string) (int, error) {
	for i, a := range s.addrs {
		if a == addr && s.running[i] != nil {
			return i, nil
		}
	}
	return 0, fmt.Errorf("fleet: no server of the bench's runs at %q", addr)
}

// ports are those of all servers.
func (s *servers) ports() map[int]bool {
	out := map[int]bool{}
	for _, a := range s.addrs {
		if _, port, err := net.SplitHostPort(a); err == nil {
			n, _ := strconv.Atoi(port) // of a listener
			out[n] = true
		}
	}
	return out
}
