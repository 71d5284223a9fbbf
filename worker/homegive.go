package worker

import (
	"context"
	"errors"
	"fmt"
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

// giveStuck is after how long in which nothing is done, or one message taken, a stream of a home is given up: the home may be sealed, and its ranks wait.
const giveStuck = 20 * time.Second

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

// broke says that the stream of a turn has come to nothing: the server goes on, unless the next home may have all of it. The turn counts no more.
func (g *giving) broke(turn int, server *files.Server) {
	_ = g.step(turn, func() { // else it is not for this stream to say
		g.turn++
		if g.sealed && !g.sent {
			server.Unseal()
			g.sealed = false
		}
	})
}

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
	out := &homeStream{step: time.Now(), send: func(m *apiv1.MoveFilesResponse) error {
		transport.WriteWithin(ctx, giveStuck)
		defer transport.WriteAnytime(ctx)
		return stream.Send(m)
	}}
	err = s.w.attend(ctx, &out.attended, func(ctx context.Context) error { return out.give(ctx, h.server, g, turn) }, out.sign, out.stuck)
	if err != nil {
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
	h, f := a.home, a.part.Record().GetApp().GetFiles()
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
	attended

	send func(*apiv1.MoveFilesResponse) error

	batch apiv1.MoveFilesResponse // owned by who gives
	size  int

	moved sync.Mutex // guards the fields below
	step  time.Time  // when something was done last
	found *apiv1.FileSum
}

// stepped notes that something was done.
func (o *homeStream) stepped(found *apiv1.FileSum) {
	o.moved.Lock()
	defer o.moved.Unlock()
	o.step = time.Now()
	if found != nil {
		o.found = found
	}
}

// stuck is the error of a move of which nothing comes.
func (o *homeStream) stuck() error {
	o.moved.Lock()
	defer o.moved.Unlock()
	if time.Since(o.step) > giveStuck {
		return fmt.Errorf("its disk, or one that asks for a file, has done nothing for %v", giveStuck)
	}
	return nil
}

// sign tells the next home how much has been found.
func (o *homeStream) sign() error {
	o.moved.Lock()
	m := &apiv1.MoveFilesResponse{Found: o.found}
	o.moved.Unlock()
	return o.send(m)
}

// give gives all that the server has. Before that holds still, the next home knows how much it is.
func (o *homeStream) give(ctx context.Context, server *files.Server, g *giving, turn int) error {
	sum, err := server.Sum(ctx, o.stepped)
	if err != nil {
		return err
	}
	o.stepped(sum)
	if err := o.attended.send(o.sign); err != nil {
		return err
	}
	if err := g.step(turn, func() { server.Seal(); g.sealed = true }); err != nil {
		return err
	}
	if err := server.Quiet(ctx); err != nil {
		return err
	}
	add := func(p *apiv1.FilePart) error { return o.add(ctx, p) }
	if err := server.Pack(ctx, sum, add); err != nil {
		return err
	}
	if err := g.step(turn, func() { g.sent = true }); err != nil {
		return err
	}
	return o.flush(ctx)
}

// add sends a part, with others.
func (o *homeStream) add(ctx context.Context, p *apiv1.FilePart) error {
	o.stepped(nil)
	o.batch.Parts = append(o.batch.Parts, p)
	o.size += proto.Size(p)
	if o.size < transport.ChunkBytes && len(o.batch.Parts) < 1024 || p.GetEnd() != nil { // the end is not sent before it is noted
		return nil
	}
	return o.flush(ctx)
}

func (o *homeStream) flush(ctx context.Context) error {
	err := o.attended.send(func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		m := &apiv1.MoveFilesResponse{Parts: o.batch.Parts}
		o.batch.Parts, o.size = nil, 0
		return o.send(m)
	})
	o.stepped(nil)
	return err
}
