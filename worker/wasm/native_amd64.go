package wasm

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/godwit-run/godwit/worker/native"
)

// machineCode is a module's code in the native engine. It comes after wazero's, or never.
type machineCode struct {
	imports []hostFunction // in the module's order
	wasm    []byte
	dir     string // where objects are kept; "": nowhere
	cancel  context.CancelFunc
	doneCh  chan struct{} // closed when nothing works at it any more
	ready   atomic.Bool   // it is made

	mu     sync.Mutex     // guards object and why
	object *native.Object // nil: there is none
	why    string         // there is none, for people
}

// compileFor bounds how long a module is compiled.
const compileFor = 30 * time.Minute

// newMachineCode begins to make a module's code. With wait it returns when that is done; else, unless it is kept already, the code comes later.
func newMachineCode(ctx context.Context, compiler native.Compiler, imports []hostFunction, dir string, wasm []byte, wait bool) *machineCode {
	c := &machineCode{imports: imports, wasm: wasm, dir: dir, doneCh: make(chan struct{}), why: "it is being compiled"}
	later, cancel := context.WithTimeout(context.WithoutCancel(ctx), compileFor)
	c.cancel = cancel
	object, err := compiler.Kept(ctx, dir, wasm)
	switch {
	case native.Level() == "":
		err = errors.New("the native engine does not know this processor")
	case err == nil && c.settle(object, nil) == nil:
		close(c.doneCh)
		return c
	case err == nil || errors.Is(err, native.ErrNotKept): // what is kept and cannot be loaded is made anew
		if wait {
			defer context.AfterFunc(ctx, cancel)()
			c.compile(later, compiler)
		} else {
			go c.compile(later, compiler) // close waits for it
		}
		return c
	}
	_ = c.settle(nil, err) // it is the reason
	close(c.doneCh)
	return c
}

// compile has a compiler make the code, and keeps it.
func (c *machineCode) compile(ctx context.Context, compiler native.Compiler) {
	defer close(c.doneCh)
	object, err := compiler.Compile(ctx, c.wasm)
	if err = c.settle(object, err); err == nil && c.dir != "" {
		_ = compiler.Keep(ctx, c.dir, c.wasm, object) // the next process makes it anew
	}
}

// settle loads what has been compiled, or says why there is nothing. It returns why.
func (c *machineCode) settle(object []byte, err error) error {
	var loaded *native.Object
	if err == nil {
		loaded, err = native.Load(c.wasm, object)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.object, c.why = loaded, ""
	c.ready.Store(loaded != nil)
	if err != nil {
		c.why = err.Error()
	}
	return err
}

// now is the code, if there is any, and else why there is none.
func (c *machineCode) now() (*native.Object, string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.object, c.why
}

// reason is why there is no code.
func (c *machineCode) reason() string {
	_, why := c.now()
	return why
}

// close waits for a compiler that it has ended, and unmaps the code. No guest runs it.
func (c *machineCode) close() error {
	c.cancel()
	<-c.doneCh
	if object, _ := c.now(); object != nil {
		return object.Close() //nolint:wrapcheck // the caller does
	}
	return nil
}

// instantiate makes an instance in the native engine. With live it takes up that many bytes of memory as they are. An error says why it cannot be, and wazero does it.
func (c *machineCode) instantiate(ctx *guestContext, memory *Memory, live uint64) (instance, error) {
	object, why := c.now()
	if object == nil {
		return nil, errors.New(why)
	}
	if memory.span == nil {
		return nil, errors.New("there are too few addresses for it")
	}
	i, err := object.New(memory.span, memory, live, func(ctx context.Context, index int, stack []uint64) {
		c.imports[index].call(ctx, guestOf(ctx), stack)
	})
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller does
	}
	if live == 0 {
		if err := i.Start(ctx); err != nil {
			return nil, errors.Join(err, i.Close())
		}
	}
	return nativeInstance{i, memory}, nil
}

// nativeInstance is an instance in the native engine.
type nativeInstance struct {
	*native.Instance
	memory *Memory
}

var _ instance = nativeInstance{}

// Function implements instance.
func (i nativeInstance) Function(name string) function {
	if f := i.Instance.Function(name); f != nil {
		return f
	}
	return nil
}

// At implements instance.
func (i nativeInstance) At(place uint32, params, results []api.ValueType) function {
	letters := func(types []api.ValueType) string {
		out := make([]byte, len(types))
		for k, t := range types {
			out[k] = map[api.ValueType]byte{api.ValueTypeI32: 'i', api.ValueTypeI64: 'j', api.ValueTypeF32: 'f', api.ValueTypeF64: 'd'}[t]
		}
		return string(out)
	}
	if f := i.Lookup(place, letters(params), letters(results)); f != nil {
		return f
	}
	return nil
}

// Global implements instance.
func (i nativeInstance) Global(name string) variable {
	if g, ok := i.Instance.Global(name); ok {
		return g
	}
	return nil
}

// Grow implements instance.
func (i nativeInstance) Grow(pages uint32) bool {
	_, ok := i.Instance.Grow(pages)
	return ok
}

// SetBytes implements instance: what is beyond is not accessible, for the guest is not to reach it.
func (i nativeInstance) SetBytes(n uint64) error {
	if err := i.memory.lock(n); err != nil {
		return err
	}
	i.Instance.SetBytes(n)
	return nil
}

// Close implements instance.
func (i nativeInstance) Close(context.Context) error {
	return i.Instance.Close() //nolint:wrapcheck // the caller does
}
