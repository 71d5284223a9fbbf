package mpi

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/godwit-run/godwit/mpi/abi"
)

// Call is one MPI function as guests import it from wasm module "mpi_abi".
// Calls are immutable and may be shared by all ranks of all worlds.
type Call struct {
	Name   string // the C name, "MPI_Send"
	Params []abi.Kind
	Result abi.Kind // I32 (the error class), F64 for MPI_Wtime and MPI_Wtick

	params []abi.Param
	any    bool // may be called before MPI_Init and after MPI_Finalize
	large  bool // MPI_X_c and MPI_X_x: counts have 64 bits
	stub   bool // not supported
	plan   []slot
	impl   func(p *Proc, plan []slot, v []uint64) (uint64, error)
	quick  func(p *Proc, v []uint64) bool // does the whole call, or nothing that another would not; nil: there is no such way
}

// entry is one row of the tables of functions. Its signature stands in prototypes.txt; if MPI_X_c stands
// there too, or MPI_X_x of older standards, the same code serves it, unless that has a row of its own.
type entry struct {
	name  string
	impl  body
	any   bool
	quick func(p *Proc, v []uint64) bool // as Call's; of the form with ints only
}

// calls makes the list of all functions once.
var calls = sync.OnceValue(func() []*Call { //nolint:gochecknoglobals // an immutable lookup table
	supported := map[string]entry{}
	for _, group := range [][]entry{
		envCalls(), errorCalls(), commCalls(), groupCalls(), topologyCalls(), attributeCalls(), infoCalls(),
		pointCalls(), bufferCalls(), persistentCalls(), probeCalls(), waitCalls(), statusCalls(),
		collectiveCalls(), neighborCalls(), opCalls(), typeCalls(), typeQueryCalls(), packCalls(),
		windowCalls(), rmaCalls(), syncCalls(), sessionCalls(), integerCalls(), toolCalls(),
		fileCalls(), fileViewCalls(), filePointerCalls(), fileDataCalls(), datarepCalls(),
	} {
		for _, e := range group {
			if _, twice := supported[e.name]; twice {
				panic("mpi: two rows for " + e.name)
			}
			supported[e.name] = e
		}
	}
	var all []*Call
	for name, proto := range abi.Prototypes() {
		all = append(all, newCall(name, proto, supported))
	}
	for name := range supported {
		if abi.Prototypes()[name] == nil {
			panic("mpi: no prototype of " + name)
		}
	}
	slices.SortFunc(all, func(a, b *Call) int { return strings.Compare(a.Name, b.Name) })
	return all
})

// newCall makes a function of its prototype and of the row that has its code.
func newCall(name string, proto *abi.Prototype, supported map[string]entry) *Call {
	c := &Call{Name: name, Result: proto.Result, params: proto.Params}
	for _, p := range proto.Params {
		c.Params = append(c.Params, p.Kind)
	}
	base := strings.TrimSuffix(strings.TrimSuffix(name, "_c"), "_x")
	c.large = base != name
	e, ok := supported[name]
	if !ok {
		e, ok = supported[base]
	}
	if !c.large {
		c.quick = e.quick
	}
	if c.any = e.any; !ok {
		c.stub, c.impl = true, unsupported(name)
		return c
	}
	c.plan, c.impl = e.impl.plan(name, proto.Params), e.impl.run
	return c
}

// Calls returns all MPI functions, sorted by name. Those that are not supported are among them: a program
// that names one links, and the call ends the app with what to use instead.
func Calls() []*Call { return slices.Clone(calls()) }

// Supported reports whether the function is more than a message that says what to use instead.
func (c *Call) Supported() bool { return !c.stub }

// Instead says what to use in place of a function that is not supported; it is empty for one that is.
func (c *Call) Instead() string {
	if !c.stub {
		return ""
	}
	return hint(c.Name)
}

// Invoke makes one MPI call for the rank's guest, and blocks while the MPI call
// blocks. args are the wasm parameters as the guest passed them; of 32-bit ones
// the upper halves are ignored. The result is the wasm result.
//
// Errors: ErrFrozen (the call is to be made again), *AbortError (the app ends),
// what Cancel was given, or what a callback of the guest ended with. MPI errors
// under MPI_ERRORS_RETURN are results. Invoke never panics on what a guest
// passes; a wrong number of args is a programmer error and panics.
func (p *Proc) Invoke(c *Call, params []uint64) (uint64, error) {
	if len(params) != len(c.Params) {
		panic(fmt.Sprintf("mpi: %s invoked with %d of %d arguments", c.Name, len(params), len(c.Params)))
	}
	p.enter()
	defer p.leave()
	if c.quick != nil && p.running.call == nil && p.quick() && c.quick(p, params) {
		return abi.Success, nil
	}
	p.drain()
	outer := p.running
	if err := p.interrupted(outer.call != nil); err != nil {
		return 0, err
	}
	if !c.any && (!p.initialized || p.finalized) && len(p.sessions.items) == 0 {
		when := pick(p.finalized, "after MPI_Finalize", "before MPI_Init")
		return 0, p.abort(c, params, &callError{Fault: abi.Fault{Class: abi.ErrOther, Why: "called " + when + ", outside of MPI_Init .. MPI_Finalize"}})
	}
	// A callback of the running call may make calls of its own.
	p.running = running{call: c, args: params, depth: outer.depth + 1}
	if outer.call == nil {
		p.since = 0
		if s := p.suspended; s != nil {
			p.running.resumed, p.running.results = s, s.results
			p.suspended = nil
		}
	}
	result, err := p.dispatch(c, params)
	p.running = outer
	return result, err
}

// handler stands for what runs in an Interlude.
var handler = &Call{Name: "a signal's handler"} //nolint:gochecknoglobals // immutable

// Interlude runs f, in which the guest may make calls, between two calls of the guest, or before the one that has returned ErrFrozen is made again, as if a call of
// the guest had called it back: none of them freezes. It returns what f returns.
func (p *Proc) Interlude(f func() error) error {
	p.lock()
	outer, frozen := p.running, p.suspended
	p.running, p.suspended = running{call: handler, depth: 1}, nil
	p.release()
	defer func() {
		p.lock()
		p.running, p.suspended = outer, frozen
		p.release()
	}()
	return f()
}

// running is the call that a rank is in.
type running struct {
	call    *Call
	args    []uint64
	depth   int        // 1; more in a callback of the guest
	resumed *suspended // the frozen call that this one is, made again, until it has taken its requests
	results [][]byte   // of the phases that are over
}

// dispatch runs the call, or what is left of it, and applies the error handler.
func (p *Proc) dispatch(c *Call, v []uint64) (uint64, error) {
	if s := p.running.resumed; s != nil && !s.is(c, v) {
		return 0, p.abort(c, v, &callError{Fault: abi.Fault{Class: abi.ErrIntern, Why: "a frozen " + s.call + " was not made again first"}})
	}
	if len(p.active)+len(p.filing) > 0 {
		if err := p.progress(); err != nil {
			return 0, err
		}
	}
	result, err := c.impl(p, c.plan, v)
	if err == nil {
		return result, nil
	}
	e := raised(err)
	if e == nil {
		return 0, err
	}
	return p.handle(c, v, e)
}

// abort makes the error that ends the app: rank, call, class and reason.
func (p *Proc) abort(c *Call, v []uint64, e *callError) error {
	return &AbortError{
		Code:    p.classOf(e.Class),
		Message: fmt.Sprintf("rank %d: %s: %s: %s", p.rank, describe(c, v), p.codeName(e.Class), e.Why),
	}
}
