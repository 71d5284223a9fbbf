package raftnode

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
)

// Survivor is a stopped server's data, opened to be made a cluster of its own. Close must be called.
type Survivor struct {
	cfg Config
	dir *dataDir
	log *slog.Logger
	// Members is the group by the survivor's log; LastIndex its last entry, committed or not.
	Members   []Server
	LastIndex uint64
}

// OpenSurvivor locks and reads the data directory of a server that does not run. empty must give an empty state machine
// at each call. A directory that holds no server's state stays as it is.
func OpenSurvivor(cfg Config, empty func() Machine, log *slog.Logger) (_ *Survivor, err error) {
	if err := holdsState(cfg.DataDir); err != nil {
		return nil, err
	}
	dir, err := openDataDir(cfg.DataDir, log)
	if err != nil {
		return nil, err
	}
	s := &Survivor{cfg: cfg, dir: dir, log: log}
	defer func() {
		if err != nil {
			err = errors.Join(err, dir.close())
		}
	}()
	_, trans := raft.NewInmemTransport(raft.ServerAddress(cfg.Addr))
	guard := &guardFSM{FSM: NewFSM(empty()), where: dir.path, onFatal: func(error) {}}
	var group raft.Configuration
	err = guarded(func() (err error) { // Raft panics on a log that does not fit its snapshots
		group, err = raft.GetConfiguration(s.config(), guard, dir.bolt, dir.bolt, dir.snaps, trans)
		return err
	})
	if failed := guard.err(); failed != nil {
		return nil, failed
	}
	if err != nil {
		return nil, dir.unreadable(err)
	}
	for _, m := range group.Servers {
		s.Members = append(s.Members, Server{ID: string(m.ID), Addr: string(m.Address), Voter: m.Suffrage == raft.Voter})
	}
	if s.LastIndex, err = dir.bolt.LastIndex(); err != nil {
		return nil, unreadable(dir.path, err)
	}
	held, err := newest(dir.snaps)
	s.LastIndex = max(s.LastIndex, held)
	return s, err
}

// Votes says whether the survivor is a voter by its own log. One that is none was removed, or had not joined: the group may have gone on
// without it, and what it holds may be old.
func (s *Survivor) Votes() bool {
	return slices.ContainsFunc(s.Members, func(m Server) bool { return m.ID == s.ID() && m.Voter })
}

// holdsState says so if no server left its state in the directory. It changes nothing there.
func holdsState(dataDir string) (err error) {
	path := dbOf(dataDir)
	nothing := fmt.Errorf("%s holds no cluster's state: there is nothing to recover; name the --data-dir of a server that was a member", dataDir)
	switch st, err := os.Stat(path); {
	case errors.Is(err, os.ErrNotExist):
		return nothing
	case err != nil:
		return unreadable(path, err)
	case st.Size() == 0:
		return nothing
	}
	stored, err := OpenStoredLog(dataDir)
	if err != nil {
		return err
	}
	metas, err := filepath.Glob(filepath.Join(dataDir, "raft", "snapshots", "*", "meta.json"))
	if err == nil && stored.last == 0 && len(metas) == 0 {
		var term uint64
		term, err = stored.bolt.GetUint64([]byte(currentTerm))
		switch { // a server that never saw a term has no state
		case errors.Is(err, raftboltdb.ErrKeyNotFound), err == nil && term == 0:
			err = nothing
		case err != nil:
			err = unreadable(path, err)
		}
	}
	return errors.Join(err, stored.Close())
}

// currentTerm is the key under which Raft keeps the latest term that it has heard of.
const currentTerm = "CurrentTerm"

func (s *Survivor) config() *raft.Config {
	n := &Node{cfg: s.cfg, dir: s.dir, log: s.log}
	return n.raftConfig()
}

// ID returns the survivor's server id.
func (s *Survivor) ID() string { return string(s.dir.serverID()) }

// ClusterID returns the cluster it is of.
func (s *Survivor) ClusterID() string { return s.dir.clusterID() }

// Recover makes the survivor the only member of a cluster of the given id, which must be new: the others may come back with their data,
// and be a majority of the cluster of old. Every entry of its log counts as committed from then on, and what the
// others had and the survivor not is lost. m must be empty. Nothing is changed if the log cannot be applied,
// or the snapshot that Recover makes of it cannot be written; an error after that leaves what it has done whole. It may be tried again.
func (s *Survivor) Recover(m Machine, clusterID string) error {
	guard := &guardFSM{FSM: NewFSM(m), where: s.dir.path, onFatal: func(error) {}}
	addr := s.cfg.Addr
	for _, m := range s.Members {
		if m.ID == s.ID() {
			addr = m.Addr
		}
	}
	_, trans := raft.NewInmemTransport(raft.ServerAddress(addr))
	alone := raft.Configuration{Servers: []raft.Server{{ID: s.dir.serverID(), Address: raft.ServerAddress(addr)}}}
	var unwritten error
	logs := newWatchedStore(s.dir, func(err error) { unwritten = err })
	err := guarded(func() error { return raft.RecoverCluster(s.config(), guard, logs, logs, s.dir.snaps, trans, alone) })
	if err != nil {
		if failed := guard.err(); failed != nil {
			err = failed
		}
		// The library passes the texts alone of what could not be read or written.
		if why := s.dir.snaps.lastError(); why != nil {
			err = fmt.Errorf("%w: %w", err, why)
		}
		if what := obstacle(cmp.Or(s.dir.snaps.lastWriteError(), unwritten)); what != "" {
			err = fmt.Errorf("%w: %s", err, what)
		}
		return fmt.Errorf("recover %s: %w", s.dir.path, err)
	}
	if err := s.raiseTerm(); err != nil {
		return fmt.Errorf("recover %s: the log was made anew, but its term is not there yet: run this again: %w%s", s.dir.path, err, remedy(err))
	}
	if err := s.dir.replaceClusterID(clusterID); err != nil {
		return fmt.Errorf("recover %s: the log was made anew, but the cluster's new id is not there yet: run this again: %w", s.dir.path, err)
	}
	return nil
}

// termStep is how far a recovered cluster's terms begin above the survivor's: above any term that the lost servers can have come to
// without it. Workers go with the leader of the latest term that they have seen.
const termStep = 1 << 32

// raiseTerm makes the survivor one that has heard of a much later term.
func (s *Survivor) raiseTerm() error {
	term, err := s.dir.bolt.GetUint64([]byte(currentTerm))
	if err != nil && !errors.Is(err, raftboltdb.ErrKeyNotFound) {
		return fmt.Errorf("read the term: %w", err)
	}
	if err := s.dir.bolt.SetUint64([]byte(currentTerm), term+termStep); err != nil {
		return fmt.Errorf("write the term: %w", err)
	}
	return nil
}

// Close frees the data directory.
func (s *Survivor) Close() error { return s.dir.close() }
