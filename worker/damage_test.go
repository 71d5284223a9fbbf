package worker

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/transport"
)

// rot changes a byte of a file, and says what it was.
func rot(t *testing.T, path string) (whole []byte) {
	t.Helper()
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	bad := append([]byte(nil), whole...)
	bad[len(bad)/2] ^= 0x10
	require.NoError(t, os.WriteFile(path, bad, 0o600))
	return whole
}

// holds is another host that holds the part of w's, and where it is reached.
func (w *Worker) holds(t *testing.T, name string) (*Worker, string) {
	t.Helper()
	far := &Worker{cfg: Config{Name: name}, log: slog.New(slog.DiscardHandler), checkpoints: newStore(t, t.TempDir())}
	far.checkpoints.know(&apiv1.Checkpoint{Id: "k", App: "a"})
	of := partName{"k", "h1"}
	text, err := w.checkpoints.manifestText(of)
	require.NoError(t, err)
	m, err := parseManifest(text, of)
	require.NoError(t, err)
	for _, b := range m.Blobs() {
		bytes, err := os.ReadFile(w.checkpoints.blobPath(b.Digest))
		require.NoError(t, err)
		far.checkpoints.blob(t, of, string(bytes))
	}
	require.NoError(t, far.checkpoints.hold(of, text, m))
	return far, serve(t, listenLocal(t), func(s *connect.Server) { apiv1connect.RegisterDataHandler(s, dataService{far}) })
}

// TestMends: what is damaged, cut short or gone of what a host holds is had from another holder, the next one where one's copy is damaged as well; and the leader hears what is damaged, until it is not.
func TestMends(t *testing.T) {
	w, c := archiving(t)
	w.http = transport.NewHTTPClient()
	defer w.http.CloseIdleConnections()
	far2, addr2 := w.holds(t, "h2")
	_, addr3 := w.holds(t, "h3")
	held, of := w.checkpoints.part(partName{"k", "h1"}), partName{"k", "h1"}
	require.Nil(t, w.checkpoints.takeDamage())
	whole := map[string][]byte{}
	for i, digest := range held.blobs {
		path := w.checkpoints.blobPath(digest)
		whole[path] = rot(t, path)
		switch i {
		case 1:
			require.NoError(t, os.Truncate(path, 1))
		case 2:
			require.NoError(t, os.Remove(path))
		}
	}
	rot(t, far2.checkpoints.blobPath(held.blobs[0]))
	whole[w.checkpoints.partPath(of)] = rot(t, w.checkpoints.partPath(of))
	s := newScrub(w)
	s.rate = 1 << 40
	require.NoError(t, s.pass(t.Context()))
	said := w.checkpoints.takeDamage().GetParts()
	require.Len(t, said, 1)
	require.EqualValues(t, 4, said[0].Files)
	require.Equal(t, "checkpoints/parts/k@h1", said[0].File)
	require.Nil(t, w.checkpoints.takeDamage(), "it is no news")
	w.checkpoints.tellAgain()
	require.Len(t, w.checkpoints.takeDamage().GetParts(), 1, "to the next leader it is")

	task := &apiv1.StoreTask{Id: "1", App: "a", Parts: []string{"h1"}, Mend: true, From: map[string]string{"h2": addr2}, Checkpoint: &apiv1.Checkpoint{
		Id: "k", App: "a", Parts: []*apiv1.CheckpointPart{{Host: "h1", Second: "h2", Third: "h3", Digest: c.Parts[0].Digest}},
	}}
	w.storing.follow(t.Context(), task)
	st := w.hears(t, "1")
	require.Contains(t, st.Trouble, "checkpoints/blobs/"+held.blobs[0])
	require.False(t, st.Torn)
	require.Len(t, far2.checkpoints.takeDamage().GetParts(), 1, "who gives finds its own damage")
	require.EqualValues(t, 1, w.checkpoints.takeDamage().GetParts()[0].Files, "the rest is whole")
	w.storing.follow(t.Context(), &apiv1.StoreTask{Id: "1", Cancel: true})
	task = &apiv1.StoreTask{Id: "2", App: "a", Parts: task.Parts, Mend: true, Checkpoint: task.Checkpoint, From: map[string]string{"h2": addr2, "h3": addr3}}
	w.storing.follow(t.Context(), task)
	w.hearsDone(t, "2")
	require.Empty(t, w.checkpoints.takeDamage().GetParts())
	for path, want := range whole {
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	require.Empty(t, inDir(t, filepath.Join(w.checkpoints.dir, "coming")))
	require.NoError(t, s.pass(t.Context()))
	require.Nil(t, w.checkpoints.takeDamage())
}

// TestMendsAllOfAPart: where one file was found damaged all of the part is read, once, so that its copy is whole after.
func TestMendsAllOfAPart(t *testing.T) {
	w, c := archiving(t)
	w.http = transport.NewHTTPClient()
	defer w.http.CloseIdleConnections()
	_, addr := w.holds(t, "h2")
	of := partName{"k", "h1"}
	blobs := w.checkpoints.part(of).blobs
	for _, digest := range blobs {
		rot(t, w.checkpoints.blobPath(digest))
	}
	w.checkpoints.doubt(blobs[1])
	w.storing.follow(t.Context(), &apiv1.StoreTask{Id: "1", App: "a", Parts: []string{"h1"}, Mend: true, From: map[string]string{"h2": addr}, Checkpoint: &apiv1.Checkpoint{
		Id: "k", App: "a", Parts: []*apiv1.CheckpointPart{{Host: "h1", Second: "h2", Digest: c.Parts[0].Digest}},
	}})
	w.hearsDone(t, "1")
	require.Empty(t, w.checkpoints.takeDamage().GetParts())
	s := newScrub(w)
	s.rate = 1 << 40
	require.NoError(t, s.pass(t.Context()))
	require.Nil(t, w.checkpoints.takeDamage())
}

// TestMendsWhatWasDoubtedOnly: what could not be read, and can be by now, needs nobody.
func TestMendsWhatWasDoubtedOnly(t *testing.T) {
	w, c := archiving(t)
	w.checkpoints.doubt(w.checkpoints.part(partName{"k", "h1"}).blobs[0])
	require.Len(t, w.checkpoints.takeDamage().GetParts(), 1)
	w.storing.follow(t.Context(), &apiv1.StoreTask{Id: "1", App: "a", Parts: []string{"h1"}, Mend: true, Checkpoint: c})
	require.True(t, w.hears(t, "1").Done)
	require.Empty(t, w.checkpoints.takeDamage().GetParts())
}

// TestDamageGoesWithItsCheckpoint: what nobody wants any more is not told of.
func TestDamageGoesWithItsCheckpoint(t *testing.T) {
	w, _ := archiving(t)
	of := partName{"k", "h1"}
	w.checkpoints.doubt(w.checkpoints.part(of).blobs[0])
	w.checkpoints.suspect(of)
	require.EqualValues(t, 2, w.checkpoints.takeDamage().GetParts()[0].Files)
	w.checkpoints.follow(&apiv1.Holdings{Drop: []string{"k"}})
	require.Empty(t, w.checkpoints.takeDamage().GetParts())
	w.checkpoints.suspect(of)
	require.Nil(t, w.checkpoints.takeDamage())
	require.Empty(t, w.checkpoints.spoilt)
	require.Empty(t, w.checkpoints.doubted)
}
