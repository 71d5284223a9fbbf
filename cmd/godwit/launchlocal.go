package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/control"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/client"
	"github.com/godwit-run/godwit/planner"
)

// privateShape is how large a cluster for one run is.
type privateShape struct {
	workers, slots int
	dir            string // of this machine, that the ranks begin in; empty: they have no files
}

// What the workers of such a cluster offer: the directory that the ranks begin in, and one for files of the moment.
const (
	dirVolume = "dir"
	tmpVolume = "tmp"
	tmpPath   = "/tmp"
)

// mounts are what an app of such a cluster sees: as a program that is run by hand in that directory does, by the same paths.
func (s privateShape) mounts() []*apiv1.Mount {
	if s.dir == "" {
		return nil
	}
	tmp := &apiv1.Mount{Volume: tmpVolume, Path: tmpPath}
	if s.dir == tmpPath {
		tmp.Volume = dirVolume
		return []*apiv1.Mount{tmp}
	}
	return []*apiv1.Mount{{Volume: dirVolume, Path: s.dir}, tmp}
}

// workingDir is the directory that ranks are to begin in on this machine.
func (l *launch) workingDir() (string, error) {
	dir, err := filepath.Abs(l.parts[0].dir) // "": where this command is
	if err != nil {
		return "", fmt.Errorf("find the working directory: %w", err)
	}
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return "", usagef("--wdir %s: there is no such directory", dir)
	}
	if dir == "/" || dir == "/dev" || strings.HasPrefix(dir, "/dev/") {
		if !l.quiet {
			fmt.Fprintf(os.Stderr, "mpirun: note: the program sees no files in %s: begin in another directory\n", dir)
		}
		return "", nil
	}
	return dir, nil
}

// maxPrivateWorkers bounds the processes of a cluster for one run.
const maxPrivateWorkers = 16

// privatePatience is how long calls of such a cluster are repeated.
const privatePatience = 10 * time.Second

// privateShape makes room for all ranks: on one worker, or on as many as the ranks are to be spread over.
func (l *launch) privateShape() (privateShape, error) {
	s := privateShape{workers: 1}
	ranks := 0
	for _, p := range l.parts {
		for _, h := range p.hosts {
			if !isLocalName(h.name) {
				return s, &exitError{exitUnreachable, fmt.Sprintf("no cluster is at %s, and one started for this run has this machine only, not %s: "+
					"set GODWIT_ADDR, start one with godwit server and godwit worker, or leave the host out", client.DefaultAddr, h.name)}
			}
		}
		n := p.size(1)
		ranks += n
		if p.perHost > 0 {
			s.workers = max(s.workers, (n+p.perHost-1)/p.perHost)
		} else if p.byNode {
			s.workers = max(s.workers, min(n, 2))
		}
	}
	if s.workers > maxPrivateWorkers {
		return s, usagef("%d hosts are more than a cluster for one run has (%d): raise -N, or start a cluster", s.workers, maxPrivateWorkers)
	}
	s.slots = ranks
	var err error
	s.dir, err = l.workingDir()
	return s, err
}

// hosts are the hosts of such a cluster, before it runs.
func (s privateShape) hosts() []*apiv1.Host {
	var out []*apiv1.Host
	for i := range s.workers {
		name := "w" + strconv.Itoa(i+1)
		out = append(out, &apiv1.Host{Id: name, Name: name, Addr: loopback + ":0", Slots: int32(s.slots), State: "ready"})
	}
	return out
}

// withPrivateCluster starts a cluster, calls f, and stops the cluster. An interrupt while it starts ends it; later f has
// to see to interrupts.
func withPrivateCluster(ctx context.Context, in *interrupts, s privateShape, f func([]*apiv1.Host, *client.Client) error) (err error) {
	starting, stop := until(ctx, in.first)
	defer stop()
	flags := &devFlags{
		servers: 1, workers: s.workers, slots: s.slots, lease: control.DefaultConfig().Lease, freezeDeadline: control.DefaultConfig().FreezeDeadline, level: "warn", multiplier: 1, private: true,
	}
	if s.dir != "" {
		flags.volumes, flags.ownVolume = []string{dirVolume + "=" + s.dir}, tmpVolume
	}
	d, err := openDev(starting, flags)
	if err != nil {
		return in.nothingYet(fmt.Errorf("start a cluster for this run: %w", err))
	}
	defer func() { err = errors.Join(err, d.close()) }()
	c, err := client.New(d.servers, privatePatience)
	if err != nil {
		return err
	}
	res, err := call(starting, c, apiv1connect.ControlClient.ListHosts, &apiv1.ListHostsRequest{})
	if err != nil {
		return in.nothingYet(err)
	}
	return f(res.Hosts, c)
}

// showPlan prints where the ranks would go.
func (l *launch) showPlan(paths []string, hosts []*apiv1.Host, placement []string, sizes []int) error {
	size := 0
	for _, n := range sizes {
		size += n
	}
	if placement == nil {
		req := planner.Request{ID: paths[0], Kind: planner.KindNew, Ranks: size, Oversubscribe: l.oversubscribe}
		for _, h := range hosts {
			if fsm.HostStateOf(h).Gone() {
				continue
			}
			req.Hosts = append(req.Hosts, planner.Host{Name: h.Name, Slots: int(h.Slots), Used: int(h.Used), Evicting: !fsm.TakesRanks(h), Why: fsm.WhyNoRanks(h)})
		}
		plan, err := planner.Decide(req)
		if err != nil {
			return err
		}
		if plan.Outcome != planner.Placed {
			return &exitError{exitFailed, "it would wait: " + plan.Reason}
		}
		placement = plan.Placement
	}
	part, left := 0, sizes[0]
	for rank, host := range placement {
		for ; left == 0; left = sizes[part] {
			part++
		}
		left--
		program := ""
		if len(paths) > 1 {
			program = ": " + paths[part]
		}
		if err := printf("rank %d on %s%s\n", rank, host, program); err != nil {
			return err
		}
	}
	return nil
}
