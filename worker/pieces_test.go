package worker

import (
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

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
