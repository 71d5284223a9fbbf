package executor

import (
	"encoding/binary"
	"slices"
	"sync"

	"google.golang.org/grpc/mem"
)

const (
	// smallPiece and largePiece are how much one message of a link holds: the first frame that is put into it decides. The large one has room for
	// any frame.
	smallPiece = 16 << 10
	largePiece = 512 << 10
	// outgoingBudget is from how many bytes that wait on a link on nothing more is put there but what is urgent, until half of them have left.
	outgoingBudget = 1 << 20
)

// piecePool has the memory of messages that have left.
type piecePool struct{ small, large sync.Pool }

//nolint:gochecknoglobals // memory to be used again, by all links
var pieces = &piecePool{
	small: sync.Pool{New: func() any { b := make([]byte, 0, smallPiece); return &b }},
	large: sync.Pool{New: func() any { b := make([]byte, 0, largePiece); return &b }},
}

var _ mem.BufferPool = (*piecePool)(nil)

// Get implements mem.BufferPool.
func (p *piecePool) Get(n int) *[]byte {
	pool := &p.large
	if n <= smallPiece {
		pool = &p.small
	}
	b := pool.Get().(*[]byte) //nolint:forcetypeassert // nothing else is put there
	*b = (*b)[:0]
	return b
}

// Put implements mem.BufferPool.
func (p *piecePool) Put(b *[]byte) {
	switch cap(*b) {
	case smallPiece:
		p.small.Put(b)
	case largePiece:
		p.large.Put(b)
	}
}

// outgoing is what waits on a link: urgent frames, which go first, and others; each in order, in messages of frames that are each behind its length.
type outgoing struct {
	urgent, rest []*[]byte
	bytes        int  // of both
	waiting      int  // of rest
	refused      bool // somebody waits for room
}

// put copies a frame.
func (o *outgoing) put(head, payload []byte, urgent bool) {
	n := 4 + len(head) + len(payload)
	queue := &o.rest
	if urgent {
		queue = &o.urgent
	} else {
		o.waiting += n
	}
	o.bytes += n
	last := len(*queue) - 1
	if last < 0 || len(*(*queue)[last])+n > cap(*(*queue)[last]) {
		size := smallPiece
		if n > smallPiece/4 || last >= 0 { // much is on its way
			size = max(n, largePiece)
		}
		*queue = append(*queue, pieces.Get(size))
		last++
	}
	b := (*queue)[last]
	*b = binary.LittleEndian.AppendUint32(*b, uint32(len(head)+len(payload)))
	*b = append(append(*b, head...), payload...)
}

// take takes the message that goes next; nil: there is none. again says that there is room for those who were refused.
func (o *outgoing) take() (m *batch, again bool) {
	if m = o.pop(); m == nil {
		return nil, false
	}
	return m, o.waiting <= outgoingBudget/2 && o.wanted()
}

// pop is take without a word to those who were refused.
func (o *outgoing) pop() *batch {
	queue := &o.urgent
	if len(*queue) == 0 {
		queue = &o.rest
	}
	if len(*queue) == 0 {
		return nil
	}
	b := (*queue)[0]
	*queue = slices.Delete(*queue, 0, 1)
	o.bytes -= len(*b)
	if queue == &o.rest {
		o.waiting -= len(*b)
	}
	return &batch{out: mem.BufferSlice{mem.NewBuffer(b, pieces)}}
}

// room reports whether more may be put that is not urgent.
func (o *outgoing) room() bool {
	return o.waiting < outgoingBudget || o.refuse()
}

// refuse notes that somebody waits for room, and reports false.
func (o *outgoing) refuse() bool {
	o.refused = true
	return false
}

// wanted reports whether somebody waits for room, who is told now.
func (o *outgoing) wanted() bool {
	was := o.refused
	o.refused = false
	return was
}

// clear drops everything.
func (o *outgoing) clear() {
	for _, queue := range []*[]*[]byte{&o.urgent, &o.rest} {
		for _, b := range *queue {
			pieces.Put(b)
		}
		clear(*queue)
		*queue = (*queue)[:0]
	}
	o.bytes, o.waiting, o.refused = 0, 0, false
}
