package pages

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
	if w.tracker != nil {
		if _, err := w.tracker.scan(len(memory), nil); err != nil {
			w.Close()
		}
	}
	return held(memory, runs)
}

// held appends the pages that may not be zero.
func held(memory []byte, runs []Run) []Run {
	touched := newTouched(memory)
	for n := range len(memory) / Bytes {
		if !touched.page(n * Bytes) {
			continue
		}
		if k := len(runs) - 1; k >= 0 && runs[k].First+runs[k].Count == n {
			runs[k].Count++
			continue
		}
		runs = append(runs, Run{n, 1})
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
