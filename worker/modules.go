package worker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/durable"
	"github.com/godwit-run/godwit/internal/name"
)

// moduleCache keeps modules fetched from the servers, by digest, and their compiled code, a directory for each. Together they are
// bounded: those used longest ago go first, those in use never.
type moduleCache struct {
	dir       string
	compiled  string // directory of the directories of compiled code
	limit     int64  // bytes
	log       *slog.Logger
	http      *http.Client
	servers   func() []string                    // API addresses
	order     func(addrs []string) []string      // in which servers are asked
	caller    func() (host string, proof []byte) // who fetches
	removeAll func(path string) error            // os.RemoveAll
	measured  func(digest string)                // is told of a module whose files may have changed
	patience  []time.Duration                    // how long a server may take to answer, each time that all are asked

	atWork sync.WaitGroup // tasks, and uses, until what their end removes is gone

	sizing sync.Mutex // held from a look at a module's files until what it found is in kept

	mu    sync.Mutex // guards the fields below
	uses  map[string]*moduleUse
	sound map[string]bool // modules whose bytes this process has checked
	kept  map[string]keptModule
	total int64 // bytes of all in kept
}

// keptModule is what is known of a module's files without looking at them.
type keptModule struct {
	usage
	used   time.Time // last
	looked time.Time // when its files were looked at
	stuck  time.Time // when it could not be removed, if nobody has used it since
}

// lookEach is how often the files of a module are looked at that one app after the other uses, and the time noted with them.
const lookEach = 5 * time.Second

// moduleUse is a module in use, or about to be.
type moduleUse struct {
	users   int                    // who keeps its files
	steps   atomic.Int64           // what servers have said while it was fetched: there is somebody at work for it
	line    atomic.Bool            // what was said last was that others come first
	most    int64                  // bytes that the best try of a task has got; the task's, as failed is
	failed  map[string]int         // by server: tries that gave something and failed, since more came than ever before
	trouble atomic.Pointer[string] // why no server has given it yet; nil: none was asked, or one gives it
	task    *moduleTask            // what is being done with its files; nil: nothing
}

// moduleTask looks for a module's file and fetches it if need be, or removes it. Of the second kind, and of a fetch that nobody wanted
// any more, the result is nobody's: who wants the module waits for the end and begins anew.
type moduleTask struct {
	wanted int // who waits for the file; the last to go ends the task
	vain   bool
	cancel context.CancelFunc
	done   chan struct{} // closed at its end, when err is set
	err    error
}

// newModuleCache makes the directories, and removes what is no module's.
func newModuleCache(dir, compiled string, limit int64, log *slog.Logger, h *http.Client, servers func() []string) (*moduleCache, error) {
	c := &moduleCache{
		dir: dir, compiled: compiled, limit: limit, log: log, http: h, servers: servers, order: shuffled, removeAll: os.RemoveAll,
		caller:   func() (string, []byte) { return "", nil },
		measured: func(string) {},
		patience: []time.Duration{answerWait, transportWait},
		uses:     map[string]*moduleUse{}, sound: map[string]bool{}, kept: map[string]keptModule{},
	}
	for _, d := range []string{dir, compiled} {
		if err := durable.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("worker: modules: %w", err)
		}
		entries, err := os.ReadDir(d)
		if err != nil {
			return nil, fmt.Errorf("worker: modules: %w", err)
		}
		for _, e := range entries {
			digest := strings.TrimSuffix(e.Name(), moduleSuffix)
			if !name.Digest(digest) { // half a fetch, or an older worker's
				c.remove(filepath.Join(d, e.Name()))
				continue
			}
			left, _ := filepath.Glob(filepath.Join(c.codeDir(digest), tempCode+"*"))
			for _, path := range left { // of a worker that was killed
				c.remove(path)
			}
			c.measure(digest)
		}
	}
	c.prune()
	return c, nil
}

const moduleSuffix = ".wasm"

func (c *moduleCache) file(digest string) string { return filepath.Join(c.dir, digest+moduleSuffix) }

// codeDir is where the compiled code of a module is kept.
func (c *moduleCache) codeDir(digest string) string { return filepath.Join(c.compiled, digest) }

