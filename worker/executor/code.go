package executor

import (
	"crypto/sha256"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/worker/wasm"
)

// takeCode takes what the worker says of a module's machine code, and does not wait for that to be loaded: what was said last counts.
func (e *Executor) takeCode(c *apiv1.ExecCode) {
	m := e.code.modules[c.ModulePath]
	if m == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	_, underWay := e.offers[c.ModulePath]
	if e.offers[c.ModulePath] = c; underWay {
		return
	}
	e.runGroup.Go(func() error { // ends when all is taken that was said
		for next := e.nextOffer(c.ModulePath); next != nil; next = e.nextOffer(c.ModulePath) {
			e.offer(m, next)
		}
		return nil
	})
}

// nextOffer is what was said of a module since; nil: nothing.
func (e *Executor) nextOffer(path string) *apiv1.ExecCode {
	e.mu.Lock()
	defer e.mu.Unlock()
	next := e.offers[path]
	if next == nil {
		delete(e.offers, path)
	} else {
		e.offers[path] = nil
	}
	return next
}

// offer gives a module the code. The worker hears of code that cannot be used.
func (e *Executor) offer(m *wasm.Module, c *apiv1.ExecCode) {
	code := wasm.Code{File: c.File, From: c.From, Grade: c.Grade, Why: c.Why}
	if len(c.Sha256) == sha256.Size {
		code.Sum = [sha256.Size]byte(c.Sha256)
	}
	if err := m.Offer(code); err != nil {
		e.log.Error("code of a module cannot be used: ranks go on as they are", "module", c.ModulePath, "err", err)
		e.emit(&apiv1.ExecEvent{Msg: &apiv1.ExecEvent_CodeRefused{CodeRefused: &apiv1.ExecCodeRefused{ModulePath: c.ModulePath, File: c.File, Reason: err.Error()}}})
		return
	}
	if c.File == "" {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if last := e.made[c.ModulePath]; last.GetGrade() <= c.Grade {
		e.made[c.ModulePath] = c
	}
}

// madeOf says who has made the code that ranks of a program are in; empty: nobody has said. Holds mu.
func (e *Executor) madeOf(r *rank) string {
	p, err := e.programOf(r.id)
	if err != nil {
		return ""
	}
	return e.made[p.path].GetMade()
}
