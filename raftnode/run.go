package raftnode

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/godwit-run/godwit/internal/dirlock"
)

// Run starts Raft and blocks until ctx is over (it then returns nil) or the server cannot go on: ErrStore, ErrFatal,
// ErrRemoved, ErrStuck, ErrCloseTimeout, or an error of starting. Before it returns it hands leadership on, answers every
// waiting call, stops all it started and frees the data directory; only with ErrCloseTimeout it leaves what
// cannot be stopped behind, and with ErrStore the data directory perhaps: then the process must exit.
func (n *Node) Run(ctx context.Context) error {
	if !n.ran.CompareAndSwap(false, true) {
		panic("raftnode: Run called twice or after Close")
	}
	trans := &transport{reports: make(map[raft.ServerID]report), NetworkTransport: raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream:                n.stream,
		ServerAddressProvider: addresses{n},
		MaxPool:               peerConns,
		MaxRPCsInFlight:       1, // the default of 2 can starve a follower for ever.
		Timeout:               n.cfg.RPCTimeout,
		Logger:                newHCLog(n.log),
	})}
	var _ raft.WithPreVote = trans // without it Raft silently runs without pre-vote.
	r, err := n.start(trans)
	if err != nil {
		close(n.done)
		return errors.Join(err, trans.Close(), n.inTime(n.dir.close))
	}
	observed := make(chan raft.Observation, 64)
	observer := raft.NewObserver(observed, false, func(o *raft.Observation) bool {
		switch o.Data.(type) {
		case raft.RaftState, raft.LeaderObservation:
			return true
		}
		return false
	})
	r.RegisterObserver(observer)
	n.dir.snaps.watch(n.fail)
	n.trans = trans
	n.raft.Store(r)
	close(n.ready)

	var workers sync.WaitGroup
	workers.Go(func() { n.batcher(r, n.done) })
	workers.Go(func() { n.barrierer(r, n.done) })
	workers.Go(func() { n.watchStore(r, n.done) })
	workers.Go(func() { n.guardTransfers(r, n.done) })
	go n.watchDir(n.done) // nobody waits for it: it may hang with the disk
	err = n.watch(ctx, r, observed)
	if err == nil && n.IsLeader() {
		handOver, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(transferTime, n.cfg.ShutdownTimeout/2))
		if terr := n.TransferLeadership(handOver, ""); terr != nil && len(n.Servers()) > 1 {
			n.log.Warn("leadership not handed on", "error", terr)
		}
		cancel()
	}
	r.DeregisterObserver(observer)
	return errors.Join(err, n.stop(r, trans, &workers))
}

// start makes Raft from what is on disk. Raft panics on a log that does not fit its snapshots.
func (n *Node) start(trans *transport) (r *raft.Raft, err error) {
	n.firstState.Lock()
	defer n.firstState.Unlock()
	defer func() {
		if failed := n.fsm.err(); err != nil && failed != nil {
			err = failed // Raft says only that no snapshot could be loaded
		} else if err != nil && !errors.Is(err, ErrStore) { // which says all
			err = n.dir.unreadable(err)
		}
	}()
	made := make(chan struct{})
	go func() { // its own goroutine, which ends over what the store cannot read
		defer close(made)
		defer func() {
			if p := recovered(recover()); p != nil {
				r, err = nil, p
			}
		}()
		r, err = raft.NewRaft(n.raftConfig(), n.fsm, n.logs, n.stable, n.dir.snaps, trans)
	}()
	<-made
	if r == nil && err == nil {
		err = n.store.failure()
	}
	return r, err
}

// memberTick is how often a server looks whether it is still a member.
const memberTick = 250 * time.Millisecond

// watch returns nil when ctx is over, or the reason to stop.
func (n *Node) watch(ctx context.Context, r *raft.Raft, observed <-chan raft.Observation) error {
	tick := time.NewTicker(memberTick)
	defer tick.Stop()
	member := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-n.fatal:
			return err
		case o := <-observed:
			if l, ok := o.Data.(raft.LeaderObservation); ok && l.LeaderID != "" {
				n.log.Info("the cluster has a leader", "leader_id", string(l.LeaderID), "leader_addr", string(l.LeaderAddr))
			}
		case <-tick.C:
			member = n.checkMember(member)
		}
		if r.State() == raft.Shutdown { // nobody but Raft itself can have done that.
			return ErrRemoved
		}
	}
}

// checkMember tells the operator of a follower that was removed. It stays up, harmless: the removal it knows of may not be
// committed, and may be undone.
func (n *Node) checkMember(before bool) bool {
	_, now := n.server(n.ID())
	if before && !now {
		n.log.Warn("this server is no member of the cluster any more, unless that is undone: stop it; to join again, move its data directory away and start it with an empty one", "server_id", n.ID())
	}
	return now
}

// stop closes in the only safe order: Raft, its connections, what came by them, those who wait for it, and the store last: what
// Raft cannot write then would be called a failure of the disk.
func (n *Node) stop(r *raft.Raft, trans *transport, workers *sync.WaitGroup) error {
	close(n.done)
	n.waitsMu.Lock()
	n.waitsOver = true
	n.waitsMu.Unlock()
	return n.inTime(func() error {
		down := r.Shutdown()
		_ = trans.Close() // and every connection: what Raft waits for there must not delay its end.
		err := down.Error()
		trans.heartbeats.end()
		workers.Wait()
		n.waits.Wait()
		return errors.Join(err, n.dir.close())
	})
}

// inTime returns what f does, or ErrCloseTimeout if that takes longer than a shutdown may: f then goes on until the process ends.
func (n *Node) inTime(f func() error) error {
	ended := make(chan error, 1)
	go func() { ended <- f() }()
	late := time.NewTimer(n.cfg.ShutdownTimeout)
	defer late.Stop()
	select {
	case err := <-ended:
		return err
	case <-late.C:
		return fmt.Errorf("%w: waited %v", ErrCloseTimeout, n.cfg.ShutdownTimeout)
	}
}

// dirTick is how often a server looks whether its directory is still there.
const dirTick = time.Second

// watchDir ends the server when its directory is gone: what it promises from then on would be lost with the files that it has open.
func (n *Node) watchDir(stop <-chan struct{}) {
	t := time.NewTicker(dirTick)
	defer t.Stop()
	for {
		select {
		case <-stop:
			return
		case <-t.C:
		}
		if err := dirlock.There(n.dir.path, n.dir.lock); err != nil {
			n.fail(fmt.Errorf("%w: %w; this server stops, for what it promises now would be lost. Started again with an empty directory it joins "+
				"its cluster as a new server, if a majority of the others is well", ErrStore, err))
			return
		}
	}
}
