package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/dirlock"
	"github.com/godwit-run/godwit/internal/transport"
)

const (
	// leaveWait bounds the leaving of a server that was asked to end.
	leaveWait = 15 * time.Second
	leaveCall = 5 * time.Second
)

// errLeft is returned when this server is found to be no member any more, as it had asked: its data is to be put away.
var errLeft = errors.New("this server has left the group")

// errUnsettled is returned when the cluster was asked to remove this server and has not said whether it did.
var errUnsettled = errors.New("it is not known whether the cluster has removed this server: its next start asks")

// errRemoved is returned when this server is found to be no member any more before it has asked to leave.
var errRemoved = errors.New("this server was removed from its cluster already")

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
		<-s.settledCh // it ends with ctx: the note has one writer
		switch err := s.leaver().leave(limited); {
		case errors.Is(err, errRemoved):
			s.log.Info("this server is no member any more: it was removed from its cluster before it was stopped", "data_dir", s.flags.dataDir)
		case errors.Is(err, errUnsettled):
			s.log.Warn("whether this server has left the group is not known: its next start asks", "reason", err)
		case err != nil:
			s.log.Warn("this server stays a member of the group: it may come back", "reason", err)
		default:
			s.left.Store(true)
			s.log.Info("this server has left the group for good")
		}
	}()
	return inner, cancel
}

// finishLeaving puts the data of this server, which has stopped and left, away.
func (s *server) finishLeaving() error {
	_, err := s.departure.putAway()
	if errors.Is(err, dirlock.ErrHeld) { // a new process has the directory already, and has done it
		return nil
	}
	return err
}

// maxHandOns bounds how often a leaving server hands leadership on. Two that leave at once would hand it to each other for as long as
// they try, and nobody would be served meanwhile.
const maxHandOns = 3

// leaver is what leaving needs of a server and its cluster.
type leaver struct {
	id      string
	note    departure
	removed func() bool                                  // the others say that this server is no member any more
	members func() int                                   // of the group, as far as this server knows
	leader  func() (addr string, isSelf bool)            // "": none is known
	handOn  func(ctx context.Context) error              // hands leadership on
	remove  func(ctx context.Context, addr string) error // asks the leader to remove this server
	member  memberFunc
	pause   func(ctx context.Context) // between two tries
}

// memberFunc asks the cluster, through the server at addr, whether this server is a member. Its answer is final.
type memberFunc func(ctx context.Context, addr string) (bool, error)

func (s *server) leaver() *leaver {
	return &leaver{
		id: s.node.ID(), note: s.departure, remove: s.askToRemove, member: s.askMember,
		removed: s.removed,
		members: func() int { return len(s.node.Servers()) },
		leader: func() (string, bool) {
			addr, _ := s.node.Leader()
			return addr, s.node.IsLeader()
		},
		handOn: func(ctx context.Context) error { return s.node.TransferLeadership(ctx, "") },
		pause:  pauseFast,
	}
}

// leave has the leader remove this server, which hands leadership on before if it leads. The wish is on the disk before it is
// sent. It returns nil when the cluster has removed the server, which then is on the disk too, errUnsettled when the cluster may
// have, errRemoved when it has nothing to ask for any more, and another error when it surely has not and the wish is withdrawn. A wish
// that is open when it finds itself removed stays: the next start asks for the proof, as the word of the others is none.
func (l *leaver) leave(ctx context.Context) error {
	if !l.removed() && l.members() < 2 { // the log of one that was removed may name one other alone
		return errors.New("it is the only one")
	}
	var last error
	open := false // a request has been sent that may still be carried out
	handed := 0
	for ctx.Err() == nil {
		switch addr, isSelf := l.leader(); {
		case addr == "" && l.removed():
			return errRemoved
		case isSelf && handed == maxHandOns:
			last = errors.New("leadership came back each time that it was handed on: the servers that could lead are leaving too")
			if open {
				return fmt.Errorf("%w (%w)", errUnsettled, last)
			}
			return last
		case isSelf:
			if last = l.handOn(ctx); last == nil {
				handed++
			}
		case addr == "":
			last = errors.New("no leader is known")
		default:
			if !open {
				if err := l.note.write(departureNote{ServerID: l.id}); err != nil {
					return err
				}
			}
			gone, err := l.try(ctx, addr)
			switch {
			case gone:
				if err := l.note.write(departureNote{ServerID: l.id, Left: true}); err != nil {
					return errors.Join(errUnsettled, err)
				}
				return nil
			case connect.CodeOf(err) == connect.CodeFailedPrecondition && !open:
				return errors.Join(err, l.note.end())
			}
			last, open = err, true
		}
		l.pause(ctx)
	}
	last = errors.Join(last, ctx.Err())
	if open {
		return fmt.Errorf("%w (not within %v: %w)", errUnsettled, leaveWait, last)
	}
	return fmt.Errorf("not within %v: %w", leaveWait, last)
}

// try asks once, and says whether this server surely is no member any more. That the leader does not know it is no proof: the
// removal may not be committed yet.
func (l *leaver) try(ctx context.Context, addr string) (gone bool, err error) {
	err = l.remove(ctx, addr)
	if err == nil {
		return true, nil
	}
	if connect.CodeOf(err) != connect.CodeNotFound {
		return false, err
	}
	member, merr := l.member(ctx, addr)
	return !member && merr == nil, errors.Join(err, merr)
}

func (s *server) askToRemove(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, leaveCall)
	defer cancel()
	_, err := s.controlAt(addr).RemoveServer(ctx, &apiv1.RemoveServerRequest{Id: s.node.ID()})
	return err
}

// askMember is the memberFunc of a server. The leader lists changes that are not committed yet; but it answers only when its log is
// committed up to the question, so that a second answer vouches for what the first said.
func (s *server) askMember(ctx context.Context, addr string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, leaveCall)
	defer cancel()
	for range 2 {
		res, err := s.controlAt(addr).ListServers(ctx, &apiv1.ListServersRequest{})
		if err != nil {
			return false, err
		}
		if len(res.Servers) == 0 {
			return false, fmt.Errorf("the server at %s lists no members", addr)
		}
		if slices.ContainsFunc(res.Servers, func(m *apiv1.Server) bool { return m.Id == s.node.ID() }) {
			return true, nil
		}
	}
	return false, nil
}

func (s *server) controlAt(addr string) apiv1connect.ControlClient {
	return apiv1connect.NewControlClient(transport.NewClient(s.dir.http, addr))
}
