package wasm

import (
	"context"
	"crypto/sha256"
	"errors"
)

// Code is a module's code for the native engine, as whoever has checked where it comes from describes it.
type Code struct {
	File  string            // "": there is none
	From  int64             // where in the file the object begins
	Sum   [sha256.Size]byte // the object's
	Grade int32             // better code has a higher one, from 1 on
	Why   string            // there is none, or no better one, for people
}

// ErrCode is returned for code that is not what it was said to be, or cannot be loaded.
var ErrCode = errors.New("the module's code cannot be used")

// errNoCode is returned where a guest is to begin in the native engine and there is no code yet. Why that is may change.
var errNoCode = errors.New("there is no code of the module yet")

// Offer gives the module code: guests that are made from now on begin in it, and others go on in it at their next call. Code that is no better than what there
// is only says why. It may be called from any goroutine, and takes milliseconds. The error of code that is not what it is said to be is ErrCode: nothing has changed then but Why.
func (m *Module) Offer(code Code) error {
	if m.native == nil {
		return nil
	}
	return m.native.offer(code)
}

// Check says whether bytes are a module that can run here, as Compile does. What that keeps goes to dir; "" keeps nothing.
func Check(ctx context.Context, dir string, wasm []byte) (err error) {
	e, err := NewEngine(ctx, Config{CacheDir: dir})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close(ctx)) }()
	m, err := e.CompileIn(ctx, dir, wasm)
	if err != nil {
		return err
	}
	return m.Close(ctx)
}
