package pages

import (
	"fmt"
	"hash"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"
)

// patience is how long a stream may take for what is given to it at a time, about flushBytes; then it has failed. A line on which nothing moves is found out by its own means.
const patience = time.Minute

const (
	flushBytes  = 1 << 20
	flushFrames = 256
	chunksEach  = 4 // that a stream takes on at a time
	// packBelow is the rate, in bytes of memory a second, of a round below which the next is compressed: about what the fastest level takes a core for.
	packBelow  = 150 << 20
	packSample = 1 << 20 // bytes from which a round shows its rate
)

// Sender sends a memory to a Receiver in rounds, the last of them while the memory stands still.
type Sender struct {
	memory func() []byte
	watch  *Watch
	sums   sums
	all    bool // nothing of what the receiver has is known
	some   bool // of some pages: their checksum is unknown
	exact  bool // the last round relied on the kernel's word
	pack   bool
	mark   uint32   // of pages that are sent; 0: they are not marked
	marks  []uint32 // of pages, by number, unless they are not marked
	runs   []Run    // reused
	lanes  []lane   // reused
	sent   atomic.Int64
}

// Stats are what a round has sent.
type Stats struct {
	Memory int64 // bytes of pages with content
	Wire   int64 // bytes on the streams
	Marked int   // pages that the round has marked, and that were not before
}

// NewSender sends a memory, which is watched, to a receiver whose memory is zero.
func NewSender(memory func() []byte, watch *Watch) *Sender {
	return &Sender{memory: memory, watch: watch, all: true}
}

// Reset has the next round send everything: its receiver begins anew, with a memory that is zero.
func (s *Sender) Reset() {
	s.all, s.some = true, false
	clear(s.sums)
	clear(s.marks)
	s.sent.Store(0)
}

// Mark has the pages that are sent from now on, or told to be zero, bear a mark in place of the one that they bear. It is above 0, and above those before. What is Sent counts anew.
func (s *Sender) Mark(mark uint32) {
	s.mark = mark
	s.sent.Store(0)
}

// Again has the next round send all pages that bear a mark from first on, and below end: the receiver has lost what it got with them, and may have something else in their places.
func (s *Sender) Again(first, end uint32) {
	for n, m := range s.marks {
		if m >= first && m < end {
			s.sums[n], s.some = unknown, true
		}
	}
}

// Held is how many bytes of pages the receiver has that are not zero, or may be.
func (s *Sender) Held() (bytes int64) {
	for _, known := range s.sums {
		if known != 0 {
			bytes += Bytes
		}
	}
	return bytes
}

// Sent is how many bytes of pages the streams have taken in all rounds since the last Reset, or Mark. It may be asked meanwhile.
func (s *Sender) Sent() int64 { return s.sent.Load() }

// HashInto hashes the memory's content as it was sent.
func (s *Sender) HashInto(h hash.Hash) { s.sums.hashInto(h) }

// Round sends what may have been written since the last round began, over all streams at once, each of which has its part of the round. It returns when the streams have taken it. still
// says that nobody writes meanwhile; last that no round follows. After an error the receiver has nothing of the round that counts: it gets it again with the next, or, after a Reset, another gets everything.
func (s *Sender) Round(to []io.Writer, still, last bool) (Stats, error) {
	memory := s.memory()
	if more := len(memory)/Bytes - len(s.sums); more > 0 {
		s.sums = append(s.sums, make(sums, more)...)
	}
	if more := len(s.sums) - len(s.marks); s.mark > 0 && more > 0 {
		s.marks = append(s.marks, make([]uint32, more)...)
	}
	if s.all {
		s.runs = s.watch.All(memory, s.runs[:0])
	} else {
		s.runs = s.watch.Written(memory, s.runs[:0])
	}
	// Where the kernel tells of writes a page is sent from where it is, whatever is written to it meanwhile: it comes again. Its checksum is worth nothing to who has to guess from here on.
	if s.exact && s.watch.Guesses() && !s.all {
		s.runs, s.all = s.watch.All(memory, s.runs[:0]), true
	}
	s.exact = !s.watch.Guesses()
	switch {
	case !s.exact || s.all:
		s.runs = s.sums.with(s.runs, func(known uint64) bool { return known != 0 })
	case s.some:
		s.runs = s.sums.with(s.runs, func(known uint64) bool { return known == unknown })
	}
	r := &round{sender: s, memory: memory, still: still, last: last, fresh: s.all, guess: !s.exact}
	r.split(s.runs)
	begin := time.Now()
	stats, err := r.send(to)
	if err != nil {
		for _, run := range s.runs {
			for n := range run.Count {
				s.sums[run.First+n], s.some = unknown, true
			}
		}
		return stats, err
	}
	s.all, s.some = false, false
	if stats.Memory >= packSample {
		s.pack = float64(stats.Memory) < packBelow*time.Since(begin).Seconds()
	}
	return stats, nil
}

