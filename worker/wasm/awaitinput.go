package wasm

import (
	"context"

	"github.com/godwit-run/godwit/mpi"
)

// Awaiter is an input that can be waited for without being read.
type Awaiter interface {
	// Await blocks until Read would not, or stop is closed.
	Await(stop <-chan struct{})
}

// readFunc is fd_read, the one function of WASI in which a guest can be frozen: what it waits for on its standard input may never come. A guest that was
// built so that it can be makes the call again when it goes on.
type readFunc struct {
	wasiFunc
	point *mpi.Call
}

func (f readFunc) call(ctx context.Context, g *Guest, stack []uint64) {
	g.rewound(ctx)
	if err := f.await(wasiCall{g, g.memory, stack[:len(f.params)]}); err != nil {
		stack[0] = 0
		g.fail(ctx, err)
		return
	}
	f.wasiFunc.call(ctx, g, stack)
}

// await waits for standard input, if that is read, and returns why the guest must stop before there is any.
func (f readFunc) await(c wasiCall) error {
	g := c.guest
	if d, why := c.regular(false); why != errnoSuccess || d.stream == 0 || !g.module.info.reads {
		return nil
	}
	g.toldToEnd()
	host, halts := g.host.(Halter)
	input, waits := g.system.stdin.(Awaiter)
	for halts && waits {
		stopCh := host.Halting()
		if stopCh == nil {
			return nil
		}
		err := c.blocking(func() error {
			input.Await(stopCh)
			select {
			case <-stopCh:
				return migrationPoint(g.host, f.point)
			default:
				halts = false
				return nil
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}
