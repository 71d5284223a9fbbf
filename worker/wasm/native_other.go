//go:build !amd64

package wasm

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/godwit-run/godwit/worker/native"
)

// machineCode is a module's code in the native engine, which there is not on this processor.
type machineCode struct{ grade atomic.Int32 }

func newMachineCode([]hostFunction, []byte) *machineCode { return &machineCode{} }

func (*machineCode) make(context.Context, native.Compiler, string) {}

func (*machineCode) offer(Code) error { return nil }

func (*machineCode) close() error { return nil }

func (*machineCode) reason() string { return "the native engine does not know this processor" }

func (*Guest) stopCancelled() (end func()) { return func() {} }

func wasStopped(error) bool { return false }

func (c *machineCode) instantiate(*guestContext, *Memory, uint64) (instance, error) {
	return nil, errors.New(c.reason())
}
