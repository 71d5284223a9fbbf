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

	stacks map[*callStack]bool // of guests that run: what they may come to is taken, and what they have not come to is had back when somebody needs it
	short  bool                // that was so
}

func newBudget(limit uint64) *budget {
	b := &budget{limit: limit, stacks: map[*callStack]bool{}}
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

// leftFor is left, once running guests have given back so much of what their call stacks have not taken that there are n bytes, if they have so much. Each gives in proportion to what it has. Holds mu.
func (b *budget) leftFor(n uint64) uint64 {
	if n <= b.left() {
		return b.left()
	}
	spare, all := map[*callStack]uint64{}, uint64(0)
	for s := range b.stacks {
		spare[s] = s.spare()
		all += spare[s]
	}
	lacks := min(n-b.left(), all)
	for s, has := range spare {
		by := has
		if lacks < all {
			by = min(has, uint64(float64(has)/float64(all)*float64(lacks))&^(stackPart-1)+stackPart)
		}
		was := s.may
		s.shrink(by)
		b.taken -= was - s.may
		b.short = b.short || was > s.may
	}
	return b.left()
}

// lendStack lets a guest that runs have as deep a call stack as there is memory for; where that is not enough, its part of what all have.
func (b *budget) lendStack(s *callStack) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stacks[s] = true
	if s.bytes == nil {
		return
	}
	all := b.left()
	for o := range b.stacks {
		all += o.may
	}
	part := max(s.may, min(stackBytes, all/uint64(len(b.stacks)))) - s.may
	b.deepen(s, min(part, b.leftFor(part)))
	b.short = b.short || s.may < stackBytes
}

// deepen lets a call stack have up to n bytes more. Holds mu.
func (b *budget) deepen(s *callStack, n uint64) {
	if s.bytes == nil {
		return
	}
	more := min(n, stackBytes-s.may)
	b.taken += more
	s.may += more
	s.hold(s.may)
}

// returnStack is of a guest that stands still, and has nothing on its call stack.
func (b *budget) returnStack(s *callStack) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.stacks, s)
	b.taken -= s.may - stackLeast
	s.may = stackLeast
	b.share()
}

// share lets guests have deeper call stacks again that had to give back what they had not taken, when there is more memory than there was. Holds mu.
func (b *budget) share() {
	if !b.short {
		return
	}
	b.short = false
	left := len(b.stacks)
	for s := range b.stacks {
		b.deepen(s, b.left()/uint64(left))
		left--
		b.short = b.short || s.bytes != nil && s.may < stackBytes
	}
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
	for n > b.leftFor(n) {
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
	for n > b.leftFor(n) && b.lent > 0 {
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
	b.share()
	b.fewer.Broadcast()
}

func (b *budget) give(n uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken -= n
	b.share()
}
