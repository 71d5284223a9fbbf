// Package pages takes the content of a memory to another, or to files, while it is written to: which pages have been written since they were last looked at, the rounds that send
// them, and what arrives. A series of files, each with what was written since the one before, makes up a memory, too; each page bears the mark of the last to which it went. What a guest may grow to is one mapping of addresses, so a page is known by its number from the mapping's begin.
package pages

import (
	"bytes"
	"encoding/binary"
	"hash"

	"github.com/cespare/xxhash/v2"
)

// Bytes is how large a page is here, whatever the machine's is; small, so that a sparse heap costs little.
const Bytes = 4 << 10

// Run is a run of pages: the number of the first, and how many.
type Run struct{ First, Count int }

var zeroPage [Bytes]byte //nolint:gochecknoglobals // immutable

// sums are the checksums of a memory's pages, by number: 0 of a page that is zero.
type sums []uint64

// unknown is no page's checksum: it is not known what the receiver has there.
const unknown = 1

// sum is a page's checksum. It tells damage, and on a kernel that does not tell writes it tells those: it is no seal.
func sum(page []byte) uint64 {
	if bytes.Equal(page, zeroPage[:]) {
		return 0
	}
	return max(xxhash.Sum64(page), unknown+1)
}

// hashInto hashes a memory's content, by the checksums of its pages.
func (s sums) hashInto(h hash.Hash) {
	var buf [Bytes]byte
	for len(s) > 0 {
		n := min(len(s), len(buf)/8)
		for i, v := range s[:n] {
			binary.LittleEndian.PutUint64(buf[8*i:], v)
		}
		h.Write(buf[:8*n])
		s = s[n:]
	}
}

func pagesOf(memory []byte, r Run) []byte {
	return memory[r.First*Bytes : (r.First+r.Count)*Bytes]
}
