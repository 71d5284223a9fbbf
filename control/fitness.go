package control

import (
	"cmp"
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/text"
)

// fitness holds what each host's worker last said of whether it can take new ranks, and whose words are news.
type fitness struct {
	mu    sync.Mutex // guards the fields below
	said  map[fsm.HostID]fit
	fresh map[fsm.HostID]bool
}

// fit is one worker's word, and the leader's of why others do not reach it.
type fit struct{ incarnation, unfit, unreached string }

func newFitness() *fitness {
	return &fitness{said: map[fsm.HostID]fit{}, fresh: map[fsm.HostID]bool{}}
}

// hear notes a worker's word, and says whether it is news: another than before, or than the log's.
func (f *fitness) hear(host fsm.HostID, word, logged fit) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.said[host] == word && logged == word {
		return false
	}
	f.said[host] = word
	f.fresh[host] = true
	return true
}

// take returns what is news.
func (f *fitness) take() map[fsm.HostID]fit {
	f.mu.Lock()
	defer f.mu.Unlock()
	news := make(map[fsm.HostID]fit, len(f.fresh))
	for host := range f.fresh {
		news[host] = f.said[host]
	}
	clear(f.fresh)
	return news
}

// again makes a host's word news once more: it came to nothing.
func (f *fitness) again(host fsm.HostID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fresh[host] = true
}

// forget drops a host that has gone.
func (f *fitness) forget(host fsm.HostID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.said, host)
	delete(f.fresh, host)
}

// hearFitness takes what a heartbeat says of its host, and whether that was reached. One that calls itself fit is unfit all the same
// for a while after a start stood still there.
func (l *leader) hearFitness(s *session, unfit string) {
	h, _ := l.c.state.View().Host(s.host)
	word := fit{s.incarnation, text.Line(cmp.Or(unfit, s.passedOver(time.Now())), maxReasonBytes), text.Line(s.notReached(), maxReasonBytes)}
	if l.fitness.hear(s.host, word, loggedFit(h)) {
		l.inbox.signal()
	}
}

// loggedFit is what the log knows of a host's fitness. A registration says it too.
func loggedFit(h *apiv1.Host) fit { return fit{h.GetIncarnation(), h.GetUnfit(), h.GetUnreached()} }

// takeFitness commits what is news of the hosts' fitness: many may change at once, as when a file system that they share is full.
func (l *leader) takeFitness(ctx context.Context) {
	news := l.fitness.take() // before the view
	v := l.c.state.View()
	var g errgroup.Group
	g.SetLimit(proposalsAtOnce)
	defer g.Wait() //nolint:errcheck // the functions return no errors
	for id, word := range news {
		host, ok := v.Host(id)
		switch {
		case !ok || host.Incarnation != word.incarnation || fsm.HostStateOf(host).Gone():
			l.fitness.forget(id) // its next heartbeat says it again
			continue
		case loggedFit(host) == word:
			continue
		}
		g.Go(func() error {
			l.commitFitness(ctx, id, word)
			return nil
		})
	}
}

func (l *leader) commitFitness(ctx context.Context, id fsm.HostID, word fit) {
	done := l.propose(ctx, "fitness of "+string(id), func(c *apiv1.Command) {
		c.Op = &apiv1.Command_SetHostUnfit{SetHostUnfit: &apiv1.SetHostUnfit{Host: string(id), Incarnation: word.incarnation, Reason: word.unfit, Unreached: word.unreached}}
	})
	if !done {
		l.fitness.again(id)
		return
	}
	l.log.Info("a host's fitness has changed", "host", id, "unfit", word.unfit, "unreached", word.unreached)
}
