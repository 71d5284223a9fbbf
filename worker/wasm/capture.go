package wasm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/godwit-run/godwit/internal/pages"
)

// CaptureState writes all of the guest but its memory: globals, clock, stdin's position and what is open. What was written to files is on their disk then, or with the
// host that has them. Keep: what is open of a home is kept there by numbers, since what has which name is the others' affair until all of them stand still; else only what has no name is. It panics unless Run has returned Frozen, or the program's own exit. The guest stays as it is, so it may be captured again, or run on if it is frozen.
// An error is the writer's, or that of a file.
func (g *Guest) CaptureState(w io.Writer, keep bool) error {
	if g.state != frozen && !g.Ended() {
		panic("wasm: capture of a guest that is not frozen")
	}
	h := imageHeader{
		module: g.module.digest,
		pages:  uint32(len(g.memory.Image()) / pageSize),
		clock:  uint64(g.system.age()),
		wall:   g.system.wall().UnixNano(),
		stdin:  g.system.read,
	}
	if g.Ended() {
		h.flags |= flagEnded
	}
	for _, name := range g.module.info.globals {
		h.globals = append(h.globals, globalValue{name, g.instance.Global(name).Get()})
	}
	if _, err := w.Write(h.encode()); err != nil {
		return fmt.Errorf("capture: %w", err)
	}
	if err := g.files.capture(w, !g.Ended(), keep); err != nil {
		return fmt.Errorf("capture: %w", err)
	}
	return nil
}

// Expect makes a guest that takes the place of another: its memory, which is zero, is filled from outside, and RestoreState makes it whole. Errors: ErrNotMigratable, those of New.
func (m *Module) Expect(ctx context.Context, cfg GuestConfig) (*Guest, error) {
	if !m.info.Migratable {
		return nil, fmt.Errorf("%w: %s", ErrNotMigratable, m.info.Reason)
	}
	g, err := m.New(ctx, cfg)
	if err != nil {
		return nil, err
	}
	g.state = expected
	if err := g.Empty(); err != nil {
		return nil, errors.Join(err, g.Close(ctx))
	}
	return g, nil
}

// Empty makes the memory of an expected guest zero: its module's own data may be where the other has zeros.
func (g *Guest) Empty() error {
	if g.state != expected {
		panic("wasm: the memory of a guest that is not expected is emptied")
	}
	return g.memory.zero()
}

// Grow makes the memory of an expected guest have at least so many pages of pages.Bytes.
func (g *Guest) Grow(n int) error {
	if g.state != expected {
		panic("wasm: the memory of a guest that is not expected grows")
	}
	const each = pageSize / pages.Bytes
	more := (n+each-1)/each - len(g.memory.Bytes())/pageSize
	if more <= 0 {
		return nil
	}
	if n > int(g.module.info.MemoryMaxPages)*each {
		return tooLarge((n+each-1)/each, g.module)
	}
	if !g.instance.Grow(uint32(more)) {
		return fmt.Errorf("no memory: image needs %d pages", (n+each-1)/each)
	}
	return nil
}

// RestoreState makes an expected guest whose memory has come go on where the captured one stood, unless that had Ended, by what CaptureState has written. It reads no more than that. Errors: ErrImage,
// or that of an open file, which is named, if it is not what it was: the guest can then only be closed.
func (g *Guest) RestoreState(r io.Reader) error {
	if g.state != expected {
		panic("wasm: a guest that is not expected is restored")
	}
	h, err := readHeader(r)
	if err != nil {
		return err
	}
	if err := h.matches(g.module); err != nil {
		return err
	}
	if have := len(g.memory.Image()) / pageSize; uint32(have) != h.pages {
		return fmt.Errorf("%w: %d pages of memory have come of %d", ErrImage, have, h.pages)
	}
	if err := g.files.restore(r); err != nil {
		return err
	}
	return g.settle(h)
}

func readHeader(r io.Reader) (*imageHeader, error) {
	prefix := make([]byte, headerPrefix)
	if _, err := io.ReadFull(r, prefix); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImage, err)
	}
	version, n, err := decodePrefix(prefix)
	if err != nil {
		return nil, err
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImage, err)
	}
	return decodeHeader(version, body)
}

// settle is the last of a restore.
func (g *Guest) settle(h *imageHeader) error {
	for _, value := range h.globals {
		global := g.instance.Global(value.name)
		if global == nil {
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
	g.system.resume(time.Duration(h.clock), time.Unix(0, h.wall))
	if err := g.system.skip(h.stdin); err != nil {
		return err
	}
	g.Preempt(false)
	g.state = frozen
	return nil
}

// Capture writes the guest's image: its memory and its state. It panics, and fails, as CaptureState does.
func (g *Guest) Capture(w io.Writer) error {
	watch := pages.NewGuess()
	defer watch.Close()
	sender := pages.NewSender(g.memory.Image, watch)
	if _, err := sender.Round([]io.Writer{w}, true, true); err != nil {
		return fmt.Errorf("capture: %w", err)
	}
	sum := sha256.New()
	sender.HashInto(sum)
	if err := g.CaptureState(io.MultiWriter(w, sum), false); err != nil {
		return err
	}
	if _, err := w.Write(sum.Sum(nil)); err != nil {
		return fmt.Errorf("capture: %w", err)
	}
	return nil
}

// Restore makes a guest from an image; Run goes on where the captured guest stood, unless that had Ended. Errors: ErrImage, those of Expect, or that of an open file, which is named, if it is not what
// it was. Garbage costs at most the memory that the module may grow to.
func (m *Module) Restore(ctx context.Context, cfg GuestConfig, r io.Reader) (*Guest, error) {
	g, err := m.Expect(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := g.restore(r); err != nil {
		return nil, errors.Join(err, g.Close(ctx))
	}
	return g, nil
}

func (g *Guest) restore(r io.Reader) error {
	receiver := pages.NewReceiver(g.memory.Image, g.Grow)
	last, err := receiver.Round(r)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrImage, err)
	}
	if !last {
		return fmt.Errorf("%w: its memory is not whole", ErrImage)
	}
	sum := sha256.New()
	receiver.HashInto(sum)
	if err := g.RestoreState(io.TeeReader(r, sum)); err != nil {
		return err
	}
	var want [sha256.Size]byte
	if _, err := io.ReadFull(r, want[:]); err != nil || !bytes.Equal(want[:], sum.Sum(nil)) {
		return fmt.Errorf("%w: damaged (%w)", ErrImage, err)
	}
	return nil
}
