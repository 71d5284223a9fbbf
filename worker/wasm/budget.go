package wasm

import (
	"math"
	"sync"
)

// stackMost is more bytes than any saved stack has: what is saved of a frame is not more than the engine's own frame has, and the engine's stacks end near 80 MB.
const stackMost = 256 << 20

// budget is how much memory guests may have together. Any goroutine may use it.
type budget struct {
	limit uint64 // bytes; 0: no limit

	mu    sync.Mutex // guards the fields below
	taken uint64
	lent  uint64     // of those taken, by guests that save their stacks: nobody knows how deep one is before it is saved
	fewer *sync.Cond // lent is less than it was
}

func newBudget(limit uint64) *budget {
	b := &budget{limit: limit}
	b.fewer = sync.NewCond(&b.mu)
	return b
}

// left is how much can be taken. Holds mu.
func (b *budget) left() uint64 {
	if b.limit == 0 {
		return math.MaxInt64
	}
	return b.limit - min(b.limit, b.taken)
}

// inUse is how much is taken.
func (b *budget) inUse() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.taken
}

// take takes n bytes, or none if there are not so many. What others save may come to less than they were lent: it waits for them where that makes a difference. They wait for nobody, and need milliseconds.
func (b *budget) take(n uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for n > b.left() {
		if b.lent == 0 || n > b.left()+b.lent {
			return false
		}
		b.fewer.Wait()
	}
	b.taken += n
	return true
}

// lend takes up to n bytes, for a stack of unknown depth. Where there is less than one can come to, one guest saves its stack after the other, so that each has all that is left.
func (b *budget) lend(n uint64) uint64 {
	n = min(n, stackMost)
	b.mu.Lock()
	defer b.mu.Unlock()
	for n > b.left() && b.lent > 0 {
		b.fewer.Wait()
	}
	n = min(n, b.left())
	b.taken += n
	b.lent += n
	return n
}

// keep makes n of the bytes lent the guest's own.
func (b *budget) keep(n uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lent -= n
	b.fewer.Broadcast()
}

// repay returns n of the bytes lent.
func (b *budget) repay(n uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lent -= n
	b.taken -= n
	b.fewer.Broadcast()
}

func (b *budget) give(n uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken -= n
}
