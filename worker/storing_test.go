package worker

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/archive"
	"github.com/godwit-run/godwit/internal/notify"
)

// archiving is a worker that holds a part of a checkpoint, and has its app's module.
func archiving(t *testing.T) (*Worker, *apiv1.Checkpoint) {
	t.Helper()
	log, dir := slog.New(slog.DiscardHandler), t.TempDir()
	w := &Worker{cfg: Config{DataDir: dir, Name: "h1"}, log: log, checkpoints: newStore(t, filepath.Join(dir, "checkpoints")), dirtyCh: notify.NewSignal(), tasks: &errgroup.Group{}}
	w.storing = newStoring(w)
	t.Cleanup(func() { w.storing.end(); _ = w.tasks.Wait() })
	sum := sha256.Sum256([]byte("module"))
	module := hex.EncodeToString(sum[:])
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "modules"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "modules", module+moduleSuffix), []byte("module"), 0o600))
	var err error
	w.modules, err = newModuleCache(filepath.Join(dir, "modules"), filepath.Join(dir, "cache"), 1<<30, log, http.DefaultClient, func() []string { return nil })
	require.NoError(t, err)

	name := partName{"k", "h1"}
	c := &apiv1.Checkpoint{Id: "k", App: "a", Phase: apiv1.CheckpointComplete, Spec: &apiv1.AppSpec{ModuleDigest: module}, Parts: []*apiv1.CheckpointPart{{Host: "h1"}}}
	w.checkpoints.know(c)
	text, m := partOf(t, name, w.checkpoints.blob(t, name, "memory"), w.checkpoints.blob(t, name, "state"), w.checkpoints.blob(t, name, "log"))
	require.NoError(t, w.checkpoints.hold(name, text, m))
	c.Parts[0].Digest = sumOf(text)
	return w, c
}

// hears waits for what the leader is told of a task.
func (w *Worker) hears(t *testing.T, id string) (st *apiv1.StoreStatus) {
	t.Helper()
	require.Eventually(t, func() bool {
		for _, st = range w.storing.takeNews() {
			if st.Id == id {
				return true
			}
		}
		return false
	}, time.Minute, 5*time.Millisecond)
	return st
}

// hearsDone waits until the leader is told that a task is done.
func (w *Worker) hearsDone(t *testing.T, id string) {
	t.Helper()
	for !w.hears(t, id).Done {
		continue
	}
}

// TestTroubleIsWithdrawn: as soon as more is sent than ever was, and not when the same is sent again.
func TestTroubleIsWithdrawn(t *testing.T) {
	w, c := archiving(t)
	s := w.storing
	s.tasks["t"] = func() {}
	e := &errand{StoreTask: &apiv1.StoreTask{Id: "t", App: "a", Checkpoint: c}, s: s, there: map[string]bool{}, far: farthest{}}
	send := func(n int) (told bool) {
		t.Helper()
		e.inTrouble("connection reset")
		require.NotEmpty(t, w.hears(t, "t").Trouble)
		e.progress("blob", 10)(n)
		news := s.takeNews()
		require.False(t, len(news) > 0 && (news[0].Done || news[0].Trouble != ""))
		return len(news) > 0
	}
	require.True(t, send(4))
	require.False(t, send(4))
	require.True(t, send(5))
	require.True(t, send(20))
	require.False(t, send(20), "it has no more bytes")
	for range 2 {
		e.inTrouble("connection reset")
		s.takeNews()
		require.NoError(t, e.once("part", func() error { return nil }))
		e.forget()
	}
	require.Empty(t, s.takeNews(), "it was there before")
	require.False(t, e.inTrouble("connection reset"))
	e.progress("blob", 30)(25)
	require.True(t, e.inTrouble("connection reset"), "it got on, and is tried again soon")
}

