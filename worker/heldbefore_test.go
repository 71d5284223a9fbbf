package worker

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/transport"
)

// TestFoundDamagedAtTheStart: what a worker that starts does not find, or not whole, of a part that it holds is told to the leader, and made anew from another holder: of what is here still nothing goes, and
// nothing comes again.
func TestFoundDamagedAtTheStart(t *testing.T) {
	of := partName{"k", "h1"}
	for name, tt := range map[string]struct {
		damage func(s *checkpointStore, path string) error
		file   string
		fetch  int // files that come
	}{
		"a blob is gone":                   {func(_ *checkpointStore, path string) error { return os.Remove(path) }, "blobs", 1},
		"a blob is cut short":              {func(_ *checkpointStore, path string) error { return os.Truncate(path, 1) }, "blobs", 1},
		"a directory is in a blob's place": {func(_ *checkpointStore, path string) error { return inPlaceOf(path) }, "blobs", 1},
		"the manifest is gone":             {func(s *checkpointStore, _ string) error { return os.Remove(s.partPath(of)) }, "parts", 1},
		"the manifest is cut short":        {func(s *checkpointStore, _ string) error { return os.Truncate(s.partPath(of), 20) }, "parts", 1},
		"a directory is in its place":      {func(s *checkpointStore, _ string) error { return inPlaceOf(s.partPath(of)) }, "parts", 1},
		"the manifest is another": {func(s *checkpointStore, _ string) error {
			m := proto.CloneOf(s.part(of).manifest)
			m.Ranks[0].Rank = 7
			b, err := proto.Marshal(m)
			return errors.Join(err, os.WriteFile(s.partPath(of), b, 0o600))
		}, "parts", 1},
		"the manifest is gone, and a blob is damaged": {func(s *checkpointStore, path string) error {
			return errors.Join(os.Remove(s.partPath(of)), os.WriteFile(path, []byte("stale"), 0o600))
		}, "parts", 2},
	} {
		t.Run(name, func(t *testing.T) {
			w, c := archiving(t)
			w.http = transport.NewHTTPClient()
			defer w.http.CloseIdleConnections()
			far, addr := w.holds(t, "h2")
			held := w.checkpoints.part(of)
			path := w.checkpoints.blobPath(held.blobs[1])
			require.NoError(t, tt.damage(w.checkpoints, path))

			w.checkpoints = newStore(t, w.checkpoints.dir)
			hold := &apiv1.Checkpoint{Id: "k", App: "a", Parts: []*apiv1.CheckpointPart{{Host: "h1", Second: "h2", Digest: c.Parts[0].Digest}, {Host: "h2", Second: "h1"}}}
			w.checkpoints.follow(&apiv1.Holdings{Whole: true, Hold: []*apiv1.Checkpoint{hold}})
			require.NoError(t, w.checkpoints.sweep())
			said := w.checkpoints.takeDamage().GetParts()
			require.Len(t, said, 1, "the other one is not here yet")
			require.Equal(t, "h1", said[0].Host)
			require.EqualValues(t, 1, said[0].Files)
			require.Contains(t, said[0].File, "checkpoints/"+tt.file)
			w.checkpoints.tellAgain()
			require.Len(t, w.checkpoints.takeDamage().GetParts(), 1)

			for _, digest := range held.blobs { // what is here need not come
				if tt.fetch == 1 && (tt.file != "blobs" || digest != held.blobs[1]) {
					require.NoError(t, os.Remove(far.checkpoints.blobPath(digest)))
				}
			}
			w.storing.follow(t.Context(), &apiv1.StoreTask{Id: "1", App: "a", Parts: []string{"h1"}, Mend: true, From: map[string]string{"h2": addr}, Checkpoint: hold})
			st := w.hears(t, "1")
			require.True(t, st.Done, st.Trouble)
			require.Empty(t, w.checkpoints.takeDamage().GetParts())
			require.NotNil(t, w.checkpoints.part(of))
			require.Equal(t, held.digest, w.checkpoints.part(of).digest)
			s := newScrub(w)
			w.checkpoints.slow.rate = 1 << 40
			require.NoError(t, s.pass(t.Context()))
			require.Nil(t, w.checkpoints.takeDamage())
			require.False(t, w.checkpoints.sweepable())
			require.Len(t, inDir(t, filepath.Join(w.checkpoints.dir, "blobs")), 3)
			require.Empty(t, inDir(t, filepath.Join(w.checkpoints.dir, "coming")))
			w.checkpoints.follow(&apiv1.Holdings{Whole: true})
			require.Empty(t, w.checkpoints.refs)
			require.Empty(t, inDir(t, filepath.Join(w.checkpoints.dir, "blobs")))
		})
	}
}

// inPlaceOf makes a directory with something in it of a file.
func inPlaceOf(path string) error {
	return errors.Join(os.Remove(path), os.Mkdir(path, 0o700), os.WriteFile(filepath.Join(path, "x"), nil, 0o600))
}

// TestAbsentPartsAreForgotten: what is not here, and is not wanted any more, is not told of.
func TestAbsentPartsAreForgotten(t *testing.T) {
	w, c := archiving(t)
	require.NoError(t, os.Remove(w.checkpoints.partPath(partName{"k", "h1"})))
	s := newStore(t, w.checkpoints.dir)
	s.follow(&apiv1.Holdings{Hold: []*apiv1.Checkpoint{c}})
	require.Len(t, s.takeDamage().GetParts(), 1)
	s.follow(&apiv1.Holdings{Hold: []*apiv1.Checkpoint{c}})
	require.Nil(t, s.takeDamage(), "it is no news")
	s.follow(&apiv1.Holdings{Drop: []string{"k"}})
	require.NotNil(t, s.takeDamage())
	require.Empty(t, s.absent)
	require.False(t, s.sweepable(), "the leader has not said all that is to be held")
}
