package worker

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/worker/part"
)

func newStore(t *testing.T, dir string) *checkpointStore {
	t.Helper()
	s, err := newCheckpointStore(dir, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return s
}

// blob makes a blob of a part of a text.
func (s *checkpointStore) blob(t *testing.T, part partName, text string) *apiv1.Blob {
	t.Helper()
	w, err := s.newBlob()
	require.NoError(t, err)
	_, err = w.Write([]byte(text))
	require.NoError(t, err)
	b, err := w.finish(part, "")
	require.NoError(t, err)
	return b
}

// partOf makes a manifest of blobs that are a rank's memory, its state, and its output.
func partOf(t *testing.T, name partName, blobs ...*apiv1.Blob) ([]byte, *apiv1.CheckpointManifest) {
	t.Helper()
	m := &apiv1.CheckpointManifest{Version: checkpointVersion, Checkpoint: name.checkpoint, Host: name.host, Ranks: []*apiv1.CheckpointRank{{Memory: blobs[:1], State: blobs[1], Log: blobs[2:]}}}
	b, err := proto.Marshal(m)
	require.NoError(t, err)
	return b, m
}

func inDir(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestPartsShareBlobs makes parts of checkpoints, the host's own and others', that have blobs in common, and drops checkpoints, in any order: what a part names is there
// as long as the part is, and nothing else is left; also over the lives of a worker.
func TestPartsShareBlobs(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a course of events
	dir := t.TempDir()
	s := newStore(t, dir)
	held := map[partName]*apiv1.CheckpointManifest{}
	coming := map[partName][]*apiv1.Blob{}
	for step := range 600 {
		ck := fmt.Sprintf("c%d", rng.IntN(4))
		name := partName{ck, fmt.Sprintf("h%d", rng.IntN(2))}
		switch rng.IntN(8) {
		case 0:
			s.follow(&apiv1.Holdings{Drop: []string{ck}})
			for n := range held {
				if n.checkpoint == ck {
					delete(held, n)
				}
			}
			for n := range coming {
				if n.checkpoint == ck {
					delete(coming, n)
				}
			}
		case 1:
			s = newStore(t, dir) // what was coming is not
			clear(coming)
			require.NoError(t, s.sweep())
			all := &apiv1.Holdings{Whole: true}
			for n := range held {
				all.Hold = append(all.Hold, &apiv1.Checkpoint{Id: n.checkpoint})
			}
			s.follow(all)
			require.NoError(t, s.sweep())
		default:
			if held[name] != nil {
				continue
			}
			s.know(&apiv1.Checkpoint{Id: ck})
			coming[name] = append(coming[name], s.blob(t, name, fmt.Sprint("text ", rng.IntN(6))))
			if len(coming[name]) < 4 {
				continue
			}
			text, m := partOf(t, name, coming[name]...)
			require.Empty(t, s.lacking(m))
			require.NoError(t, s.hold(name, text, m))
			held[name] = m
			delete(coming, name)
		}
		want := map[string]bool{}
		for n, m := range held {
			require.NotNil(t, s.part(n), "step %d", step)
			for _, b := range m.Blobs() {
				want[b.Digest] = true
			}
		}
		for _, blobs := range coming {
			for _, b := range blobs {
				want[b.Digest] = true
			}
		}
		got := inDir(t, filepath.Join(dir, "blobs"))
		require.Len(t, got, len(want), "step %d", step)
		for _, digest := range got {
			require.True(t, want[digest], "step %d", step)
		}
	}
	s.follow(&apiv1.Holdings{Whole: true})
	for _, part := range []string{"blobs", "parts", "coming"} {
		require.Empty(t, inDir(t, filepath.Join(dir, part)))
	}
}

// TestDamagedPartsAreNotHeld: of what an earlier life of the worker has left. What is there still of a part that lacks a blob, or has one of which the disk does not say whether it is there, is given, and stays as
// long as the checkpoint is wanted: the other holder may lack another one.
func TestDamagedPartsAreNotHeld(t *testing.T) {
	blob := func(s *checkpointStore, m *apiv1.CheckpointManifest) string {
		return s.blobPath(m.Ranks[0].State.Digest)
	}
	for name, tt := range map[string]struct {
		damage func(s *checkpointStore, n partName, m *apiv1.CheckpointManifest) error
		blobs  int // that are left, if the manifest is
	}{
		"a blob is missing": {func(s *checkpointStore, _ partName, m *apiv1.CheckpointManifest) error { return os.Remove(blob(s, m)) }, 2},
		"a blob is cut short": {func(s *checkpointStore, _ partName, m *apiv1.CheckpointManifest) error {
			return os.Truncate(blob(s, m), 1)
		}, 2},
		"the disk does not say whether a blob is there": {func(s *checkpointStore, _ partName, m *apiv1.CheckpointManifest) error {
			return errors.Join(os.Remove(blob(s, m)), os.Symlink(filepath.Base(blob(s, m)), blob(s, m))) // ELOOP
		}, 3},
		"the manifest is torn": {func(s *checkpointStore, n partName, _ *apiv1.CheckpointManifest) error {
			return os.Truncate(s.partPath(n), 20)
		}, 0},
		"it is another's": {func(s *checkpointStore, n partName, _ *apiv1.CheckpointManifest) error {
			return os.Rename(s.partPath(n), s.partPath(partName{n.checkpoint, "other"}))
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir, n := t.TempDir(), partName{"c", "h"}
			s := newStore(t, dir)
			s.know(&apiv1.Checkpoint{Id: "c"})
			text, m := partOf(t, n, s.blob(t, n, "memory"), s.blob(t, n, "state"), s.blob(t, n, "log"))
			require.NoError(t, s.hold(n, text, m))
			require.NotNil(t, newStore(t, dir).part(n))
			require.NoError(t, tt.damage(s, n, m))
			s = newStore(t, dir)
			require.Nil(t, s.part(n))
			s.follow(&apiv1.Holdings{Whole: true, Hold: []*apiv1.Checkpoint{{Id: "c"}}})
			require.NoError(t, s.sweep())
			require.Len(t, inDir(t, filepath.Join(dir, "blobs")), tt.blobs)
			got, err := s.manifestText(n)
			if tt.blobs == 0 {
				require.ErrorIs(t, err, errNotHeld)
				return
			}
			require.NoError(t, err)
			require.Equal(t, text, got)
			_, err = s.open(m.Ranks[0].State.Digest)
			require.Error(t, err)
			require.Equal(t, tt.blobs == 2, errors.Is(err, errNotHeld), "which is a word that it is not there")
			if tt.blobs == 2 { // it comes again
				require.Equal(t, []string{m.Ranks[0].State.Digest}, s.lacking(m))
				s.blob(t, n, "state")
				require.NoError(t, s.hold(n, text, m))
				require.NotNil(t, s.part(n))
			}
			s.follow(&apiv1.Holdings{Whole: true})
			require.Empty(t, inDir(t, filepath.Join(dir, "blobs")))
			require.Empty(t, inDir(t, filepath.Join(dir, "parts")))
			require.Empty(t, s.refs)
		})
	}
}

// TestPartsOfNewerWorkers: what a newer worker has left stays, and that it is not held is not said, though this one cannot read it.
func TestPartsOfNewerWorkers(t *testing.T) {
	dir, n := t.TempDir(), partName{"c", "h"}
	s := newStore(t, dir)
	s.know(&apiv1.Checkpoint{Id: "c"})
	_, m := partOf(t, n, s.blob(t, n, "memory"), s.blob(t, n, "state"), s.blob(t, n, "log"))
	m.Version++
	require.NoError(t, os.WriteFile(s.partPath(n), mustMarshal(t, m), 0o600))
	s = newStore(t, dir)
	require.Len(t, inDir(t, filepath.Join(dir, "blobs")), 3)
	require.Len(t, inDir(t, filepath.Join(dir, "parts")), 1)
	_, err := s.manifestText(n)
	require.Error(t, err)
	require.NotErrorIs(t, err, errNotHeld)
	s.follow(&apiv1.Holdings{Whole: true, Hold: []*apiv1.Checkpoint{{Id: "c", Parts: []*apiv1.CheckpointPart{{Host: "h", Digest: sumOf([]byte("x"))}}}}})
	require.Nil(t, s.takeDamage())
	require.NoError(t, s.sweep())
	require.Len(t, inDir(t, filepath.Join(dir, "blobs")), 3)
	s.follow(&apiv1.Holdings{Whole: true})
	require.NoError(t, s.sweep())
	require.Empty(t, inDir(t, filepath.Join(dir, "blobs")))
	require.Empty(t, inDir(t, filepath.Join(dir, "parts")))
}

// TestStrangeBlobs: names that would be other files, and content that is not what its name says.
func TestStrangeBlobs(t *testing.T) {
	s, n := newStore(t, t.TempDir()), partName{"c", "h"}
	for _, digest := range []string{"", "..", "../parts/c@h", "ABCD", hex.EncodeToString(make([]byte, 31)), "AB" + hex.EncodeToString(make([]byte, 31))} {
		_, err := s.open(digest)
		require.ErrorIs(t, err, errNotHeld, digest)
		_, err = parseManifest(mustMarshal(t, &apiv1.CheckpointManifest{Version: 1, Checkpoint: "c", Host: "h", Files: &apiv1.Blob{Digest: digest}}), n)
		require.Error(t, err, digest)
	}
	w, err := s.newBlob()
	require.NoError(t, err)
	_, err = w.Write([]byte("text"))
	require.NoError(t, err)
	sum := sha256.Sum256([]byte("other"))
	_, err = w.finish(n, hex.EncodeToString(sum[:]))
	require.ErrorContains(t, err, "what came as blob")
	require.Empty(t, inDir(t, filepath.Join(s.dir, "coming")))
	require.ErrorIs(t, s.expects(n, "h2"), part.ErrNotYet)
	s.know(&apiv1.Checkpoint{Id: "c", Parts: []*apiv1.CheckpointPart{{Host: "h", Second: "h2"}}})
	require.NoError(t, s.expects(n, "h2"))
	require.ErrorContains(t, s.expects(n, "h3"), "is not to hold")
}

func mustMarshal(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	require.NoError(t, err)
	return b
}

// TestForgottenWhileItIsHeld: a part whose checkpoint is dropped, and wanted again, between the look at its blobs and the note that it is held is not held: its blobs went with the drop.
func TestForgottenWhileItIsHeld(t *testing.T) {
	s := newStore(t, t.TempDir())
	name := partName{"k", "h1"}
	ck := &apiv1.Checkpoint{Id: "k", App: "a", Parts: []*apiv1.CheckpointPart{{Host: "h1", Third: "h3"}}}
	s.follow(&apiv1.Holdings{Hold: []*apiv1.Checkpoint{ck}})
	text, m := partOf(t, name, s.blob(t, name, "one"), s.blob(t, name, "two"))
	s.looked = func() {
		s.follow(&apiv1.Holdings{Drop: []string{"k"}})
		s.follow(&apiv1.Holdings{Hold: []*apiv1.Checkpoint{ck}})
	}
	require.ErrorContains(t, s.hold(name, text, m), "is not wanted any more")
	require.Nil(t, s.part(name))
	require.Empty(t, inDir(t, filepath.Join(s.dir, "parts")))
	require.Len(t, s.lacking(m), 2, "so it is brought again")
}

// TestVersionOfManifests: a part without files is one that workers hold that know no pieces of files.
func TestVersionOfManifests(t *testing.T) {
	require.EqualValues(t, 1, versionOf(&apiv1.CheckpointManifest{Ranks: []*apiv1.CheckpointRank{{Rank: 1}}}))
	require.EqualValues(t, 1, versionOf(&apiv1.CheckpointManifest{Files: &apiv1.Blob{}}))
	require.EqualValues(t, 2, versionOf(&apiv1.CheckpointManifest{FilesPieces: []*apiv1.Blob{{}}}))
}
