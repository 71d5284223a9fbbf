package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/files"
	"github.com/godwit-run/godwit/internal/transport"
)

// Of a home that moves. The next home asks for it, and says when it has all of it; then the log makes it the home, or has the old one go on.
const (
	moveBeat     = 5 * time.Second  // so often there is a sign of a home that makes itself ready, or waits for its disk
	moveSilence  = 30 * time.Second // after so long without one it is asked again
	movePatience = 30 * time.Second // after so long without anything that comes the next home gives up
	moveTries    = 3                // streams of which something has come; then it gives up too
	movePause    = 20 * time.Millisecond
	moveTold     = time.Second // between two words about how far it has come
)

// giving is one move away from here. Its methods may be called from any goroutine, and of nil.
type giving struct {
	to   string
	move uint64

	mu     sync.Mutex         // guards the fields below
	turn   int                // counts the streams; the last is the one that counts
	cancel context.CancelFunc // of that
	sealed bool
	sent   bool // the next home may have all of it: only the log says who is home
	over   bool
}

var errGiven = errors.New("the files do not move there any more, or are asked for anew")

// begin makes a stream the one that counts.
func (g *giving) begin(cancel context.CancelFunc) (turn int, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over {
		return 0, errGiven
	}
	if g.cancel != nil {
		g.cancel()
	}
	g.cancel = cancel
	g.turn++
	return g.turn, nil
}

// step does f if the stream of that turn still counts.
func (g *giving) step(turn int, f func()) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over || g.turn != turn {
		return errGiven
	}
	f()
	return nil
}

// end ends the move. The server (nil: it has left) goes on.
func (g *giving) end(server *files.Server) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.over = true
	if g.cancel != nil {
		g.cancel()
	}
	if g.sealed && server != nil {
		server.Unseal()
	}
}

// broke says that the stream of a turn has come to nothing: the server goes on, unless the next home may have all of it.
func (g *giving) broke(turn int, server *files.Server) {
	_ = g.step(turn, func() { // else it is not for this stream to say
		if g.sealed && !g.sent {
			server.Unseal()
			g.sealed = false
		}
	})
}

// coming is one move to here. The app's goroutine owns it.
type coming struct {
	move     uint64
	end      context.CancelFunc
	home     *home  // all of it has come; nil: not yet
	fault    string // why it will not
	progress string
}

// status is what the leader is told of it.
func (c *coming) status() *apiv1.FilesStatus {
	return &apiv1.FilesStatus{Move: c.move, Held: c.home != nil, Fault: c.fault, Progress: c.progress}
}

// followMove brings what this host has of a move in line with the record.
func (a *app) followMove(ctx context.Context) {
	f, here := a.rec.App.GetFiles(), a.host.cfg.Name
	if h := a.home; h != nil && h.giving != nil && f.GetHost() == here && (f.GetTo() != h.giving.to || f.GetMove() != h.giving.move) {
		h.giving.end(h.server) // it stays
		h.giving = nil
	}
	c := a.coming
	switch {
	case c != nil && c.move == f.GetMove() && c.home != nil && f.GetHost() == here && !f.GetStored() && a.home == nil:
		a.home, a.filled, a.coming = c.home, true, nil
		a.serving.Store(c.home.server)
		a.watchRoom(ctx, c.home)
		a.log.Info("the app's files have moved here", "dir", c.home.dir)
		return
	case c != nil && (f.GetTo() != here || c.move != f.GetMove()):
		a.dropComing()
	}
	if a.coming == nil && f.GetTo() == here && f.GetMove() != 0 && !f.GetStored() && a.home == nil {
		a.fetchHome(ctx, f)
	}
}

// dropComing forgets what has come of a home.
func (a *app) dropComing() {
	c := a.coming
	if c == nil {
		return
	}
	a.coming = nil
	c.end()
	if c.home != nil {
		if err := c.home.remove(); err != nil {
			a.log.Warn("files are left", "dir", c.home.dir, "err", err)
		}
	}
}

// lackHome has the app fail whose files the log says are here, and which are not.
func (a *app) lackHome() {
	why := errors.New("they have moved here, and are not here any more")
	a.home = &home{dir: filepath.Join(a.host.homeDir(a.id), "none"), err: why, end: func() {}, alone: func() {}}
	a.log.Error("the app's files are missing", "err", why)
	a.fail(fmt.Sprintf("the app's files on %s: %s", a.host.cfg.Name, reasonOf(why)))
}

