package wasm

import (
	"errors"
	"fmt"
)

// Parts of the custom section "name" that the compiler reads.
const (
	namesOfModule byte = iota
	namesOfFunctions
	namesOfLocals
)

// custom checks a custom section. Nothing in it changes what the module does, but the compiler reads the names, for the places of
// traps: what is wrong with them would show on the worker only, and a count in them is memory that it takes.
func (s *sections) custom(r *reader) {
	if r.Name() != "name" || r.Err != nil {
		return
	}
	if s.named {
		r.Fail(errors.New("two of them hold names"))
		return
	}
	s.named = true
	for len(r.Data) > 0 {
		id := r.Byte()
		part := &reader{r.Sized()}
		if r.Err == nil {
			names(id, part)
		}
		if part.Err != nil {
			r.Fail(fmt.Errorf("names of kind %d: %w", id, part.Err))
		}
	}
}

// names reads one kind of names to its end.
func names(id byte, r *reader) {
	entry := func() { r.U32(); r.Name() }
	switch id {
	case namesOfModule:
		r.Name()
	case namesOfFunctions:
		r.Vector(entry)
	case namesOfLocals:
		r.Vector(func() { r.U32(); r.Vector(entry) })
	default:
		return // the compiler skips it
	}
	if len(r.Data) > 0 && r.Err == nil {
		r.Fail(fmt.Errorf("%d bytes too many", len(r.Data)))
	}
}