// TestStoreIsNotLookedThrough: whoever waits for others' parts does not look again at all that it has brought, unless something of it turns out not to be there.
func TestStoreIsNotLookedThrough(t *testing.T) {
	w, c := archiving(t)
	dir := t.TempDir()
	text, m := partOf(t, partName{"k", "h2"}, w.checkpoints.blob(t, partName{"k", "h1"}, "memory"), w.checkpoints.blob(t, partName{"k", "h1"}, "state"))
	c.To, c.Parts = "file://"+dir, append(c.Parts, &apiv1.CheckpointPart{Host: "h2", Digest: sumOf(text)})
	w.storing.follow(t.Context(), &apiv1.StoreTask{Id: "t", To: c.To, App: "a", Checkpoint: c, Parts: []string{"h1"}, Describe: true})
	waits := func() { t.Helper(); require.Contains(t, w.hears(t, "t").Trouble, "the part of host h2") }
	waits()
	blob, part := filepath.Join(dir, "apps/a/blobs", m.Ranks[0].Memory[0].Digest), filepath.Join(dir, "apps/a/parts/k/h1")
	require.NoError(t, os.Remove(blob))
	waits()
	waits()
	require.NoFileExists(t, blob)
	require.NoError(t, os.Remove(part))
	require.Eventually(t, func() bool {
		_, err := os.Stat(part)
		return err == nil
	}, time.Minute, 5*time.Millisecond)
	require.FileExists(t, blob)
	require.NoError(t, os.Remove(blob))
	a, err := archive.Open(t.Context(), c.To)
	require.NoError(t, err)
	require.NoError(t, a.PutPart(t.Context(), "a", "k", "h2", text))
	w.hearsDone(t, "t")
	require.NoError(t, a.Check(t.Context(), c))
}

// TestStoresAndRestores: what a host holds is brought to a store, which another host, that has nothing of it, then gets it from; and it is removed.
func TestStoresAndRestores(t *testing.T) {
	w, c := archiving(t)
	dir := t.TempDir()
	c.To = "file://" + dir
	w.storing.follow(t.Context(), &apiv1.StoreTask{Id: "t1", To: c.To, App: "a", Checkpoint: c, Parts: []string{"h1"}, Describe: true})
	require.True(t, w.hears(t, "t1").Done)
	a, err := archive.Open(t.Context(), c.To)
	require.NoError(t, err)
	found, err := a.Find(t.Context(), "k")
	require.NoError(t, err)
	require.NoError(t, a.Check(t.Context(), found))
	module, err := a.Need(t.Context(), "a", c.Spec.ModuleDigest, 100)
	require.NoError(t, err)
	require.Equal(t, "module", string(module))

	other := &Worker{cfg: Config{Name: "h2"}, log: w.log, checkpoints: newStore(t, t.TempDir())}
	r := &restoring{w: other, checkpoint: c, dir: t.TempDir(), most: map[string]int64{}}
	m, err := r.manifest(t.Context(), c.Parts[0])
	require.NoError(t, err)
	path, err := r.blob(t.Context(), c.Parts[0], m.Ranks[0].Memory[0])
	require.NoError(t, err)
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "memory", string(got))
	stored := filepath.Join(dir, "apps/a/blobs", m.Ranks[0].State.Digest)
	require.NoError(t, os.WriteFile(stored, bytes.Repeat([]byte("x"), int(m.Ranks[0].State.Size)), 0o600))
	_, err = r.blob(t.Context(), c.Parts[0], m.Ranks[0].State)
	require.ErrorContains(t, err, "damaged")

	w.storing.follow(t.Context(), &apiv1.StoreTask{Id: "t2", To: c.To, App: "a"})
	require.True(t, w.hears(t, "t2").Done)
	require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		require.False(t, err == nil && e.Type().IsRegular(), path)
		return err
	}))
}

