package sdk

import "encoding/binary"

// codeRelocations is the section that says where the code of an object names symbols.
const codeRelocations = "reloc.CODE"

// Kinds of relocations: of a call, of a function's address in code, and those that have one more number. WebAssembly's tool conventions, Linking.md.
const (
	relocCall    = 0
	relocAddress = 1
)

const relocAddends = 1<<3 | 1<<4 | 1<<5 | 1<<8 | 1<<9 | 1<<11 | 1<<14 | 1<<15 | 1<<16 | 1<<17 | 1<<21 | 1<<22 | 1<<23 | 1<<25

// relocation is a place where a section names a symbol.
type relocation struct {
	kind, at, symbol uint64
	addend           []byte // as it stands there
}

// relocations are those of a section.
type relocations struct {
	section uint64 // that they are of
	list    []relocation
}

// relocations reads a section of them, behind its name.
func (r *reader) relocations() relocations {
	out := relocations{section: r.uint()}
	n := r.uint()
	out.list = make([]relocation, 0, min(n, uint64(len(r.b)/3))) // of three bytes at least
	for ; n > 0 && !r.bad; n-- {
		next := relocation{kind: r.uint(), at: r.uint(), symbol: r.uint()}
		if relocAddends>>next.kind&1 != 0 {
			before := r.b
			r.numbers(1)
			next.addend = before[:len(before)-len(r.b)]
		}
		if !r.bad {
			out.list = append(out.list, next)
		}
	}
	return out
}

// append adds the section as an object has it, behind its name.
func (r relocations) append(to []byte) []byte {
	to = binary.AppendUvarint(binary.AppendUvarint(to, r.section), uint64(len(r.list)))
	for _, next := range r.list {
		to = binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(to, next.kind), next.at), next.symbol)
		to = append(to, next.addend...)
	}
	return to
}
