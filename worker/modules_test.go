package worker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/transport"
)

// ofOne is what a module takes on a disk that put makes of less than a block: two files, and two directories for the code.
const ofOne = 4 * blockBytes

// put makes a module of some bytes, with code of as many, last used at the time given.
func put(t *testing.T, c *moduleCache, fillByte byte, size int, used time.Time) (digest string) {
	t.Helper()
	content := bytes.Repeat([]byte{fillByte}, size)
	sum := sha256.Sum256(content)
	digest = hex.EncodeToString(sum[:])
	require.NoError(t, os.WriteFile(c.file(digest), content, 0o600))
	require.NoError(t, os.Chtimes(c.file(digest), used, used))
	code := filepath.Join(c.codeDir(digest), "engine")
	require.NoError(t, os.MkdirAll(code, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(code, "code"), content, 0o600))
	c.measure(digest)
	return digest
}

// Modules and their code are bounded by bytes: what was used longest ago goes first, what is in use never.
func TestModulesAreBounded(t *testing.T) {
	dir := t.TempDir()
	open := func(limit int64) *moduleCache {
		c, err := newModuleCache(filepath.Join(dir, "modules"), filepath.Join(dir, "cache"), limit, slog.New(slog.DiscardHandler), nil,
			func() []string { return nil })
		require.NoError(t, err)
		return c
	}
	c := open(1 << 20)
	var digests []string
	for i := range 5 {
		digests = append(digests, put(t, c, byte(i), 1000, time.Unix(int64(1000+i), 0)))
	}
	_, release, err := c.use(t.Context(), digests[0])
	require.NoError(t, err)
	_, again, err := c.use(t.Context(), digests[1])
	require.NoError(t, err)
	have := func() (out []int) {
		for i, d := range digests {
			_, err := os.Stat(c.file(d))
			_, codeErr := os.Stat(c.codeDir(d))
			require.Equal(t, err == nil, codeErr == nil)
			if err == nil {
				out = append(out, i)
			}
		}
		return out
	}
	c.limit = 3 * ofOne
	c.prune()
	require.Equal(t, []int{0, 1, 4}, have())
	c.limit = 1
	again()
	again()
	require.Equal(t, []int{0}, have())
	release()
	require.Empty(t, have())
	_, _, err = c.use(t.Context(), digests[0])
	require.ErrorContains(t, err, "no server is known")
	c.wait()
	require.Empty(t, c.uses)

	// What a worker that died has left, and what an older one made, goes at the start.
	put(t, c, 9, 1000, time.Now())
	require.NoError(t, os.WriteFile(filepath.Join(c.dir, "fetch-123"), []byte("half"), 0o600))
	require.NoError(t, os.MkdirAll(filepath.Join(c.compiled, "wazero-v1"), 0o700))
	open(3 * ofOne)
	for _, d := range []string{c.dir, c.compiled} {
		entries, err := os.ReadDir(d)
		require.NoError(t, err)
		require.Len(t, entries, 1)
	}
}

// TestModulesAreMeasuredOnce: what an executor's end costs is a look at its own module, whatever else is in the cache. The code that it
// wrote counts from its start's end on.
func TestModulesAreMeasuredOnce(t *testing.T) {
	dir := t.TempDir()
	open := func() *moduleCache {
		c, err := newModuleCache(filepath.Join(dir, "m"), filepath.Join(dir, "c"), 2*ofOne+1, slog.New(slog.DiscardHandler), nil, func() []string { return nil })
		require.NoError(t, err)
		return c
	}
	c := open()
	grow := func(digest string) {
		require.NoError(t, os.WriteFile(filepath.Join(c.codeDir(digest), "more"), make([]byte, 5*blockBytes), 0o600))
	}
	old, now := put(t, c, 1, 1000, time.Unix(1000, 0)), put(t, c, 2, 1000, time.Unix(2000, 0))
	require.EqualValues(t, 2*ofOne, c.total)
	grow(old) // which nobody does who does not use it: so it shows who looks
	_, release, err := c.use(t.Context(), now)
	require.NoError(t, err)
	release()
	require.EqualValues(t, 2*ofOne, c.total)
	require.FileExists(t, c.file(old))

	c = open()
	require.NoFileExists(t, c.file(old), "at the start all is looked at")
	old = put(t, c, 1, 1000, time.Unix(1000, 0))
	_, release, err = c.use(t.Context(), now)
	require.NoError(t, err)
	grow(now)
	c.grown(now)
	require.NoFileExists(t, c.file(old))
	require.EqualValues(t, ofOne+5*blockBytes, c.total, "what is in use stays, however much it is")
	release()
	require.NoFileExists(t, c.file(now))
	require.Zero(t, c.total)
	require.Empty(t, c.kept)
}

