package executor

import (
	"context"
	"net"
	"strings"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/listen"
	"github.com/godwit-run/godwit/internal/pipe"
	"github.com/godwit-run/godwit/internal/trust"
)

// maxShaking bounds the connections over which TLS is being agreed on: one more is closed, and who made it calls again.
const maxShaking = 64

// linksOf makes the links of the app, in a secured cluster; nil: it is not.
func linksOf(s *apiv1.ExecStart) (*trust.Links, error) {
	if len(s.LinkKey) == 0 {
		return nil, nil
	}
	return trust.NewLinks(s.LinkKey, s.App, s.Authority)
}

// dispatch passes on a connection of another host: to the network, or to the rank that comes over it.
func (e *Executor) dispatch(ctx context.Context, conn net.Conn, note string) {
	if strings.HasSuffix(note, " "+precopyWord) {
		e.runGroup.Go(func() error { e.receive(ctx, conn); return nil })
		return
	}
	e.net.called(conn, note)
}

// shake speaks TLS with who has made a connection, and passes it on once it is known that it is an executor of this app. It does not block.
func (e *Executor) shake(ctx context.Context, conn net.Conn) {
	select {
	case e.shaking <- struct{}{}:
	default:
		_ = conn.Close()
		return
	}
	e.runGroup.Go(func() error {
		defer func() { <-e.shaking }()
		sctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		c, err := listen.Shake(sctx, conn, pipe.RankProtocol, e.links.Listens(listen.ALPN(pipe.RankProtocol)))
		switch {
		case err != nil:
			e.log.Debug("a connection of another host was refused", "err", err)
		case len(c.Args) < 2 || c.Args[0] != e.start.App:
			_ = c.Close()
		default:
			e.dispatch(ctx, c.Conn, strings.Join(c.Args[1:], " "))
		}
		return nil
	})
}
