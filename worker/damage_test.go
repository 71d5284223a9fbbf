package worker

import (
	"encoding/hex"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

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
	w.checkpoints.slow.rate = 1 << 40
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
	w.checkpoints.slow.rate = 1 << 40
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
	rot(t, w.checkpoints.partPath(of))
	w.checkpoints.suspect(of)
	require.EqualValues(t, 2, w.checkpoints.takeDamage().GetParts()[0].Files)
	w.checkpoints.follow(&apiv1.Holdings{Drop: []string{"k"}})
	require.Empty(t, w.checkpoints.takeDamage().GetParts())
	w.checkpoints.suspect(of)
	require.Nil(t, w.checkpoints.takeDamage())
	require.Empty(t, w.checkpoints.spoilt)
	require.Empty(t, w.checkpoints.doubted)
}

// TestReadWhileItWasMended: who has read a file that another one has taken the place of meanwhile has found nothing, nor has who has not found one that is there by now.
func TestReadWhileItWasMended(t *testing.T) {
	w, _ := archiving(t)
	s, of := w.checkpoints, partName{"k", "h1"}
	digest := s.part(of).blobs[0]
	bytes := rot(t, s.blobPath(digest))
	anew := func() {
		from := filepath.Join(s.dir, "coming", "anew")
		require.NoError(t, os.WriteFile(from, bytes, 0o600))
		require.NoError(t, s.take(of, from, digest))
	}
	whole := func(err error) {
		t.Helper()
		require.Error(t, err)
		require.Nil(t, s.takeDamage())
	}
	slow := func(f *os.File) (string, int64, error) {
		got, n, err := sumFile(t.Context(), f, unpaced)
		anew()
		return got, n, err
	}
	whole(s.verify(t.Context(), digest, slow))
	rot(t, s.blobPath(digest))
	was, err := os.Open(s.blobPath(digest))
	require.NoError(t, err)
	anew()
	s.doubtFile(digest, was)
	require.NoError(t, was.Close())
	require.Nil(t, s.takeDamage())
	s.doubtWas(digest, nil)
	require.Nil(t, s.takeDamage())
	s.suspect(of)
	require.Nil(t, s.takeDamage(), "its manifest was made anew meanwhile")

	rot(t, s.blobPath(digest))
	require.ErrorIs(t, s.verify(t.Context(), digest, func(f *os.File) (string, int64, error) { return sumDisk(t.Context(), f, unpaced) }), errDamaged)
	require.Len(t, s.takeDamage().GetParts(), 1)
}

// TestDirectoryInABlobsPlace: who reads a blob, and finds a directory, says so, and of which file; it is moved aside, and the blob is made anew.
func TestDirectoryInABlobsPlace(t *testing.T) {
	w, c := archiving(t)
	w.http = transport.NewHTTPClient()
	defer w.http.CloseIdleConnections()
	_, addr := w.holds(t, "h2")
	s, of := w.checkpoints, partName{"k", "h1"}
	digest := s.part(of).blobs[1]
	require.NoError(t, inPlaceOf(s.blobPath(digest)))
	text, m := mustText(t, s, of)
	far := &Worker{cfg: Config{Name: "h3"}, log: slog.New(slog.DiscardHandler), checkpoints: newStore(t, t.TempDir())}
	far.checkpoints.know(&apiv1.Checkpoint{Id: "k", App: "a", Parts: []*apiv1.CheckpointPart{{Host: "h1", Second: "h3"}}})
	to := serve(t, listenLocal(t), func(s *connect.Server) { apiv1connect.RegisterDataHandler(s, dataService{far}) })
	err := w.give(t.Context(), of, text, m, to, func(string) {}, func(int) {})
	require.ErrorIs(t, err, errOwnCopy)
	require.ErrorContains(t, err, "in the place of file checkpoints/blobs/"+digest+" there is a directory")
	require.Len(t, s.takeDamage().GetParts(), 1)
	w.storing.follow(t.Context(), &apiv1.StoreTask{Id: "1", App: "a", Parts: []string{"h1"}, Mend: true, From: map[string]string{"h2": addr}, Checkpoint: &apiv1.Checkpoint{
		Id: "k", App: "a", Parts: []*apiv1.CheckpointPart{{Host: "h1", Second: "h2", Digest: c.Parts[0].Digest}},
	}})
	w.hearsDone(t, "1")
	require.Empty(t, s.takeDamage().GetParts())
	require.NoError(t, w.give(t.Context(), of, text, m, to, func(string) {}, func(int) {}))
	require.Len(t, inDir(t, filepath.Join(s.dir, "aside")), 1)
}

func mustText(t *testing.T, s *checkpointStore, of partName) ([]byte, *apiv1.CheckpointManifest) {
	t.Helper()
	text, err := s.manifestText(of)
	require.NoError(t, err)
	return text, s.part(of).manifest
}

// TestFailedTakeKeepsTheClaim: that a file could not be put in a blob's place takes nothing from who has the blob.
func TestFailedTakeKeepsTheClaim(t *testing.T) {
	s, of := newStore(t, t.TempDir()), partName{"k", "h1"}
	s.know(&apiv1.Checkpoint{Id: "k"})
	b := s.blob(t, of, "memory")
	require.Error(t, s.take(of, filepath.Join(s.dir, "coming", "none"), b.Digest))
	require.True(t, s.sound(b))
	require.True(t, s.claims[of][b.Digest])
	require.Error(t, s.take(of, filepath.Join(s.dir, "coming", "none"), sumText("other")))
	require.Len(t, s.refs, 1)
}

func sumText(text string) string { return hex.EncodeToString(sumOf([]byte(text))) }

// TestMendsBeforeItReads: what is known to be damaged is whole again before all of the part is read, which is no faster than the scrub, and until then the leader hears of the part, so that it goes on.
func TestMendsBeforeItReads(t *testing.T) {
	w, c := archiving(t)
	w.http = transport.NewHTTPClient()
	defer w.http.CloseIdleConnections()
	_, addr := w.holds(t, "h2")
	s := w.checkpoints
	s.slow.rate = 1 // a second for each byte
	blobs := s.part(partName{"k", "h1"}).blobs
	whole := rot(t, s.blobPath(blobs[1]))
	s.doubt(blobs[1])
	require.EqualValues(t, 1, s.takeDamage().GetParts()[0].Files)
	w.storing.follow(t.Context(), &apiv1.StoreTask{Id: "1", App: "a", Parts: []string{"h1"}, Mend: true, From: map[string]string{"h2": addr}, Checkpoint: &apiv1.Checkpoint{
		Id: "k", App: "a", Parts: []*apiv1.CheckpointPart{{Host: "h1", Second: "h2", Digest: c.Parts[0].Digest}},
	}})
	var said *apiv1.DamagedParts
	require.Eventually(t, func() bool { said = s.takeDamage(); return said != nil }, time.Minute, time.Millisecond)
	require.Len(t, said.Parts, 1)
	require.Zero(t, said.Parts[0].Files)
	got, err := os.ReadFile(s.blobPath(blobs[1]))
	require.NoError(t, err)
	require.Equal(t, whole, got)
	require.Empty(t, w.storing.takeNews(), "it is not done")
	w.storing.follow(t.Context(), &apiv1.StoreTask{Id: "1", Cancel: true})
	require.Eventually(t, func() bool { said = s.takeDamage(); return said != nil && len(said.Parts) == 0 }, time.Minute, time.Millisecond)
	require.Empty(t, s.rereads)
}