// TestNoUseOutlivesItsTask: who has a module is its only user, so that it can go as soon as that one has no use for it.
func TestNoUseOutlivesItsTask(t *testing.T) {
	dir := t.TempDir()
	c, err := newModuleCache(filepath.Join(dir, "m"), filepath.Join(dir, "c"), 1, slog.New(slog.DiscardHandler), nil, func() []string { return nil })
	require.NoError(t, err)
	for range 200 {
		digest := put(t, c, 1, 1000, time.Now())
		_, release, err := c.use(t.Context(), digest)
		require.NoError(t, err)
		c.mu.Lock()
		users := c.uses[digest].users
		c.mu.Unlock()
		require.Equal(t, 1, users)
		release()
		require.NoFileExists(t, c.file(digest))
	}
}

// TestCodeCounts: what an executor has written of its module's code counts from its start's end on, and so does what it wrote later from its own.
func TestCodeCounts(t *testing.T) {
	dir := t.TempDir()
	c, err := newModuleCache(filepath.Join(dir, "m"), filepath.Join(dir, "c"), 1<<20, slog.New(slog.DiscardHandler), nil, func() []string { return nil })
	require.NoError(t, err)
	digest := put(t, c, 1, 1000, time.Now())
	require.EqualValues(t, ofOne, c.total)
	_, release, err := c.use(t.Context(), digest)
	require.NoError(t, err)
	b := newBench(t)
	s := newStart(c)
	s.digests = []string{digest}
	require.NoError(t, os.WriteFile(filepath.Join(c.codeDir(digest), "compiled"), make([]byte, 3000), 0o600))
	close(s.over)
	b.a.watchStart(t.Context(), s)
	require.EqualValues(t, ofOne+blockBytes, c.total)
	require.NoError(t, os.WriteFile(filepath.Join(c.codeDir(digest), "later"), make([]byte, 3000), 0o600))
	release()
	require.EqualValues(t, ofOne+2*blockBytes, c.total)
}

// TestDamagedModule: a file of the cache that does not hold what its name says goes, with its code, when it is first wanted.
// A file that cannot be read now is not called damaged, and stays.
func TestUnreadableModule(t *testing.T) {
	var log bytes.Buffer
	c, err := newModuleCache(t.TempDir(), t.TempDir(), 1<<20, slog.New(slog.NewTextHandler(&log, nil)), nil, func() []string { return nil })
	require.NoError(t, err)
	digest := put(t, c, 1, 1000, time.Now())
	require.NoError(t, os.Remove(c.file(digest)))
	require.NoError(t, os.Mkdir(c.file(digest), 0o700), "reading it fails, whoever asks")
	_, _, err = c.use(t.Context(), digest)
	require.ErrorContains(t, err, "no server is known")
	require.DirExists(t, c.file(digest))
	require.DirExists(t, c.codeDir(digest))
	require.NotContains(t, log.String(), "damaged")
	require.Contains(t, log.String(), "cannot be read")
}

