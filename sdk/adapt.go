package sdk

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

// Where a function is called by another type than it has, wasm-ld calls a stub in its place, which traps. A native program just goes on: its registers do not know of types. So
// calls of such a stub are made calls of an adapter, which calls the function with what it takes, wherever the machine's registers would have held that. The adapters
// stand behind all other code: nothing else moves, and what is known for debugging holds. A call that would find something else in the registers still traps, by a stub that wasm-opt does not take
// into its callers, so that the trap tells the function's name (worker/wasm/trap.go).

// Beginnings of the names of functions that stand for others.
const (
	stubPrefix    = "signature_mismatch" // of what traps: wasm-ld's, with a colon; of ours a number may be before it
	adapterPrefix = "signature_adapted"
)

// Instructions that adapters are made of, and the types of numbers: the WebAssembly specification, 5.3.1 and 5.4.
const (
	opUnreachable  = 0x00
	opEnd          = 0x0b
	opCall         = 0x10
	opReturnCall   = 0x12
	opCallIndirect = 0x11
	opDrop         = 0x1a
	opLocalGet     = 0x20
	opLocalSet     = 0x21
	opLocalTee     = 0x22
	opConst        = 0x41 // of an i32
	opStore        = 0x36 // of an i32
	opWrap         = 0xa7 // an i64 to an i32
	opExtend       = 0xac // an i32 to an i64, by its sign
	opBulk         = 0xfc // begins instructions on whole memories, and conversions that saturate
	typeI32        = 0x7f
	typeI64        = 0x7e
)

// zeros are constants 0, by its type.
var zeros = map[byte][]byte{ //nolint:gochecknoglobals // an immutable lookup table
	0x7f: {opConst, 0}, 0x7e: {0x42, 0}, 0x7d: {0x43, 0, 0, 0, 0}, 0x7c: {0x44, 0, 0, 0, 0, 0, 0, 0, 0},
}

// converted is the instruction that makes a number of one type one of another, none if they are the same. Only integers are made others: floats
// have registers of their own.
func converted(from, to byte) (op []byte, ok bool) {
	switch {
	case from == to:
		return nil, true
	case from == typeI32 && to == typeI64:
		return []byte{opExtend}, true
	case from == typeI64 && to == typeI32:
		return []byte{opWrap}, true
	}
	return nil, false
}

// adapter is the body of a function of one type that calls another: what is too much is dropped, a result that is not there is 0. It is false where arguments are missing, or are floats on one side only.
func adapter(called, defined signature, function uint64) (body []byte, ok bool) {
	if len(called.params) < len(defined.params) || len(called.results) > 1 || len(defined.results) > 1 {
		return nil, false
	}
	body = []byte{0} // no locals
	for i := range len(defined.params) {
		op, ok := converted(called.params[i], defined.params[i])
		if !ok {
			return nil, false
		}
		body = append(binary.AppendUvarint(append(body, opLocalGet), uint64(i)), op...)
	}
	body = appendCall(body, function)
	switch {
	case called.results == "" && defined.results != "":
		body = append(body, opDrop)
	case called.results != "" && defined.results == "":
		zero, ok := zeros[called.results[0]]
		if !ok {
			return nil, false
		}
		body = append(body, zero...)
	case called.results != "":
		op, ok := converted(defined.results[0], called.results[0])
		if !ok {
			return nil, false
		}
		body = append(body, op...)
	}
	return append(body, opEnd), true
}

// appendCall adds the call of a function, with as much room for its index as the linker leaves.
func appendCall(body []byte, function uint64) []byte {
	body = append(body, opCall, 0, 0, 0, 0, 0)
	fill(body[len(body)-5:], function)
	return body
}

// trapping is the body of a stub that traps. It stores its number first, at the far end of the stack, which nobody sees: wasm-opt takes a lone trap into its callers, and equal stubs
// for one, and then none has a name.
func trapping(number uint64) []byte {
	body := append([]byte{0}, zeros[typeI32]...)
	body = append(body, opConst)
	for ; number >= 0x40; number >>= 7 { // signed
		body = append(body, byte(number)|0x80)
	}
	return append(body, byte(number), opStore, 2, 0, opUnreachable, opEnd)
}

