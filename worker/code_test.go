package worker

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/notify"
	"github.com/godwit-run/godwit/worker/native"
)

// testMaker compiles nothing: an object is what was asked for.
type testMaker struct {
	mu    sync.Mutex
	made  []string // what was begun, in order
	goCh  chan bool
	fails error
}

func (m *testMaker) compile(ctx context.Context, _ string, j *codeJob, o string, progress func(done, of int)) ([]byte, string, error) {
	m.mu.Lock()
	m.made = append(m.made, fmt.Sprintf("%.4s %s", j.module, o))
	fails := m.fails
	m.mu.Unlock()
	progress(0, 3)
	select {
	case <-m.goCh:
	case <-ctx.Done():
		return nil, "", context.Cause(ctx)
	}
	return []byte("object at " + o), "test compiler 1", fails
}

func (m *testMaker) begun() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string{}, m.made...)
}

// testCodes are codes with modules that are here, by name.
type testCodes struct {
	*codes
	maker   *testMaker
	digests map[string]string
	slow    map[string]bool // modules, by name, of which no code is made quickly
	heard   atomic.Int32    // statuses that the leader has
	end     func()

	mu   sync.Mutex                   // guards the fields below
	says map[string]*apiv1.CodeRecord // what the leader says of modules, by name, in place of what it would
	last map[string]*apiv1.CodeStatus // what it has heard, by name
}

// testKey is the cluster's.
var testKey = []byte("key")

// lead does what a leader does for a cluster of one host: it compiles what it wants.
func (k *testCodes) lead() {
	for _, st := range k.takeNews() {
		k.heard.Add(1)
		for name, digest := range k.digests {
			if digest != st.Module {
				continue
			}
			k.mu.Lock()
			k.last[name] = st
			r := k.says[name]
			k.mu.Unlock()
			switch {
			case r != nil:
				r = proto.CloneOf(r)
			case !st.Wanted:
				r = &apiv1.CodeRecord{}
			case len(st.Making) > 0 && st.Making[0].Failed != "":
				r = &apiv1.CodeRecord{Vain: true, Why: "host h: " + st.Making[0].Failed}
			case k.own.Compiler == "":
				r = &apiv1.CodeRecord{Vain: true, Why: k.lacks}
			default:
				r = &apiv1.CodeRecord{Make: []string{k.own.Level}, Quick: !k.slow[name]}
			}
			r.Module = digest
			k.follow(r)
		}
	}
}

// leaderSays has the leader say something of a module.
func (k *testCodes) leaderSays(name string, r *apiv1.CodeRecord) {
	k.mu.Lock()
	k.says[name] = r
	k.mu.Unlock()
	r = proto.CloneOf(r)
	r.Module = k.digests[name]
	k.follow(r)
}

// grade is the best code's that is kept of a module.
func (k *testCodes) grade(name string) (best int32) {
	k.codes.mu.Lock()
	defer k.codes.mu.Unlock()
	for _, f := range k.kept[k.digests[name]] {
		best = max(best, gradeOf(f.O))
	}
	return best
}

// put has code of a module that this host has made.
func (k *testCodes) put(t *testing.T, name string, recipe native.Recipe, object []byte) native.Name {
	t.Helper()
	n := native.Name{Module: k.digests[name], Recipe: recipe}
	require.NoError(t, k.keep(n, func(f *os.File) error { _, err := f.Write(native.Seal(testKey, n, object)); return err }))
	k.look(n.Module)
	return n
}

// best is how this host's compiler makes code at its best.
func (k *testCodes) best() native.Recipe {
	r := k.own
	r.O = native.Best
	return r
}

// told is what the leader has heard last of a module.
func (k *testCodes) told(name string) *apiv1.CodeStatus {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.last[name]
}

