package wasm

import (
	"context"
	"crypto/rand"
	"runtime"
	"time"

	"github.com/tetratelabs/wazero/sys"
)

// The functions of WASI that tell of the program and the machine, and end it.

// Clocks of WASI.
const (
	clockWall      = 0
	clockMonotonic = 1
)

// putStrings writes texts, each with a zero at its end, one behind the other to memory at the second argument, and where each is to the first.
func (c wasiCall) putStrings(texts []string) errno {
	at, to := uint64(c.u(0)), uint64(c.u(1))
	for _, s := range texts {
		out, ok := c.memory.read64(to, uint64(len(s))+1)
		if !ok || at > 1<<32-4 || !c.memory.write32(uint32(at), uint32(to)) {
			return errnoFault
		}
		copy(out, s)
		out[len(s)] = 0
		at, to = at+4, to+uint64(len(out))
	}
	return errnoSuccess
}

// putSizes writes how many texts there are, and how many bytes they take.
func (c wasiCall) putSizes(texts []string) errno {
	n := 0
	for _, s := range texts {
		n += len(s) + 1
	}
	if why := c.put32(0, uint32(len(texts))); why != errnoSuccess {
		return why
	}
	return c.put32(1, uint32(n))
}

func argsGet(c wasiCall) errno      { return c.putStrings(c.guest.system.args) }
func argsSizes(c wasiCall) errno    { return c.putSizes(c.guest.system.args) }
func environGet(c wasiCall) errno   { return c.putStrings(c.guest.system.env) }
func environSizes(c wasiCall) errno { return c.putSizes(c.guest.system.env) }

func clockResolution(c wasiCall) errno {
	switch c.u(0) {
	case clockWall:
		return c.put64(1, uint64(time.Microsecond))
	case clockMonotonic:
		return c.put64(1, uint64(time.Nanosecond))
	}
	return errnoInvalid
}

func clockTime(c wasiCall) errno {
	switch c.u(0) {
	case clockWall:
		return c.put64(2, uint64(c.guest.system.wall().UnixNano())) //nolint:gosec // bits
	case clockMonotonic:
		return c.put64(2, uint64(c.guest.system.nanotime())) //nolint:gosec // bits
	}
	return errnoInvalid
}

func randomGet(c wasiCall) errno {
	out, ok := c.bytes(0)
	if !ok {
		return errnoFault
	}
	_, _ = rand.Read(out) // it does not fail
	return errnoSuccess
}

func yield(wasiCall) errno {
	runtime.Gosched()
	return errnoSuccess
}

// noSocket is of calls on sockets: no descriptor is one.
func noSocket(wasiCall) errno { return errnoBadf }

func unavailable(wasiCall) errno { return errnoNoSys }

// procExit ends the program.
func procExit(_ context.Context, _ *Guest, stack []uint64) { panic(sys.NewExitError(uint32(stack[0]))) }
