package raftnode

import (
	"errors"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// errSevered is what Raft is told of a server that a stuck transfer was meant for.
var errSevered = errors.New("nothing is sent to this server until a transfer to it that is stuck has ended")

// transport is Raft's, and remembers how far the log of each server goes, by its own answers: Raft itself does not say.
type transport struct {
	*raft.NetworkTransport
	heartbeats calls // those of other servers that Raft handles.

	mu      sync.Mutex // guards what stands below.
	reports map[raft.ServerID]report
	severed bool                        // nothing is sent but heartbeats.
	refuse  func(id raft.ServerID) bool // of tests: the server answers that the log does not fit.
}

// report is what a server last answered.
type report struct {
	asked    time.Time
	lastLog  uint64
	rejected bool // what was sent last does not fit its log.
}

// SetHeartbeatHandler implements raft.Transport. A heartbeat is all that Raft handles on the goroutine of its connection, for which
// neither Raft nor the connection's end waits, and one of a new term is a write to the store: so those under way are counted.
func (t *transport) SetHeartbeatHandler(handle func(raft.RPC)) {
	t.NetworkTransport.SetHeartbeatHandler(func(rpc raft.RPC) {
		t.heartbeats.do(func() { handle(rpc) }) // who is not answered goes with the connection.
	})
}

// AppendEntries implements raft.Transport.
func (t *transport) AppendEntries(id raft.ServerID, to raft.ServerAddress, req *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	heartbeat := req.PrevLogEntry == 0 && len(req.Entries) == 0
	t.mu.Lock()
	severed, refuse := t.severed, t.refuse
	t.mu.Unlock()
	if severed && !heartbeat {
		return errSevered
	}
	asked := time.Now()
	if err := t.NetworkTransport.AppendEntries(id, to, req, resp); err != nil {
		return err
	}
	if !heartbeat && refuse != nil && refuse(id) {
		resp.Success, resp.LastLog, resp.NoRetryBackoff = false, 0, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.reports) >= maxContacts {
		clear(t.reports) // they are made again within a heartbeat.
	}
	r := t.reports[id]
	r.asked, r.lastLog = asked, resp.LastLog
	if !heartbeat {
		r.rejected = !resp.Success
	}
	t.reports[id] = r
	return nil
}

// AppendEntriesPipeline implements raft.Transport.
func (t *transport) AppendEntriesPipeline(id raft.ServerID, to raft.ServerAddress) (raft.AppendPipeline, error) {
	t.mu.Lock()
	severed, refuse := t.severed, t.refuse
	t.mu.Unlock()
	if severed || refuse != nil && refuse(id) {
		return nil, errSevered
	}
	return t.NetworkTransport.AppendEntriesPipeline(id, to)
}

// InstallSnapshot implements raft.Transport.
func (t *transport) InstallSnapshot(id raft.ServerID, to raft.ServerAddress, req *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse,
	data io.Reader,
) error {
	t.mu.Lock()
	severed := t.severed
	t.mu.Unlock()
	if severed {
		return errSevered
	}
	return t.NetworkTransport.InstallSnapshot(id, to, req, resp, data)
}

func (t *transport) sever(on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.severed = on
}

func (t *transport) report(id string) report {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.reports[raft.ServerID(id)]
}