// with adds to runs the pages whose checksums are such: where the receiver has something, and the sender nothing any more, there was put something in the place of it.
func (s sums) with(runs []Run, such func(known uint64) bool) []Run {
	is := make([]bool, len(s))
	for n, known := range s {
		is[n] = such(known)
	}
	for _, r := range runs {
		for n := range r.Count {
			is[r.First+n] = true
		}
	}
	runs = runs[:0]
	for n, told := range is {
		if told {
			runs = with(runs, Run{n, 1})
		}
	}
	return runs
}

// round is one round of a sender.
type round struct {
	sender      *Sender
	memory      []byte
	still, last bool
	fresh       bool // all that is not zero is sent, whatever was sent before
	guess       bool
	chunks      []Run
	next        atomic.Int64
}

// split makes chunks of runs.
func (r *round) split(runs []Run) {
	for _, run := range runs {
		for run.Count > 0 {
			n := min(run.Count, maxRun)
			r.chunks = append(r.chunks, Run{run.First, n})
			run.First, run.Count = run.First+n, run.Count-n
		}
	}
}

func (r *round) send(to []io.Writer) (Stats, error) {
	for len(r.sender.lanes) < len(to) {
		r.sender.lanes = append(r.sender.lanes, lane{heads: make([]byte, 0, flushFrames*headBytes)})
	}
	lanes := r.sender.lanes[:len(to)]
	errs := make([]error, len(to))
	var wg sync.WaitGroup
	for i := range to {
		lanes[i].begin(r, to[i])
		if i > 0 {
			wg.Go(func() { errs[i] = lanes[i].run() })
		}
	}
	errs[0] = lanes[0].run()
	wg.Wait()
	var stats Stats
	for i := range lanes {
		stats.Memory += lanes[i].stats.Memory
		stats.Wire += lanes[i].stats.Wire
		stats.Marked += lanes[i].stats.Marked
		if errs[i] != nil {
			return stats, fmt.Errorf("send pages: %w", errs[i])
		}
	}
	return stats, nil
}

// lane is a round's part on one stream.
type lane struct {
	round  *round
	to     io.Writer
	heads  []byte      // of frames that wait; never grows
	bufs   net.Buffers // what waits, in order
	size   int         // bytes of it
	memory int64       // bytes of pages that are in it
	copied []byte      // pages that are written to while they are sent; never grows
	frames uint32      // of the round so far
	packer *zstd.Encoder
	stats  Stats
}

func (l *lane) begin(r *round, to io.Writer) {
	l.round, l.to, l.stats, l.frames = r, to, Stats{}, 0
	l.clear()
}

// clear forgets what waits.
func (l *lane) clear() {
	l.bufs, l.heads, l.copied, l.size, l.memory = l.bufs[:0], l.heads[:0], l.copied[:0], 0, 0
}

