package wasm

import (
	"errors"
	"fmt"

	"github.com/godwit-run/godwit/internal/bytecode"
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
	r := newReader(wasm[8:])
	last, code, functions := 0, uint32(0), uint32(0)
	for len(r.Data) > 0 {
		id := r.Byte()
		body := &reader{r.Sized()}
		if r.Err != nil {
			return nil, fmt.Errorf("section %d: %w", id, r.Err)
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
			functions = body.U32()
		case sectionCode:
			s.code = body.Data
			code = body.U32()
		default:
			s.decode(id, body)
		}
		if body.Err != nil {
			return nil, fmt.Errorf("section %d: %w", id, body.Err)
		}
	}
	if code != functions {
		return nil, fmt.Errorf("%w: %d of %d functions have code", bytecode.ErrTruncated, code, functions)
	}
	return s, nil
}

func (s *sections) decode(id byte, r *reader) {
	switch id {
	case 0:
		s.custom(r)
	case 2:
		r.Vector(func() { s.importEntry(r) })
	case 5:
		r.Vector(func() { s.memory(r) })
	case 6:
		r.Vector(func() {
			g := global{valueType: r.Byte(), mutable: r.Byte() == 1}
			g.value, g.isConst = r.constant()
			s.globals = append(s.globals, g)
		})
	case 7:
		r.Vector(func() {
			name := r.Name()
			e := export{kind: r.Byte(), index: r.U32()}
			if _, ok := s.exports[name]; ok {
				r.Fail(fmt.Errorf("two exports are named %q", name))
				return
			}
			s.exports[name] = e
		})
	case 8:
		s.hasStart = true
	}
}

func (s *sections) importEntry(r *reader) {
	name := r.Name() + "." + r.Name()
	kind := r.Byte()
	switch kind {
	case kindFunction:
		r.U32()
	case kindTable:
		r.Byte()
		r.limits()
	case kindMemory:
		s.memory(r)
	case kindGlobal:
		s.globals = append(s.globals, global{valueType: r.Byte(), mutable: r.Byte() == 1})
	case kindTag:
		r.Byte()
		r.U32()
	default:
		r.Fail(errors.New("unknown kind of import"))
	}
	if r.Err != nil {
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
		r.Fail(fmt.Errorf("memory of %d pages is over its limit of %d", minimum, limit))
		return
	}
	s.memoryMin, s.memoryMax = uint32(minimum), uint32(limit)
}
