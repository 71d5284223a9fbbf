package executor

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/files"
	"github.com/godwit-run/godwit/internal/transport"
	"github.com/godwit-run/godwit/mpi"
	"github.com/godwit-run/godwit/worker/wasm"
)

// Where ranks see the app's own directory, and one for files of the moment that all ranks of the app share as well.
const (
	workPath    = "/work"
	scratchPath = "/tmp"
)

// Of requests to the home.
const (
	homeAnswer = 30 * time.Second // after so long without an answer the request is sent again
	homePause  = 10 * time.Millisecond
	homePauses = time.Second // the longest pause between two tries
	maxClosing = 4096        // files that wait to be closed there
)

// home is the way to the app's directory: on this host, or on the one that is its home. The first rank that asks for it has the worker told,
// and the log decides where it is.
type home struct {
	app    string
	client uint64 // tells this executor from others
	wants  func()
	http   *http.Client
	log    *slog.Logger
	handle atomic.Uint64
	close  chan uint64 // handles to be closed

	mu    sync.Mutex // guards the fields below
	lanes map[mpi.Rank]*homeLane
	at    *apiv1.ExecHome // nil: not known yet
	trees [2]*files.Local // when it is here: the directory and the scratch one
	known chan struct{}   // closed when at is another one
	asked bool
}

func newHome(app string, wants func(), log *slog.Logger) *home {
	return &home{
		app: app, client: rand.Uint64(), wants: wants, http: transport.NewHTTPClient(), log: log, //nolint:gosec // a name, no secret
		close: make(chan uint64, maxClosing), known: make(chan struct{}), lanes: map[mpi.Rank]*homeLane{},
	}
}

// set says where the home is.
func (h *home) set(at *apiv1.ExecHome) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if at.Dir != "" && h.trees[0] == nil {
		for i, dir := range []string{apiv1.HomeKept, apiv1.HomeScratch} {
			tree, err := files.OpenLocal(at.Dir+"/"+dir, false)
			if err != nil {
				return err
			}
			h.trees[i] = tree
		}
	}
	if at.Dir != "" {
		for _, tree := range h.trees {
			tree.SetFull(at.Full)
		}
	}
	h.at = at
	close(h.known)
	h.known = make(chan struct{})
	return nil
}

// where is the home, as soon as there is one, or ctx ends.
func (h *home) where(ctx context.Context) (at *apiv1.ExecHome, trees [2]*files.Local, changed <-chan struct{}, err error) {
	for {
		h.mu.Lock()
		at, trees, changed = h.at, h.trees, h.known
		first := at == nil && !h.asked
		h.asked = true
		h.mu.Unlock()
		if at != nil {
			return at, trees, changed, nil
		}
		if first {
			h.wants()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, trees, nil, context.Cause(ctx)
		}
	}
}