// use returns the file of the module, fetched first if need be, and keeps it there until release is called. Concurrent calls for
// one module fetch it once: for as long as the ctx of one of them goes on. The cache works for the caller until release returns.
func (c *moduleCache) use(ctx context.Context, digest string) (path string, release func(), err error) {
	if err := apierr.CheckDigest("digest", digest); err != nil {
		return "", nil, err
	}
	c.mu.Lock()
	use := c.enter(digest)
	known := use.task == nil && c.sound[digest] && justNow(c.kept[digest].looked, lookEach)
	c.mu.Unlock()
	c.atWork.Add(1)
	release = sync.OnceFunc(func() {
		defer c.atWork.Done()
		if now := time.Now(); !c.stillUsed(use, digest, now) {
			_ = os.Chtimes(c.file(digest), now, now) // it was in use until now; not if it could not be had
			c.measure(digest)                        // an executor may have written its code
		}
		c.leave(digest)
		c.prune()
	})
	if known {
		if _, err := os.Lstat(c.file(digest)); err == nil {
			return c.file(digest), release, nil
		}
	}
	if err := c.await(ctx, use, digest); err != nil {
		release()
		return "", nil, fmt.Errorf("worker: fetch module %.12s: %w", digest, err)
	}
	return c.file(digest), release, nil
}

// stillUsed notes that one who has used a module does not any more, and says whether that is all there is to do: others use it, and its files were looked at a moment ago.
func (c *moduleCache) stillUsed(use *moduleUse, digest string, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.kept[digest]
	if use.users == 1 || !justNow(k.looked, lookEach) {
		return false
	}
	k.used = now
	c.kept[digest] = k
	return true
}

// useAll is use of several modules, one after the other: it returns their files by digest, and keeps all of them.
func (c *moduleCache) useAll(ctx context.Context, digests []string) (paths map[string]string, release func(), err error) {
	paths = map[string]string{}
	var releases []func()
	release = func() {
		for _, f := range releases {
			f()
		}
	}
	for _, digest := range digests {
		path, done, err := c.use(ctx, digest)
		if err != nil {
			release()
			return nil, nil, err
		}
		paths[digest], releases = path, append(releases, done)
	}
	return paths, release, nil
}

// wait returns when nothing is written or removed any more. Whoever wants a module must have been told to end, and no other may come.
func (c *moduleCache) wait() { c.atWork.Wait() }

// enter begins one use. Holds mu.
func (c *moduleCache) enter(digest string) *moduleUse {
	use := c.uses[digest]
	if use == nil {
		use = &moduleUse{failed: map[string]int{}}
		c.uses[digest] = use
	}
	use.users++
	return use
}

// steps grows as servers are at work for a module that is wanted here.
func (c *moduleCache) steps(digest string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if use := c.uses[digest]; use != nil {
		return use.steps.Load()
	}
	return 0
}

// inLine says whether a server has others to serve first with a module that is wanted here.
func (c *moduleCache) inLine(digest string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	use := c.uses[digest]
	return use != nil && use.line.Load()
}

// trouble is why no server has given a module yet that is wanted here; empty: none was asked, or one gives it.
func (c *moduleCache) trouble(digest string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if use := c.uses[digest]; use != nil {
		if why := use.trouble.Load(); why != nil {
			return *why
		}
	}
	return ""
}

// leave ends one use, and returns whether there is none left.
func (c *moduleCache) leave(digest string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	use := c.uses[digest]
	use.users--
	if use.users == 0 {
		delete(c.uses, digest)
	}
	return use.users == 0
}

