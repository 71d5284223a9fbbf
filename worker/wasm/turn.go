package wasm

import (
	"context"
	"errors"
	"fmt"
)

// A guest that began in wazero goes on in the native engine when its module's code is there, and in better code when that is: at a call that it makes, it is unwound
// as if it were to freeze, its globals are put into an instance of the other code that has the same memory, and it is rewound there. Nobody but its own goroutine
// takes note.

// turns begins that at a call of the guest, before anything is done of the call, and says whether it did: then the call returns, and is made again.
func (g *Guest) turns(ctx context.Context) bool {
	code := g.module.native
	if code == nil || g.grade >= code.grade.Load() || g.stays || g.depth > 0 || !g.module.info.Migratable {
		return false
	}
	g.turning = true
	if err := g.unwinder.startUnwind(ctx); err != nil {
		g.end(err)
	}
	return true
}

// turn has a guest that was unwound go on in the native engine's best code. Where that cannot be it stays where it is.
func (g *Guest) turn(ctx context.Context) {
	g.turning = false
	if err := g.change(ctx); err != nil {
		g.stays = true
		at := *g.runsIn.Load()
		at.why = err.Error()
		g.runsIn.Store(&at)
	}
}

func (g *Guest) change(ctx context.Context) error {
	size := g.memory.size.Load()
	values := make([]uint64, len(g.module.info.globals)) // read first: two native instances have them at one place, before the memory
	for i, name := range g.module.info.globals {
		values[i] = g.instance.Global(name).Get()
	}
	next, err := g.module.native.instantiate(&guestContext{ctx, g}, g.memory, size)
	if err != nil {
		return err
	}
	for i, name := range g.module.info.globals {
		to := next.Global(name)
		if to == nil {
			return errors.Join(fmt.Errorf("it has no global %s there", name), next.Close(ctx))
		}
		to.Set(values[i])
	}
	if !g.presence.released { // else the memory is as it was
		if err := next.SetBytes(size); err != nil {
			return errors.Join(err, next.Close(ctx))
		}
	}
	last := g.instance
	g.instance, g.start = next, next.Function(exportStart)
	g.unwinder.attach(next)
	clear(g.callbacks)
	g.presence.leave()
	g.presence.released = true
	g.runsIn.Store(&place{engine: EngineNative, grade: g.grade})
	_ = last.Close(ctx) // it frees what is the engine's: the memory is the guest's
	return nil
}

// Engine is the engine in which guests of the module begin now, and, if they could begin in the native one, or in better code, and do not, why.
func (m *Module) Engine() (name, why string) {
	switch {
	case m.native == nil:
		return EngineWazero, ""
	case m.native.grade.Load() > 0:
		return EngineNative, m.native.reason()
	}
	return EngineWazero, m.native.reason()
}

// place is where a guest runs.
type place struct {
	engine string
	grade  int32  // of its code there
	why    string // it is not in the native engine or in better code, if that was wanted
}

// Engine is the engine that the guest is in, and, if it could be in the native one, or in better code, and is not, why. It may be called from any goroutine.
func (g *Guest) Engine() (name, why string) {
	at := g.runsIn.Load()
	switch {
	case g.module.native == nil, at.why != "":
		return at.engine, at.why
	case at.grade == 0 && g.module.native.grade.Load() > 0:
		return at.engine, "it goes on in the native engine at its next call"
	case at.grade < g.module.native.grade.Load():
		return at.engine, "it goes on in better code at its next call"
	}
	return at.engine, g.module.native.reason()
}
