package worker

import (
	"context"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestPiecesThatStay: of packed files of which little has changed little is written anew, wherever that stands; and the pieces are all of it.
func TestPiecesThatStay(t *testing.T) {
	store, dir := newStore(t, t.TempDir()), t.TempDir()
	rnd := rand.New(rand.NewPCG(1, 1))
	packed := make([]byte, 24<<20)
	for i := range packed {
		packed[i] = byte(rnd.Uint32())
	}
	pieces := func(checkpoint string) (fresh int64) {
		name := partName{checkpoint, "h1"}
		store.know(&apiv1.Checkpoint{Id: checkpoint})
		path := filepath.Join(dir, checkpoint)
		require.NoError(t, os.WriteFile(path, packed, 0o600))
		p := &partMaker{store: store, sv: &saving{}, name: name, part: &apiv1.CheckpointPart{}}
		blobs, err := p.pieces(t.Context(), path)
		require.NoError(t, err)
		require.NoFileExists(t, path)
		var paths []string
		for _, b := range blobs {
			require.LessOrEqual(t, b.Size, int64(4<<pieceBits))
			paths = append(paths, store.blobPath(b.Digest))
		}
		require.Greater(t, len(blobs), 4)
		got, err := io.ReadAll(&series{paths: paths})
		require.NoError(t, err)
		require.Equal(t, packed, got)
		return p.part.NewBytes
	}
	require.EqualValues(t, len(packed), pieces("c1"))
	require.Zero(t, pieces("c2"))
	packed = append(append(packed[:9<<20:9<<20], "something new"...), packed[9<<20:]...) // all that follows is elsewhere
	require.Less(t, pieces("c3"), int64(9<<pieceBits))
	require.Positive(t, len(packed))
	packed = nil
	for range 3 << 20 {
		packed = append(packed, 0)
	}
	for range 30 {
		packed = append(packed, packed[:1<<20]...)
	}
	require.LessOrEqual(t, pieces("c4"), int64(2*4<<pieceBits), "equal pieces are one")
}

// randomFile writes n random bytes.
func randomFile(t *testing.T, path string, n int) []byte {
	t.Helper()
	rnd := rand.New(rand.NewPCG(3, 4))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	require.NoError(t, os.WriteFile(path, b, 0o600))
	return b
}

// piecesOf makes pieces of a copy of packed files for a checkpoint.
func piecesOf(t *testing.T, store *checkpointStore, checkpoint string, packed []byte) (*partMaker, []*apiv1.Blob) {
	t.Helper()
	name, path := partName{checkpoint, "h1"}, filepath.Join(t.TempDir(), "files")
	store.know(&apiv1.Checkpoint{Id: checkpoint})
	require.NoError(t, os.WriteFile(path, packed, 0o600))
	p := &partMaker{store: store, sv: &saving{}, name: name, part: &apiv1.CheckpointPart{}}
	blobs, err := p.pieces(t.Context(), path)
	require.NoError(t, err)
	return p, blobs
}

// TestDamagedPiecesAreMended: a piece that is here, but is gone from the disk, cut short, or damaged as another host has found, is written by the next checkpoint that has its bytes.
func TestDamagedPiecesAreMended(t *testing.T) {
	store, dir := newStore(t, t.TempDir()), t.TempDir()
	packed := randomFile(t, filepath.Join(dir, "packed"), 9<<pieceBits)
	_, blobs := piecesOf(t, store, "c1", packed)
	require.Greater(t, len(blobs), 3)
	bad := []string{store.blobPath(blobs[0].Digest), store.blobPath(blobs[1].Digest), store.blobPath(blobs[2].Digest)}
	require.NoError(t, os.Remove(bad[0]))
	require.NoError(t, os.Truncate(bad[1], 1))
	rotten, err := os.ReadFile(bad[2])
	require.NoError(t, err)
	rotten[5] ^= 1
	require.NoError(t, os.WriteFile(bad[2], rotten, 0o600))
	store.doubt(blobs[2].Digest)
	store.doubt("of nobody")

	p, again := piecesOf(t, store, "c2", packed)
	require.Equal(t, blobs, again)
	require.EqualValues(t, blobs[0].Size+blobs[1].Size+blobs[2].Size, p.part.NewBytes, "no others are written")
	require.Empty(t, store.doubted)
	var paths []string
	for _, b := range again {
		paths = append(paths, store.blobPath(b.Digest))
	}
	got, err := io.ReadAll(&series{paths: paths})
	require.NoError(t, err)
	require.Equal(t, packed, got)
	p.manifest = &apiv1.CheckpointManifest{Checkpoint: "c2", Host: "h1", FilesPieces: again}
	text, err := proto.Marshal(p.manifest)
	require.NoError(t, err)
	require.NoError(t, store.hold(p.name, text, p.manifest))
}

// breaks is a context that is over after so many looks at it.
type breaks struct {
	context.Context //nolint:containedctx // it is one

	looks int
}

func (b *breaks) Err() error {
	if b.looks--; b.looks < 0 {
		return context.Canceled
	}
	return nil
}

// TestPackedFilesAreOnceOnTheDisk: what has become a piece is not on the disk twice.
func TestPackedFilesAreOnceOnTheDisk(t *testing.T) {
	const size = 64 << 20
	used := func(path string) (n int64) {
		require.NoError(t, filepath.Walk(path, func(_ string, info os.FileInfo, err error) error {
			if err == nil {
				n += info.Sys().(*syscall.Stat_t).Blocks * 512 //nolint:forcetypeassert // Linux
			}
			return err
		}))
		return n
	}
	dir := t.TempDir()
	store, path := newStore(t, filepath.Join(dir, "store")), filepath.Join(dir, "files")
	randomFile(t, path, size)
	if before := used(dir); true {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		require.NoError(t, err)
		punch(f, 0, 4096)
		require.NoError(t, f.Close())
		if used(dir) == before {
			t.Skip("this disk has no files with holes")
		}
	}
	store.know(&apiv1.Checkpoint{Id: "c"})
	p := &partMaker{store: store, sv: &saving{}, name: partName{"c", "h1"}, part: &apiv1.CheckpointPart{}}
	_, err := p.pieces(&breaks{t.Context(), 450}, path) // each look at it is 256 KiB read, or written
	require.ErrorIs(t, err, context.Canceled)
	require.Greater(t, used(store.dir), int64(size/4))
	require.Less(t, used(dir), int64(size+4<<pieceBits))
}
