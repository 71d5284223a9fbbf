package executor

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/listen"
	"github.com/godwit-run/godwit/internal/pipe"
	"github.com/godwit-run/godwit/internal/trust"
)

// maxShaking bounds the connections over which TLS is being agreed on: one more is closed, and who made it calls again.
const maxShaking = 64

// keys are the links of the app by the keys that this executor was told: of the newest epoch, and of the one before, for others may not have heard of the newest.
type keys struct {
	app       string
	authority []byte

	mu    sync.Mutex // guards the fields below
	epoch uint64     // of the newest
	known []*trust.Links
}

// keysOf are those of an app that starts; nil: the cluster is not secured.
func keysOf(s *apiv1.ExecStart) (*keys, error) {
	if len(s.Authority) == 0 {
		return nil, nil
	}
	k := &keys{app: s.App, authority: s.Authority}
	return k, k.learn(s.Routes)
}

// learn takes the key of a table of routes, unless that is older than what is known. A worker that has not heard of the app since its own start has none to say.
func (k *keys) learn(r *apiv1.ExecRoutes) error {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.known) > 0 && (r.GetEpoch() <= k.epoch || len(r.GetLinkKey()) == 0) {
		return nil
	}
	l, err := trust.NewLinks(r.GetLinkKey(), k.app, r.GetEpoch(), k.authority)
	if err != nil {
		return fmt.Errorf("executor: links: %w", err)
	}
	k.epoch, k.known = r.GetEpoch(), append([]*trust.Links{l}, k.known[:min(1, len(k.known))]...)
	return nil
}

// now are the links by the newest key.
func (k *keys) now() *trust.Links {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.known[0]
}

// dialer makes connections to other executors, and toWorkers to workers.
func (k *keys) dialer() listen.Dialer {
	if k == nil {
		return listen.Dialer{}
	}
	return listen.Linked(k.now)
}

func (k *keys) toWorkers() listen.Dialer {
	if k == nil {
		return listen.Dialer{}
	}
	return listen.LinkedToWorkers(k.now)
}

// listens is TLS for a connection that another executor has made, by the key that it names.
func (k *keys) listens() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		k.mu.Lock()
		defer k.mu.Unlock()
		for _, l := range k.known {
			if l.Called() == hello.ServerName {
				return l.Listens(listen.ALPN(pipe.RankProtocol)), nil
			}
		}
		return nil, fmt.Errorf("%w: no key here is of %.80q", trust.ErrStranger, hello.ServerName)
	}}
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
		c, err := listen.Shake(sctx, conn, pipe.RankProtocol, e.links.listens())
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
