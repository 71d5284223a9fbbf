package mpi

import (
	"errors"
	"fmt"
	"sort"
	"strings"
)

// Kind is the wasm type of a parameter or result.
type Kind uint8

// The wasm types that MPI functions use.
const (
	I32 Kind = iota + 1
	I64
	F64
)

// Call is one MPI function as guests import it from wasm module "mpi_abi".
// Calls are immutable and may be shared by all ranks of all worlds.
type Call struct {
	Name   string // the C name, "MPI_Send"
	Params []Kind
	Result Kind // I32 (the error class), F64 for MPI_Wtime and MPI_Wtick

	params []string // C names of the parameters, for error messages
	any    bool     // may be called before MPI_Init and after MPI_Finalize
	impl   func(p *Proc, a args) (uint64, error)
}

// args are a call's decoded parameters.
type args []uint64

func (a args) u32(i int) uint32 { return uint32(a[i]) }
func (a args) int(i int) int    { return int(int32(uint32(a[i]))) }

// Calls returns all MPI functions, sorted by name.
func Calls() []*Call {
	var all []*Call
	for _, group := range [][]entry{envCalls(), pointCalls(), waitCalls(), collectiveCalls()} {
		for _, e := range group {
			c := &Call{Name: e.name, Result: I32, any: e.any, impl: e.impl}
			if e.float {
				c.Result = F64
			}
			c.params = strings.Fields(e.params)
			for range c.params {
				c.Params = append(c.Params, I32)
			}
			all = append(all, c)
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all
}

// entry is one row of the tables of functions; params are C names, all of them
// 32 bits wide in today's functions.
type entry struct {
	name   string
	params string
	impl   func(p *Proc, a args) (uint64, error)
	any    bool
	float  bool
}

// Invoke makes one MPI call for the rank's guest, and blocks while the MPI call
// blocks. args are the wasm parameters as the guest passed them; of 32-bit ones
// the upper halves are ignored. The result is the wasm result.
//
// Errors: ErrFrozen (the call is to be made again), *AbortError (the app ends),
// or what Cancel was given. MPI errors under MPI_ERRORS_RETURN are results.
// Invoke never panics on what a guest passes; a wrong number of args is a
// programmer error and panics.
func (p *Proc) Invoke(c *Call, params []uint64) (uint64, error) {
	if len(params) != len(c.Params) {
		panic(fmt.Sprintf("mpi: %s invoked with %d of %d arguments", c.Name, len(params), len(c.Params)))
	}
	p.w.mu.Lock()
	defer p.w.unlock()
	if err := p.interrupted(); err != nil {
		return 0, err
	}
	if !c.any && (!p.initialized || p.finalized) {
		return 0, p.abort(c, params, &callError{class: errOther, why: "called outside of MPI_Init .. MPI_Finalize"})
	}
	p.current, p.currentArgs = c, params
	result, err := p.dispatch(c, params)
	p.current, p.currentArgs = nil, nil
	return result, err
}

// dispatch runs the call, or what is left of it, and applies the error handler.
func (p *Proc) dispatch(c *Call, a args) (uint64, error) {
	if s := p.suspended; s != nil && !s.is(c, a) {
		return 0, p.abort(c, a, &callError{class: errIntern, why: "a frozen " + s.call + " was not made again first"})
	}
	result, err := c.impl(p, a)
	if err == nil {
		return result, nil
	}
	var e *callError
	if !errors.As(err, &e) {
		return 0, err
	}
	if e.fatal || p.handlerFor(e) != errorsReturn {
		return 0, p.abort(c, a, e)
	}
	return uint64(e.class), nil
}

func (p *Proc) handlerFor(e *callError) uint32 {
	if e.comm != nil {
		return e.comm.errhandler
	}
	return p.self.errhandler
}

// abort makes the error that ends the app: rank, call, class and reason.
func (p *Proc) abort(c *Call, a args, e *callError) error {
	return &AbortError{
		Code:    e.class,
		Message: fmt.Sprintf("rank %d: %s: %s: %s", p.rank, describe(c, a), className(e.class), e.why),
	}
}

// formatArg prints an argument as its parameter's name suggests.
func formatArg(name string, v uint32) string {
	switch name {
	case "comm":
		switch v {
		case commNull:
			return "MPI_COMM_NULL"
		case commWorld:
			return "MPI_COMM_WORLD"
		case commSelf:
			return "MPI_COMM_SELF"
		}
	case "source":
		if int32(v) == anySource {
			return "MPI_ANY_SOURCE"
		}
	case "tag":
		if int32(v) == anyTag {
			return "MPI_ANY_TAG"
		}
	case "datatype", "sendtype", "recvtype":
		if t, ok := types[v]; ok {
			return t.name
		}
	case "op":
		if n, ok := opNames[v]; ok {
			return n
		}
	}
	switch name {
	case "count", "source", "dest", "tag", "root", "sendcount", "recvcount", "sendtag", "recvtag", "incount", "errorcode", "size", "class":
		return fmt.Sprint(int32(v))
	}
	return fmt.Sprintf("%#x", v)
}
