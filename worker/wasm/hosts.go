package wasm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/godwit-run/godwit/mpi"
	"github.com/godwit-run/godwit/mpi/abi"
)

// Host is what a guest's MPI calls reach; *mpi.Proc is one. Invoke makes one call and may block. Its
// errors: mpi.ErrFrozen asks the guest to freeze right here; any other ends the guest with it.
type Host interface {
	Invoke(call *mpi.Call, args []uint64) (uint64, error)
}

// MigrationPointer is a Host that wants to hear of godwit_migration_point. Its errors mean what Invoke's
// mean. For a Host that is none, the engine makes an MPI call that has no effect, at which the host may
// freeze or end the guest as at any other.
type MigrationPointer interface {
	MigrationPoint() error
}

// Halter is a Host that can have a guest stop outside of its calls.
type Halter interface {
	// Halting returns a channel that is closed when the guest is to make a call, at which the host freezes or ends it; nil: it may not be frozen where it is.
	Halting() <-chan struct{}
}

// guestContext is the context of a guest's run: host functions find there who has called them.
type guestContext struct {
	context.Context
	guest *Guest
}

// hostFunction is a function that guests import, whichever engine runs them. The stack holds its arguments, then its result.
type hostFunction struct {
	module, name    string
	params, results []api.ValueType
	call            func(ctx context.Context, g *Guest, stack []uint64)
}

// hostFunctions are all of them.
func hostFunctions() []hostFunction {
	var out []hostFunction
	var point *mpi.Call
	for _, call := range mpi.Calls() {
		if call.Name == pointCall {
			point = call
		}
		out = append(out, hostFunction{moduleMPI, call.Name, valueTypes(call.Params...), valueTypes(call.Result), mpiFunction(call)})
	}
	out = append(out, wasiFunctions(point)...)
	out = append(
		out,
		hostFunction{moduleGodwit, "godwit_migration_point", nil, nil, pointFunction(point)},
		hostFunction{moduleGodwit, "godwit_host_name", valueTypes(abi.I32, abi.I32), valueTypes(abi.I32), hostName},
		hostFunction{moduleGodwit, "godwit_lock", valueTypes(abi.I32, abi.I32, abi.I32), valueTypes(abi.I32), lockFunc{point}.call},
		hostFunction{moduleGodwit, "godwit_access", wasiFunc{params: "iiiii"}.types(), valueTypes(abi.I32), wasiFunc{"iiiii", pathAccess}.call},
	)
	for i := range out {
		out[i].call = out[i].meeting()
	}
	return out
}

// instantiateHosts makes the modules that a runtime's guests import from.
func instantiateHosts(ctx context.Context, runtime wazero.Runtime, functions []hostFunction) error {
	builders := map[string]wazero.HostModuleBuilder{}
	for _, f := range functions {
		if builders[f.module] == nil {
			builders[f.module] = runtime.NewHostModuleBuilder(f.module)
		}
		builders[f.module].NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, _ api.Module, stack []uint64) {
			f.call(ctx, guestOf(ctx), stack)
		}), f.params, f.results).Export(f.name)
	}
	for name, builder := range builders {
		if _, err := builder.Instantiate(ctx); err != nil {
			return fmt.Errorf("host module %s: %w", name, err)
		}
	}
	return nil
}

// mpiFunction is the host function of one MPI call. It makes no garbage: guests make millions of calls in a second.
func mpiFunction(call *mpi.Call) func(ctx context.Context, g *Guest, stack []uint64) {
	params, wide := len(call.Params), call.Result != abi.I32
	return func(ctx context.Context, g *Guest, stack []uint64) {
		if g.arrive(ctx); g.turns(ctx) {
			stack[0] = 0
			return
		}
		result, err := g.invoke(call, stack[:params:params])
		if !wide {
			result = uint64(uint32(result))
		}
		stack[0] = result
		if err != nil {
			g.fail(ctx, err)
		}
	}
}

// pointCall is the MPI call that stands for a migration point: it has no arguments, changes nothing, and
// is allowed before MPI_Init and after MPI_Finalize.
const pointCall = "MPI_Wtime"

// pointFunction is the host function of godwit_migration_point.
func pointFunction(call *mpi.Call) func(ctx context.Context, g *Guest, stack []uint64) {
	return func(ctx context.Context, g *Guest, _ []uint64) {
		if g.arrive(ctx); g.turns(ctx) {
			return
		}
		g.Preempt(false) // before it is looked whether the rank is to stop: who wants that says so first, and has loops come here then
		g.passed = g.passed || g.depth > 0
		if err := g.outside(func() error { return migrationPoint(g.host, call) }); err != nil {
			g.fail(ctx, err)
		}
	}
}