// adapt has calls of wasm-ld's stubs be calls of adapters, or of stubs that keep their names, and tells each of the mismatches what has become of it. Those that have no
// stub are left alone.
func (p *program) adapt(list []*mismatch) {
	moved := make(map[uint64]uint64)
	var bodies [][]byte
	var kinds []uint64 // the adapters' types
	named := make(map[string]int)
	for _, m := range list {
		if m.stub == nil {
			continue
		}
		body, prefix := p.adapted(m), adapterPrefix
		if m.adapted = body != nil; !m.adapted {
			body, prefix = trapping(uint64(len(bodies))), stubPrefix
		}
		index := uint64(len(p.typeOf) + len(bodies))
		moved[*m.stub] = index
		name := prefix + ":" + m.name
		if named[name]++; named[name] > 1 { // by several types
			name = fmt.Sprintf("%s%d:%s", prefix, named[name], m.name)
		}
		p.names[index] = name
		bodies, kinds = append(bodies, body), append(kinds, p.typeOf[*m.stub])
	}
	if !p.append(bodies, kinds, moved) {
		for _, m := range list {
			m.adapted = m.adapted && m.stub == nil
		}
		return
	}
	for stub := range moved {
		delete(p.names, stub) // nobody calls it any more
	}
	p.writeNames()
}

// wrapPrefix begins the names of the glue's functions that stand before the C library's (lib/wrapped.txt), under which the linker exports these.
const wrapPrefix = "__wrap_"

// meant is the function that a symbol means, which is exported; wrapped says that it stands before the one that the symbol is of.
func (p *program) meant(symbol string) (function uint64, wrapped, ok bool) {
	if function, ok = p.exported[symbol]; ok {
		return function, false, true
	}
	function, ok = p.exported[wrapPrefix+symbol]
	return function, ok, ok
}

// adapted is the adapter's body for a mismatch, nil if there can be none.
func (p *program) adapted(m *mismatch) []byte {
	function, wrapped, ok := p.meant(m.symbol)
	if !ok {
		return nil
	}
	called, defined := p.signatureOf(*m.stub), p.signatureOf(function)
	if m.defined != "" && !wrapped && defined.String() != m.defined || lacksList(called, defined, m.symbol) {
		return nil
	}
	m.open = m.mayBeOpen(called, defined)
	body, _ := adapter(called, defined, function)
	return body
}

// append puts functions behind all others, and has calls of those that they stand for be theirs. If that cannot be done nothing is.
func (p *program) append(bodies [][]byte, kinds []uint64, moved map[uint64]uint64) bool {
	code := slices.IndexFunc(p.parts, func(s part) bool { return s.id == codeSection })
	functions := slices.IndexFunc(p.parts, func(s part) bool { return s.id == functionSection })
	empty := slices.Index(p.types, signature{})
	if code < 0 || functions < 0 || empty < 0 || len(bodies) == 0 {
		return false
	}
	own := p.typeOf[p.imports:]
	content := &reader{b: bytes.Clone(p.parts[code].content)}
	if content.uint() != uint64(len(own)) || content.bad || !redirect(*content, moved) {
		return false
	}
	all := uint64(len(own) + len(bodies))
	out := binary.AppendUvarint(nil, all)
	longer := len(out) > len(p.parts[code].content)-len(content.b)
	types := slices.Clone(own)
	// A count that has become longer would move all code by a byte. A stub gives it, which stands before the code of objects.
	for i := uint64(0); i < uint64(len(own)) && !content.bad; i++ {
		before := content.b
		body := content.bytes(content.uint())
		if _, stub := moved[p.imports+i]; stub && longer && len(body) == 3 {
			before, types[i], longer = []byte{2, 0, opEnd}, uint64(empty), false
		} else {
			before = before[:len(before)-len(content.b)]
		}
		out = append(out, before...)
	}
	if content.bad || longer || len(content.b) > 0 {
		return false
	}
	for _, body := range bodies {
		out = appendName(out, string(body))
	}
	list := binary.AppendUvarint(nil, all)
	for _, t := range append(types, kinds...) {
		list = binary.AppendUvarint(list, t)
	}
	p.parts[code].content, p.parts[functions].content = out, list
	return true
}

// redirect writes the functions' new indices to where they are called. It is false if the code cannot be read, or an index has no room: then some may have been written.
func redirect(code reader, moved map[uint64]uint64) bool {
	ok := true
	for len(code.b) > 0 && !code.bad && ok {
		body := &reader{b: code.bytes(code.uint())}
		body.calls(func(place []byte, index uint64) {
			if to, is := moved[index]; is && !fill(place, to) {
				ok = false
			}
		})
		ok = ok && !body.bad
	}
	return ok && !code.bad
}

// fill writes a number to a place in as many bytes as there are: wasm-ld leaves five for each index.
func fill(place []byte, number uint64) bool {
	for i := range place {
		place[i] = byte(number)&0x7f | 0x80
		number >>= 7
	}
	place[len(place)-1] &= 0x7f
	return number == 0
}