// checked says whether the module's file holds what its name says. It is read once in the life of the worker; a damaged one goes,
// with its code.
func (c *moduleCache) checked(digest string) bool {
	c.mu.Lock()
	sound := c.sound[digest]
	c.mu.Unlock()
	if sound {
		return true
	}
	switch err := sumIs(c.file(digest), digest); {
	case err != nil && !errors.Is(err, errOtherDigest): // too many open files, perhaps: the file may be whole
		c.log.Error("a module in the cache cannot be read; it is fetched again", "digest", digest, "err", err)
		return false
	case err != nil:
		c.log.Error("a module in the cache was damaged: look at the disk; it is fetched again", "digest", digest, "err", err)
		c.remove(c.file(digest))
		c.remove(c.codeDir(digest))
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sound[digest] = true
	return true
}

// errOtherDigest is returned when bytes that were read are another module's than their name says.
var errOtherDigest = errors.New("the content is not what its name says")

// content sums the bytes of a module that are written to it.
type content struct{ hash.Hash }

func newContent() content { return content{sha256.New()} }

// is returns nil if the bytes have the digest, else errOtherDigest.
func (c content) is(digest string) error { return sameDigest(hex.EncodeToString(c.Sum(nil)), digest) }

func sameDigest(got, want string) error {
	if got != want {
		return fmt.Errorf("%w: its digest is %.12s", errOtherDigest, got)
	}
	return nil
}

// sumIs returns nil if a file has the digest, errOtherDigest if it has another.
func sumIs(path, digest string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()                                          //nolint:errcheck // only read
	got, _, err := sumFile(context.Background(), f, unpaced) // as long as the disk takes: who wants the module waits for it
	if err != nil {
		return err
	}
	return sameDigest(got, digest)
}

// measure looks how large a module's files are, and when they were used last.
func (c *moduleCache) measure(digest string) {
	defer c.measured(digest) // without a lock
	c.sizing.Lock()
	defer c.sizing.Unlock()
	now := keptModule{looked: time.Now()}
	if info, err := os.Stat(c.file(digest)); err == nil {
		now.add(info.Size())
		now.used = info.ModTime()
	}
	now.usage = now.plus(usageOf(c.codeDir(digest)))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total += now.bytes - c.kept[digest].bytes
	if c.kept[digest] = now; now.bytes == 0 {
		delete(c.kept, digest)
	}
}

// watch has f be told of each module that there is, and of those whose files may have changed since. Nothing else may use the cache yet.
func (c *moduleCache) watch(f func(digest string)) {
	c.measured = f
	for digest := range c.kept {
		f(digest)
	}
}

// grown looks at a module of which an executor may have written the code.
func (c *moduleCache) grown(digest string) {
	c.measure(digest)
	c.prune()
}

// prune removes the modules used longest ago, with their code, while all together take more than the limit. It looks at no files: each
// module was measured when it last changed.
func (c *moduleCache) prune() {
	over := func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.total > c.limit
	}
	if !over() {
		return
	}
	for _, m := range c.idle() {
		if !over() {
			return
		}
		c.drop(m.digest)
	}
}

// shed removes modules that were used longer ago than that, the oldest first, until it has given what is wanted: the servers have them. It
// returns what it gave, and calls step before each.
func (c *moduleCache) shed(want usage, ago time.Duration, step func()) (gave usage) {
	for _, m := range c.idle() {
		step()
		if gave.covers(want) || time.Since(m.used) <= ago {
			return gave
		}
		if of := c.drop(m.digest); of.files > 0 {
			gave = gave.plus(of)
			c.log.Info("a module that is not in use was removed: the disk of the data directory is short of room", "digest", m.digest, "bytes", of.bytes)
		}
	}
	return gave
}

// idleModule is one that nobody uses.
type idleModule struct {
	keptModule
	digest string
}

// idle are the modules that nobody uses and that can be removed, as far as is known, the one first that was used longest ago.
func (c *moduleCache) idle() []idleModule {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []idleModule
	for digest, k := range c.kept {
		if c.uses[digest] == nil && !isStuck(k.stuck) {
			all = append(all, idleModule{k, digest})
		}
	}
	slices.SortFunc(all, func(a, b idleModule) int { return a.used.Compare(b.used) })
	return all
}

// drop removes a module unless somebody uses it. It returns what that gave. What cannot be removed stays, counts, and is not tried again for a
// while, or until it was used.
func (c *moduleCache) drop(digest string) usage {
	task := &moduleTask{vain: true, done: make(chan struct{})} // whoever wants it now waits, and fetches it again
	c.mu.Lock()
	if c.uses[digest] != nil {
		c.mu.Unlock()
		return usage{}
	}
	use := c.enter(digest)
	use.task = task
	delete(c.sound, digest)
	before := c.kept[digest]
	c.mu.Unlock()
	c.remove(c.file(digest))
	c.remove(c.codeDir(digest))
	c.measure(digest)
	c.mu.Lock()
	left, some := c.kept[digest]
	if some {
		left.stuck = time.Now()
		c.kept[digest] = left
	}
	c.mu.Unlock()
	c.end(digest, use)
	return before.minus(left.usage)
}

func (c *moduleCache) remove(path string) {
	if err := c.removeAll(path); err != nil {
		c.log.Warn("a file is left", "path", path, "err", err)
	}
}