// fetchHome asks the home for the directory.
func (a *app) fetchHome(ctx context.Context, f *apiv1.AppFiles) {
	c := &coming{move: f.Move}
	ctx, c.end = context.WithCancel(ctx)
	a.coming = c
	fetch := &homeFetch{
		w: a.host, from: f.Host, addr: a.rec.Addrs[f.Host], dir: filepath.Join(a.host.homeDir(a.id), strconv.FormatUint(f.Move, 16)),
		req:  &apiv1.MoveFilesRequest{App: a.id, Host: a.host.cfg.Name, Move: f.Move},
		tell: func(how string) { a.post(func() { c.progress = how }) },
	}
	a.host.tasks.Go(func() error {
		h, err := fetch.run(ctx)
		taken := false
		_ = a.ask(func() error { // if the app is over, it is not taken
			if a.coming != c {
				return nil
			}
			taken, c.home = true, h
			if err != nil {
				c.fault = clean(fmt.Sprintf("%s could not take the files from %s: %s", a.host.cfg.Name, fetch.from, reasonOf(err)))
				a.log.Warn("the app's files did not come here", "from", fetch.from, "err", err)
			}
			return nil
		})
		if !taken && h != nil {
			if err := h.remove(); err != nil {
				a.log.Warn("files are left", "dir", h.dir, "err", err)
			}
		}
		return nil
	})
}

// homeFetch has a directory come from its home.
type homeFetch struct {
	w          *Worker
	from, addr string
	dir        string
	req        *apiv1.MoveFilesRequest
	tell       func(how string)

	moved time.Time // when something came last
	tries int       // in which something came
	told  time.Time
}

