package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func open(t *testing.T, dir string) *Archive {
	t.Helper()
	a, err := Open(t.Context(), "file://"+dir)
	require.NoError(t, err)
	return a
}

func (a *Archive) blob(t *testing.T, app, text string) {
	t.Helper()
	_, err := a.PutBlob(t.Context(), app, Blob{Digest: digestOf(text), Size: int64(len(text)), Body: strings.NewReader(text)}, nil)
	require.NoError(t, err)
}

// made is a checkpoint with a part for each host, whose blobs are said.
func made(t *testing.T, app, id string, parts map[string][]string) (*apiv1.Checkpoint, map[string][]byte) {
	t.Helper()
	c, texts := &apiv1.Checkpoint{Id: id, App: app, Phase: apiv1.CheckpointComplete, Spec: &apiv1.AppSpec{ModuleDigest: digestOf("module")}}, map[string][]byte{}
	for _, host := range []string{"h1", "h2"} {
		m := &apiv1.CheckpointManifest{Version: 1, Checkpoint: id, App: app, Host: host}
		for i, text := range parts[host] {
			m.Ranks = append(m.Ranks, &apiv1.CheckpointRank{Rank: int32(i), Log: []*apiv1.Blob{{Digest: digestOf(text), Size: int64(len(text))}}})
		}
		b, err := proto.Marshal(m)
		require.NoError(t, err)
		sum := sha256.Sum256(b)
		c.Parts, texts[host] = append(c.Parts, &apiv1.CheckpointPart{Host: host, Digest: sum[:]}), b
	}
	return c, texts
}

// put stores all of a checkpoint.
func (a *Archive) put(t *testing.T, app, id string, parts map[string][]string) *apiv1.Checkpoint {
	t.Helper()
	c, texts := made(t, app, id, parts)
	a.blob(t, app, "module")
	for host, blobs := range parts {
		for _, text := range blobs {
			a.blob(t, app, text)
		}
		require.NoError(t, a.PutPart(t.Context(), app, id, host, texts[host]))
	}
	require.NoError(t, a.Describe(t.Context(), c))
	return c
}

func ids(t *testing.T, a *Archive) (out []string) {
	t.Helper()
	found, bad, err := a.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, bad)
	for _, c := range found {
		out = append(out, c.Id)
	}
	return out
}

func filesIn(t *testing.T, dir string) (n int) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			n++
		}
		return err
	}))
	return n
}

// TestDescribedWhenWhole: that a checkpoint is there is said once all of it is, and not before.
func TestDescribedWhenWhole(t *testing.T) {
	a := open(t, t.TempDir())
	c, texts := made(t, "a", "k", map[string][]string{"h1": {"one"}, "h2": {"two"}})
	steps := []func(){
		func() { a.blob(t, "a", "one") },
		func() { require.NoError(t, a.PutPart(t.Context(), "a", "k", "h1", texts["h1"])) },
		func() { require.NoError(t, a.PutPart(t.Context(), "a", "k", "h2", texts["h2"])) },
		func() { a.blob(t, "a", "module") },
		func() { a.blob(t, "another", "two") },
	}
	for _, step := range steps {
		require.ErrorIs(t, a.Describe(t.Context(), c), ErrMissing)
		step()
	}
	require.ErrorIs(t, a.Describe(t.Context(), c), ErrMissing, "another app's blob is not this one's")
	require.Empty(t, ids(t, a))
	a.blob(t, "a", "two")
	require.NoError(t, a.Describe(t.Context(), c))
	require.NoError(t, a.Describe(t.Context(), c), "again")
	got, err := a.Find(t.Context(), "k")
	require.NoError(t, err)
	require.NoError(t, a.Check(t.Context(), got))
	text, err := a.Manifest(t.Context(), got, got.Parts[1])
	require.NoError(t, err)
	require.Equal(t, texts["h2"], text)
	var b bytes.Buffer
	_, err = a.Blob(t.Context(), "a", digestOf("two"), 3, &b)
	require.NoError(t, err)
	require.Equal(t, "two", b.String())
	other, _ := made(t, "b", "k", nil)
	other.Spec = nil
	require.Error(t, a.Describe(t.Context(), other), "it has the id of another")
}

// TestSweepKeepsWhatIsNeeded: what no checkpoint that stays needs goes, and nothing of another app.
func TestSweepKeepsWhatIsNeeded(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	a.put(t, "a", "k1", map[string][]string{"h1": {"shared", "old"}, "h2": {"old2"}})
	second := a.put(t, "a", "k2", map[string][]string{"h1": {"shared", "new"}, "h2": {}})
	third := a.put(t, "b", "k3", map[string][]string{"h1": {"shared", "old"}, "h2": {}})
	a.blob(t, "a", "left over")
	require.NoError(t, a.Sweep(t.Context(), "a", []string{"k2", "not-there"}))
	require.ElementsMatch(t, []string{"k2", "k3"}, ids(t, a))
	require.NoError(t, a.Check(t.Context(), second))
	require.NoError(t, a.Check(t.Context(), third))
	require.Equal(t, (1+2+3)+(1+2+3), filesIn(t, dir))

	require.NoError(t, a.Remove(t.Context(), "k2"))
	require.Equal(t, []string{"k3"}, ids(t, a))
	require.Error(t, a.Remove(t.Context(), "k2"))
	require.NoError(t, a.Sweep(t.Context(), "b", nil))
	require.Zero(t, filesIn(t, dir))
	require.Error(t, a.Sweep(t.Context(), "../b", nil))
}

