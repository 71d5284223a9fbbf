package sim

import (
	"slices"

	"github.com/godwit-run/godwit/mpi"
)

// link is what there is between two executors of an app: frames in flight are lost when it breaks.
type link struct {
	ends  [2]*executor
	up    bool
	ways  [2][3][][]byte // to the first, and to the second; of each way in order
	count int
}

func (l *link) send(from *executor, frame []byte, w mpi.Way) {
	if !l.up {
		return
	}
	to := 0
	if from == l.ends[0] {
		to = 1
	}
	q := &l.ways[to][w-mpi.OrderedWay]
	*q = append(*q, frame)
	l.count++
}

func (l *link) lose() {
	l.ways = [2][3][][]byte{}
	l.up, l.count = false, 0
}

// linkOf is the link of two executors, made if there is none.
func (s *Sim) linkOf(a, b *executor) *link {
	if a.number > b.number {
		a, b = b, a
	}
	for _, l := range s.links {
		if l.ends == [2]*executor{a, b} {
			return l
		}
	}
	l := &link{ends: [2]*executor{a, b}}
	s.links = append(s.links, l)
	return l
}

// meet makes the links of an executor that has started.
func (s *Sim) meet(e *executor) {
	for _, h := range s.hosts {
		if o := s.peer(e, h.name); o != nil {
			s.linkOf(e, o)
		}
	}
}

// link is the one from an executor to the app's on another host; nil: there is none.
func (s *Sim) link(e *executor, to string) *link {
	other := s.peer(e, to)
	if other == nil {
		return nil
	}
	return s.linkOf(e, other)
}

// peer is the app's executor on another host, as far as it can be called; nil: there is none.
func (s *Sim) peer(e *executor, to string) *executor {
	h := s.host(to)
	if h == nil || h == e.h {
		return nil
	}
	for _, x := range h.execs {
		if x.app == e.app && x.told && x.alive {
			return x
		}
	}
	return nil
}

// dropLinks loses the links of an executor that has ended.
func (s *Sim) dropLinks(e *executor) {
	s.links = slices.DeleteFunc(s.links, func(l *link) bool { return l.ends[0] == e || l.ends[1] == e })
}

// leaveLink is called when an executor has no live rank on another host any more, by its routes.
func (s *Sim) leaveLink(e *executor, to string) {
	if l := s.link(e, to); l != nil && !l.ends[0].live[l.ends[1].h.name] && !l.ends[1].live[l.ends[0].h.name] {
		l.lose()
	}
}

// mayBeUp says whether two executors connect.
func (s *Sim) mayBeUp(l *link) bool {
	a, b := l.ends[0], l.ends[1]
	return (a.live[b.h.name] || b.live[a.h.name]) && !s.cut(a.h, b.h) && !a.h.paused && !b.h.paused
}

// connects is an action: a link comes up, and both ends hear that the routes are new.
func (s *Sim) connects(l *link) {
	l.up = true
	for i, e := range l.ends {
		peer := l.ends[1-i].h.name
		for r, h := range e.routes {
			if h == peer {
				e.world.Reconnect(mpi.Rank(r))
			}
		}
	}
}

// takes is an action: a frame arrives.
func (l *link) takes(to, way int) {
	q := &l.ways[to][way]
	frame := (*q)[0]
	*q = (*q)[1:]
	l.count--
	l.ends[to].world.Receive(frame)
}

func (l *link) String() string { return l.ends[0].String() + " and " + l.ends[1].String() }