func newTestCodes(t *testing.T, dir string, names ...string) *testCodes {
	t.Helper()
	modules, err := newModuleCache(filepath.Join(dir, "modules"), filepath.Join(dir, "cache"), 1<<30, slog.New(slog.DiscardHandler), nil, func() []string { return nil })
	require.NoError(t, err)
	k := &testCodes{codes: newCodes(modules, func() string { return "h" }, slog.New(slog.DiscardHandler)), maker: &testMaker{goCh: make(chan bool)}, digests: map[string]string{}, slow: map[string]bool{}, says: map[string]*apiv1.CodeRecord{}, last: map[string]*apiv1.CodeStatus{}}
	pokeCh := notify.NewSignal()
	k.poke, k.key = pokeCh.Set, testKey
	k.own = native.Recipe{Translator: native.Version, Flags: native.FlagsHash(), Level: "x86-64-v2", Compiler: "test compiler 1"}
	modules.watch(k.look)
	k.compile, k.places = k.maker.compile, 1
	for _, name := range names {
		digest := fmt.Sprintf("%x", sha256.Sum256([]byte(name)))
		require.NoError(t, os.WriteFile(modules.file(digest), []byte(name), 0o600))
		k.digests[name] = digest
	}
	ctx, cancel := context.WithCancel(context.Background())
	done, led := make(chan error, 1), make(chan struct{})
	go func() { done <- k.run(ctx) }()
	go func() { // ends with the test
		defer close(led)
		for {
			select {
			case <-pokeCh:
				k.lead()
			case <-ctx.Done():
				return
			}
		}
	}()
	k.end = sync.OnceFunc(func() {
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
		<-led
		modules.wait()
	})
	t.Cleanup(k.end)
	return k
}

// heard is what a wish has heard of a module.
type heard struct {
	mu   sync.Mutex
	last map[string]*apiv1.ExecCode
}

func (h *heard) tell(c *apiv1.ExecCode) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.last == nil {
		h.last = map[string]*apiv1.ExecCode{}
	}
	h.last[c.ModulePath] = c
}

// await waits until what was heard last of a module is as it is to be.
func (k *testCodes) await(t *testing.T, h *heard, name string, is func(*apiv1.ExecCode) bool) *apiv1.ExecCode {
	t.Helper()
	var last *apiv1.ExecCode
	require.Eventually(t, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		last = h.last[k.modules.file(k.digests[name])]
		return last != nil && is(last)
	}, 10*time.Second, time.Millisecond, "%v", last)
	return last
}

func hasGrade(grade int32) func(*apiv1.ExecCode) bool {
	return func(c *apiv1.ExecCode) bool { return c.Grade == grade }
}

// object is what a file of code that was told of has.
func object(t *testing.T, c *apiv1.ExecCode) string {
	t.Helper()
	all, err := os.ReadFile(c.File)
	require.NoError(t, err)
	sum := sha256.Sum256(all[c.From:])
	require.Equal(t, sum[:], c.Sha256)
	return string(all[c.From:])
}

// A module is compiled once, whoever wants it, quickly first, and who wants it hears of each step. It is kept.
func TestCodeIsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	k := newTestCodes(t, dir, "a")
	digests := []string{k.digests["a"]}
	one, two := k.wish(digests), k.wish(digests)
	var h1, h2 heard
	one.follow(h1.tell)
	two.follow(h2.tell)
	c := k.await(t, &h1, "a", func(c *apiv1.ExecCode) bool {
		return c.Why == "this host compiles it at -O1"
	})
	require.Zero(t, c.Grade)
	k.maker.goCh <- true
	require.NoError(t, one.await(t.Context()))
	for _, h := range []*heard{&h1, &h2} {
		c = k.await(t, h, "a", func(c *apiv1.ExecCode) bool { return c.Grade == gradeQuick && c.Why != "" })
		require.Equal(t, "object at -O1", object(t, c))
	}
	k.await(t, &h1, "a", func(c *apiv1.ExecCode) bool {
		return c.Why == "compiled at -O1 until that is done at -O3: this host compiles it at -O3"
	})
	k.maker.goCh <- true
	for _, h := range []*heard{&h1, &h2} {
		c = k.await(t, h, "a", hasGrade(gradeBest))
		require.Empty(t, c.Why)
		require.Equal(t, "object at -O3", object(t, c))
		require.Equal(t, "compiled at -O3 for x86-64-v2 by test compiler 1", c.Made)
	}
	one.end()
	two.end()
	require.Len(t, k.maker.begun(), 2)

	k.end()
	again := newTestCodes(t, dir, "a")
	w := again.wish(digests)
	defer w.end()
	require.NoError(t, w.await(t.Context()))
	require.Equal(t, "object at -O3", object(t, w.standing(digests[0])))
	require.Empty(t, again.maker.begun())
}

