package wasm

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// The content of a memory is a stream of runs of pages that are not zero: number of the first page and
// count (4 bytes each), then the pages; at the end endOfPages and the count of all pages sent.
const (
	imagePage  = 4 << 10 // bytes; small, so that a sparse heap costs little
	maxRun     = 64      // pages of a run
	endOfPages = ^uint32(0)
)

// writePages writes what is not zero in memory, and returns how many bytes of it that is.
func writePages(w io.Writer, memory []byte) (int64, error) {
	var zero [imagePage]byte
	total := len(memory) / imagePage
	sent := 0
	var head [8]byte
	touched := newTouched(memory)
	holds := func(page int) bool {
		return touched.page(page*imagePage) && !bytes.Equal(pagesOf(memory, page, 1), zero[:])
	}
	for first := 0; first < total; {
		run := 0
		for run < maxRun && first+run < total && holds(first+run) {
			run++
		}
		if run == 0 {
			first++
			continue
		}
		binary.LittleEndian.PutUint32(head[:], uint32(first))
		binary.LittleEndian.PutUint32(head[4:], uint32(run))
		if _, err := w.Write(head[:]); err != nil {
			return 0, fmt.Errorf("write pages: %w", err)
		}
		if _, err := w.Write(pagesOf(memory, first, run)); err != nil {
			return 0, fmt.Errorf("write pages: %w", err)
		}
		first += run
		sent += run
	}
	binary.LittleEndian.PutUint32(head[:], endOfPages)
	binary.LittleEndian.PutUint32(head[4:], uint32(sent))
	if _, err := w.Write(head[:]); err != nil {
		return 0, fmt.Errorf("write pages: %w", err)
	}
	return int64(sent) * imagePage, nil
}

// readPages fills memory, which must be zero, from what writePages wrote.
func readPages(r io.Reader, memory []byte) error {
	total := uint32(len(memory) / imagePage)
	next, received := uint32(0), uint32(0)
	var head [8]byte
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return fmt.Errorf("%w: pages cut short: %w", ErrImage, err)
		}
		first, run := binary.LittleEndian.Uint32(head[:]), binary.LittleEndian.Uint32(head[4:])
		if first == endOfPages {
			if run != received {
				return fmt.Errorf("%w: %d pages instead of %d", ErrImage, received, run)
			}
			return nil
		}
		if first < next || first >= total || run == 0 || run > maxRun || run > total-first {
			return fmt.Errorf("%w: pages %d+%d of %d", ErrImage, first, run, total)
		}
		if _, err := io.ReadFull(r, pagesOf(memory, int(first), int(run))); err != nil {
			return fmt.Errorf("%w: pages cut short: %w", ErrImage, err)
		}
		next = first + run
		received += run
	}
}

func pagesOf(memory []byte, first, count int) []byte {
	return memory[first*imagePage : (first+count)*imagePage]
}