// run asks until all has come, or nothing comes for long, or ctx ends.
func (f *homeFetch) run(ctx context.Context) (*home, error) {
	f.moved = time.Now()
	for pause := movePause; ; pause = min(2*pause, time.Second) {
		h, err := f.once(ctx)
		if err == nil {
			return h, nil
		}
		if rerr := os.RemoveAll(f.dir); rerr != nil {
			f.w.log.Warn("files are left", "dir", f.dir, "err", rerr)
		}
		var own *ownDiskError
		if errors.As(err, &own) || errors.Is(err, files.ErrDamaged) || ctx.Err() != nil || f.tries == moveTries || time.Since(f.moved) > movePatience {
			return nil, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// ownDiskError is of what could not be written here.
type ownDiskError struct{ error }

func (e *ownDiskError) Unwrap() error { return e.error }

// once takes one stream of it.
func (f *homeFetch) once(ctx context.Context) (_ *home, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	u, err := files.NewUnpacker(f.dir)
	if err != nil {
		f.w.suspectDisk()
		return nil, &ownDiskError{err}
	}
	defer func() {
		if err != nil {
			_ = u.Close() // the directory is removed
		}
	}()
	silent := time.AfterFunc(moveSilence, cancel)
	defer silent.Stop()
	stream, err := apiv1connect.NewDataClient(transport.NewClient(f.w.http, f.addr)).MoveFiles(ctx, f.req)
	if err != nil {
		return nil, err
	}
	for first := true; !u.Whole(); {
		silent.Reset(moveSilence)
		m, err := stream.Receive()
		silent.Stop() // the disk may take its time
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%w: the stream has ended", files.ErrDamaged)
		}
		if err != nil {
			return nil, err
		}
		for _, part := range m.Parts {
			if err := u.Add(part); err != nil {
				if !errors.Is(err, files.ErrDamaged) {
					f.w.suspectDisk()
				}
				return nil, &ownDiskError{err}
			}
			f.moved = time.Now()
		}
		if first && len(m.Parts) > 0 {
			first = false
			f.tries++
		}
		f.say(u)
	}
	h := &home{dir: f.dir, end: func() {}, alone: func() {}}
	if h.server, h.trees, err = u.Server(); err != nil {
		return nil, &ownDiskError{err}
	}
	return h, nil
}

// say tells how far it has come.
func (f *homeFetch) say(u *files.Unpacker) {
	now := time.Now()
	if now.Sub(f.told) < moveTold {
		return
	}
	f.told = now
	got, sum := u.Progress()
	f.tell(fmt.Sprintf("%.1f of %.1f MiB, %d of %d files have come", mib(got.Bytes), mib(max(got.Bytes, sum.GetBytes())), got.Files, max(got.Files, sum.GetFiles())))
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// MoveFiles implements the Data service.
func (s dataService) MoveFiles(ctx context.Context, req *apiv1.MoveFilesRequest, stream apiv1connect.DataMoveFilesServerStream) error {
	transport.Yield(ctx) // what follows is the disk's
	if err := errors.Join(checkID("app", req.App), checkID("host", req.Host)); err != nil {
		return invalid("app", err.Error(), "")
	}
	a := s.w.appOf(req.App)
	if a == nil {
		return s.filesElsewhere(req.App)
	}
	var h *home
	var g *giving
	if err := a.ask(func() error { h, g = a.give(req); return nil }); err != nil || g == nil {
		return s.filesElsewhere(req.App)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	turn, err := g.begin(cancel)
	if err != nil {
		return s.filesElsewhere(req.App)
	}
	out := &homeStream{ctx: ctx, send: stream.Send}
	if err = out.beating(func() error { return out.give(h.server, g, turn) }); err != nil {
		g.broke(turn, h.server)
		s.w.log.Warn("the files of an app did not go to another host", "app", req.App, "host", req.Host, "err", err)
		if apierr.Info(err) == nil {
			return apierr.New(connect.CodeAborted, apierr.ReasonRefused, "", fmt.Sprintf("host %s could not give the files: %s", s.w.hostName(), reasonOf(err)), "")
		}
	}
	return err
}

// give is the home, and its move to the host that asks for it; nil: it has not heard of that, or is not ready.
func (a *app) give(req *apiv1.MoveFilesRequest) (*home, *giving) {
	h, f := a.home, a.rec.GetApp().GetFiles()
	if h == nil || h.server == nil || h.err != nil || !a.filled || f.GetHost() != a.host.cfg.Name || f.GetTo() != req.Host || f.GetMove() != req.Move {
		return nil, nil
	}
	if h.giving == nil {
		h.giving = &giving{to: req.Host, move: req.Move}
	}
	return h, h.giving
}

// homeStream is a home on its way.
type homeStream struct {
	ctx  context.Context //nolint:containedctx // of the one call
	send func(*apiv1.MoveFilesResponse) error

	mu    sync.Mutex // guards the fields below, and sending
	batch apiv1.MoveFilesResponse
	size  int
	last  time.Time
}

// beating does f, with a sign to the other side while it does nothing else.
func (o *homeStream) beating(f func() error) error {
	done := make(chan struct{})
	var beat sync.WaitGroup
	beat.Go(func() {
		t := time.NewTicker(moveBeat)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				o.sign()
			case <-done:
				return
			}
		}
	})
	err := f()
	close(done)
	beat.Wait()
	return err
}

func (o *homeStream) sign() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if time.Since(o.last) >= moveBeat {
		o.last = time.Now()
		_ = o.send(&apiv1.MoveFilesResponse{}) // what is wrong with the stream the next part finds
	}
}

// give gives all that the server has.
func (o *homeStream) give(server *files.Server, g *giving, turn int) error {
	sum, err := server.Sum(o.ctx)
	if err != nil {
		return err
	}
	if err := g.step(turn, func() { server.Seal(); g.sealed = true }); err != nil {
		return err
	}
	server.Quiet()
	if err := server.Pack(o.ctx, sum, o.add); err != nil {
		return err
	}
	if err := g.step(turn, func() { g.sent = true }); err != nil {
		return err
	}
	return o.flush()
}

// add sends a part, with others.
func (o *homeStream) add(p *apiv1.FilePart) error {
	o.mu.Lock()
	o.batch.Parts = append(o.batch.Parts, p)
	o.size += proto.Size(p)
	full := o.size >= transport.ChunkBytes || len(o.batch.Parts) >= 1024
	o.mu.Unlock()
	if full && p.GetEnd() == nil { // the end is not sent before it is noted
		return o.flush()
	}
	return nil
}

func (o *homeStream) flush() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.ctx.Err(); err != nil {
		return err
	}
	m := &apiv1.MoveFilesResponse{Parts: o.batch.Parts}
	o.batch.Parts, o.size, o.last = nil, 0, time.Now()
	transport.WriteWithin(o.ctx, takeWait)
	defer transport.WriteAnytime(o.ctx)
	return o.send(m)
}
