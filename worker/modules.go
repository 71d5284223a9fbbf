package worker

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/durable"
	"github.com/godwit-run/godwit/internal/name"
	"github.com/godwit-run/godwit/internal/transport"
)

// moduleCache keeps modules fetched from the servers, by digest, and their compiled code, a directory for each. Together they are
// bounded: those used longest ago go first, those in use never.
type moduleCache struct {
	dir      string
	compiled string // directory of the directories of compiled code
	limit    int64  // bytes
	log      *slog.Logger
	http     *http.Client
	servers  func() []string // API addresses

	arrived atomic.Int64 // bytes of modules that have come from servers

	mu    sync.Mutex // guards the fields below
	uses  map[string]*moduleUse
	sound map[string]bool // modules whose bytes this process has checked
}

// moduleUse is a module in use, or about to be.
type moduleUse struct {
	mu    sync.Mutex // held by whoever fetches or removes its files
	users int        // guarded by the cache's mu
}

// newModuleCache makes the directories, and removes what is no module's.
func newModuleCache(dir, compiled string, limit int64, log *slog.Logger, h *http.Client, servers func() []string) (*moduleCache, error) {
	c := &moduleCache{dir: dir, compiled: compiled, limit: limit, log: log, http: h, servers: servers, uses: map[string]*moduleUse{}, sound: map[string]bool{}}
	for _, d := range []string{dir, compiled} {
		if err := durable.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("worker: modules: %w", err)
		}
		entries, err := os.ReadDir(d)
		if err != nil {
			return nil, fmt.Errorf("worker: modules: %w", err)
		}
		for _, e := range entries {
			if !name.Digest(strings.TrimSuffix(e.Name(), moduleSuffix)) { // half a fetch, or an older worker's
				c.remove(filepath.Join(d, e.Name()))
			}
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
// one module fetch it once.
func (c *moduleCache) use(ctx context.Context, digest string) (path string, release func(), err error) {
	if err := apierr.CheckDigest("digest", digest); err != nil {
		return "", nil, err
	}
	c.mu.Lock()
	use := c.uses[digest]
	if use == nil {
		use = new(moduleUse)
		c.uses[digest] = use
	}
	use.users++
	c.mu.Unlock()
	release = sync.OnceFunc(func() {
		c.leave(digest)
		c.prune()
	})
	use.mu.Lock()
	path, err = c.find(ctx, digest)
	use.mu.Unlock()
	if err != nil {
		release()
		return "", nil, err
	}
	return path, release, nil
}

// leave ends one use.
func (c *moduleCache) leave(digest string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	use := c.uses[digest]
	if use.users--; use.users == 0 {
		delete(c.uses, digest)
	}
}

// find returns the module's file, fetched if it is not here. Holds its use.
func (c *moduleCache) find(ctx context.Context, digest string) (string, error) {
	path, now := c.file(digest), time.Now()
	if os.Chtimes(path, now, now) == nil && c.checked(digest) { // it is here; the time says when it was used last
		return path, nil
	}
	err, silent := errors.New("no server is known"), false
	for _, patience := range []time.Duration{answerWait, transportWait} {
		for _, addr := range c.servers() {
			if err = c.fetch(ctx, addr, digest, path, patience); err == nil {
				c.mu.Lock()
				c.sound[digest] = true
				c.mu.Unlock()
				return path, nil
			}
			silent = silent || errors.Is(err, errNoAnswer)
		}
		if !silent || ctx.Err() != nil {
			break
		}
	}
	return "", fmt.Errorf("worker: fetch module %.12s: %w", digest, err)
}

// How long a server may take to begin to answer: at first little, since another one may stand closer to its answer; when all do so,
// as long as it takes to know that it is not there.
const (
	answerWait    = time.Second
	transportWait = 15 * time.Second
)

// errNoAnswer is fetch's where the server has not begun to answer in time.
var errNoAnswer = errors.New("the server does not answer")

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
func (c content) is(digest string) error {
	if got := hex.EncodeToString(c.Sum(nil)); got != digest {
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
	defer f.Close() //nolint:errcheck // only read
	all := newContent()
	if _, err := io.Copy(all, f); err != nil {
		return err
	}
	return all.is(digest)
}

// prune removes the modules used longest ago, with their code, while all together take more than the limit.
func (c *moduleCache) prune() {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		c.log.Warn("old modules are left", "err", err)
		return
	}
	sizes, total := make(map[string]int64, len(entries)), int64(0)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			continue // gone
		}
		digest := strings.TrimSuffix(e.Name(), moduleSuffix)
		sizes[digest] = info.Size() + dirBytes(c.codeDir(digest))
		total += sizes[digest]
	}
	slices.SortFunc(entries, func(a, b os.DirEntry) int { return cmp.Compare(modified(a), modified(b)) })
	for _, e := range entries {
		digest := strings.TrimSuffix(e.Name(), moduleSuffix)
		if total <= c.limit {
			return
		}
		if name.Digest(digest) && c.drop(digest) {
			total -= sizes[digest]
		}
	}
}

// drop removes a module that nobody uses, and says whether it did.
func (c *moduleCache) drop(digest string) bool {
	c.mu.Lock()
	if c.uses[digest] != nil {
		c.mu.Unlock()
		return false
	}
	use := &moduleUse{users: 1}
	use.mu.Lock() // whoever wants it now waits, and fetches it again
	c.uses[digest] = use
	c.mu.Unlock()
	c.mu.Lock()
	delete(c.sound, digest)
	c.mu.Unlock()
	c.remove(c.file(digest))
	c.remove(c.codeDir(digest))
	use.mu.Unlock()
	c.leave(digest)
	return true
}

func (c *moduleCache) remove(path string) {
	if err := os.RemoveAll(path); err != nil {
		c.log.Warn("a file is left", "path", path, "err", err)
	}
}

// fetch streams the module into a temporary file, checks its digest, and moves it to path.
func (c *moduleCache) fetch(ctx context.Context, addr, digest, path string, patience time.Duration) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	late := time.AfterFunc(patience, func() { cancel(fmt.Errorf("%w: %s, within %v", errNoAnswer, addr, patience)) })
	defer late.Stop()
	defer func() {
		if err != nil && errors.Is(context.Cause(ctx), errNoAnswer) {
			err = context.Cause(ctx)
		}
	}()
	client := apiv1connect.NewClusterClient(transport.NewClient(c.http, addr))
	stream, err := client.FetchModule(ctx, &apiv1.FetchModuleRequest{Digest: digest})
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(c.dir, "fetch-*")
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, tmp.Close())
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	all := newContent()
	for size := 0; ; {
		late.Reset(patience) // for each part anew
		m, err := stream.Receive()
		late.Stop()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if size += len(m.Chunk); size > apiv1.MaxModuleBytes { // it has gone bad
			return fmt.Errorf("server %s sends more than a module may have: %d bytes", addr, apiv1.MaxModuleBytes)
		}
		c.arrived.Add(int64(len(m.Chunk)))
		all.Write(m.Chunk)
		if _, err := tmp.Write(m.Chunk); err != nil {
			return err
		}
	}
	if err := all.is(digest); err != nil {
		return fmt.Errorf("server %s sent other bytes: %w", addr, err)
	}
	if err := tmp.Sync(); err != nil { // its name vouches for its bytes, also after a power cut
		return err
	}
	return durable.Rename(tmp.Name(), path)
}
