package wasm

import (
	"context"
	"errors"
	"fmt"
)

// A guest that began in wazero goes on in the native engine when its module's code is there: at a call that it makes, it is unwound as if it were to freeze, its
// globals are put into an instance of the other engine that has the same memory, and it is rewound there. Nobody but its own goroutine takes note.

// turns begins that at a call of the guest, before anything is done of the call, and says whether it did: then the call returns, and is made again.
func (g *Guest) turns(ctx context.Context) bool {
	code := g.module.native
	if code == nil || g.presence.released || !code.ready.Load() || g.stays || g.depth > 0 || !g.module.info.Migratable {
		return false
	}
	g.turning = true
	if err := g.unwinder.startUnwind(ctx); err != nil {
		g.end(err)
	}
	return true
}

// turn has a guest that was unwound go on in the native engine. Where that cannot be it stays where it is.
func (g *Guest) turn(ctx context.Context) {
	g.turning = false
	if err := g.change(ctx); err != nil {
		g.stays = true
		g.runsIn.Store(&place{EngineWazero, err.Error()})
	}
}

func (g *Guest) change(ctx context.Context) error {
	size := g.memory.size.Load()
	next, err := g.module.native.instantiate(&guestContext{ctx, g}, g.memory, size)
	if err != nil {
		return err
	}
	for _, name := range g.module.info.globals {
		to := next.Global(name)
		if to == nil {
			return errors.Join(fmt.Errorf("it has no global %s there", name), next.Close(ctx))
		}
		to.Set(g.instance.Global(name).Get())
	}
	if err := next.SetBytes(size); err != nil {
		return errors.Join(err, next.Close(ctx))
	}
	last := g.instance
	g.instance, g.start = next, next.Function(exportStart)
	g.unwinder.attach(next)
	clear(g.callbacks)
	g.presence.leave()
	g.presence.released = true
	g.runsIn.Store(&place{engine: EngineNative})
	_ = last.Close(ctx) // it frees what is the engine's: the memory is the guest's
	return nil
}

// Engine is the engine in which guests of the module begin now, and, if they could begin in the native one and do not, why.
func (m *Module) Engine() (name, why string) {
	switch {
	case m.native == nil:
		return EngineWazero, ""
	case m.native.ready.Load():
		return EngineNative, ""
	}
	return EngineWazero, m.native.reason()
}

// place is where a guest runs.
type place struct {
	engine string
	why    string // it is not in the native engine, if that was wanted
}

// Engine is the engine that the guest is in, and, if it could be in the native one and is not, why. It may be called from any goroutine.
func (g *Guest) Engine() (name, why string) {
	at := g.runsIn.Load()
	return at.engine, at.why
}