// What was begun is brought to its end when nobody wants it any more; what was not is dropped. The oldest wish comes first, and the rest of a module behind the others.
func TestCodeOutlivesWishes(t *testing.T) {
	k := newTestCodes(t, t.TempDir(), "a", "b", "c")
	k.slow["b"] = true
	a, b := k.digests["a"][:4], k.digests["b"][:4]
	begun := func(want ...string) {
		t.Helper()
		require.Eventually(t, func() bool { return len(k.maker.begun()) == len(want) }, 10*time.Second, time.Millisecond)
		require.Equal(t, want, k.maker.begun())
	}
	first := k.wish([]string{k.digests["a"]})
	begun(a + " -O1")
	dropped, second := k.wish([]string{k.digests["c"]}), k.wish([]string{k.digests["b"]})
	require.Eventually(t, func() bool { // both were looked for
		k.codes.mu.Lock()
		defer k.codes.mu.Unlock()
		return len(k.jobs) == 3
	}, 10*time.Second, time.Millisecond)
	first.end()
	dropped.end()
	require.Eventually(t, func() bool { // the leader takes it back
		k.codes.mu.Lock()
		defer k.codes.mu.Unlock()
		return len(k.jobs) == 2
	}, 10*time.Second, time.Millisecond)
	k.maker.goCh <- true
	begun(a+" -O1", b+" -O3") // ranks of b cannot go on in better code
	k.maker.goCh <- true
	begun(a+" -O1", b+" -O3", a+" -O3")
	second.end()
	k.maker.goCh <- true
	require.Eventually(t, func() bool { return k.grade("a") == gradeBest }, 10*time.Second, time.Millisecond)
	require.Equal(t, int32(gradeBest), k.grade("b"))
	require.Zero(t, k.grade("c"))
	require.Len(t, k.maker.begun(), 3)
	k.codes.mu.Lock()
	defer k.codes.mu.Unlock()
	require.Empty(t, k.known)
}

// Code that was changed is removed and made anew, whether it is found so or an executor says so.
func TestCodeIsMadeAnew(t *testing.T) {
	dir := t.TempDir()
	k := newTestCodes(t, dir, "a")
	close(k.maker.goCh)
	digests := []string{k.digests["a"]}
	var h heard
	w := k.wish(digests)
	w.follow(h.tell)
	c := k.await(t, &h, "a", hasGrade(gradeBest))
	k.doubt(c.File) // it is as it was
	damage := func() {
		all, err := os.ReadFile(c.File)
		require.NoError(t, err)
		all[len(all)-1] ^= 1
		require.NoError(t, os.WriteFile(c.File, all, 0o600))
	}
	require.Eventually(t, func() bool { k.codes.mu.Lock(); defer k.codes.mu.Unlock(); return k.known[digests[0]].looked }, 10*time.Second, time.Millisecond)
	require.Len(t, k.maker.begun(), 2)
	damage()
	k.doubt(c.File)
	require.Eventually(t, func() bool { return len(k.maker.begun()) == 3 }, 10*time.Second, time.Millisecond)
	k.await(t, &h, "a", hasGrade(gradeBest))
	require.Equal(t, "object at -O3", object(t, w.standing(digests[0])))
	w.end()
	damage()
	w = k.wish(digests)
	defer w.end()
	require.Eventually(t, func() bool { return w.standing(digests[0]).Grade == gradeBest }, 10*time.Second, time.Millisecond)
	require.Len(t, k.maker.begun(), 4)
}

