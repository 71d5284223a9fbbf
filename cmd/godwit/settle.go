package main

import (
	"context"
	"errors"
	"time"
)

// settler finds out at a server's start what became of a departure without an answer.
type settler struct {
	id     string
	note   departure
	addrs  func() []string // of servers of this server's cluster
	member memberFunc
	pause  func(ctx context.Context) // between two rounds
}

// settle asks until the cluster has said whether this server is a member. It returns nil when it is one, and the departure is over,
// errLeft when it is none, which then is on the disk too, and the error of ctx at its end. Meanwhile the server takes part: its
// cluster may have no leader without it, and a member that was removed can neither win a vote nor help another to.
func (s *settler) settle(ctx context.Context) error {
	for ctx.Err() == nil {
		for _, addr := range s.addrs() {
			member, err := s.member(ctx, addr)
			switch {
			case err != nil:
			case member:
				return s.note.end()
			default:
				if err := s.note.write(departureNote{ServerID: s.id, Left: true}); err != nil {
					return err
				}
				return errLeft
			}
		}
		s.pause(ctx)
	}
	return ctx.Err()
}

// settleDeparture settles what an earlier life of this server left open, if anything. It ends with either context.
func (s *server) settleDeparture(ctx, group context.Context) error {
	defer close(s.settledCh)
	n, err := s.departure.read()
	if err != nil || n == nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(group, cancel)()
	s.log.Info("this server had asked to leave the group and got no answer: it asks whether it is a member")
	l := &settler{
		id: s.node.ID(), note: s.departure, member: s.askMember, pause: pauseFast,
		addrs: func() []string { return append(s.dir.ofCluster(), s.node.Addr()) }, // it may lead, or know who does
	}
	err = l.settle(ctx)
	switch {
	case errors.Is(err, errLeft):
		s.left.Store(true)
		s.log.Info("this server had left the group for good: its data is put away, and it starts as a new one")
	case err == nil:
		s.log.Info("this server is still a member of the group: it goes on as one")
	case ctx.Err() != nil:
		return nil // the next start asks
	}
	return err
}

func pauseFast(ctx context.Context) {
	select {
	case <-time.After(seedFast):
	case <-ctx.Done():
	}
}