func TestDamagedModule(t *testing.T) {
	c, err := newModuleCache(t.TempDir(), t.TempDir(), 1<<20, slog.New(slog.DiscardHandler), nil, func() []string { return nil })
	require.NoError(t, err)
	sound, damaged := put(t, c, 1, 1000, time.Now()), put(t, c, 2, 1000, time.Now())
	require.NoError(t, os.WriteFile(c.file(damaged), bytes.Repeat([]byte{3}, 1000), 0o600))
	_, release, err := c.use(t.Context(), sound)
	require.NoError(t, err)
	release()
	_, _, err = c.use(t.Context(), damaged)
	require.ErrorContains(t, err, "no server is known", "it has to come anew")
	require.NoFileExists(t, c.file(damaged))
	require.NoDirExists(t, c.codeDir(damaged))
}

// moduleServer sends what it is to whoever asks for any module, after it has been asked often enough.
type moduleServer struct {
	fakeLeader
	code  []byte
	after int32 // times it is asked without an answer
	half  bool  // it stops in the middle
	asked atomic.Int32
	fails int32         // times it answers with an error, and the error's code
	with  atomic.Uint32 // a connect.Code
}

func (m *moduleServer) FetchModule(ctx context.Context, _ *apiv1.FetchModuleRequest, stream apiv1connect.ClusterFetchModuleServerStream) error {
	if m.fails > 0 && m.asked.Add(1) <= m.fails {
		return connect.NewError(connect.Code(m.with.Load()), "not now")
	}
	if m.fails == 0 && m.asked.Add(1) <= m.after {
		<-ctx.Done()
		return ctx.Err()
	}
	if m.half {
		err := stream.Send(&apiv1.FetchModuleResponse{Chunk: m.code[:1]})
		<-ctx.Done()
		return errors.Join(err, ctx.Err())
	}
	return stream.Send(&apiv1.FetchModuleResponse{Chunk: m.code})
}

// refusing answers so many times with an error.
func refusing(times int32, code connect.Code) *moduleServer {
	m := &moduleServer{code: []byte("module"), fails: times}
	m.with.Store(uint32(code))
	return m
}

// serve answers until the test ends, and returns where.
func (m *moduleServer) serve(t *testing.T) string {
	t.Helper()
	return serve(t, listenLocal(t), func(s *connect.Server) { apiv1connect.RegisterClusterHandler(s, m) })
}

// A server that stands still does not keep a worker from the next one; where none answers at once, they are waited for.
func TestFetchPassesOverTheSilent(t *testing.T) {
	code := []byte("module")
	sum := sha256.Sum256(code)
	digest := hex.EncodeToString(sum[:])
	silent, good, slow := &moduleServer{after: 1 << 20}, &moduleServer{code: code}, &moduleServer{code: code, after: 1}
	half, second := &moduleServer{code: code, half: true}, &moduleServer{code: code}
	for _, next := range []*moduleServer{good, slow, second} {
		first := silent
		if next == second {
			first = half
		}
		servers := []string{first.serve(t), next.serve(t)}
		if next == slow {
			servers = servers[1:]
		}
		dir := t.TempDir()
		c, err := newModuleCache(filepath.Join(dir, "m"), filepath.Join(dir, "c"), 1<<20, slog.New(slog.DiscardHandler), transport.NewHTTPClient(),
			func() []string { return servers })
		require.NoError(t, err)
		c.order = slices.Clone
		path, release, err := c.use(t.Context(), digest)
		require.NoError(t, err)
		release()
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, code, got)
	}
	require.EqualValues(t, 1, silent.asked.Load())
	require.EqualValues(t, 2, slow.asked.Load())
	require.EqualValues(t, 1, half.asked.Load())
}