// hostName is the host function of godwit_host_name: it writes the name of the machine that the guest is on to memory at stack[0], stack[1] bytes of it at the most, and
// returns how long it is; 0, if it has none or there is no such memory.
func hostName(_ context.Context, g *Guest, stack []uint64) {
	name, err := os.Hostname()
	room := int(uint32(stack[1]))
	if err != nil || !g.memory.writeString(uint32(stack[0]), name[:min(room, len(name))]) {
		name = ""
	}
	stack[0] = uint64(len(name))
}

// migrationPoint tells the host of a migration point: by call, if it has no better way.
func migrationPoint(h Host, call *mpi.Call) error {
	if p, ok := h.(MigrationPointer); ok {
		return p.MigrationPoint()
	}
	_, err := h.Invoke(call, nil)
	return err
}

func guestOf(ctx context.Context) *Guest {
	c, ok := ctx.(*guestContext)
	if !ok {
		panic("wasm: host function called outside of Guest.Run")
	}
	return c.guest
}

// errNoHost ends a guest that makes MPI calls although nobody called Bind.
var errNoHost = errors.New("mpi is not available to this guest")

// arrive begins a control point of the guest, on the guest's goroutine: it finishes a rewind, and ends a guest that is to end.
func (g *Guest) arrive(ctx context.Context) {
	g.rewound(ctx)
	g.checkCancel()
	g.toldToEnd()
	if g.host == nil {
		g.end(errNoHost)
	}
}

// rewound finishes a rewind, if there is one.
func (g *Guest) rewound(ctx context.Context) {
	if g.unwinder.phase == rewinding {
		if err := g.unwinder.stopRewind(ctx); err != nil {
			g.end(err)
		}
	}
}

// fail ends a control point at which the host has failed: the guest is unwound, or ended.
func (g *Guest) fail(ctx context.Context, err error) {
	var nested *nestedEnd
	switch {
	case errors.As(err, &nested):
		panic(nested.err) // Run tells it apart as if the guest had called the function itself
	case errors.Is(err, mpi.ErrThrown): // the guest is being unwound, and goes on with that
	case errors.Is(err, mpi.ErrFrozen):
		if !g.module.info.Migratable {
			g.end(fmt.Errorf("%w: %s", ErrNotMigratable, g.module.info.Reason))
		}
		if err := g.unwinder.startUnwind(ctx); err != nil {
			g.end(err)
		}
	default:
		g.end(err)
	}
}

// invoke makes an MPI call for the guest, which is outside of its machine code meanwhile. What it has written is done by then: the call may tell others, unless it only asks for the time.
func (g *Guest) invoke(call *mpi.Call, args []uint64) (uint64, error) {
	if !asksTime(call) {
		g.caught()
	}
	g.presence.leave()
	defer g.inside()
	return g.host.Invoke(call, args)
}

// asksTime says whether a call is MPI_Wtime or MPI_Wtick: only those give a floating-point number.
func asksTime(call *mpi.Call) bool { return call.Result == abi.F64 }

// outside runs f as host code, when all that the guest has written is done, so that the process may collect garbage meanwhile. A panic in f is a bug
// of the host; it is kept for Run, since the engine would turn it into an error of the guest.
func (g *Guest) outside(f func() error) error {
	g.caught()
	g.presence.leave()
	defer g.inside()
	return f()
}

// inside ends what outside began.
func (g *Guest) inside() {
	r := recover()
	g.presence.enter()
	if r != nil {
		g.fault = fmt.Sprintf("%v\n%s", r, debug.Stack())
		panic(errEnded)
	}
}

// valueTypes are wazero's names of the kinds.
func valueTypes(kinds ...abi.Kind) []api.ValueType {
	types := make([]api.ValueType, len(kinds))
	for i, kind := range kinds {
		switch kind {
		case abi.I32:
			types[i] = api.ValueTypeI32
		case abi.I64:
			types[i] = api.ValueTypeI64
		case abi.F64:
			types[i] = api.ValueTypeF64
		default:
			panic(fmt.Sprintf("wasm: unknown kind %d in an mpi call", kind))
		}
	}
	return types
}
