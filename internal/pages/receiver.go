package pages

import (
	"fmt"
	"hash"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Receiver fills a memory with what a Sender sends.
type Receiver struct {
	memory func() []byte
	grow   func(pages int) error

	mu   sync.RWMutex // held for reading by who fills pages, for writing while the memory grows
	sums sums
}

// NewReceiver fills a memory that is zero. grow makes it have at least so many pages; an error is told to who asked for the round.
func NewReceiver(memory func() []byte, grow func(pages int) error) *Receiver {
	return &Receiver{memory: memory, grow: grow, sums: make(sums, len(memory())/Bytes)}
}

// Reset begins anew: the memory has been made zero.
func (r *Receiver) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.sums)
}

// HashInto hashes what has come: as its sender's does if that has sent the same.
func (r *Receiver) HashInto(h hash.Hash) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	r.sums.hashInto(h)
}

// Round reads one stream's part of a round, and says whether no other follows. It blocks until the part is whole. Those of several streams may be read at once. Errors: the reader's, ErrProtocol,
// or what grow says.
func (r *Receiver) Round(from io.Reader) (last bool, err error) {
	p := part{Receiver: r, from: from}
	var head [headBytes]byte
	for frames := uint32(0); ; frames++ {
		if _, err := io.ReadFull(from, head[:]); err != nil {
			return false, fmt.Errorf("receive pages: %w", err)
		}
		f := frameOf(head[:])
		if f.kind == frameEnd {
			if f.count != frames || f.first > 1 {
				return false, fmt.Errorf("receive pages: %w: %d frames of %d", ErrProtocol, frames, f.count)
			}
			return f.first == 1, nil
		}
		if (f.kind == frameSize) != (frames == 0) {
			return false, fmt.Errorf("receive pages: %w: frame %d of kind %d", ErrProtocol, frames, f.kind)
		}
		if err := p.take(f); err != nil {
			return false, fmt.Errorf("receive pages: %w", err)
		}
	}
}

// part is one stream's part of a round.
type part struct {
	*Receiver
	from     io.Reader
	packed   []byte
	unpacker *zstd.Decoder
}

func (p *part) take(f frame) error {
	if f.kind == frameSize {
		return p.size(int(f.first))
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	memory := p.memory()
	total := uint64(min(len(memory)/Bytes, len(p.sums)))
	if end := uint64(f.first) + uint64(f.count); f.count == 0 || f.count > maxRun || end > total {
		return fmt.Errorf("%w: pages %d+%d of %d", ErrProtocol, f.first, f.count, total)
	}
	run := Run{int(f.first), int(f.count)}
	place := pagesOf(memory, run)
	switch {
	case f.kind == frameZero && f.length == 0:
		clear(place)
		clear(p.sums[run.First : run.First+run.Count])
		return nil
	case f.kind == framePlain && int(f.length) == len(place):
		if _, err := io.ReadFull(p.from, place); err != nil {
			return err
		}
	case f.kind == framePacked && int(f.length) < len(place):
		if err := p.unpack(int(f.length), place); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%w: a frame of kind %d has %d bytes for %d pages", ErrProtocol, f.kind, f.length, f.count)
	}
	for i := range run.Count {
		p.sums[run.First+i] = sum(place[i*Bytes : (i+1)*Bytes])
	}
	return nil
}

func (p *part) unpack(n int, place []byte) error {
	if p.unpacker == nil {
		var err error
		p.packed = make([]byte, maxRun*Bytes)
		if p.unpacker, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxRun*Bytes)); err != nil {
			return fmt.Errorf("decompressor: %w", err)
		}
	}
	if _, err := io.ReadFull(p.from, p.packed[:n]); err != nil {
		return err
	}
	got, err := p.unpacker.DecodeAll(p.packed[:n], place[:0:len(place)])
	if err != nil || len(got) != len(place) {
		return fmt.Errorf("%w: %d bytes in place of %d (%w)", ErrProtocol, len(got), len(place), err)
	}
	return nil
}

// size makes the memory have so many pages. It does not shrink.
func (p *part) size(pages int) error {
	p.mu.RLock()
	enough := pages <= len(p.sums)
	p.mu.RUnlock()
	if enough {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if pages <= len(p.sums) {
		return nil
	}
	if err := p.grow(pages); err != nil {
		return err
	}
	p.sums = append(p.sums, make(sums, pages-len(p.sums))...)
	return nil
}
