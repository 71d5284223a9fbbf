package executor

import (
	"context"
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
)

// Of requests to the home.
const (
	homeAnswer = 30 * time.Second // after so long without an answer the request is sent again
	homePause  = 10 * time.Millisecond
	homePauses = time.Second // the longest pause between two tries
)

// homeLane is the requests of one rank to the home: one after the other, each done once.
type homeLane struct {
	home *home
	ctx  context.Context //nolint:containedctx // the executor's: trees have no contexts
	lane int32

	mu     sync.Mutex // held while one is under way
	number uint64

	asks atomic.Pointer[string] // the host of the home, while one is under way to it
}

// asksAt is where a rank's request for a file is under way to; empty: there is none.
func (h *home) asksAt(id mpi.Rank) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if l := h.lanes[id]; l != nil {
		if host := l.asks.Load(); host != nil {
			return *host
		}
	}
	return ""
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

// Ask implements files.Asker. What found no room, and nothing of which was done, is asked once more when all is closed that was closed before. It sends the request again until it is answered, to wherever the home is then, or the executor ends.
func (l *homeLane) Ask(req *apiv1.FilesRequest) (*apiv1.FilesResponse, error) {
	if l.lane >= 0 && !files.Waits(req) {
		select {
		case l.home.close <- closing{handle: req.Handle}:
			l.home.begin()
			return &apiv1.FilesResponse{}, nil
		case <-l.ctx.Done():
			return nil, context.Cause(l.ctx)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	res, err := l.numbered(req)
	if full := syscall.Errno(res.GetErrno()); err != nil || l.lane < 0 || full != syscall.ENOSPC && full != syscall.EDQUOT || files.Took(req, res) || !files.AsksForRoom(req) {
		return res, err
	}
	passed := make(chan struct{}) // what has been closed may have had the room that is missing
	select {
	case l.home.close <- closing{passed: passed}:
		l.home.begin()
	case <-l.ctx.Done():
		return nil, context.Cause(l.ctx)
	}
	select {
	case <-passed:
	case <-l.ctx.Done():
		return nil, context.Cause(l.ctx)
	}
	return l.numbered(req)
}

// numbered asks, as the lane's next request.
func (l *homeLane) numbered(req *apiv1.FilesRequest) (*apiv1.FilesResponse, error) {
	l.number++
	req.App, req.Client, req.Lane, req.Number = l.home.app, l.home.client, l.lane, l.number
	return l.ask(l.ctx, req)
}

// ask sends a request until it is answered, or ctx ends.
func (l *homeLane) ask(ctx context.Context, req *apiv1.FilesRequest) (*apiv1.FilesResponse, error) {
	for pause := homePause; ; pause = min(2*pause, homePauses) {
		at, _, changed, err := l.home.where(ctx)
		if err != nil {
			return nil, err
		}
		l.asks.Store(&at.Host)
		res, err := l.once(ctx, at, req)
		l.asks.Store(nil)
		if err == nil {
			return res, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if info := apierr.Info(err); info != nil && info.Reason == apierr.ReasonInvalid {
			l.home.log.Error("the home of the app's files refuses a request", "host", at.Host, "err", err)
			return nil, syscall.EIO
		}
		select {
		case <-time.After(pause):
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (l *homeLane) once(ctx context.Context, at *apiv1.ExecHome, req *apiv1.FilesRequest) (*apiv1.FilesResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, homeAnswer)
	defer cancel()
	return apiv1connect.NewDataClient(transport.NewClient(l.home.http(), at.Addr)).Files(ctx, req)
}
