package native

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/godwit-run/godwit/internal/bytecode"
)

// valueType is a type of values, as a letter.
type valueType byte

const (
	typeI32  valueType = 'i'
	typeI64  valueType = 'j'
	typeF32  valueType = 'f'
	typeF64  valueType = 'd'
	typeV128 valueType = 'v'
	typeRef  valueType = 'r' // to a function, or of the host's
)

// signature is a function's type: the letters of its parameters and results.
type signature struct{ params, results string }

// slots is how many words the values of some types take on a stack of the host's.
func slots(types string) int {
	n := len(types)
	for i := range len(types) {
		if valueType(types[i]) == typeV128 {
			n++
		}
	}
	return n
}

// importedFunction is a function that the module imports.
type importedFunction struct {
	module, name string
	kind         uint32 // index of its signature
}

// function is a function of the module's own.
type function struct {
	kind   uint32 // index of its signature
	locals string // without parameters
	code   []byte
}

// table is a table's type.
type table struct {
	least, most uint64
}

// constant is a constant expression's value: bits, or the value of a global, or a function.
type constant struct {
	low, high uint64
	global    int // index of a global; -1: none
	function  int // index of a function; -1: none
}

type global struct {
	kind    valueType
	mutable bool
	begin   constant
}

// element is a segment of a table.
type element struct {
	mode   segmentMode
	table  uint32
	offset constant
	items  []constant
}

// data is a segment of the memory.
type data struct {
	mode   segmentMode
	offset constant
	bytes  []byte
}

type segmentMode byte

const (
	active segmentMode = iota
	passive
	declared
)

// Kinds of imports and exports.
const (
	kindFunction byte = iota
	kindTable
	kindMemory
	kindGlobal
)

type export struct {
	kind  byte
	index uint32
}

// module is a decoded module.
type module struct {
	signatures []signature
	canonical  []uint32 // for each signature the first that is equal
	imports    []importedFunction
	functions  []function
	tables     []table
	memories   int
	memoryMin  uint64 // pages of 64 KiB
	memoryMax  uint64
	globals    []global
	exports    map[string]export
	start      int // index of a function; -1: none
	elements   []element
	data       []data
	names      map[uint32]string // of functions
}

// errUnsupported is returned for modules that are WebAssembly but not for this package: they import more than functions, or have several memories.
var errUnsupported = errors.New("not supported by the native engine")

// decode reads a module that has been validated before: what it does not check is whether the code is well typed.
func decode(wasm []byte) (*module, error) {
	if len(wasm) < 8 || !bytes.Equal(wasm[:8], []byte("\x00asm\x01\x00\x00\x00")) {
		return nil, errors.New("not a WebAssembly module")
	}
	m := &module{exports: map[string]export{}, start: -1, names: map[uint32]string{}}
	var kinds []uint32
	r := newReader(wasm[8:])
	for len(r.Data) > 0 && r.Err == nil {
		id := r.Byte()
		body := &reader{r.Sized()}
		if r.Err != nil {
			break
		}
		switch id {
		case 3:
			body.Vector(func() { kinds = append(kinds, body.U32()) })
		case 10:
			m.code(body, kinds)
		default:
			m.section(id, body)
		}
		if body.Err != nil {
			return nil, fmt.Errorf("section %d: %w", id, body.Err)
		}
	}
	if r.Err != nil {
		return nil, r.Err
	}
	return m, m.check(len(kinds))
}

func (m *module) section(id byte, r *reader) {
	switch id {
	case 0:
		if r.Name() == "name" && r.Err == nil {
			m.nameSection(r)
		}
		r.Err = nil // what is wrong with names is not wrong with the module
	case 1:
		r.Vector(func() { m.signature(r) })
	case 2:
		r.Vector(func() { m.imported(r) })
	case 4:
		r.Vector(func() {
			r.valueType()
			least, most := r.limits(math.MaxUint32)
			m.tables = append(m.tables, table{least, most})
		})
	case 5:
		r.Vector(func() {
			m.memories++
			m.memoryMin, m.memoryMax = r.limits(1 << 16)
		})
	case 6:
		r.Vector(func() {
			g := global{kind: r.valueType(), mutable: r.Byte() == 1}
			g.begin = r.constant()
			m.globals = append(m.globals, g)
		})
	case 7:
		r.Vector(func() { m.exports[r.Name()] = export{r.Byte(), r.U32()} })
	case 8:
		m.start = int(r.U32())
	case 9:
		r.Vector(func() { m.elements = append(m.elements, r.element()) })
	case 11:
		r.Vector(func() { m.data = append(m.data, r.segment()) })
	}
}

