package sdk

import (
	"encoding/binary"
	"slices"
)

// functionSymbol is a function that an object has, or calls and does not have.
type functionSymbol struct {
	name      string
	symbol    uint64 // its place among all symbols
	function  uint64 // its index
	signature signature
	defined   bool
	local     bool // others do not see it
	weak      bool
	renamed   bool        // its import has another name
	called    []signature // by which code of the object calls it: who only takes the address of a function without a prototype gives no type
}

// object is what calls and functions are in an object file.
type object struct {
	content   []byte
	program   *program // its types
	imports   []imported
	functions []functionSymbol
	symbols   uint64 // how many there are
	code      []byte // its section
	tries     bool   // it calls functions under a try
}

// readObject reads an object; one that is no WebAssembly object has no functions.
func readObject(content []byte) object {
	p := &program{names: make(map[uint64]string), exported: make(map[string]uint64)}
	o := object{content: content, program: p, tries: hasTries(content)}
	called := make(map[uint64][]signature)
	for id, section := range sections(content) {
		switch id {
		case importSection:
			o.imports = (&reader{b: section.b}).importedFunctions()
			fallthrough
		case typeSection, functionSection:
			if !p.read(id, section) {
				return object{}
			}
		case codeSection:
			o.code = section.b
		case customSection:
			switch section.name() {
			case linkingSection:
				o.readSymbols(section)
			case codeRelocations:
				all := section.relocations()
				for _, c := range o.calls(all) {
					if list := called[c.symbol]; !slices.Contains(list, c.signature) {
						called[c.symbol] = append(list, c.signature)
					}
				}
			}
		}
	}
	for i := range o.functions {
		o.functions[i].called = called[o.functions[i].symbol]
	}
	return o
}

// readSymbols reads the linking section, behind its name.
func (o *object) readSymbols(r *reader) {
	p := o.program
	for s := range r.linked() {
		o.symbols++
		if s.kind != kindFunction || s.index >= uint64(len(p.typeOf)) || p.typeOf[s.index] >= uint64(len(p.types)) {
			continue
		}
		f := functionSymbol{
			name: s.name, symbol: o.symbols - 1, function: s.index, signature: p.signatureOf(s.index), defined: s.flags&flagUndefined == 0,
			local: s.flags&flagBindingMask == bindingLocal, weak: s.flags&flagBindingMask == bindingWeak, renamed: s.flags&flagExplicitName != 0,
		}
		if s.name == "" && s.index < uint64(len(o.imports)) {
			f.name = o.imports[s.index].name
		}
		o.functions = append(o.functions, f)
	}
}

// calledAs is a symbol, and the type by which the function is called.
type calledAs struct {
	symbol    uint64
	signature signature
}

// objectCall is where a function is called.
type objectCall struct {
	calledAs

	relocation int // of those of the code
}

// calls are the places where functions are called: by a call, and by their address, which is called, or given to a function that calls it under a try (tries.go).
func (o object) calls(r relocations) (list []objectCall) {
	types := make(map[uint64]signature)
	for _, f := range o.functions {
		types[f.symbol] = f.signature
	}
	for i, next := range r.list {
		s, ok := types[next.symbol]
		if ok && next.kind == relocAddress {
			s, ok = o.callOf(next.at)
		}
		if ok && (next.kind == relocCall || next.kind == relocAddress) {
			list = append(list, objectCall{calledAs{next.symbol, s}, i})
		}
	}
	return list
}

// callOf is the type by which the address that stands at a place in the code is called, if it is: by the instruction for that, as the compiler does without optimisation, or by a function that calls others
// under a try. The compiler writes the address where it is needed, before the values for a function under a try, without optimisation by way of a local variable.
func (o object) callOf(at uint64) (as signature, ok bool) {
	const room = 5 // of the address
	if at+room > uint64(len(o.code)) {
		return signature{}, false
	}
	r := &reader{b: o.code[at+room:]}
	height, local, held := 1, uint64(0), false // what is on the stack, from the address on; held: the address is in the local variable
	for len(r.b) > 0 && !r.bad {
		op, next := r.byte(), &reader{b: r.b}
		if held {
			if index := next.uint(); op == opLocalGet && index == local {
				height, held = 1, false
			} else if _, _, ok := o.effect(op, r.b); !ok {
				return signature{}, false
			}
			r.immediates(op)
			continue
		}
		takes, gives, ok := o.effect(op, r.b)
		switch {
		case op == opLocalSet && height == 1:
			local, held = next.uint(), true
		case !ok:
			return signature{}, false
		case takes >= height && op == opCallIndirect:
			return o.program.types[next.uint()], height == 1
		case takes >= height && op == opCall:
			index := next.uint()
			if takes != height || index >= uint64(len(o.imports)) {
				return signature{}, false
			}
			letters, ok := invoked(o.imports[index].name)
			return invokedType(letters), ok && o.tries
		case takes >= height && op != opLocalTee:
			return signature{}, false
		}
		r.immediates(op)
		height += gives - takes
	}
	return signature{}, false
}

