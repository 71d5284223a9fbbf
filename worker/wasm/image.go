package wasm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// ErrImage is returned when an image cannot be restored: damaged, cut short, of another module, or of a
// version that this binary does not know.
var ErrImage = errors.New("unusable image")

// imageMagic starts the state of a guest; its last byte is the version.
const imageMagic = "GWGUEST\x04"

// withoutWall is the oldest version that is read: what a guest's wall clock showed is not in it.
const withoutWall = 3

// maxHeader bounds the header of a state, in bytes.
const maxHeader = 64 << 10

// Flags of a state.
const (
	flagEnded = 2 // the guest has ended by itself: its memory is there for what its rank has not delivered
	allFlags  = flagEnded
)

// imageHeader is everything of a guest but its memory's content.
//
// A guest's state is imageMagic, the length of the header (4 bytes), the header, and what is open (openimage.go). Its image is one round of its memory (package pages),
// its state, and the SHA-256 of the pages' checksums and the state. All numbers are little-endian. What is added later gets a new version.
type imageHeader struct {
	module  [32]byte // SHA-256 of the module
	flags   uint8
	pages   uint32 // of 64 KiB, the size of the memory
	clock   uint64 // ns that the guest's monotonic clock showed
	wall    int64  // what its wall clock showed, in ns since 1970
	stdin   uint64 // bytes of stdin consumed
	globals []globalValue
}

// globalValue is a mutable global's value, as bits.
type globalValue struct {
	name string
	bits uint64
}

// encode renders magic, length and header.
func (h *imageHeader) encode() []byte {
	le := binary.LittleEndian
	body := slices.Clone(h.module[:])
	body = append(body, h.flags)
	body = le.AppendUint32(body, h.pages)
	body = le.AppendUint64(body, h.clock)
	body = le.AppendUint64(body, uint64(h.wall))
	body = le.AppendUint64(body, h.stdin)
	body = le.AppendUint32(body, uint32(len(h.globals)))
	for _, g := range h.globals {
		body = le.AppendUint16(body, uint16(len(g.name)))
		body = append(body, g.name...)
		body = le.AppendUint64(body, g.bits)
	}
	head := le.AppendUint32([]byte(imageMagic), uint32(len(body)))
	return append(head, body...)
}

// headerPrefix is how many bytes come before the header itself.
const headerPrefix = len(imageMagic) + 4

// decodePrefix checks the magic and returns the version, and the length of the header.
func decodePrefix(prefix []byte) (version byte, length int, err error) {
	magic := imageMagic[:len(imageMagic)-1]
	if string(prefix[:len(magic)]) != magic {
		return 0, 0, fmt.Errorf("%w: bad magic", ErrImage)
	}
	if version = prefix[len(magic)]; version < withoutWall || version > imageMagic[len(magic)] {
		return 0, 0, fmt.Errorf("%w: version %d, this binary knows %d to %d", ErrImage, version, withoutWall, imageMagic[len(magic)])
	}
	n := binary.LittleEndian.Uint32(prefix[len(imageMagic):])
	if n > maxHeader {
		return 0, 0, fmt.Errorf("%w: header of %d bytes", ErrImage, n)
	}
	return version, int(n), nil
}

// decodeHeader decodes a header of a version without its prefix.
func decodeHeader(version byte, body []byte) (*imageHeader, error) {
	const before, fixed = 32 + 1 + 4 + 8, 32 + 1 + 4 + 8 + 8 + 8 + 4
	if version == withoutWall && len(body) >= before {
		body = slices.Insert(slices.Clone(body), before, make([]byte, 8)...) // long ago: any clock is ahead of it
	}
	if len(body) < fixed {
		return nil, fmt.Errorf("%w: header too short", ErrImage)
	}
	le := binary.LittleEndian
	h := &imageHeader{flags: body[32], pages: le.Uint32(body[33:]), clock: le.Uint64(body[37:]), wall: int64(le.Uint64(body[before:])), stdin: le.Uint64(body[53:])}
	copy(h.module[:], body)
	count := le.Uint32(body[61:])
	rest := body[fixed:]
	for ; count > 0; count-- {
		if len(rest) < 2 || len(rest) < 2+int(le.Uint16(rest))+8 {
			return nil, fmt.Errorf("%w: globals cut short", ErrImage)
		}
		n := int(le.Uint16(rest))
		h.globals = append(h.globals, globalValue{name: string(rest[2 : 2+n]), bits: le.Uint64(rest[2+n:])})
		rest = rest[2+n+8:]
	}
	if len(rest) != 0 || h.flags&^allFlags != 0 || int64(h.clock) < 0 || int64(h.stdin) < 0 {
		return nil, fmt.Errorf("%w: bad header", ErrImage)
	}
	return h, nil
}

// tooLarge is what becomes of an image with more memory than a guest may have here.
func tooLarge(pages int, m *Module) error {
	const each = pageSize >> 10
	return fmt.Errorf("%w: %d KiB of memory are more than the %d that a rank may have here, by its module's --max-memory, what its app declares, or its worker's --memory-limit", ErrImage, pages*each, uint64(m.info.MemoryMaxPages)*each)
}

// matches checks that a header is one of a guest of m.
func (h *imageHeader) matches(m *Module) error {
	names := make([]string, len(h.globals))
	for i, g := range h.globals {
		names[i] = g.name
	}
	switch {
	case h.module != m.digest:
		return fmt.Errorf("%w: of another module", ErrImage)
	case h.pages > m.info.MemoryMaxPages:
		return tooLarge(int(h.pages), m)
	case h.pages < m.info.MemoryMinPages:
		return fmt.Errorf("%w: %d pages of memory are not in %d..%d", ErrImage, h.pages,
			m.info.MemoryMinPages, m.info.MemoryMaxPages)
	case !slices.Equal(names, m.info.globals):
		return fmt.Errorf("%w: globals %v, want %v", ErrImage, names, m.info.globals)
	}
	return nil
}
