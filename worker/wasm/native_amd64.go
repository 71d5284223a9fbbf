package wasm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/godwit-run/godwit/worker/native"
)

// machineCode is a module's code in the native engine. It comes after wazero's, or never: first as clang makes it quickly, then at its best.
type machineCode struct {
	imports []hostFunction // in the module's order
	wasm    []byte
	grade   atomic.Int32 // of the best code that there is; 0: there is none

	loading sync.Mutex // held while code is loaded

	mu      sync.Mutex       // guards objects and why
	objects []*native.Object // in the order in which they came: guests may be in each of them
	why     string           // there is none, or no better one, for people
}

func newMachineCode(imports []hostFunction, wasm []byte) *machineCode {
	return &machineCode{imports: imports, wasm: wasm, why: errNoCode.Error()}
}

// make makes the code here and now, with one compiler, or takes what a directory keeps of it; "" keeps none.
func (c *machineCode) make(ctx context.Context, compiler native.Compiler, dir string) {
	err := c.compile(ctx, compiler, dir)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why = ""; err != nil {
		c.why = err.Error()
	}
}

func (c *machineCode) compile(ctx context.Context, compiler native.Compiler, dir string) error {
	if native.Level() == "" {
		return errLevel
	}
	recipe, err := compiler.Recipe(ctx)
	if err != nil {
		return err //nolint:wrapcheck // it is the reason
	}
	digest := sha256.Sum256(c.wasm)
	name := native.Name{Module: hex.EncodeToString(digest[:]), Recipe: recipe}
	file := filepath.Join(dir, name.File())
	if sealed, err := os.ReadFile(file); dir != "" && err == nil {
		if is, err := native.Check(nil, bytes.NewReader(sealed)); err == nil && is.Name == name && c.load(1, sealed[is.From:]) == nil {
			return nil
		}
	}
	object, err := compiler.Compile(ctx, c.wasm)
	if err != nil {
		return err //nolint:wrapcheck // it is the reason
	}
	if dir != "" {
		_ = os.WriteFile(file, native.Seal(nil, name, object), 0o600) // the next process makes it anew
	}
	return c.load(1, object)
}

// errLevel is why there is no code on this processor.
var errLevel = errors.New("the native engine does not know this processor")

// offer takes code, unless it is no better than what there is.
func (c *machineCode) offer(code Code) error {
	c.loading.Lock()
	defer c.loading.Unlock()
	var err error
	if code.File != "" && code.Grade > c.grade.Load() {
		err = c.take(code)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why = code.Why; err != nil {
		c.why = err.Error()
	}
	return err
}

// take reads, checks and loads code. The caller holds loading.
func (c *machineCode) take(code Code) error {
	if native.Level() == "" {
		return errLevel
	}
	all, err := os.ReadFile(code.File)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCode, err)
	}
	if code.From < 0 || code.From > int64(len(all)) || sha256.Sum256(all[code.From:]) != code.Sum {
		return fmt.Errorf("%w: %s has changed since it was checked", ErrCode, code.File)
	}
	return c.load(code.Grade, all[code.From:])
}

// load makes an object the best code.
func (c *machineCode) load(grade int32, object []byte) error {
	loaded, err := native.Load(c.wasm, object)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCode, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.objects = append(c.objects, loaded)
	c.grade.Store(grade)
	return nil
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

// close unmaps the code. No guest runs it.
func (c *machineCode) close() error {
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
	object, grade, _ := c.now()
	if object == nil {
		return nil, errNoCode
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
