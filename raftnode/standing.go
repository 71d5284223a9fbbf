package raftnode

import (
	"fmt"
	"strconv"

	"github.com/hashicorp/raft"

	"github.com/godwit-run/godwit/internal/identity"
	"github.com/godwit-run/godwit/internal/listen"
)

// Standing is what a process knows and has done as its server, for the case that another process has the same directory's copy.
type Standing struct {
	// Runs says that Raft runs, Promised that this process has put something on its disk since its start: a term, a vote, entries.
	Runs, Promised bool
	// LogTerm and LogIndex are those of the last entry of its log.
	LogTerm, LogIndex uint64
	// Commit is how far the log is known to be committed: 0 until a leader has said so.
	Commit uint64
}

// DialBy has the connections to other servers made by d; without it they are in the clear. It must be called before Run.
func (n *Node) DialBy(d listen.Dialer) { n.stream.dialer = d }

// Key is the secret that this server's id is made of.
func (n *Node) Key() identity.Key { return n.dir.key }

// Standing reads memory alone once Raft runs, and the disk before.
func (n *Node) Standing() (Standing, error) {
	s := Standing{Promised: n.store.promised.Load()}
	r := n.raft.Load()
	if r == nil {
		var err error
		s.LogTerm, s.LogIndex, err = n.dir.lastEntry()
		return s, err
	}
	s.Runs, s.Commit = true, r.CommitIndex() // before the end of the log is read
	stats := r.Stats()                       // the one place where Raft gives the last entry's term
	number := func(key string) uint64 {
		i, _ := strconv.ParseUint(stats[key], 10, 64) // a number, by Raft's contract
		return i
	}
	s.LogTerm, s.LogIndex = number("last_log_term"), number("last_log_index")
	if i := number("last_snapshot_index"); i > s.LogIndex {
		s.LogTerm, s.LogIndex = number("last_snapshot_term"), i
	}
	return s, nil
}

// lastEntry is the last entry of the log on disk, or of the newest snapshot if that is all there is.
func (d *dataDir) lastEntry() (term, index uint64, err error) {
	index, err = d.bolt.LastIndex()
	if err != nil {
		return 0, 0, fmt.Errorf("read the end of the log: %w", d.badDB(err))
	}
	if index > 0 {
		var last raft.Log
		if err := d.bolt.GetLog(index, &last); err != nil {
			return 0, 0, fmt.Errorf("read the end of the log: %w", d.badDB(err))
		}
		term = last.Term
	}
	snaps, err := d.snaps.List()
	if err != nil {
		return 0, 0, fmt.Errorf("list snapshots: %w", err)
	}
	if len(snaps) > 0 && snaps[0].Index > index {
		term, index = snaps[0].Term, snaps[0].Index
	}
	return term, index, nil
}
