package worker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// sumFile reads what is left of a file: its SHA-256, and how long it is. each hears of each run of bytes that was read, and may wait, or end it with an error.
func sumFile(ctx context.Context, f *os.File, each func(n int) error) (digest string, size int64, err error) {
	sum := sha256.New()
	size, err = copyWatched(ctx, io.MultiWriter(sum, heeded(each)), f, func(int) {})
	return hex.EncodeToString(sum.Sum(nil)), size, err
}

// heeded is a writer that only tells how much is written, and may end that.
type heeded func(n int) error

// Write implements io.Writer.
func (h heeded) Write(p []byte) (int, error) { return len(p), h(len(p)) }

// each has a reading go on, and tell how much is read.
func (t told) each(n int) error { t(n); return nil }

// unpaced has a reading go on.
func unpaced(int) error { return nil }

// sumDisk is sumFile from the disk itself, not from what the kernel keeps of the file; nor does it keep what was read.
func sumDisk(ctx context.Context, f *os.File, each func(n int) error) (string, int64, error) {
	forget := func() { _ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) }
	forget()
	defer forget()
	return sumFile(ctx, f, each)
}

// pacer bounds what all who use it read together, in bytes a second.
type pacer struct {
	rate int64

	mu   sync.Mutex // guards free
	free time.Time  // when what was read so far has had its time
}

// wait returns when n bytes that were read have had their time.
func (p *pacer) wait(ctx context.Context, n int) error {
	p.mu.Lock()
	now := time.Now()
	if p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(time.Duration(int64(n) * int64(time.Second) / p.rate))
	due := p.free.Sub(now)
	p.mu.Unlock()
	return sleep(ctx, due)
}