func (m *module) signature(r *reader) {
	if r.Byte() != 0x60 {
		r.Fail(errors.New("a type that is no function's"))
	}
	types := func() string {
		var out []byte
		r.Vector(func() { out = append(out, byte(r.valueType())) })
		return string(out)
	}
	s := signature{params: types()}
	s.results = types()
	first := slices.Index(m.signatures, s)
	if first < 0 {
		first = len(m.signatures)
	}
	m.signatures = append(m.signatures, s)
	m.canonical = append(m.canonical, uint32(first))
}

func (m *module) imported(r *reader) {
	from, name := r.Name(), r.Name()
	switch kind := r.Byte(); kind {
	case kindFunction:
		m.imports = append(m.imports, importedFunction{from, name, r.U32()})
	default:
		r.Failf("%w: import %s.%s is no function", errUnsupported, from, name)
	}
}

// code reads the code section; kinds are the signatures of its functions.
func (m *module) code(r *reader, kinds []uint32) {
	if n := r.U32(); int64(n) != int64(len(kinds)) {
		r.Fail(bytecode.ErrTruncated)
		return
	}
	const maxLocals = 50_000 // wazero's limit, too
	for _, kind := range kinds {
		body := &reader{r.Sized()}
		f := function{kind: kind}
		var locals []byte
		body.Vector(func() {
			n, t := body.U32(), body.valueType()
			if uint64(n)+uint64(len(locals)) > maxLocals {
				body.Fail(errors.New("too many locals"))
				return
			}
			locals = append(locals, bytes.Repeat([]byte{byte(t)}, int(n))...)
		})
		f.locals, f.code = string(locals), body.Data
		if body.Err != nil {
			r.Fail(body.Err)
			return
		}
		m.functions = append(m.functions, f)
	}
}

// check looks at what the rest of the package takes for granted: that indices are in range.
func (m *module) check(functions int) error {
	all := len(m.imports) + len(m.functions)
	kinds := func(kind uint32) bool { return int64(kind) < int64(len(m.signatures)) }
	known := func(c constant) bool { return c.global < len(m.globals) && c.function < all }
	ok := functions == len(m.functions) && m.start < all
	for _, f := range m.imports {
		ok = ok && kinds(f.kind)
	}
	for _, f := range m.functions {
		ok = ok && kinds(f.kind)
	}
	for i, g := range m.globals {
		ok = ok && known(g.begin) && g.begin.global < i
	}
	for _, e := range m.elements {
		ok = ok && known(e.offset) && !slices.ContainsFunc(e.items, func(c constant) bool { return !known(c) }) && (e.mode != active || int64(e.table) < int64(len(m.tables)))
	}
	for _, d := range m.data {
		ok = ok && known(d.offset)
	}
	for _, e := range m.exports {
		counts := map[byte]int{kindFunction: all, kindTable: len(m.tables), kindMemory: m.memories, kindGlobal: len(m.globals)}
		ok = ok && int64(e.index) < int64(counts[e.kind])
	}
	switch {
	case !ok:
		return errors.New("an index is out of range")
	case m.memories > 1:
		return fmt.Errorf("%w: %d memories", errUnsupported, m.memories)
	}
	return nil
}

// kind is the signature of a function, imported or not.
func (m *module) kind(index uint32) uint32 {
	if int64(index) < int64(len(m.imports)) {
		return m.imports[index].kind
	}
	return m.functions[int(index)-len(m.imports)].kind
}

func (m *module) nameSection(r *reader) {
	for len(r.Data) > 0 && r.Err == nil {
		id := r.Byte()
		body := &reader{r.Sized()}
		if id == 1 {
			body.Vector(func() { m.names[body.U32()] = body.Name() })
		}
	}
}

func (r *reader) valueType() valueType {
	switch b := r.Byte(); b {
	case 0x7f:
		return typeI32
	case 0x7e:
		return typeI64
	case 0x7d:
		return typeF32
	case 0x7c:
		return typeF64
	case 0x7b:
		return typeV128
	case 0x70, 0x6f:
		return typeRef
	default:
		r.Failf("%w: type %#x", errUnsupported, b)
		return typeI32
	}
}

func (r *reader) limits(limit uint64) (least, most uint64) {
	flags := r.Byte()
	if flags > 1 {
		r.Failf("%w: limits with flags %#x", errUnsupported, flags)
		return 0, 0
	}
	least, most = uint64(r.U32()), limit
	if flags == 1 {
		most = min(limit, uint64(r.U32()))
	}
	return least, most
}
