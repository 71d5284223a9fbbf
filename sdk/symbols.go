package sdk

import (
	"bytes"
	"encoding/binary"
	"iter"
)

// wasmMagic begins every WebAssembly object.
const wasmMagic = "\x00asm\x01\x00\x00\x00"

// Parts of an object file, from WebAssembly's tool conventions, Linking.md.
const (
	customSection    = 0
	linkingSection   = "linking"
	comdatSubsection = 7
	symbolSubsection = 8
	linkingVersion   = 2
	kindFunction     = 0
	kindData         = 1
	kindSection      = 3
	flagBindingMask  = 3
	bindingWeak      = 1
	bindingLocal     = 2
	flagUndefined    = 0x10
	flagExplicitName = 0x40
)

// reader takes an object apart. After the first mistake everything it returns is zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) byte() byte {
	if b := r.bytes(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (r *reader) name() string { return string(r.bytes(r.uint())) }

// sections are those of a module or an object, each by its id; none, if it is not WebAssembly, and none behind the first mistake.
func sections(module []byte) iter.Seq2[byte, *reader] {
	return func(yield func(id byte, section *reader) bool) {
		rest, ok := bytes.CutPrefix(module, []byte(wasmMagic))
		if !ok {
			return
		}
		for r := (&reader{b: rest}); len(r.b) > 0 && !r.bad; {
			id := r.byte()
			if !yield(id, &reader{b: r.bytes(r.uint())}) {
				return
			}
		}
	}
}

// definedSymbols are the names that an object offers to others; none, if it is not a WebAssembly object.
func definedSymbols(object []byte) []string {
	var out []string
	for s := range symbolsOf(object) {
		if s.offered() {
			out = append(out, s.name)
		}
	}
	return out
}

// offered says whether others may use what the object has by this symbol.
func (s symbol) offered() bool {
	return s.flags&flagUndefined == 0 && s.kind != kindSection && s.flags&flagBindingMask != bindingLocal
}

// symbolsOf goes through the symbols of an object.
func symbolsOf(object []byte) iter.Seq[symbol] {
	for id, section := range sections(object) {
		if id == customSection && section.name() == linkingSection {
			return section.linked()
		}
	}
	return func(func(symbol) bool) {}
}

// linked goes through the symbols of a linking section, behind its name.
func (r *reader) linked() iter.Seq[symbol] {
	if r.uint() == linkingVersion {
		for len(r.b) > 0 && !r.bad {
			kind := r.byte()
			part := &reader{b: r.bytes(r.uint())}
			if kind == symbolSubsection {
				return part.symbols()
			}
		}
	}
	return func(func(symbol) bool) {}
}

// symbol is an entry of an object's symbol table.
type symbol struct {
	kind  byte
	flags uint64
	index uint64 // of a function, global, event, table or section
	name  string // empty: it has the name of its import, or none
	place []byte // of data: segment, offset and size, as they stand there
}

// symbols goes through a symbol table.
func (r *reader) symbols() iter.Seq[symbol] {
	return func(yield func(symbol) bool) {
		for n := r.uint(); n > 0 && !r.bad; n-- {
			if s := r.symbol(); r.bad || !yield(s) {
				return
			}
		}
	}
}

// symbol reads an entry of a symbol table.
func (r *reader) symbol() symbol {
	s := symbol{kind: r.byte(), flags: r.uint()}
	undefined := s.flags&flagUndefined != 0
	switch s.kind {
	case kindData:
		s.name = r.name()
		if !undefined {
			before := r.b
			r.numbers(3)
			s.place = before[:len(before)-len(r.b)]
		}
	case kindSection:
		s.index = r.uint()
	default: // function, global, event, table
		s.index = r.uint()
		if !undefined || s.flags&flagExplicitName != 0 {
			s.name = r.name()
		}
	}
	return s
}

// append adds the entry as a symbol table has it.
func (s symbol) append(to []byte) []byte {
	to = binary.AppendUvarint(append(to, s.kind), s.flags)
	if s.kind == kindData {
		to = appendName(to, s.name)
		if s.flags&flagUndefined == 0 {
			to = append(to, s.place...)
		}
		return to
	}
	to = binary.AppendUvarint(to, s.index)
	if s.kind != kindSection && (s.flags&flagUndefined == 0 || s.flags&flagExplicitName != 0) {
		to = appendName(to, s.name)
	}
	return to
}

// size is how many bytes data have.
func (s symbol) size() uint64 {
	r := &reader{b: s.place}
	r.numbers(2)
	return r.uint()
}

// importSection holds what a module takes from elsewhere.
const importSection = 2

// imported is a function that an object calls and does not have.
type imported struct {
	module, name string
	signature    uint64 // its place among the types
}

// importedFunctions are the functions that an object calls and does not have; none, if it is not a WebAssembly object.
func importedFunctions(object []byte) []imported {
	for id, section := range sections(object) {
		if id == importSection {
			return section.importedFunctions()
		}
	}
	return nil
}

// importedFunctions reads the import section: the WebAssembly specification, 5.5.5.
func (r *reader) importedFunctions() []imported {
	var out []imported
	for n := r.uint(); n > 0 && !r.bad; n-- {
		module, name := r.name(), r.name()
		kind := r.byte()
		if signature := r.importOf(kind); kind == 0 && !r.bad {
			out = append(out, imported{module, name, signature})
		}
	}
	return out
}

// importOf reads what an import is of; signature is a function's type.
func (r *reader) importOf(kind byte) (signature uint64) {
	switch kind {
	case 0: // a function, of a type
		return r.uint()
	case 1: // a table, of a type and limits
		r.byte()
		r.limits()
	case 2: // a memory
		r.limits()
	case 3: // a global, of a type and constant or not
		r.bytes(2)
	case 4: // a tag
		r.byte()
		r.uint()
	default:
		r.bad = true
	}
	return 0
}

// limits passes over how large a table or a memory is, and may become.
func (r *reader) limits() {
	flags := r.byte()
	r.uint()
	if flags&1 != 0 {
		r.uint()
	}
}