// Where there is no compiler, or it fails, ranks wait for nothing, and hear why.
func TestNoCode(t *testing.T) {
	k := newTestCodes(t, t.TempDir(), "a", "b")
	k.maker.fails = native.Fault{Err: errors.New("clang: too many globals")}
	close(k.maker.goCh)
	for range 2 { // the second finds that it has failed
		w := k.wish([]string{k.digests["a"]})
		require.NoError(t, w.await(t.Context()))
		require.Equal(t, "host h: it cannot be compiled at -O1: clang: too many globals", w.standing(k.digests["a"]).Why)
		w.end()
	}
	require.Len(t, k.maker.begun(), 1)
	k.codes.mu.Lock()
	k.own.Compiler, k.lacks = "", native.ErrNoCompiler.Error()
	k.codes.mu.Unlock()
	w := k.wish([]string{k.digests["b"]})
	defer w.end()
	require.NoError(t, w.await(t.Context()))
	require.Contains(t, w.standing(k.digests["b"]).Why, "no clang is installed here")
}

// Code is kept, and taken, under the cluster's key only, and nothing is compiled before that is known.
func TestCodeKey(t *testing.T) {
	dir := t.TempDir()
	k := newTestCodes(t, dir, "a")
	k.codes.mu.Lock()
	k.key = nil
	k.codes.mu.Unlock()
	close(k.maker.goCh)
	w := k.wish([]string{k.digests["a"]})
	require.NoError(t, w.await(t.Context()), "nobody waits for a key")
	require.Equal(t, "the cluster has no key for machine code yet", w.standing(k.digests["a"]).Why)
	k.setKey([]byte("one"))
	require.Eventually(t, func() bool { return w.standing(k.digests["a"]).Grade == gradeBest }, 10*time.Second, time.Millisecond)
	w.end()
	require.Eventually(t, func() bool { // nothing is to be made any more
		k.codes.mu.Lock()
		defer k.codes.mu.Unlock()
		return len(k.jobs) == 0 && len(k.records) == 0
	}, 10*time.Second, time.Millisecond)
	k.setKey([]byte("two"))
	require.Eventually(t, func() bool { return k.grade("a") == 0 }, 10*time.Second, time.Millisecond, "it is removed")
	entries, err := os.ReadDir(k.modules.codeDir(k.digests["a"]))
	require.NoError(t, err)
	require.Empty(t, entries)
	w = k.wish([]string{k.digests["a"]})
	defer w.end()
	require.Eventually(t, func() bool { return w.standing(k.digests["a"]).Grade == gradeBest }, 10*time.Second, time.Millisecond, "and made anew")
}

// What has come to nothing by no fault of the module is tried again, and told as such meanwhile.
func TestCompileThatFindsNoRoom(t *testing.T) {
	k := newTestCodes(t, t.TempDir(), "a")
	close(k.maker.goCh)
	k.makePause = time.Millisecond
	dir := k.modules.codeDir(k.digests["a"])
	require.NoError(t, os.WriteFile(dir, []byte("x"), 0o600)) // as a full disk
	w := k.wish([]string{k.digests["a"]})
	defer w.end()
	require.Eventually(t, func() bool { return len(k.told("a").GetMaking()) > 0 && k.told("a").Making[0].Trouble != "" }, 10*time.Second, time.Millisecond)
	require.Empty(t, k.told("a").Making[0].Failed)
	require.Contains(t, w.standing(k.digests["a"]).Why, "this host could not compile it, and tries again: it cannot be compiled at -O1: this host's disk: ")
	require.NoError(t, os.Remove(dir))
	require.Eventually(t, func() bool { return w.standing(k.digests["a"]).Grade == gradeBest }, 10*time.Second, time.Millisecond)
	require.Eventually(t, func() bool { return len(k.told("a").GetMaking()) == 0 }, 10*time.Second, time.Millisecond)
}

