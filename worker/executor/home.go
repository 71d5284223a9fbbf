package executor

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/files"
	"github.com/godwit-run/godwit/internal/transport"
	"github.com/godwit-run/godwit/mpi"
)

// maxClosing bounds the files that wait to be closed at the home.
const maxClosing = 4096

// home is the way to the app's directory: on this host, or on the one that is its home. The first rank that asks for it has the worker told,
// and the log decides where it is.
type home struct {
	app    string
	client uint64 // tells this executor from others
	wants  func()
	begin  func() // has run called, if it was not yet
	http   func() *http.Client
	log    *slog.Logger
	handle atomic.Uint64
	close  chan closing // handles to be closed

	mu    sync.Mutex // guards the fields below
	lanes map[mpi.Rank]*homeLane
	at    *apiv1.ExecHome // nil: not known yet
	trees [2]*files.Local // when it is here: the directory and the scratch one
	known chan struct{}   // closed when at is another one
	asked bool
}

func newHome(app string, client uint64, wants func(), log *slog.Logger) *home {
	if client == 0 {
		client = rand.Uint64() //nolint:gosec // a name, no secret
	}
	return &home{
		app: app, client: client, wants: wants, begin: func() {}, http: sync.OnceValue(transport.NewHTTPClient), log: log,
		close: make(chan closing, maxClosing), known: make(chan struct{}), lanes: map[mpi.Rank]*homeLane{},
	}
}

// set says where the home is.
func (h *home) set(at *apiv1.ExecHome) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if at.Dir != h.at.GetDir() { // what a rank still does in the directory that has left it does to files that are nobody's
		h.trees = [2]*files.Local{}
		if at.Dir != "" {
			trees, err := files.OpenHome(at.Dir)
			if err != nil {
				return err
			}
			files.Limit(trees, at.Limit)
			h.trees = trees
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

// wanted says whether a rank has asked for the directory.
func (h *home) wanted() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asked
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

// closing is a file to be closed at the home, or asks to be told that all before it are.
type closing struct {
	handle uint64
	passed chan struct{} // closed then; nil: it is a file
}

// run closes at the home what ranks have closed, until ctx ends: who closes a file, or ends, does not wait for another host.
func (h *home) run(ctx context.Context) error {
	lane := &homeLane{home: h, ctx: ctx, lane: -1}
	for {
		select {
		case c := <-h.close:
			if c.passed != nil {
				close(c.passed)
				continue
			}
			_, _ = lane.Ask(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_CLOSE, Handle: c.handle}) // what is wrong with one nobody can mend; it is closed with its executor
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
