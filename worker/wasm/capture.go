package wasm

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/tetratelabs/wazero/api"
)

// CaptureOptions says how an image is written.
type CaptureOptions struct {
	Raw bool // never compress; otherwise memory is compressed unless a sample shows that it is not worth it
}

// Stats are the sizes of an image, in bytes.
type Stats struct {
	MemoryBytes int64 // the guest's linear memory
	DataBytes   int64 // of these, in pages that are not zero
	ImageBytes  int64 // written
	StackBytes  int64 // of the unwind area in use
}

// Maximum window of a compressed image, in bytes: what a hostile image may make a host allocate.
const maxWindow = 8 << 20

// Capture writes the guest's part of its rank's image: globals, memory, clock, stdin's position and what is open. What was written to files is on
// their disk then, or with the host that has them. It panics unless Run has returned Frozen, or the program's own exit. The guest stays as it is, so it may be captured
// again, or run on if it is frozen. An error is the writer's, or that of a file. Images carry no hash over all: whoever moves them adds one.
func (g *Guest) Capture(w io.Writer, opts CaptureOptions) (Stats, error) {
	if g.state != frozen && !g.Ended() {
		panic("wasm: capture of a guest that is not frozen")
	}
	memory := g.memory.Bytes()
	h := imageHeader{
		module: g.module.digest,
		pages:  uint32(len(memory) / pageSize),
		clock:  uint64(g.system.age()),
		stdin:  g.system.read,
	}
	raw := opts.Raw || !worthCompressing(memory)
	if raw {
		h.flags |= flagRaw
	}
	if g.Ended() {
		h.flags |= flagEnded
	}
	for _, name := range g.module.info.globals {
		h.globals = append(h.globals, globalValue{name, g.instance.ExportedGlobal(name).Get()})
	}
	count := &countingWriter{to: w}
	stats := Stats{MemoryBytes: int64(len(memory)), StackBytes: int64(g.unwinder.used())}
	if _, err := count.Write(h.encode()); err != nil {
		return stats, fmt.Errorf("capture: %w", err)
	}
	if err := g.files.capture(count, !g.Ended()); err != nil {
		return stats, fmt.Errorf("capture: %w", err)
	}
	data, err := writeBody(count, memory, raw)
	if err != nil {
		return stats, fmt.Errorf("capture: %w", err)
	}
	stats.DataBytes, stats.ImageBytes = data, count.n
	return stats, nil
}

func writeBody(w io.Writer, memory []byte, raw bool) (int64, error) {
	if raw {
		buffered := bufio.NewWriterSize(w, maxRun*imagePage)
		n, err := writePages(buffered, memory)
		return n, errors.Join(err, buffered.Flush())
	}
	// One goroutine: other ranks of this executor are running, and need the cores.
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(1<<20))
	if err != nil {
		return 0, fmt.Errorf("compressor: %w", err)
	}
	n, err := writePages(z, memory)
	return n, errors.Join(err, z.Close())
}

// Restore makes a guest from an image; Run goes on where the captured guest stood, unless that had Ended. It reads r up to the
// end of the image, and for a compressed one possibly beyond. Errors: ErrImage, those of New, or that of an open file, which is named, if it is not what
// it was. Garbage
// costs at most the memory that its header may ask for.
func (m *Module) Restore(ctx context.Context, cfg GuestConfig, r io.Reader) (*Guest, error) {
	if !m.info.Migratable {
		return nil, fmt.Errorf("%w: %s", ErrNotMigratable, m.info.Reason)
	}
	prefix := make([]byte, headerPrefix)
	if _, err := io.ReadFull(r, prefix); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImage, err)
	}
	n, err := decodePrefix(prefix)
	if err != nil {
		return nil, err
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImage, err)
	}
	h, err := decodeHeader(body)
	if err != nil {
		return nil, err
	}
	if err := h.matches(m); err != nil {
		return nil, err
	}
	g, err := m.New(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := g.restore(h, r); err != nil {
		return nil, errors.Join(err, g.Close(ctx))
	}
	return g, nil
}

// restore fills a fresh guest.
func (g *Guest) restore(h *imageHeader, r io.Reader) error {
	if err := g.files.restore(r); err != nil {
		return err
	}
	// The module's own data may be where the image has zeros.
	if err := g.memory.zero(); err != nil {
		return err
	}
	if more := h.pages - g.module.info.MemoryMinPages; more > 0 {
		if _, ok := g.instance.Memory().Grow(more); !ok {
			return fmt.Errorf("no memory: image needs %d pages", h.pages)
		}
	}
	if h.flags&flagRaw == 0 {
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return fmt.Errorf("%w: %w", ErrImage, err)
		}
		defer z.Close()
		r = z
	}
	if err := readPages(r, g.memory.Bytes()); err != nil {
		return err
	}
	if h.flags&flagRaw == 0 {
		// The checksum comes after the last byte.
		if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			return fmt.Errorf("%w: damaged at its end", ErrImage)
		}
	}
	for _, value := range h.globals {
		global, ok := g.instance.ExportedGlobal(value.name).(api.MutableGlobal)
		if !ok {
			return fmt.Errorf("%w: global %s cannot be set", ErrImage, value.name)
		}
		global.Set(value.bits)
	}
	if h.flags&flagEnded != 0 {
		g.state, g.exited = ended, true
		return nil
	}
	area, err := g.unwinder.bytes()
	if err != nil {
		return err
	}
	if err := g.unwinder.validate(area); err != nil {
		return fmt.Errorf("%w: %w", ErrImage, err)
	}
	g.system.lived = time.Duration(h.clock)
	g.system.began = time.Now()
	if err := g.system.skip(h.stdin); err != nil {
		return err
	}
	g.state = frozen
	return nil
}

// countingWriter counts what passes through.
type countingWriter struct {
	to io.Writer
	n  int64
}

func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	w.n += int64(n)
	return n, err
}