// effect is how many values an instruction takes from the stack, and gives; immediates begins with what follows its first byte. It knows those that compute, and calls.
func (o object) effect(op byte, immediates []byte) (takes, gives int, ok bool) {
	r := &reader{b: immediates}
	switch op {
	case opBulk:
		return bulkEffect(r.uint())
	case vectorPrefix:
		return vectorEffect(r.uint())
	case opCall:
		index := r.uint()
		if index >= uint64(len(o.program.typeOf)) || o.program.typeOf[index] >= uint64(len(o.program.types)) {
			return 0, 0, false
		}
		s := o.program.signatureOf(index)
		return len(s.params), len(s.results), true
	case opCallIndirect:
		index := r.uint()
		if index >= uint64(len(o.program.types)) {
			return 0, 0, false
		}
		s := o.program.types[index]
		return len(s.params) + 1, len(s.results), true
	}
	return effectOf(op)
}

// recalled are calls of functions that an object does not have, or of stubs of the compiler's for one, and the name and the type of what is to be called in their place.
type recalled struct {
	calls     []calledAs
	signature signature
	instead   string
}

// recalled is a copy of the object that calls other functions; addresses stay those that they were. Nil: it cannot be read. What is called in the place of others is one more import, behind the others, and one
// more symbol, of a type behind the others where it is a new one. The table stays as it was: the linker makes it anew of the relocations.
func (o object) recalled(list []recalled) []byte {
	moved := make(map[calledAs]uint64)
	var types []signature
	for i, next := range list {
		for _, c := range next.calls {
			moved[c] = o.symbols + uint64(i)
		}
		if !slices.Contains(o.program.types, next.signature) && !slices.Contains(types, next.signature) {
			types = append(types, next.signature)
		}
	}
	out := []byte(wasmMagic)
	for id, section := range sections(o.content) {
		content := section.b
		switch id {
		case typeSection:
			content = append(binary.AppendUvarint(nil, section.uint()+uint64(len(types))), section.b...)
			for _, t := range types {
				content = t.append(content)
			}
		case importSection:
			content = o.moreImports(section, list, slices.Concat(o.program.types, types))
		case customSection:
			head := appendName(nil, section.name())
			switch string(head[1:]) {
			case linkingSection:
				content = append(head, o.moreSymbols(section, uint64(len(list)))...)
			case codeRelocations:
				all := section.relocations()
				for _, c := range o.calls(all) {
					if to, ok := moved[c.calledAs]; ok {
						all.list[c.relocation].symbol = to
					}
				}
				content = all.append(head)
			case nameSection:
				content = head // the functions' indices are others, and the linker has the symbols' names
			}
		}
		if section.bad {
			return nil
		}
		out = appendName(append(out, id), string(content))
	}
	return out
}

// moreImports is the import section with what is to be called, whose types are among types.
func (o object) moreImports(r *reader, list []recalled, types []signature) []byte {
	out := binary.AppendUvarint(nil, r.uint()+uint64(len(list)))
	out = append(out, r.b...)
	for _, c := range list {
		out = append(appendName(appendName(out, "env"), c.instead), kindFunction)
		out = binary.AppendUvarint(out, uint64(slices.Index(types, c.signature)))
	}
	return out
}

// moreSymbols is the linking section, behind its name, where the object's own functions stand behind n more imports, each with a symbol at the end.
func (o object) moreSymbols(r *reader, n uint64) []byte {
	var also []symbol
	for i := range n {
		also = append(also, symbol{kind: kindFunction, flags: flagUndefined, index: uint64(len(o.imports)) + i})
	}
	out := binary.AppendUvarint(nil, r.uint())
	for len(r.b) > 0 && !r.bad {
		kind, part := r.byte(), &reader{b: r.bytes(r.uint())}
		content := part.b
		switch kind {
		case symbolSubsection:
			content = part.changedSymbols(func(s *symbol) {
				if s.kind == kindFunction && s.flags&flagUndefined == 0 {
					s.index += n
				}
			}, &also)
		case comdatSubsection:
			content = part.shiftedGroups(n)
		}
		out = appendName(append(out, kind), string(content))
		r.bad = r.bad || part.bad
	}
	return out
}

// changedSymbols is a symbol table with symbols as change makes them, and those that are also there then behind them.
func (r *reader) changedSymbols(change func(*symbol), also *[]symbol) []byte {
	all := r.uint()
	var out []byte
	for n := all; n > 0 && !r.bad; n-- {
		s := r.symbol()
		change(&s)
		out = s.append(out)
	}
	for _, s := range *also {
		out = s.append(out)
	}
	return append(binary.AppendUvarint(nil, all+uint64(len(*also))), out...)
}

// shiftedGroups are the groups of an object of which the linker takes one of each name, with its functions n later.
func (r *reader) shiftedGroups(n uint64) []byte {
	const groupedFunction = 1
	all := r.uint()
	out := binary.AppendUvarint(nil, all)
	for ; all > 0 && !r.bad; all-- {
		out = appendName(out, r.name())
		flags, members := r.uint(), r.uint()
		out = binary.AppendUvarint(binary.AppendUvarint(out, flags), members)
		for ; members > 0 && !r.bad; members-- {
			kind, index := r.byte(), r.uint()
			if kind == groupedFunction {
				index += n
			}
			out = binary.AppendUvarint(append(out, kind), index)
		}
	}
	return out
}