// TestServersThatStartAgain: what no server gives at the moment is asked for again, as long as it is wanted, and what is wrong is told meanwhile; what none
// has, and what this host cannot store, fails at once.
func TestServersThatStartAgain(t *testing.T) {
	sum := sha256.Sum256([]byte("module"))
	digest := hex.EncodeToString(sum[:])
	open := func(servers ...string) *moduleCache {
		dir := t.TempDir()
		c, err := newModuleCache(filepath.Join(dir, "m"), filepath.Join(dir, "c"), 1<<20, slog.New(slog.DiscardHandler), transport.NewHTTPClient(),
			func() []string { return servers })
		require.NoError(t, err)
		return c
	}
	gone := listenLocal(t)
	require.NoError(t, gone.Close())
	for _, code := range []connect.Code{connect.CodeUnavailable, connect.CodeInternal, connect.CodeUnknown, connect.CodeResourceExhausted} {
		s := refusing(4, code)
		c := open(gone.Addr().String(), s.serve(t))
		_, release, err := c.use(t.Context(), digest)
		require.NoError(t, err)
		release()
		require.EqualValues(t, 5, s.asked.Load())
	}
	s := refusing(1<<20, connect.CodeInternal)
	c := open(s.serve(t))
	_, got := c.user(t, digest)
	require.Eventually(t, func() bool { return strings.Contains(c.trouble(digest), "not now") }, time.Minute, time.Millisecond)
	a := &app{start: newStart(c)}
	a.start.digests = []string{digest}
	require.Contains(t, a.startTrouble(), "not now")
	a.start.child.Store(new(child))
	require.Empty(t, a.startTrouble(), "the executor is there")
	s.with.Store(uint32(connect.CodeNotFound))
	require.Equal(t, connect.CodeNotFound, connect.CodeOf(<-got))

	none, some := refusing(1<<20, connect.CodeNotFound), refusing(2, connect.CodeUnavailable)
	c = open(none.serve(t), some.serve(t))
	_, release, err := c.use(t.Context(), digest)
	require.NoError(t, err, "the other one may have it")
	release()

	whole := &moduleServer{code: []byte("module")}
	c = open(whole.serve(t))
	require.NoError(t, os.RemoveAll(c.dir))
	_, _, err = c.use(t.Context(), digest)
	require.ErrorIs(t, err, errOwnDisk)
	require.EqualValues(t, 1, whole.asked.Load())
}

// TestTriesAreNoProgress: what comes again and again, and never whole, is no step of a start in the end, else one to which the module never comes would
// never be given up; servers that fail now and then, or are not there, take no step away.
func TestTriesAreNoProgress(t *testing.T) {
	s := &moduleServer{code: []byte("other bytes")}
	gone := listenLocal(t)
	require.NoError(t, gone.Close())
	servers := []string{gone.Addr().String(), s.serve(t)}
	dir := t.TempDir()
	c, err := newModuleCache(filepath.Join(dir, "m"), filepath.Join(dir, "c"), 1<<20, slog.New(slog.DiscardHandler), transport.NewHTTPClient(),
		func() []string { return servers })
	require.NoError(t, err)
	digest := strings.Repeat("ab", 32)
	c.mu.Lock()
	use := c.enter(digest)
	c.mu.Unlock()
	for try := range 2 * maxFailed {
		err := c.fetch(t.Context(), use, source{servers[0], digest}, c.file(digest), time.Minute)
		require.Error(t, err)
		require.ErrorContains(t, c.fetch(t.Context(), use, source{servers[1], digest}, c.file(digest), time.Minute), "sent other bytes")
		require.EqualValues(t, min(try+1, maxFailed), use.steps.Load())
	}
	trouble := "none has it"
	use.trouble.Store(&trouble)
	require.Error(t, c.fetch(t.Context(), use, source{servers[1], digest}, c.file(digest), time.Minute))
	require.NotNil(t, use.trouble.Load(), "what it gives is nothing")
	another := (&moduleServer{code: []byte("other words")}).serve(t) // as many
	require.Error(t, c.fetch(t.Context(), use, source{another, digest}, c.file(digest), time.Minute))
	require.EqualValues(t, maxFailed+1, use.steps.Load(), "another server's")
	require.Nil(t, use.trouble.Load(), "one gave it")
	more := (&moduleServer{code: []byte("more than that")}).serve(t)
	require.Error(t, c.fetch(t.Context(), use, source{more, digest}, c.file(digest), time.Minute))
	require.Error(t, c.fetch(t.Context(), use, source{servers[1], digest}, c.file(digest), time.Minute))
	require.EqualValues(t, maxFailed+3, use.steps.Load(), "more than ever came: all begin anew")
	require.NoFileExists(t, c.file(digest))
	c.leave(digest)
}