func (l *lane) run() error {
	l.frame(frame{kind: frameSize, first: uint32(len(l.round.memory) / Bytes)}, nil)
	chunks := l.round.chunks
	for {
		at := int(l.round.next.Add(chunksEach)) - chunksEach
		if at >= len(chunks) {
			break
		}
		for _, c := range chunks[at:min(at+chunksEach, len(chunks))] {
			if err := l.chunk(c); err != nil {
				return err
			}
		}
	}
	end := frame{kind: frameEnd, count: l.frames}
	if l.round.last {
		end.first = 1
	}
	l.frame(end, nil)
	return l.flush()
}

// chunk sends what of a run the receiver does not have.
func (l *lane) chunk(c Run) error {
	r := l.round
	content := pagesOf(r.memory, c)
	if r.guess && !r.still {
		content = l.copy(content)
	}
	known := r.sender.sums[c.First : c.First+c.Count]
	const (
		nothing = iota
		plain
		zero
	)
	what, from := nothing, 0
	for i := range c.Count + 1 {
		next := nothing
		if i < c.Count {
			now := sum(content[i*Bytes : (i+1)*Bytes])
			switch {
			case now == 0 && known[i] != 0:
				next = zero
			case now != 0 && (!r.guess || r.fresh || now != known[i]):
				next = plain
			}
			known[i] = now
		}
		if next == what && i < c.Count {
			continue
		}
		if err := l.part(what == plain, what == zero, Run{c.First + from, i - from}, content[from*Bytes:i*Bytes]); err != nil {
			return err
		}
		what, from = next, i
	}
	if len(l.heads) > cap(l.heads)-2*maxRun*headBytes || max(l.size, len(l.copied)) >= flushBytes {
		return l.flush()
	}
	return nil
}

// part puts pages that are of one kind into a frame.
func (l *lane) part(plain, zero bool, pages Run, content []byte) error {
	f := frame{count: uint32(pages.Count), first: uint32(pages.First)}
	if s := l.round.sender; s.mark > 0 && (plain || zero) {
		marks := s.marks[pages.First : pages.First+pages.Count]
		for n := range marks {
			if marks[n] != s.mark {
				marks[n] = s.mark
				l.stats.Marked++
			}
		}
	}
	switch {
	case zero:
		f.kind = frameZero
		l.frame(f, nil)
	case plain:
		l.memory += int64(len(content))
		f.kind = framePlain
		if l.round.sender.pack {
			packed, err := l.packed(content)
			if err != nil {
				return err
			}
			if len(packed) < len(content)*7/8 {
				f.kind, content = framePacked, packed
			}
		}
		f.length = uint32(len(content))
		l.frame(f, content)
	}
	return nil
}

func (l *lane) packed(content []byte) ([]byte, error) {
	if l.packer == nil {
		var err error
		l.packer, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
		if err != nil {
			return nil, fmt.Errorf("compressor: %w", err)
		}
	}
	return l.packer.EncodeAll(content, nil), nil
}

// copy keeps content until it is flushed.
func (l *lane) copy(content []byte) []byte {
	if l.copied == nil {
		l.copied = make([]byte, 0, flushBytes+maxRun*Bytes)
	}
	at := len(l.copied)
	l.copied = append(l.copied, content...)
	return l.copied[at:]
}

func (l *lane) frame(f frame, content []byte) {
	at := len(l.heads)
	l.heads = l.heads[:at+headBytes]
	f.put(l.heads[at:])
	l.bufs = append(l.bufs, l.heads[at:at+headBytes:at+headBytes])
	l.size += headBytes
	if len(content) > 0 {
		l.bufs = append(l.bufs, content)
		l.size += len(content)
	}
	if f.kind != frameEnd {
		l.frames++
	}
}

func (l *lane) flush() error {
	if d, ok := l.to.(interface{ SetWriteDeadline(t time.Time) error }); ok {
		if err := d.SetWriteDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
	}
	bufs := l.bufs
	n, err := bufs.WriteTo(l.to)
	l.stats.Wire += n
	if err == nil {
		l.stats.Memory += l.memory
		l.round.sender.sent.Add(l.memory)
	}
	l.clear()
	return err
}
