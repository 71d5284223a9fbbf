package control

import (
	"sync"

	"github.com/google/uuid"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// storeTasks is how hosts stand with what they were given to do with parts of checkpoints: with those tasks that are under way. Any goroutine may use it.
type storeTasks struct {
	signal func() // there is news

	mu       sync.Mutex // guards statuses
	statuses map[string]*apiv1.StoreStatus
}

func newStoreTasks(signal func()) *storeTasks {
	return &storeTasks{signal: signal, statuses: map[string]*apiv1.StoreStatus{}}
}

// give has a host do a task, to which it gives an id, which it returns.
func (k *storeTasks) give(to *session, t *apiv1.StoreTask) string {
	t.Id = uuid.NewString()
	k.mu.Lock()
	k.statuses[t.Id] = nil
	k.mu.Unlock()
	to.store(t)
	return t.Id
}

// take notes how a host stands with a task. What is not under way is passed over.
func (k *storeTasks) take(st *apiv1.StoreStatus) {
	k.mu.Lock()
	_, ok := k.statuses[st.GetId()]
	if ok {
		k.statuses[st.Id] = st
	}
	k.mu.Unlock()
	if ok {
		k.signal()
	}
}

// of is what was last said of a task; nil: nothing.
func (k *storeTasks) of(id string) *apiv1.StoreStatus {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.statuses[id]
}

// end ends a task: who was given it is told, unless it is done.
func (k *storeTasks) end(to *session, id string) {
	k.mu.Lock()
	done := k.statuses[id].GetDone()
	delete(k.statuses, id)
	k.mu.Unlock()
	if !done {
		to.store(&apiv1.StoreTask{Id: id, Cancel: true})
	}
}