// TestWhatNobodyHasSaid: an error that this process found in what came is not the server's last word.
func TestWhatNobodyHasSaid(t *testing.T) {
	for _, code := range []connect.Code{connect.CodeNotFound, connect.CodeInvalidArgument, connect.CodePermissionDenied} {
		require.True(t, mayGive(connect.NewError(code, "gzip: invalid checksum")))
		require.False(t, mayGive(connect.NewError(code, "no server has it").WithRemote()))
	}
	require.True(t, mayGive(connect.NewError(connect.CodeInternal, "x").WithRemote()))
	require.True(t, mayGive(errNoAnswer))
}

// TestFetchedModuleIsChecked: bytes that are not the module's get no name.
func TestFetchedModuleIsChecked(t *testing.T) {
	addr := (&moduleServer{code: []byte("other")}).serve(t)
	dir := t.TempDir()
	c, err := newModuleCache(filepath.Join(dir, "m"), filepath.Join(dir, "c"), 1<<20, slog.New(slog.DiscardHandler), transport.NewHTTPClient(),
		func() []string { return []string{addr} })
	require.NoError(t, err)
	digest := strings.Repeat("ab", 32)
	giveUp, got := c.user(t, digest)
	require.Eventually(t, func() bool { return strings.Contains(c.trouble(digest), "sent other bytes") }, time.Minute, time.Millisecond)
	giveUp()
	require.Error(t, <-got)
	c.wait()
	require.Empty(t, c.trouble(digest))
	entries, err := os.ReadDir(c.dir)
	require.NoError(t, err)
	require.Empty(t, entries)
}

// TestAModuleThatManyUseIsLookedAtSeldom: where one app after the other uses a module, its files are looked at, and their time is noted, every few seconds; but
// each finds that the file is there.
func TestAModuleThatManyUseIsLookedAtSeldom(t *testing.T) {
	dir := t.TempDir()
	c, err := newModuleCache(filepath.Join(dir, "modules"), filepath.Join(dir, "cache"), 1<<20, slog.New(slog.DiscardHandler), nil, func() []string { return nil })
	require.NoError(t, err)
	old := time.Unix(1000, 0)
	digest := put(t, c, 1, 1000, old)
	_, last, err := c.use(t.Context(), digest)
	require.NoError(t, err)
	used := func() bool { // since old, as is to be seen at the file
		info, err := os.Stat(c.file(digest))
		require.NoError(t, err)
		return info.ModTime().After(old)
	}
	require.True(t, used())
	touched := func() bool {
		require.NoError(t, os.Chtimes(c.file(digest), old, old))
		_, release, err := c.use(t.Context(), digest)
		require.NoError(t, err)
		release()
		return used()
	}
	require.False(t, touched())
	c.mu.Lock()
	k := c.kept[digest]
	require.WithinDuration(t, time.Now(), k.used, time.Minute, "it goes behind all that were used before")
	k.looked = time.Now().Add(-lookEach)
	c.kept[digest] = k
	c.mu.Unlock()
	require.True(t, touched())
	require.False(t, touched())
	last()
	require.NoError(t, os.Chtimes(c.file(digest), old, old))
	_, release, err := c.use(t.Context(), digest)
	require.NoError(t, err)
	release()
	require.True(t, used(), "the last to leave it notes when")

	require.NoError(t, os.Remove(c.file(digest)))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, _, err = c.use(ctx, digest)
	require.Error(t, err, "it is fetched again, and no server has it")
}
