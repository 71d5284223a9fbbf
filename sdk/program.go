package sdk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"strings"
)

// Sections of a module that are read here and in adapt.go: the WebAssembly specification, 5.5.
const (
	typeSection     = 1
	functionType    = 0x60
	functionSection = 3
	exportSection   = 7
	nameSection     = "name"
	functionNames   = 1 // the part of the name section
)

// errNotRead is returned for a module that is damaged, or has what is not known here.
var errNotRead = errors.New("the module cannot be read")

// signature is a function's type: the bytes of its parameters' types and of its results'.
type signature struct{ params, results string }

// valueTypes are the names of types by their bytes.
var valueTypes = map[byte]string{ //nolint:gochecknoglobals // an immutable lookup table
	0x7f: "i32", 0x7e: "i64", 0x7d: "f32", 0x7c: "f64", 0x7b: "v128", 0x70: "funcref", 0x6f: "externref",
}

// String is as wasm-ld writes it: (i32, f64) -> i32.
func (s signature) String() string {
	list := func(types string) string {
		var names []string
		for _, t := range []byte(types) {
			names = append(names, valueTypes[t])
		}
		return strings.Join(names, ", ")
	}
	results := list(s.results)
	if results == "" {
		results = "void"
	}
	return "(" + list(s.params) + ") -> " + results
}

// append adds the type as a module has it.
func (s signature) append(to []byte) []byte {
	return appendName(appendName(append(to, functionType), s.params), s.results)
}

// part is a section of a module.
type part struct {
	id      byte
	content []byte
}

// program is a module as the linker makes it, as far as calls are concerned.
type program struct {
	parts    []part
	types    []signature
	imports  uint64            // how many functions are imported
	typeOf   []uint64          // of each function, the imported ones first
	names    map[uint64]string // of functions
	exported map[string]uint64 // functions by the name that they are exported by
}

// readProgram takes a module apart.
func readProgram(module []byte) (*program, error) {
	rest, ok := bytes.CutPrefix(module, []byte(wasmMagic))
	if !ok {
		return nil, errNotRead
	}
	p := &program{names: make(map[uint64]string), exported: make(map[string]uint64)}
	r := &reader{b: rest}
	for len(r.b) > 0 && !r.bad {
		id := r.byte()
		content := r.bytes(r.uint())
		p.parts = append(p.parts, part{id, content})
		if s := (&reader{b: content}); !p.read(id, s) {
			return nil, errNotRead
		}
	}
	for _, t := range p.typeOf {
		r.bad = r.bad || t >= uint64(len(p.types))
	}
	if r.bad {
		return nil, errNotRead
	}
	return p, nil
}

// read takes one section apart, and says whether that could be done.
func (p *program) read(id byte, s *reader) bool {
	switch id {
	case typeSection:
		for n := s.uint(); n > 0 && !s.bad; n-- {
			s.bad = s.byte() != functionType || s.bad
			p.types = append(p.types, signature{s.name(), s.name()})
		}
	case importSection:
		for _, f := range s.importedFunctions() {
			p.typeOf = append(p.typeOf, f.signature)
			p.imports++
		}
	case functionSection:
		for n := s.uint(); n > 0 && !s.bad; n-- {
			p.typeOf = append(p.typeOf, s.uint())
		}
	case exportSection:
		for n := s.uint(); n > 0 && !s.bad; n-- {
			name, kind, index := s.name(), s.byte(), s.uint()
			if kind == 0 && index < uint64(len(p.typeOf)) {
				p.exported[name] = index
			}
		}
	case customSection:
		if s.name() == nameSection {
			p.readNames(s)
		}
	}
	return !s.bad
}

// readNames reads the functions' names of the name section, behind its own.
func (p *program) readNames(s *reader) {
	for len(s.b) > 0 && !s.bad {
		id := s.byte()
		list := &reader{b: s.bytes(s.uint())}
		if id != functionNames {
			continue
		}
		for n := list.uint(); n > 0 && !list.bad; n-- {
			index := list.uint()
			p.names[index] = list.name()
		}
		s.bad = s.bad || list.bad
	}
}

// signatureOf is the type of a function.
func (p *program) signatureOf(function uint64) signature { return p.types[p.typeOf[function]] }

// writeNames puts p.names into the name section.
func (p *program) writeNames() {
	for i := range p.parts {
		s := &reader{b: p.parts[i].content}
		if p.parts[i].id != customSection || s.name() != nameSection {
			continue
		}
		out := appendName(nil, nameSection)
		for len(s.b) > 0 && !s.bad {
			id, list := s.byte(), s.bytes(s.uint())
			if id == functionNames {
				list = binary.AppendUvarint(nil, uint64(len(p.names)))
				for _, index := range slices.Sorted(maps.Keys(p.names)) {
					list = appendName(binary.AppendUvarint(list, index), p.names[index])
				}
			}
			out = appendName(append(out, id), string(list))
		}
		p.parts[i].content = out
	}
}

// dropExports takes exports of functions away.
func (p *program) dropExports(names ...string) {
	for i := range p.parts {
		if p.parts[i].id != exportSection {
			continue
		}
		s, kept, out := &reader{b: p.parts[i].content}, uint64(0), []byte(nil)
		for n := s.uint(); n > 0 && !s.bad; n-- {
			name, kind, index := s.name(), s.byte(), s.uint()
			if kind != 0 || !slices.Contains(names, name) {
				out = binary.AppendUvarint(append(appendName(out, name), kind), index)
				kept++
			}
		}
		p.parts[i].content = append(binary.AppendUvarint(nil, kept), out...)
	}
}

// bytes is the module.
func (p *program) bytes() []byte {
	out := []byte(wasmMagic)
	for _, s := range p.parts {
		out = appendName(append(out, s.id), string(s.content))
	}
	return out
}

// appendName appends a name, or whatever else has its length before it.
func appendName(to []byte, name string) []byte {
	return append(binary.AppendUvarint(to, uint64(len(name))), name...)
}
