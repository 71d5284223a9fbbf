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
	if r.name() != "name" || r.err != nil {
		return
	}
	if s.named {
		r.fail(errors.New("two of them hold names"))
		return
	}
	s.named = true
	for len(r.data) > 0 {
		id := r.byte()
		part := &reader{data: r.bytes(uint64(r.u32()))}
		if r.err == nil {
			names(id, part)
		}
		if part.err != nil {
			r.fail(fmt.Errorf("names of kind %d: %w", id, part.err))
		}
	}
}

// names reads one kind of names to its end.
func names(id byte, r *reader) {
	entry := func() { r.u32(); r.name() }
	switch id {
	case namesOfModule:
		r.name()
	case namesOfFunctions:
		r.vector(entry)
	case namesOfLocals:
		r.vector(func() { r.u32(); r.vector(entry) })
	default:
		return // the compiler skips it
	}
	if len(r.data) > 0 && r.err == nil {
		r.fail(fmt.Errorf("%d bytes too many", len(r.data)))
	}
}
