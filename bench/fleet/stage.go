package fleet

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/godwit-run/godwit/worker"
)

// stage is where all executors are played.
type stage struct {
	tally  *tally
	hurry  chan struct{} // closed when all ranks are to end
	within time.Duration // from then

	mu        sync.Mutex // guards the fields below
	executors map[place]*executor
	coming    map[place]map[int32]string // ranks of which there is a guest, and the migration that they come with
	tasks     sync.WaitGroup             // of the executors; each ends with its worker
}

// place is where an app has an executor.
type place struct{ host, app string }

func newStage(within time.Duration) *stage {
	return &stage{tally: newTally(), within: within, hurry: make(chan struct{}), executors: map[place]*executor{}, coming: map[place]map[int32]string{}}
}

// play is worker.Config.Play of a host.
func (s *stage) play(host string) func(app string) worker.Link {
	return func(app string) worker.Link {
		e := newExecutor(s, host, app)
		s.mu.Lock()
		s.executors[place{host, app}] = e
		s.mu.Unlock()
		s.tasks.Go(e.run)
		return e.link
	}
}

func (s *stage) leave(e *executor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := (place{e.host, e.app}); s.executors[at] == e {
		delete(s.executors, at)
	}
}

// expects says which of an executor's ranks are yet to come, by all of them.
func (s *stage) expects(e *executor, ranks map[int32]*rank) {
	coming := map[int32]string{}
	for id, r := range ranks {
		if !r.runs && r.moves != "" {
			coming[id] = r.moves
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := (place{e.host, e.app}); len(coming) > 0 {
		s.coming[at] = coming
	} else {
		delete(s.coming, at)
	}
}

// expected says whether a rank that comes with a migration has a guest on a host.
func (s *stage) expected(host, app string, rank int32, migration string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.coming[place{host, app}][rank] == migration
}

// used are the hosts with executors, in order.
func (s *stage) used() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var hosts []string
	for at := range s.executors {
		hosts = append(hosts, at.host)
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// send brings an image to the app's executor on a host; to none, it is lost.
func (s *stage) send(host, app string, i image) {
	s.mu.Lock()
	e := s.executors[place{host, app}]
	s.mu.Unlock()
	if e == nil {
		return
	}
	s.tasks.Go(func() { // two executors may send to each other
		select {
		case e.arrivals <- i:
		case <-e.closed:
		}
	})
}

// soon is a time shortly from now, or end if that is sooner.
func (s *stage) soon(end time.Time) time.Time {
	t := time.Now().Add(rand.N(s.within)) //nolint:gosec // so that not all end at once
	if end.Before(t) {
		return end
	}
	return t
}
