package channel

import "math/bits"

const (
	leastPayload = 6        // of 64 bytes, as a power of two
	payloadSizes = 11       // up to 64 KiB
	keptPayloads = 64       // of each size, and
	keptBytes    = 64 << 10 // as many bytes of each size
)

// Pool is memory of messages that were kept until they were acked, to be used again: by size, a power of two.
type Pool [payloadSizes][][]byte

// get returns an empty slice with room for n bytes.
func (x *Pool) get(n int) []byte {
	i := max(bits.Len(uint(max(n, 1)-1)), leastPayload) - leastPayload
	if i >= payloadSizes {
		return make([]byte, 0, n)
	}
	if k := len(x[i]) - 1; k >= 0 {
		b := x[i][k]
		x[i] = x[i][:k]
		return b
	}
	return make([]byte, 0, 1<<(i+leastPayload))
}

// put takes memory back that nobody uses any more.
func (x *Pool) put(b []byte) {
	i := bits.Len(uint(cap(b))) - 1 - leastPayload
	if i < 0 || i >= payloadSizes || cap(b) != 1<<(i+leastPayload) || len(x[i]) >= min(keptPayloads, max(8, keptBytes>>(i+leastPayload))) {
		return
	}
	x[i] = append(x[i], b[:0])
}
