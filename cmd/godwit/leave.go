package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/transport"
)

const (
	// leaveWait bounds the leaving of a server that was asked to end.
	leaveWait = 15 * time.Second
	leaveCall = 5 * time.Second
)

// untilLeft returns a context that ends when ctx has ended and, with --leave-on-stop, this server has left the group or could not.
func (s *server) untilLeft(ctx context.Context) (context.Context, context.CancelFunc) {
	if !s.flags.leave {
		return context.WithCancel(ctx)
	}
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	go func() { // ends soon after ctx, or with inner.
		defer cancel()
		select {
		case <-ctx.Done():
		case <-inner.Done():
			return
		}
		limited, done := context.WithTimeout(inner, leaveWait)
		defer done()
		if err := s.leave(limited); err != nil {
			s.log.Warn("this server stays a member of the group: it may come back", "reason", err)
			return
		}
		s.left.Store(true)
		s.log.Info("this server has left the group for good")
	}()
	return inner, cancel
}

// leave has the leader remove this server, which hands leadership on before if it leads.
func (s *server) leave(ctx context.Context) error {
	if len(s.node.Servers()) < 2 {
		return errors.New("it is the only one")
	}
	var last error
	for ctx.Err() == nil {
		leader, _ := s.node.Leader()
		switch {
		case s.node.IsLeader():
			last = s.node.TransferLeadership(ctx, "")
		case leader == "":
			last = errors.New("no leader is known")
		default:
			last = s.askToRemove(ctx, leader)
			if last == nil || connect.CodeOf(last) == connect.CodeFailedPrecondition {
				return last
			}
		}
		select {
		case <-time.After(seedFast):
		case <-ctx.Done():
		}
	}
	return fmt.Errorf("not within %v: %w", leaveWait, errors.Join(last, ctx.Err()))
}

func (s *server) askToRemove(ctx context.Context, leader string) error {
	ctx, cancel := context.WithTimeout(ctx, leaveCall)
	defer cancel()
	c := apiv1connect.NewControlClient(transport.NewClient(s.dir.http, leader))
	_, err := c.RemoveServer(ctx, &apiv1.RemoveServerRequest{Id: s.node.ID()})
	if connect.CodeOf(err) == connect.CodeNotFound { // an earlier answer was lost.
		return nil
	}
	return err
}

// putAway moves the Raft data of a server that has left out of the way: started again it joins as a new one.
func (s *server) putAway() error {
	if !s.left.Load() {
		return nil
	}
	from := filepath.Join(s.flags.dataDir, "raft")
	to := from + ".left"
	if err := errors.Join(os.RemoveAll(to), os.Rename(from, to)); err != nil {
		return fmt.Errorf("put away the data of a server that has left: %w", err)
	}
	return os.Remove(filepath.Join(s.flags.dataDir, "meta.json"))
}
