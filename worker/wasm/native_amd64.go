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

// machineCode is a module's code in the native engine. It comes after wazero's, or never: first as clang makes it quickly, then at its best.
type machineCode struct {
	imports  []hostFunction // in the module's order
	wasm     []byte
	dir      string // where objects are kept; "": nowhere
	cancel   context.CancelFunc
	usableCh chan struct{} // closed when there is code, or will be none
	doneCh   chan struct{} // closed when nothing works at it any more
	grade    atomic.Int32  // of the best code that is made; 0: there is none

	mu      sync.Mutex       // guards objects and why
	objects []*native.Object // in the order in which they came: guests may be in each of them
	why     string           // there is none, or no better one, for people
}

// compileFor bounds how long a module is compiled.
const compileFor = 30 * time.Minute

// newMachineCode begins to make a module's code, with each of the compilers in turn: the later ones make better code. With wait it returns when there is some;
// else, unless it is kept already, the code comes later.
func newMachineCode(ctx context.Context, compilers []native.Compiler, imports []hostFunction, dir string, wasm []byte, wait bool) *machineCode {
	c := &machineCode{imports: imports, wasm: wasm, dir: dir, usableCh: make(chan struct{}), doneCh: make(chan struct{}), why: "it is being compiled"}
	later, cancel := context.WithTimeout(context.WithoutCancel(ctx), compileFor)
	c.cancel = cancel
	next, err := c.kept(ctx, compilers)
	if err != nil || next == len(compilers) {
		c.done(err)
		return c
	}
	go c.compile(later, compilers, next) // close waits for it
	if wait {
		defer context.AfterFunc(ctx, cancel)()
		<-c.usableCh
	}
	return c
}

// kept takes the best code that is kept, and returns which of the compilers would make a better one. What is kept and cannot be loaded is made anew. An error says
// why there can be none.
func (c *machineCode) kept(ctx context.Context, compilers []native.Compiler) (next int, err error) {
	if native.Level() == "" {
		return 0, errors.New("the native engine does not know this processor")
	}
	for i := len(compilers) - 1; i >= 0; i-- {
		object, err := compilers[i].Kept(ctx, c.dir, c.wasm)
		switch {
		case err == nil:
			if c.load(compilers, i, object) == nil {
				return i + 1, nil
			}
		case !errors.Is(err, native.ErrNotKept):
			return 0, err //nolint:wrapcheck // it is the reason
		}
	}
	return 0, nil
}

// compile has the compilers make the code, from the one at next on, and keeps it.
func (c *machineCode) compile(ctx context.Context, compilers []native.Compiler, next int) {
	for i := next; i < len(compilers); i++ {
		object, err := compilers[i].Compile(ctx, c.wasm)
		if err == nil {
			err = c.load(compilers, i, object)
		}
		if err != nil {
			c.done(err)
			return
		}
		if c.dir != "" {
			_ = compilers[i].Keep(ctx, c.dir, c.wasm, object) // the next process makes it anew
		}
	}
	c.done(nil)
}

// load takes what one of the compilers has made.
func (c *machineCode) load(compilers []native.Compiler, i int, object []byte) error {
	loaded, err := native.Load(c.wasm, object)
	if err != nil {
		return err //nolint:wrapcheck // it is the reason
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.objects, c.why = append(c.objects, loaded), ""
	if last := len(compilers) - 1; i < last {
		c.why = "compiled at " + compilers[i].O + " until that is done at " + compilers[last].O
	}
	if c.grade.Swap(int32(i+1)) == 0 { //nolint:gosec // a few
		close(c.usableCh)
	}
	return nil
}

// done ends the making of code. An error is why there is none, or no better one.
func (c *machineCode) done(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.why = err.Error()
	}
	if c.grade.Load() == 0 {
		close(c.usableCh)
	}
	close(c.doneCh)
}

// now is the best code, if there is any, with its grade, and why there is none or no better one.
func (c *machineCode) now() (object *native.Object, grade int32, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.objects) > 0 {
		object = c.objects[len(c.objects)-1]
	}
	return object, c.grade.Load(), c.why
}

// reason is why there is no code, or no better one.
func (c *machineCode) reason() string {
	_, _, why := c.now()
	return why
}

// close waits for a compiler that it has ended, and unmaps the code. No guest runs it.
func (c *machineCode) close() error {
	c.cancel()
	<-c.doneCh
	c.mu.Lock()
	defer c.mu.Unlock()
	var err error
	for _, object := range c.objects {
		err = errors.Join(err, object.Close())
	}
	return err
}

// instantiate makes an instance in the native engine. With live it takes up that many bytes of memory as they are. An error says why it cannot be, and wazero does it.
func (c *machineCode) instantiate(ctx *guestContext, memory *Memory, live uint64) (instance, error) {
	object, grade, why := c.now()
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
	ctx.guest.grade = grade
	return nativeInstance{i, memory}, nil
}

// stopEvery is how often a guest is stopped that is not found in its code.
const stopEvery = 20 * time.Millisecond

// stopCancelled has a guest that is cancelled leave the native engine's code, also a loop without calls, until end is called, which waits for that.
func (g *Guest) stopCancelled() (end func()) {
	if g.module.native == nil {
		return func() {}
	}
	overCh, doneCh := make(chan struct{}), make(chan struct{})
	go func() { // ends with Run
		defer close(doneCh)
		select {
		case <-g.cancelCh:
		case <-overCh:
			return
		}
		tick := time.NewTicker(stopEvery)
		defer tick.Stop()
		for {
			if g.runsIn.Load().engine == EngineNative {
				_ = native.Stop(g.memory.span) // it ends at its next call, as in wazero
			}
			select {
			case <-tick.C:
			case <-overCh:
				return
			}
		}
	}()
	return func() {
		close(overCh)
		<-doneCh
	}
}

// wasStopped says whether an error of a call is that the guest was stopped.
func wasStopped(err error) bool { return errors.Is(err, native.ErrStopped) }

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
