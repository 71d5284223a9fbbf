package sdk

import (
	"encoding/binary"
	"slices"
)

// codeRelocations is the section that says where the code of an object names symbols.
const codeRelocations = "reloc.CODE"

// Kinds of relocations: of a call, of a function's address in code, and those that have one more number. WebAssembly's tool conventions, Linking.md.
const (
	relocCall    = 0
	relocAddress = 1
)

var relocAddends = []uint64{3, 4, 5, 8, 9, 11, 14, 15, 16, 17, 21, 22, 23, 25} //nolint:gochecknoglobals // an immutable list

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
	for n := r.uint(); n > 0 && !r.bad; n-- {
		next := relocation{kind: r.uint(), at: r.uint(), symbol: r.uint()}
		if slices.Contains(relocAddends, next.kind) {
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
