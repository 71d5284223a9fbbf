package sdk

import "encoding/binary"

// functionSymbol is a function that an object has, or calls and does not have.
type functionSymbol struct {
	name      string
	symbol    uint64 // its place among all symbols
	function  uint64 // its index
	signature signature
	defined   bool
	local     bool // others do not see it
	weak      bool
	renamed   bool // its import has another name
	called    bool // by code of the object, and not only by way of its address: who takes that of a function without a prototype gives no type
}

// object is what calls and functions are in an object file.
type object struct {
	content   []byte
	program   *program // its types
	imports   []imported
	functions []functionSymbol
	symbols   uint64 // how many there are
	code      []byte // its section
}

// readObject reads an object; one that is no WebAssembly object has no functions.
func readObject(content []byte) object {
	p := &program{names: make(map[uint64]string), exported: make(map[string]uint64)}
	o := object{content: content, program: p}
	called := make(map[uint64]bool)
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
				for _, i := range o.calls(all) {
					called[all.list[i].symbol] = true
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

// calls are the places by which functions are called. A call under a try is one of another function (tries.go), which gets the address of what it is to call first.
func (o object) calls(r relocations) (places []int) {
	for i, next := range r.list {
		if next.kind == relocCall || next.kind == relocAddress && o.tries(next.at) {
			places = append(places, i)
		}
	}
	return places
}

// tries says whether the address that stands at a place in the code is what a function that calls others under a try is to call. The compiler writes it where it is needed, and nothing but values
// for that call behind it, without optimisation by way of a local variable.
func (o object) tries(at uint64) bool {
	const room = 5 // of the address
	if at+room > uint64(len(o.code)) {
		return false
	}
	r := &reader{b: o.code[at+room:]}
	height, local, held := 1, uint64(0), false // what is on the stack, from the address on; held: the address is in the local variable
	for len(r.b) > 0 && !r.bad {
		op, next := r.byte(), &reader{b: r.b}
		if held {
			if index := next.uint(); op == opLocalGet && index == local {
				height, held = 1, false
			} else if _, _, ok := o.effect(op, r.b); !ok {
				return false
			}
			r.immediates(op)
			continue
		}
		takes, gives, ok := o.effect(op, r.b)
		switch {
		case op == opLocalSet && height == 1:
			local, held = next.uint(), true
		case !ok || takes >= height && op != opCall && op != opLocalTee:
			return false
		case takes >= height && op == opCall:
			index := next.uint()
			if takes != height || index >= uint64(len(o.imports)) {
				return false
			}
			_, ok := invoked(o.imports[index].name)
			return ok
		}
		r.immediates(op)
		height += gives - takes
	}
	return false
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

// recalled are functions that an object calls and does not have, or stubs of the compiler's for one, which are of one type, and the name of what is to be called in their place.
type recalled struct {
	symbols   []uint64
	signature uint64 // its place among the types
	instead   string
}

// recalled is a copy of the object that calls other functions; addresses stay those that they were. Nil: it cannot be read. What is called in the place of others is one more import, behind the others, and one
// more symbol. The table stays as it was: the linker makes it anew of the relocations.
func (o object) recalled(calls []recalled) []byte {
	moved := make(map[uint64]uint64)
	for i, c := range calls {
		for _, symbol := range c.symbols {
			moved[symbol] = o.symbols + uint64(i)
		}
	}
	out := []byte(wasmMagic)
	for id, section := range sections(o.content) {
		content := section.b
		switch id {
		case importSection:
			content = o.moreImports(section, calls)
		case customSection:
			head := appendName(nil, section.name())
			switch string(head[1:]) {
			case linkingSection:
				content = append(head, o.moreSymbols(section, uint64(len(calls)))...)
			case codeRelocations:
				all := section.relocations()
				for _, i := range o.calls(all) {
					if to, ok := moved[all.list[i].symbol]; ok {
						all.list[i].symbol = to
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

// moreImports is the import section with those of calls.
func (o object) moreImports(r *reader, calls []recalled) []byte {
	out := binary.AppendUvarint(nil, r.uint()+uint64(len(calls)))
	out = append(out, r.b...)
	for _, c := range calls {
		out = append(appendName(appendName(out, "env"), c.instead), kindFunction)
		out = binary.AppendUvarint(out, c.signature)
	}
	return out
}

// moreSymbols is the linking section, behind its name, where the object's own functions stand behind n more imports, each with a symbol at the end.
func (o object) moreSymbols(r *reader, n uint64) []byte {
	out := binary.AppendUvarint(nil, r.uint())
	for len(r.b) > 0 && !r.bad {
		kind, part := r.byte(), &reader{b: r.bytes(r.uint())}
		content := part.b
		switch kind {
		case symbolSubsection:
			content = part.changedSymbols(n, func(s *symbol) {
				if s.kind == kindFunction && s.flags&flagUndefined == 0 {
					s.index += n
				}
			})
			for i := range n {
				content = binary.AppendUvarint(append(content, kindFunction, flagUndefined), uint64(len(o.imports))+i)
			}
		case comdatSubsection:
			content = part.shiftedGroups(n)
		}
		out = appendName(append(out, kind), string(content))
		r.bad = r.bad || part.bad
	}
	return out
}

// changedSymbols is a symbol table that has room for n more, with symbols as change makes them.
func (r *reader) changedSymbols(n uint64, change func(*symbol)) []byte {
	all := r.uint()
	out := binary.AppendUvarint(nil, all+n)
	for ; all > 0 && !r.bad; all-- {
		s := r.symbol()
		change(&s)
		out = s.append(out)
	}
	return out
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
