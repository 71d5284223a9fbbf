package pages

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Watch tells which pages of a memory have been written. One goroutine uses it.
type Watch struct {
	tracker *tracker // nil: the kernel does not tell, so every page that holds something may have been
}

// NewWatch begins to watch a mapping, private and anonymous, of which parts may not be accessible yet. Where the kernel does not tell of writes it guesses.
func NewWatch(mapping []byte) *Watch {
	t, err := track(mapping)
	if err != nil {
		return NewGuess()
	}
	return &Watch{tracker: t}
}

// NewGuess is a watch for which every page that holds something may have been written.
func NewGuess() *Watch { return &Watch{} }

// Guesses says whether pages are told that have not been written.
func (w *Watch) Guesses() bool { return w.tracker == nil }

// Written appends to runs, in ascending order, the pages of a memory, which is the first part of the mapping, that may have been written since the last call; at the first,
// those that may not be zero. What is written after it has begun is told by the next call, also where this one tells it, too. If the kernel tells no more, it guesses from then on.
func (w *Watch) Written(memory []byte, runs []Run) []Run {
	if w.tracker != nil {
		told, err := w.tracker.scan(len(memory), runs)
		if err == nil {
			return told
		}
		w.Close()
	}
	return held(memory, runs)
}

// All is Written, but for the pages that it tells: those that may not be zero.
func (w *Watch) All(memory []byte, runs []Run) []Run {
	if w.tracker == nil {
		return held(memory, runs)
	}
	// What was touched before is known by the kernel's list, which takes those for touched that the scan protects; what is touched just then, by being there.
	is := make([]bool, len(memory)/Bytes)
	for _, r := range held(memory, nil) {
		for n := range r.Count {
			is[r.First+n] = true
		}
	}
	told, err := w.tracker.scan(len(memory), nil)
	if err == nil {
		err = present(memory, told, is)
	}
	if err != nil {
		w.Close()
		return held(memory, runs)
	}
	for n, held := range is {
		if held {
			runs = with(runs, Run{n, 1})
		}
	}
	return runs
}

// present notes which pages of runs are in memory.
func present(memory []byte, runs []Run, is []bool) error {
	page := os.Getpagesize()
	var in [4096]byte
	for _, r := range runs {
		begin, end := r.First*Bytes/page, ((r.First+r.Count)*Bytes+page-1)/page
		for ; begin < end; begin += len(in) {
			n := min(end-begin, len(in))
			first := unsafe.SliceData(memory[begin*page:])
			if _, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(first)), uintptr(n*page), uintptr(unsafe.Pointer(&in[0]))); errno != 0 {
				return errno
			}
			for i := range n * page / Bytes {
				if at := begin*page/Bytes + i; in[i*Bytes/page]&1 != 0 && at < len(is) {
					is[at] = true
				}
			}
		}
	}
	return nil
}

// with appends a run to runs, which are in ascending order.
func with(runs []Run, r Run) []Run {
	if k := len(runs) - 1; k >= 0 && runs[k].First+runs[k].Count == r.First {
		runs[k].Count += r.Count
		return runs
	}
	return append(runs, r)
}

// held appends the pages that may not be zero.
func held(memory []byte, runs []Run) []Run {
	touched := newTouched(memory)
	for n := range len(memory) / Bytes {
		if touched.page(n * Bytes) {
			runs = with(runs, Run{n, 1})
		}
	}
	return runs
}

// Close ends what the kernel does for it.
func (w *Watch) Close() {
	if w.tracker != nil {
		w.tracker.close()
		w.tracker = nil
	}
}
