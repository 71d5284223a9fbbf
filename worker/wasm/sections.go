package wasm

import (
	"errors"
	"fmt"
)

// Kinds of imports and exports.
const (
	kindFunction byte = iota
	kindTable
	kindMemory
	kindGlobal
	kindTag
)

// export is what an export names.
type export struct {
	kind  byte
	index uint32
}

// global is a module's global; value is known if isConst.
type global struct {
	valueType byte
	mutable   bool
	isConst   bool
	value     int32
}

// sections is what Inspect needs of a module's sections.
type sections struct {
	imports   []string
	foreign   []string // imports that are no functions
	memories  int
	memoryMin uint32
	memoryMax uint32
	globals   []global
	exports   map[string]export
	hasStart  bool
	named     bool // a custom section holds names
	code      []byte
}

// order of the known sections in a module, by id: each may come once, and none out of order. Custom
// sections (0) come anywhere; the tag section (13) and data count (12) sit out of line.
var order = []int{1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 13: 6, 6: 7, 7: 8, 8: 9, 9: 10, 12: 11, 10: 12, 11: 13} //nolint:gochecknoglobals // an immutable lookup table

// decodeSections walks all sections, so that a module cut anywhere but between two is found out.
func decodeSections(wasm []byte) (*sections, error) {
	if err := checkPreamble(wasm); err != nil {
		return nil, err
	}
	s := &sections{exports: make(map[string]export)}
	r := &reader{data: wasm[8:]}
	last, code, functions := 0, uint32(0), uint32(0)
	for len(r.data) > 0 {
		id := r.byte()
		body := &reader{data: r.bytes(uint64(r.u32()))}
		if r.err != nil {
			return nil, fmt.Errorf("section %d: %w", id, r.err)
		}
		if id != 0 {
			if int(id) >= len(order) || order[id] == 0 {
				return nil, fmt.Errorf("unknown section %d", id)
			}
			if order[id] <= last {
				return nil, fmt.Errorf("section %d is out of order", id)
			}
			last = order[id]
		}
		switch id {
		case 3:
			functions = body.u32()
		case sectionCode:
			s.code = body.data
			code = body.u32()
		default:
			s.decode(id, body)
		}
		if body.err != nil {
			return nil, fmt.Errorf("section %d: %w", id, body.err)
		}
	}
	if code != functions {
		return nil, fmt.Errorf("%w: %d of %d functions have code", errTruncated, code, functions)
	}
	return s, nil
}

func (s *sections) decode(id byte, r *reader) {
	switch id {
	case 0:
		s.custom(r)
	case 2:
		r.vector(func() { s.importEntry(r) })
	case 5:
		r.vector(func() { s.memory(r) })
	case 6:
		r.vector(func() {
			g := global{valueType: r.byte(), mutable: r.byte() == 1}
			g.value, g.isConst = r.constant()
			s.globals = append(s.globals, g)
		})
	case 7:
		r.vector(func() {
			name := r.name()
			e := export{kind: r.byte(), index: r.u32()}
			if _, ok := s.exports[name]; ok {
				r.fail(fmt.Errorf("two exports are named %q", name))
				return
			}
			s.exports[name] = e
		})
	case 8:
		s.hasStart = true
	}
}

func (s *sections) importEntry(r *reader) {
	name := r.name() + "." + r.name()
	kind := r.byte()
	switch kind {
	case kindFunction:
		r.u32()
	case kindTable:
		r.byte()
		r.limits()
	case kindMemory:
		s.memory(r)
	case kindGlobal:
		s.globals = append(s.globals, global{valueType: r.byte(), mutable: r.byte() == 1})
	case kindTag:
		r.byte()
		r.u32()
	default:
		r.fail(errors.New("unknown kind of import"))
	}
	if r.err != nil {
		return
	}
	s.imports = append(s.imports, name)
	if kind != kindFunction {
		s.foreign = append(s.foreign, name)
	}
}

func (s *sections) memory(r *reader) {
	s.memories++
	minimum, maximum := r.limits()
	limit := uint64(maxMemoryPages)
	if maximum != nil {
		limit = min(limit, *maximum)
	}
	if minimum > limit {
		r.fail(fmt.Errorf("memory of %d pages is over its limit of %d", minimum, limit))
		return
	}
	s.memoryMin, s.memoryMax = uint32(minimum), uint32(limit)
}
