package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/durable"
	"github.com/godwit-run/godwit/internal/identity"
	"github.com/godwit-run/godwit/internal/text"
)

// errTwin ends a server whose id another process has too, in a copy of its data directory.
var errTwin = errors.New("two processes run as one server")

// present fills in who this process is and how far it is, as signed answers say it.
func (d *directory) present(res *apiv1.DiscoverResponse) error {
	s, err := d.standing()
	if err != nil {
		return err
	}
	res.ProcessId = d.process
	res.LastLogTerm, res.LastLogIndex, res.CommitIndex = s.LogTerm, s.LogIndex, s.Commit
	res.Bootstrapped = res.Bootstrapped || s.LogIndex > 0 // as it starts its memory has nothing yet, and its disk has
	switch {
	case s.Promised:
		res.Standing = apiv1.Standing_STANDING_PROMISED
	case s.Runs:
		res.Standing = apiv1.Standing_STANDING_RUNS
	default:
		res.Standing = apiv1.Standing_STANDING_UNSPECIFIED
	}
	return nil
}

// introduction is what this process says of itself.
func (d *directory) introduction() (*apiv1.DiscoverResponse, error) {
	self := d.self()
	res := &apiv1.DiscoverResponse{ServerId: self.id, ClusterId: self.clusterID, Addr: self.addr}
	return res, d.present(res)
}

// hearTwin takes what a caller says of itself, if it proves to be another process of this server's id. A process that only starts
// cannot be asked, so it tells; and one that ends for its twin tells it first.
func (d *directory) hearTwin(said *apiv1.DiscoverResponse) {
	if said == nil || said.ServerId != d.self().id || said.ProcessId == d.process || identity.Verify([]byte(d.process), said) != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.told = said
	d.wake()
}

// meetTwins looks for other processes of this server's id among those that answered and those that told. They are told, whatever
// comes of it; the error is errTwin if this one must end.
func (d *directory) meetTwins(ctx context.Context, answers map[string]*apiv1.DiscoverResponse) error {
	self := d.self()
	d.mu.Lock()
	told := d.told
	d.told = nil
	d.mu.Unlock()
	twins := map[string]*apiv1.DiscoverResponse{}
	if told != nil {
		twins[told.Addr] = told
	}
	for addr, res := range answers {
		if res.ServerId == self.id && res.ProcessId != d.process {
			twins[addr] = res
		}
	}
	var ends error
	for addr, other := range twins {
		own, err := d.introduction()
		if err != nil {
			return err
		}
		goes, err := goesOn(own, other), errTwins(own, other)
		switch {
		case foreignTo(self, other.ClusterId):
			goes = true // what it promises, it promises to others
		case other != told:
			d.tell(ctx, addr, own, other)
		}
		if !goes {
			ends = err
			continue
		}
		d.warn("twin "+addr, err)
	}
	return ends
}

// warn says of a twin that this process goes on beside it.
func (d *directory) warn(key string, err error) {
	d.mu.Lock()
	d.say(key, "another process runs as this server, and this one goes on, for it has all that the other one has", "err", err)
	lines := d.lines
	d.lines = nil
	d.mu.Unlock()
	for _, line := range lines {
		line(d.log)
	}
}

// tell tells a twin that this process runs.
func (d *directory) tell(ctx context.Context, addr string, own, other *apiv1.DiscoverResponse) {
	d.key.Sign([]byte(other.ProcessId), own)
	_, _ = d.ask(ctx, addr, &apiv1.DiscoverRequest{Self: own}) // who does not hear it finds out at the next start
}

// goesOn says whether the process own goes on beside its twin. No clock decides. A server that forgets what it has promised can
// cost the cluster what was committed; so one goes on only if the other has promised nothing that it does not know:
// it has taken a greater part, and its log is at least as new. Of two that have promised nothing since they started, the one with
// the newer log goes on. If both have promised something, nobody knows what, and both end.
func goesOn(own, other *apiv1.DiscoverResponse) bool {
	newer := cmp.Or(cmp.Compare(own.LastLogTerm, other.LastLogTerm), cmp.Compare(own.LastLogIndex, other.LastLogIndex))
	switch {
	case own.Standing > other.Standing:
		return newer >= 0
	case own.Standing < other.Standing, own.Standing >= apiv1.Standing_STANDING_PROMISED:
		return false
	default:
		return cmp.Or(newer, cmp.Compare(own.ProcessId, other.ProcessId)) > 0
	}
}

// errTwins says to people what was found and what they must do, the same to both.
func errTwins(own, other *apiv1.DiscoverResponse) error {
	return fmt.Errorf("%w, %s: one of them in a copy of the other's data directory, this one at %s (its log ends with entry %d of term %d), "+
		"the other at %s (entry %d of term %d). Stop both. Keep the directory whose log is newer: that of the later term, in the same term "+
		"that with the higher entry (godwit debug raft-dump DIR shows the log of a stopped server). Move the other one away, delete "+
		"nothing before the cluster is well, and start there with an empty directory to add a server",
		errTwin, own.ServerId, own.Addr, own.LastLogIndex, own.LastLogTerm, other.Addr, other.LastLogIndex, other.LastLogTerm)
}

// twinNote is the file in a data directory that says that its server has ended for a twin. It keeps the server down until
// somebody has decided: else whatever starts it again would, as soon as the other is down.
func twinNote(dataDir string) string { return filepath.Join(dataDir, "twin") }

// noteTwin keeps a server down that has ended for its twin.
func noteTwin(dataDir string, err error) error {
	if !errors.Is(err, errTwin) {
		return err
	}
	return errors.Join(err, durable.WriteFile(twinNote(dataDir), []byte(err.Error()+"\n"), 0o600))
}

// checkTwin is an error if the directory's server has ended for its twin.
func checkTwin(dataDir string) error {
	note, err := os.ReadFile(twinNote(dataDir))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look whether another process runs as this server: %w", err)
	}
	return fmt.Errorf("this server has ended because another process ran with its data: %s; if this is the directory to keep, "+
		"remove the file %s and start again", text.Line(string(note), 4096), twinNote(dataDir))
}
