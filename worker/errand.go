package worker

import (
	"sync"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// errand is a task of an object store, or of another host that is to hold a part, from try to try.
type errand struct {
	*apiv1.StoreTask

	s      *storing
	looked bool // all of the parts that are to be mended was read; of who tries
	torn   bool // the last try came to nothing for this host's own copy is damaged, or not here; of who tries

	mu       sync.Mutex      // guards the fields below
	there    map[string]bool // what has been brought to the store, and whether it need not be looked at again
	far      farthest        // how much of each blob was ever sent
	troubled bool            // the leader was told of trouble, and not that it is over
}

// inTrouble tells the leader why a try came to nothing. It returns whether more was done before than ever was.
func (e *errand) inTrouble(why string) (gotOn bool) {
	e.mu.Lock()
	gotOn = !e.troubled
	e.troubled = true
	e.mu.Unlock()
	e.s.tell(&apiv1.StoreStatus{Id: e.Id, Trouble: why, Torn: e.torn})
	return gotOn
}

// getsOn tells the leader that trouble is over, if there was some: more is done than ever was.
func (e *errand) getsOn() {
	e.mu.Lock()
	was := e.troubled
	e.troubled = false
	e.mu.Unlock()
	if was {
		e.s.tell(&apiv1.StoreStatus{Id: e.Id})
	}
}

// once does what has not been done yet.
func (e *errand) once(what string, do func() error) error {
	e.mu.Lock()
	done := e.there[what]
	e.mu.Unlock()
	if done {
		return nil
	}
	if err := do(); err != nil {
		return err
	}
	e.mu.Lock()
	_, again := e.there[what]
	e.there[what] = true
	e.mu.Unlock()
	if !again {
		e.getsOn()
	}
	return nil
}

// forget has all be looked at again: something is not there that was.
func (e *errand) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for what := range e.there {
		e.there[what] = false
	}
}

// progress takes how many bytes of a blob of that size are sent on, one try after the other. Some stores read a blob more than once: that counts as well, but not
// for more than it is.
func (e *errand) progress(digest string, size int64) func(int) {
	at := int64(0)
	return func(n int) {
		e.mu.Lock()
		at = min(at+int64(n), size)
		now := at
		e.mu.Unlock()
		e.sent(digest, now)
	}
}

// sent notes how far a blob has come.
func (e *errand) sent(digest string, at int64) {
	e.mu.Lock()
	more := e.far.reach(digest, at)
	e.mu.Unlock()
	if more > 0 {
		e.getsOn()
	}
}
