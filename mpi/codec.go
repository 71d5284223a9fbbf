package mpi

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/godwit-run/godwit/mpi/layout"
)

// codec writes captured state or reads it: one description of each thing's fields serves both ways. Numbers are varints,
// bytes stand behind their length. After the first error it reads zeros.
type codec struct {
	out     []byte // written so far
	in      []byte // left to read
	reading bool
	err     error
	size    int // ranks of the world
	depth   int

	typeAttrs map[*layout.Type]*attributes // the rank's

	// Things that several others point to are written where they are met first, and by their number later.
	types       refs[layout.Type]
	hosts       refs[layout.Buffer]
	groups      refs[group]
	comms       refs[comm]
	topologies  refs[topology]
	errhandlers refs[errhandler]
	keyvals     refs[keyval]
	ops         refs[layout.Op]
	windows     refs[window]
	files       refs[file]
	targetOps   refs[targetOp]
}

func newWriter() *codec             { return &codec{} }
func newReader(state []byte) *codec { return &codec{in: state, reading: true} }

// refs numbers the things of one type.
type refs[T any] struct {
	ids  map[*T]int
	list []*T
}

// maxDepth bounds how deep things may nest in what is read: types, and what has types in it.
const maxDepth = 2 * layout.MaxDepth

// ref writes or reads a pointer.
func ref[T any](c *codec, r *refs[T], v **T, fields func(*T)) {
	if !c.reading {
		if *v == nil {
			c.putUint(0)
			return
		}
		if id, ok := r.ids[*v]; ok {
			c.putUint(uint64(id) + 1)
			return
		}
		if r.ids == nil {
			r.ids = map[*T]int{}
		}
		r.ids[*v] = len(r.ids)
		c.putUint(uint64(len(r.ids)))
		fields(*v)
		return
	}
	n := c.getUint()
	switch {
	case n == 0:
		*v = nil
	case n <= uint64(len(r.list)):
		*v = r.list[n-1]
	case n > uint64(len(r.list))+1 || c.depth > maxDepth:
		c.fail("thing %d comes out of turn", n)
	default:
		*v = new(T)
		r.list = append(r.list, *v)
		c.depth++
		fields(*v)
		c.depth--
	}
}

func (c *codec) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: "+format, append([]any{ErrState}, args...)...)
		c.in = nil
	}
}

// check fails unless ok, when reading.
func (c *codec) check(ok bool, format string, args ...any) {
	if c.reading && !ok {
		c.fail(format, args...)
	}
}

func (c *codec) putUint(v uint64) { c.out = binary.AppendUvarint(c.out, v) }

func (c *codec) getUint() uint64 {
	v, n := binary.Uvarint(c.in)
	if n <= 0 {
		c.fail("it ends early")
		return 0
	}
	c.in = c.in[n:]
	return v
}

func (c *codec) uint64(v *uint64) {
	if c.reading {
		*v = c.getUint()
		return
	}
	c.putUint(*v)
}

func (c *codec) int64(v *int64) {
	if !c.reading {
		c.out = binary.AppendVarint(c.out, *v)
		return
	}
	x, n := binary.Varint(c.in)
	if n <= 0 {
		c.fail("it ends early")
		*v = 0
		return
	}
	c.in = c.in[n:]
	*v = x
}

// narrow writes or reads a smaller integer.
func narrow[T int | int32 | Rank | uint32 | uint8](c *codec, v *T) {
	x := int64(*v)
	c.int64(&x)
	if c.reading {
		if *v = T(x); int64(*v) != x {
			c.fail("%d is too large", x)
			*v = 0
		}
	}
}

func (c *codec) u32(v *uint32) { narrow(c, v) }
func (c *codec) i32(v *int32)  { narrow(c, v) }
func (c *codec) int(v *int)    { narrow(c, v) }
func (c *codec) u8(v *uint8)   { narrow(c, v) }

func (c *codec) bool(v *bool) {
	x := uint8(truth(*v))
	c.u8(&x)
	c.check(x <= 1, "%d is neither true nor false", x)
	*v = x == 1
}

// count writes n, or reads a number of things that take at least one byte each.
func (c *codec) count(n int) int {
	if !c.reading {
		c.putUint(uint64(n))
		return n
	}
	v := c.getUint()
	if v > uint64(len(c.in)) {
		c.fail("%d things do not fit in %d bytes", v, len(c.in))
		return 0
	}
	return int(v)
}

// bytes copies.
func (c *codec) bytes(v *[]byte) {
	n := c.count(len(*v))
	if !c.reading {
		c.out = append(c.out, *v...)
		return
	}
	*v = append([]byte(nil), c.in[:n]...)
	c.in = c.in[n:]
}

func (c *codec) string(v *string) {
	b := []byte(*v)
	c.bytes(&b)
	*v = string(b)
}

// list writes or reads a slice. Empty and nil are told apart.
func list[T any](c *codec, v *[]T, each func(*T)) {
	none := *v == nil
	c.bool(&none)
	n := c.count(len(*v))
	if c.reading {
		*v = nil
		if !none {
			*v = make([]T, 0, min(n, 1024))
		}
		for range n {
			var x T
			each(&x)
			if c.err != nil {
				return
			}
			*v = append(*v, x)
		}
		return
	}
	for i := range *v {
		each(&(*v)[i])
	}
}

// dict writes or reads a map, by ascending key.
func dict[K int | uint32 | string, V any](c *codec, m *map[K]V, key func(*K), value func(*V)) {
	n := c.count(len(*m))
	if !c.reading {
		keys := make([]K, 0, n)
		for k := range *m {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			v := (*m)[k]
			key(&k)
			value(&v)
		}
		return
	}
	*m = map[K]V{}
	for range n {
		var k K
		var v V
		key(&k)
		value(&v)
		if c.err != nil {
			return
		}
		(*m)[k] = v
	}
}

// tabled writes or reads a table of what the program has made.
func tabled[T any](c *codec, t *table[T], value func(**T)) {
	c.u32(&t.next)
	c.check(t.next <= handleSpan, "handle %d is out of range", t.next)
	list(c, &t.free, c.u32)
	dict(c, &t.items, c.u32, value)
	seen := map[uint32]bool{}
	for _, h := range t.free {
		c.check(h >= t.base && h < t.base+t.next && !seen[h] && t.items[h] == nil, "handle %#x is damaged", h)
		seen[h] = true
	}
	for h, v := range t.items {
		c.check(h >= t.base && h < t.base+t.next && v != nil, "handle %#x is damaged", h)
	}
}

func (c *codec) rank(v *Rank) {
	narrow(c, v)
	c.check(*v >= 0 && int(*v) < c.size, "rank %d is not in 0..%d", *v, c.size-1)
}