// TestSweepKeepsWhatItDoesNotKnow: where it is not known what a checkpoint that stays needs nothing is removed.
func TestSweepKeepsWhatItDoesNotKnow(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	a.put(t, "a", "k1", map[string][]string{"h1": {"one"}, "h2": {}})
	a.put(t, "a", "k2", map[string][]string{"h1": {"two"}, "h2": {}})
	n := filesIn(t, dir)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "apps/a/parts/k2/h1"), []byte("damaged"), 0o600))
	require.ErrorContains(t, a.Sweep(t.Context(), "a", []string{"k2"}), "nothing of app a is removed")
	require.Equal(t, n, filesIn(t, dir))
}

// TestBadInputs: what is damaged, or of others, is said, and nothing of it counts.
func TestBadInputs(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	c := a.put(t, "a", "k1", map[string][]string{"h1": {"one"}, "h2": {"two"}})
	spoil := func(key string, text string, fails func(context.Context) error, want string) {
		t.Helper()
		path := filepath.Join(dir, key)
		was, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		require.ErrorContains(t, fails(t.Context()), want)
		require.NoError(t, os.WriteFile(path, was, 0o600))
	}
	find := func(ctx context.Context) error { _, err := a.Find(ctx, "k1"); return err }
	for _, text := range []string{"", "nothing", `{"id":"k2","app":"a","phase":"complete"}`, `{"id":"k1","app":"../a","phase":"complete"}`, `{"id":"k1","app":"a","phase":"taken"}`} {
		spoil("checkpoints/k1", text, find, "k1")
	}
	spoil("checkpoints/k1", `{"id":"k1","app":"a","phase":"complete","parts":[{"host":"../h"}]}`, find, "names a part")
	spoil("checkpoints/k1", `{"id":"k1","app":"a","phase":"complete","spec":{"module_digest":"../x"}}`, find, "no digest")
	spoil("apps/a/parts/k1/h1", "x", func(ctx context.Context) error { return a.Check(ctx, c) }, "damaged")
	spoil("apps/a/blobs/"+digestOf("one"), "eno", func(ctx context.Context) error {
		_, err := a.Blob(ctx, "a", digestOf("one"), 3, &bytes.Buffer{})
		return err
	}, "damaged")
	spoil("apps/a/blobs/"+digestOf("one"), "on", func(ctx context.Context) error { return a.Check(ctx, c) }, "not in the object store")
	spoil("apps/a/blobs/"+digestOf("module"), "x", func(ctx context.Context) error { _, err := a.Need(ctx, "a", digestOf("module"), 10); return err }, "damaged")
	require.NoError(t, a.Check(t.Context(), c))
	_, err := a.Find(t.Context(), "../k1")
	require.Error(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "checkpoints/k9"), []byte("x"), 0o600))
	found, bad, err := a.List(t.Context())
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Len(t, bad, 1)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "checkpoints/k1"), []byte("x"), 0o600))
	require.NoError(t, a.Remove(t.Context(), "k1"))
	require.NoError(t, a.Remove(t.Context(), "k9"))
	require.Zero(t, filesIn(t, dir))
}

// TestDamagedDescriptionIsMadeAnew: what is no description any more, though it is as long, does not count as one.
func TestDamagedDescriptionIsMadeAnew(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	c := a.put(t, "a", "k", map[string][]string{"h1": {"one"}, "h2": {}})
	path := filepath.Join(dir, "checkpoints", "k")
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	b[0] = 'x'
	require.NoError(t, os.WriteFile(path, b, 0o600))
	require.NoError(t, a.Describe(t.Context(), c))
	_, err = a.Find(t.Context(), "k")
	require.NoError(t, err)
}

// TestRemovalBesideAStore: blobs of what is on its way stay when another checkpoint of the app is removed by hand.
func TestRemovalBesideAStore(t *testing.T) {
	a := open(t, t.TempDir())
	a.put(t, "a", "k1", map[string][]string{"h1": {"one"}, "h2": {}})
	a.put(t, "a", "k2", map[string][]string{"h1": {"two"}, "h2": {}})
	c, texts := made(t, "a", "k3", map[string][]string{"h1": {"three"}, "h2": {}})
	a.blob(t, "a", "three")
	require.NoError(t, a.Remove(t.Context(), "k1"))
	require.NoError(t, a.PutPart(t.Context(), "a", "k3", "h1", texts["h1"]))
	require.NoError(t, a.PutPart(t.Context(), "a", "k3", "h2", texts["h2"]))
	require.NoError(t, a.Describe(t.Context(), c))
	var b bytes.Buffer
	_, err := a.Blob(t.Context(), "a", digestOf("three"), 5, &b)
	require.NoError(t, err)
	gone, stop := context.WithCancel(t.Context())
	stop()
	require.Error(t, a.Sweep(gone, "a", []string{"k3"}), "who is told to stop removes nothing more")
	_, err = a.Find(t.Context(), "k2")
	require.NoError(t, err)
}

// TestRemovalBesideAnUpload: what is on its way to the store stays when the last checkpoint of its app that is there is removed by hand; a sweep by who knows that nothing is removes it.
func TestRemovalBesideAnUpload(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	a.put(t, "a", "k1", map[string][]string{"h1": {"one"}, "h2": {}})
	coming := filepath.Join(dir, "apps", "a", "blobs", ".coming-1")
	require.NoError(t, os.WriteFile(coming, []byte("half"), 0o600))
	require.NoError(t, a.Remove(t.Context(), "k1"))
	require.FileExists(t, coming)
	require.Equal(t, 1, filesIn(t, filepath.Join(dir, "apps")))
	require.NoError(t, a.Sweep(t.Context(), "a", nil))
	require.NoFileExists(t, coming)
}
