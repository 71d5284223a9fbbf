package worker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// What is packed of an app's files is cut into pieces where its content says so, so that what has not changed gives the same pieces, wherever it stands: they are neither written nor sent again.

const (
	// pieceBits says how long pieces are: from a quarter of 1<<pieceBits bytes to four times that. They are longer where there would be more than mostPieces of that size.
	pieceBits  = 21
	mostPieces = 8192
)

// cutter finds where pieces end: where a sum of the last 64 bytes is of a certain kind.
type cutter struct {
	gear        [256]uint64
	bits        uint
	least, most int64
	sum         uint64
	n           int64 // bytes of the piece so far
}

// newCutter cuts what has so many bytes.
func newCutter(total int64) *cutter {
	c := &cutter{bits: pieceBits}
	for total>>c.bits > mostPieces {
		c.bits++
	}
	c.least, c.most = 1<<c.bits/4, 4<<c.bits
	x := uint64(0)
	for i := range c.gear { // SplitMix64: any numbers, but the same everywhere and for ever
		x += 0x9e3779b97f4a7c15
		z := (x ^ x>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		c.gear[i] = z ^ z>>31
	}
	return c
}

// cut returns how many bytes of b, which follows what it has seen, belong to the piece, and whether that ends there.
func (c *cutter) cut(b []byte) (n int, ends bool) {
	for i, x := range b {
		c.sum = c.sum<<1 + c.gear[x]
		if c.n++; c.n >= c.least && c.sum>>(64-c.bits) == 0 || c.n == c.most {
			c.n, c.sum = 0, 0
			return i + 1, true
		}
	}
	return len(b), false
}

// pieces makes blobs of a file that was written for the checkpoint: those that are not here yet are written.
func (p *partMaker) pieces(ctx context.Context, path string) ([]*apiv1.Blob, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("worker: checkpoints: %w", err)
	}
	defer f.Close() //nolint:errcheck // it is removed
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("worker: checkpoints: %w", err)
	}
	var blobs []*apiv1.Blob
	cutter, sum, from, at := newCutter(info.Size()), sha256.New(), int64(0), int64(0)
	end := func() error {
		blob := &apiv1.Blob{Digest: hex.EncodeToString(sum.Sum(nil)), Size: at - from}
		if !p.store.claimed(p.name, blob) {
			if blob, err = p.cut(ctx, path, from, at); err != nil {
				return err
			}
		}
		punch(f, from, at)
		blobs, from = append(blobs, blob), at
		sum.Reset()
		return nil
	}
	buf := make([]byte, 256<<10)
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, rerr := f.Read(buf)
		for b := buf[:n]; len(b) > 0; {
			k, ends := cutter.cut(b)
			sum.Write(b[:k])
			at += int64(k)
			b = b[k:]
			if ends {
				if err := end(); err != nil {
					return nil, err
				}
			}
		}
		p.sv.progress.Add(int64(n))
		if errors.Is(rerr, io.EOF) {
			break
		}
		if rerr != nil {
			return nil, fmt.Errorf("worker: checkpoints: %w", rerr)
		}
	}
	if at > from {
		if err := end(); err != nil {
			return nil, err
		}
	}
	return blobs, os.Remove(path)
}

// punch gives the disk back what is a piece by now, so that little is there twice. Where the disk cannot, it is there twice until all is cut.
func punch(f *os.File, from, to int64) {
	const block = 4096
	from = from &^ (block - 1) // of the piece before only a part of its last block was
	_ = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, from, to-from)
}

// claimed says whether a blob is here; then it stays for a part that will name it. Who hears that it is not, or is damaged, brings it.
func (s *checkpointStore) claimed(part partName, b *apiv1.Blob) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[part.checkpoint] == nil || !s.has(b) {
		return false
	}
	s.claim(part, b.Digest)
	return true
}

// filesOf is the packed files that a manifest names, in order; none: it has none.
func filesOf(m *apiv1.CheckpointManifest) []*apiv1.Blob {
	if m.Files != nil {
		return []*apiv1.Blob{m.Files}
	}
	return m.FilesPieces
}

// series reads files one after the other.
type series struct {
	paths []string
	file  *os.File
}

// Read implements io.Reader.
func (s *series) Read(b []byte) (int, error) {
	for {
		if s.file == nil {
			if len(s.paths) == 0 {
				return 0, io.EOF
			}
			f, err := os.Open(s.paths[0])
			if err != nil {
				return 0, err
			}
			s.file, s.paths = f, s.paths[1:]
		}
		n, err := s.file.Read(b)
		if !errors.Is(err, io.EOF) {
			return n, err
		}
		if err := s.Close(); err != nil {
			return n, err
		}
		if n > 0 {
			return n, nil
		}
	}
}

// Close closes what is open.
func (s *series) Close() error {
	f := s.file
	if f == nil {
		return nil
	}
	s.file = nil
	return f.Close()
}