// TestStoreInTroubleIsTold: it is tried again until it does, and ends with the session.
func TestStoreInTroubleIsTold(t *testing.T) {
	w, c := archiving(t)
	dir := filepath.Join(t.TempDir(), "later")
	task := &apiv1.StoreTask{Id: "t1", To: "file://" + dir, App: "a", Checkpoint: c, Parts: []string{"h1"}, Describe: true}
	w.storing.follow(t.Context(), task)
	require.Contains(t, w.hears(t, "t1").Trouble, "mount it")
	require.NoError(t, os.Mkdir(dir, 0o700))
	w.hearsDone(t, "t1")
	for _, bad := range []*apiv1.StoreTask{
		{Id: "t2", To: "file://" + dir, App: "../a"},
		{Id: "t3", To: "ftp://x", App: "a"},
		{Id: "t4", To: "file://" + dir, App: "b", Checkpoint: c, Parts: []string{"h1"}},
		{Id: "t5", To: "file://" + dir, App: "a", Checkpoint: c, Parts: []string{"h9"}},
	} {
		w.storing.follow(t.Context(), bad)
		require.NotEmpty(t, w.hears(t, bad.Id).Trouble)
	}
	w.storing.follow(t.Context(), &apiv1.StoreTask{Id: "t2", Cancel: true})
	w.storing.end()
	done := make(chan struct{})
	go func() { _ = w.tasks.Wait(); close(done) }()
	within(t, done, "the tasks are over")
	require.Empty(t, w.storing.takeNews())
}

// TestStoringFindsDamage: a blob that is damaged on the disk is found as it is to be stored; then the next checkpoint is not made of it.
func TestStoringFindsDamage(t *testing.T) {
	w, c := archiving(t)
	memory := w.checkpoints.blob(t, partName{"k", "h1"}, "memory")
	require.True(t, w.checkpoints.sound(memory))
	require.NoError(t, os.WriteFile(w.checkpoints.blobPath(memory.Digest), []byte("menory"), 0o600))
	w.storing.follow(t.Context(), &apiv1.StoreTask{Id: "t", To: "file://" + t.TempDir(), App: "a", Checkpoint: c, Parts: []string{"h1"}})
	require.Contains(t, w.hears(t, "t").Trouble, "damaged here")
	require.False(t, w.checkpoints.sound(memory))
}

// TestStoreFindsDamage: that a bucket calls what came damaged says nothing of the file here, which is read before it is said to be.
func TestStoreFindsDamage(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		code := http.StatusNotFound
		if r.Method == http.MethodPut {
			code = http.StatusBadRequest
		}
		w.WriteHeader(code)
		_, _ = fmt.Fprint(w, "<Error><Code>BadDigest</Code><Message>refused</Message></Error>")
	}))
	defer srv.Close()
	for k, v := range map[string]string{
		"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ENDPOINT_URL": srv.URL, "AWS_REGION": "eu-central-1", "AWS_PROFILE": "",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1",
	} {
		t.Setenv(k, v)
	}
	w, c := archiving(t)
	task := &apiv1.StoreTask{Id: "t", To: "s3://bucket", App: "a", Checkpoint: c, Parts: []string{"h1"}}
	w.storing.follow(t.Context(), task)
	require.Contains(t, w.hears(t, "t").Trouble, "is whole here, and came damaged there")
	require.Nil(t, w.checkpoints.takeDamage())
	w.storing.follow(t.Context(), &apiv1.StoreTask{Id: "t", Cancel: true})
}

// TestRestoreMendsWhatIsDamaged: what a restore finds damaged on its own host, and gets from elsewhere, is whole there again.
func TestRestoreMendsWhatIsDamaged(t *testing.T) {
	w, c := archiving(t)
	c.To = "file://" + t.TempDir()
	w.storing.follow(t.Context(), &apiv1.StoreTask{Id: "t1", To: c.To, App: "a", Checkpoint: c, Parts: []string{"h1"}, Describe: true})
	require.True(t, w.hears(t, "t1").Done)
	memory := w.checkpoints.blob(t, partName{"k", "h1"}, "memory")
	own := w.checkpoints.blobPath(memory.Digest)
	require.NoError(t, os.WriteFile(own, []byte("menory"), 0o600))
	r := &restoring{w: w, checkpoint: c, dir: filepath.Join(w.checkpoints.dir, "coming"), most: map[string]int64{}, vain: map[string]int{}}
	path, err := r.blob(t.Context(), c.Parts[0], memory)
	require.NoError(t, err)
	for _, at := range []string{path, own} {
		got, err := os.ReadFile(at)
		require.NoError(t, err)
		require.Equal(t, "memory", string(got))
	}
	require.True(t, w.checkpoints.sound(memory))
	require.Equal(t, []string{filepath.Base(path)}, inDir(t, r.dir))
}
