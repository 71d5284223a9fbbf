package worker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// blobWriter makes a blob of what is written to it.
type blobWriter struct {
	store *checkpointStore
	file  *os.File
	sum   hash.Hash
	size  int64
}

func (s *checkpointStore) newBlob() (*blobWriter, error) {
	f, err := s.coming()
	if err != nil {
		return nil, err
	}
	return &blobWriter{store: s, file: f, sum: sha256.New()}, nil
}

// Write implements io.Writer.
func (b *blobWriter) Write(p []byte) (int, error) {
	n, err := b.file.Write(p)
	b.sum.Write(p[:n])
	b.size += int64(n)
	if err != nil {
		return n, fmt.Errorf("worker: checkpoints: %w", err)
	}
	return n, nil
}

// drop forgets what was written.
func (b *blobWriter) drop() {
	_ = b.file.Close()
	_ = os.Remove(b.file.Name())
}

// finish makes it a blob of a part. want is the digest that it must have; empty: any.
func (b *blobWriter) finish(part partName, want string) (*apiv1.Blob, error) {
	got := hex.EncodeToString(b.sum.Sum(nil))
	if want != "" && got != want {
		b.drop()
		return nil, fmt.Errorf("%w: what came as blob %.12s is %.12s", errDamaged, want, got)
	}
	if err := errors.Join(b.file.Sync(), b.file.Close()); err != nil {
		_ = os.Remove(b.file.Name())
		return nil, fmt.Errorf("worker: checkpoints: %w", err)
	}
	if err := b.store.take(part, b.file.Name(), got); err != nil {
		_ = os.Remove(b.file.Name())
		return nil, err
	}
	return &apiv1.Blob{Digest: got, Size: b.size}, nil
}

// adopt makes a file of this host, which is given away, a blob of a part.
func (s *checkpointStore) adopt(ctx context.Context, part partName, path string, progress func(int)) (*apiv1.Blob, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("worker: checkpoints: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was synced, or that has failed
	digest, size, err := sumFile(ctx, f, told(progress).each)
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return nil, fmt.Errorf("worker: checkpoints: %w", err)
	}
	blob := &apiv1.Blob{Digest: digest, Size: size}
	return blob, s.take(part, path, blob.Digest)
}

// copyWatched copies until the end, or ctx is over, and tells how far it is.
func copyWatched(ctx context.Context, to io.Writer, from io.Reader, progress func(int)) (int64, error) {
	buf := make([]byte, 256<<10)
	total := int64(0)
	for {
		if err := ctx.Err(); err != nil {
			return total, err
		}
		n, err := from.Read(buf)
		if n > 0 {
			if _, werr := to.Write(buf[:n]); werr != nil {
				return total, werr
			}
			total += int64(n)
			progress(n)
		}
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}
