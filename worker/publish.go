package worker

import (
	"time"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// startsSoon is how long news of a start may wait: a short program has ended by then, and one message tells of both.
const startsSoon = 5 * time.Millisecond

// publish makes s what the leader is told of the app.
func (w *Worker) publish(s *apiv1.AppStatus) {
	s = boundStatus(s)
	w.mu.Lock()
	defer w.mu.Unlock()
	if old := w.statuses[s.App]; old != nil && proto.Equal(old, s) {
		return
	}
	w.statuses[s.App] = s
	if w.soon != nil && !w.dirty[s.App] && onlyStarts(s) {
		w.soon[s.App] = true
		w.soonCh.Set()
		return
	}
	delete(w.soon, s.App)
	w.dirty[s.App] = true
	w.poke()
}

// onlyStarts says whether a status tells nothing but that an executor starts or runs, and its ranks.
func onlyStarts(s *apiv1.AppStatus) bool {
	if s.Executor != apiv1.ExecutorStarting && s.Executor != apiv1.ExecutorRunning {
		return false
	}
	plain := &apiv1.AppStatus{App: s.App, Index: s.Index, Epoch: s.Epoch, Executor: s.Executor, StartSteps: s.StartSteps, Ranks: s.Ranks}
	for _, r := range s.Ranks {
		if r.State != apiv1.RankRunning || r.Migration != "" || r.PauseMs != 0 {
			return false
		}
	}
	return proto.Equal(plain, s)
}

// hasten has what could wait a moment be sent.
func (w *Worker) hasten() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.soon) == 0 {
		return
	}
	for id := range w.soon {
		w.dirty[id] = true
	}
	clear(w.soon)
	w.poke()
}

// poke says that there are statuses to send.
func (w *Worker) poke() {
	w.dirtyCh.Set()
}

// takeDirty returns the statuses to send.
func (w *Worker) takeDirty() []*apiv1.AppStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []*apiv1.AppStatus
	for id := range w.dirty {
		if s := w.statuses[id]; s != nil {
			out = append(out, s)
		}
	}
	clear(w.dirty)
	return out
}
