package pages

import (
	"encoding/binary"
	"errors"
)

// ErrProtocol is of what is no round of a memory's pages.
var ErrProtocol = errors.New("these are no pages of a memory")

// A round is a sequence of frames on each of its streams: a head of 16 bytes, little-endian, and what it announces.
//
//	size    first: pages of the memory from now on. It is the first of each stream's
//	plain   the pages first, first+1, ...: count of them, length bytes
//	packed  the same as one zstd frame of length bytes
//	zero    count pages from first on are zero
//	end     count: frames before it; first: 1 if no round follows
const (
	frameSize byte = iota + 1
	framePlain
	framePacked
	frameZero
	frameEnd
)

const (
	headBytes = 16
	maxRun    = 64 // pages of a frame with content
)

type frame struct {
	kind                 byte
	count, first, length uint32
}

func (f frame) put(b []byte) {
	b[0], b[1], b[2], b[3] = f.kind, 0, 0, 0
	binary.LittleEndian.PutUint32(b[4:], f.count)
	binary.LittleEndian.PutUint32(b[8:], f.first)
	binary.LittleEndian.PutUint32(b[12:], f.length)
}

func frameOf(b []byte) frame {
	return frame{
		kind: b[0], count: binary.LittleEndian.Uint32(b[4:]), first: binary.LittleEndian.Uint32(b[8:]), length: binary.LittleEndian.Uint32(b[12:]),
	}
}