// run closes at the home what ranks have closed, until ctx ends: who closes a file, or ends, does not wait for another host.
func (h *home) run(ctx context.Context) error {
	lane := &homeLane{home: h, ctx: ctx, lane: -1}
	for {
		select {
		case handle := <-h.close:
			if _, err := lane.Ask(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_CLOSE, Handle: handle}); err != nil {
				return nil //nolint:nilerr // ctx has ended
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// mounts are what a rank sees of files: the app's volumes, and its own directories where nothing else is.
func (e *Executor) rankMounts(ctx context.Context, id mpi.Rank) []wasm.Mount {
	out := append([]wasm.Mount(nil), e.mounts...)
	taken := map[string]bool{}
	for _, m := range out {
		taken[m.Path] = true
	}
	lane := e.home.laneOf(ctx, id)
	for i, at := range []string{workPath, scratchPath} {
		if !taken[at] {
			out = append(out, wasm.Mount{Path: at, Tree: &homeTree{lane, files.NewRemote(lane, i == 1), i}})
		}
	}
	return out
}

// homeLane is the requests of one rank to the home: one after the other, each done once.
type homeLane struct {
	home *home
	ctx  context.Context //nolint:containedctx // the executor's: trees have no contexts
	lane int32

	mu     sync.Mutex // held while one is under way
	number uint64
}

// laneOf is the lane of a rank. A rank that has been here before goes on with its numbers: what has one of them already was done then.
func (h *home) laneOf(ctx context.Context, id mpi.Rank) *homeLane {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.lanes[id]
	if l == nil {
		l = &homeLane{home: h, ctx: ctx, lane: int32(id)}
		h.lanes[id] = l
	}
	return l
}

// Handle implements files.Asker.
func (l *homeLane) Handle() uint64 { return l.home.handle.Add(1) }

// Ask implements files.Asker. It sends the request again until it is answered, to wherever the home is then, or the executor ends.
func (l *homeLane) Ask(req *apiv1.FilesRequest) (*apiv1.FilesResponse, error) {
	if req.Op == apiv1.FilesRequest_OP_CLOSE && l.lane >= 0 {
		select {
		case l.home.close <- req.Handle:
			return &apiv1.FilesResponse{}, nil
		case <-l.ctx.Done():
			return nil, context.Cause(l.ctx)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.number++
	req.App, req.Client, req.Lane, req.Number = l.home.app, l.home.client, l.lane, l.number
	return l.ask(req)
}

// ask sends a request until it is answered.
func (l *homeLane) ask(req *apiv1.FilesRequest) (*apiv1.FilesResponse, error) {
	for pause := homePause; ; pause = min(2*pause, homePauses) {
		at, _, changed, err := l.home.where(l.ctx)
		if err != nil {
			return nil, err
		}
		res, err := l.once(at, req)
		if err == nil {
			return res, nil
		}
		if l.ctx.Err() != nil {
			return nil, context.Cause(l.ctx)
		}
		if info := apierr.Info(err); info != nil && info.Reason == apierr.ReasonInvalid {
			l.home.log.Error("the home of the app's files refuses a request", "host", at.Host, "err", err)
			return nil, syscall.EIO
		}
		select {
		case <-time.After(pause):
		case <-changed:
		case <-l.ctx.Done():
			return nil, context.Cause(l.ctx)
		}
	}
}

func (l *homeLane) once(at *apiv1.ExecHome, req *apiv1.FilesRequest) (*apiv1.FilesResponse, error) {
	ctx, cancel := context.WithTimeout(l.ctx, homeAnswer)
	defer cancel()
	return apiv1connect.NewDataClient(transport.NewClient(l.home.http, at.Addr)).Files(ctx, req)
}

// homeTree is one of the app's own directories: the kernel's where the home is this host, else another host's.
type homeTree struct {
	lane   *homeLane
	remote *files.Remote
	which  int
}

var _ files.Tree = (*homeTree)(nil)

var errNoHome = errors.New("the app's files cannot be reached")

// tree is the one to ask now.
func (t *homeTree) tree() (files.Tree, error) {
	at, trees, _, err := t.lane.home.where(t.lane.ctx)
	switch {
	case err != nil:
		return nil, errors.Join(errNoHome, err)
	case at.Dir != "":
		return trees[t.which], nil
	}
	return t.remote, nil
}

// with does f to the tree.
func (t *homeTree) with(f func(files.Tree) error) error {
	tree, err := t.tree()
	if err != nil {
		return err
	}
	return f(tree)
}

// Open implements files.Tree.
func (t *homeTree) Open(path string, flags int) (f files.File, err error) {
	err = t.with(func(tree files.Tree) (err error) { f, err = tree.Open(path, flags); return err })
	return f, err
}

// Stat implements files.Tree.
func (t *homeTree) Stat(path string, follow bool) (info files.Info, err error) {
	err = t.with(func(tree files.Tree) (err error) { info, err = tree.Stat(path, follow); return err })
	return info, err
}

// Mkdir implements files.Tree.
func (t *homeTree) Mkdir(path string) error {
	return t.with(func(tree files.Tree) error { return tree.Mkdir(path) })
}

// Rmdir implements files.Tree.
func (t *homeTree) Rmdir(path string) error {
	return t.with(func(tree files.Tree) error { return tree.Rmdir(path) })
}

// Unlink implements files.Tree.
func (t *homeTree) Unlink(path string) error {
	return t.with(func(tree files.Tree) error { return tree.Unlink(path) })
}

// Rename implements files.Tree.
func (t *homeTree) Rename(from, to string) error {
	return t.with(func(tree files.Tree) error { return tree.Rename(from, to) })
}

// Link implements files.Tree.
func (t *homeTree) Link(from, to string) error {
	return t.with(func(tree files.Tree) error { return tree.Link(from, to) })
}

// Symlink implements files.Tree.
func (t *homeTree) Symlink(text, path string) error {
	return t.with(func(tree files.Tree) error { return tree.Symlink(text, path) })
}

// Readlink implements files.Tree.
func (t *homeTree) Readlink(path string) (text string, err error) {
	err = t.with(func(tree files.Tree) (err error) { text, err = tree.Readlink(path); return err })
	return text, err
}

// SetTimes implements files.Tree.
func (t *homeTree) SetTimes(path string, follow bool, times files.Times) error {
	return t.with(func(tree files.Tree) error { return tree.SetTimes(path, follow, times) })
}

// Space implements files.Tree.
func (t *homeTree) Space() (space files.Space, err error) {
	err = t.with(func(tree files.Tree) (err error) { space, err = tree.Space(); return err })
	return space, err
}

// stdin is the standard input of a rank; nil: it is empty.
func (e *Executor) stdin(id mpi.Rank) io.Reader {
	if e.start.Stdin != "all" && e.start.Stdin != strconv.Itoa(int(id)) {
		return nil
	}
	return &homeInput{lane: &homeLane{home: e.home, ctx: e.filing, lane: int32(id)}}
}

// homeInput reads the app's standard input, which its home has, from any place.
type homeInput struct {
	lane  *homeLane
	at    int64
	ahead []byte // what has come and was not asked for yet, from at on
}

// Read implements io.Reader: it waits for what is not there yet.
func (i *homeInput) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if len(i.ahead) > 0 {
			n := copy(p, i.ahead)
			i.at, i.ahead = i.at+int64(n), i.ahead[n:]
			return n, nil
		}
		res, err := i.lane.ask(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_INPUT_READ, App: i.lane.home.app, At: i.at, Size: files.PieceBytes})
		switch {
		case err != nil:
			return 0, err
		case res.Errno != 0:
			return 0, syscall.Errno(res.Errno)
		case len(res.Data) == 0 && res.End:
			return 0, io.EOF
		}
		i.ahead = res.Data
	}
}

// Resume implements wasm.Resumer, for a rank that has read before it has moved.
func (i *homeInput) Resume(at uint64) { i.at, i.ahead = int64(at), nil }