// The leader hears nothing of apps that begin and end whose code is here, and what was checked is not read again.
func TestShortAppsAreNoNews(t *testing.T) {
	k := newTestCodes(t, t.TempDir(), "a")
	k.put(t, "a", k.best(), make([]byte, 1<<20))
	digests := []string{k.digests["a"]}
	once := func() {
		w := k.wish(digests)
		require.NoError(t, w.await(t.Context()))
		require.Equal(t, int32(gradeBest), w.standing(digests[0]).Grade)
		w.end()
	}
	once()
	k.codes.mu.Lock()
	before := k.kept[digests[0]][0].code
	k.codes.mu.Unlock()
	require.Eventually(t, func() bool { return len(k.told("a").GetHas()) == 1 }, 10*time.Second, time.Millisecond)
	heard := k.heard.Load()
	for range 20 {
		once()
	}
	k.codes.mu.Lock()
	defer k.codes.mu.Unlock()
	require.Same(t, before, k.kept[digests[0]][0].code)
	require.Empty(t, k.news)
	require.Equal(t, heard, k.heard.Load())
}

// Only the newest of what is told of a module's code waits for an executor that does not read, and how far a compile is is no news to it.
func TestCodeCommandsAreMadeOne(t *testing.T) {
	c := &child{wake: notify.NewSignal()}
	for i := range 1000 {
		c.sayCode(&apiv1.ExecCode{ModulePath: "a", Why: fmt.Sprint(i)})
		c.sayCode(&apiv1.ExecCode{ModulePath: "b", Why: fmt.Sprint(i)})
	}
	require.Len(t, c.commands, 2)
	require.Equal(t, "999", c.commands[0].GetCode().Why)
	c = &child{wake: notify.NewSignal(), unbegun: true}
	for i := range maxCommands + 1 {
		c.sayCode(&apiv1.ExecCode{ModulePath: "a", Why: fmt.Sprint(i)})
	}
	require.Len(t, c.early, 1)

	k := newTestCodes(t, t.TempDir(), "a")
	var told atomic.Int32
	w := k.wish([]string{k.digests["a"]})
	defer w.end()
	w.follow(func(*apiv1.ExecCode) { told.Add(1) })
	require.Eventually(t, func() bool { return len(k.maker.begun()) > 0 }, 10*time.Second, time.Millisecond)
	k.codes.mu.Lock()
	j := k.jobs[0]
	k.codes.mu.Unlock()
	before := told.Load()
	for i := range 1000 {
		k.progress(j, i, 1000)
	}
	require.Equal(t, before, told.Load())
	close(k.maker.goCh)
}

// Code of older versions of the translator, the flags or the compiler goes, and what a worker was writing that was killed; what runs here is named first.
func TestOldCodeGoes(t *testing.T) {
	dir := t.TempDir()
	k := newTestCodes(t, dir, "a")
	for i := range 20 {
		r := k.best()
		r.Compiler = fmt.Sprint("test compiler 0.", i)
		k.put(t, "a", r, []byte("old"))
	}
	r := k.best()
	r.Translator--
	k.put(t, "a", r, []byte("old"))
	other := k.best()
	other.Level = "x86-64-v1"
	others := k.put(t, "a", other, []byte("another host's"))
	own := k.put(t, "a", k.best(), []byte("new"))
	code := k.modules.codeDir(k.digests["a"])
	entries, err := os.ReadDir(code)
	require.NoError(t, err)
	require.Len(t, entries, 2)
	k.codes.mu.Lock()
	require.Equal(t, own, k.kept[k.digests["a"]][0].Name)
	require.Equal(t, others, k.kept[k.digests["a"]][1].Name)
	k.codes.mu.Unlock()

	k.end()
	require.NoError(t, os.WriteFile(filepath.Join(code, tempCode+"1"), []byte("half"), 0o600))
	again := newTestCodes(t, dir, "a")
	require.NoFileExists(t, filepath.Join(code, tempCode+"1"))
	require.Equal(t, int32(gradeBest), again.grade("a"))
}
