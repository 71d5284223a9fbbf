package native

import (
	_ "embed"
	"errors"
	"fmt"
	"strings"
)

//go:embed c/guest.h
var guestHeader string

//go:embed c/vector.h
var vectorHeader string

//go:embed c/memory.c
var memorySource string

// Version is the translator's: objects of another are not used.
const Version = 1

// partBytes is about how much of a module's code goes to one file of C: clang takes them at the same time.
const partBytes = 64 << 10

// source is a module as C: files that are compiled each for itself and linked.
type source struct {
	header string
	parts  []string
}

// translate makes C of a module.
func translate(m *module) (*source, error) {
	if len(m.globals)*globalBytes+len(m.tables)*tableBytes+tablesAt+16 > memoryAt {
		return nil, fmt.Errorf("%w: %d globals and %d tables", errUnsupported, len(m.globals), len(m.tables))
	}
	s := &source{header: guestHeader + vectorHeader + m.prototypes()}
	part := &strings.Builder{}
	for i := range m.functions {
		if err := m.translateFunction(part, i); err != nil {
			index := uint32(i + len(m.imports))
			return nil, fmt.Errorf("function %d (%s): %w", index, m.names[index], err)
		}
		if part.Len() > partBytes*8 {
			s.parts = append(s.parts, part.String())
			part = &strings.Builder{}
		}
	}
	m.importWrappers(part)
	m.callWrappers(part)
	part.WriteString(memorySource)
	s.parts = append(s.parts, part.String())
	return s, nil
}

// cTypes are the types of values in C.
var cTypes = map[valueType]string{typeI32: "u32", typeI64: "u64", typeF32: "f32", typeF64: "f64", typeV128: "v128", typeRef: "u64"} //nolint:gochecknoglobals // an immutable lookup table

// result is what a function of a signature returns: several values are a structure.
func (m *module) result(kind uint32) string {
	switch results := m.signatures[kind].results; len(results) {
	case 0:
		return "void"
	case 1:
		return cTypes[valueType(results[0])]
	default:
		return fmt.Sprintf("struct results%d", m.canonical[kind])
	}
}

// pointer is the type of a pointer to a function of a signature.
func (m *module) pointer(kind uint32) string {
	var b strings.Builder
	b.WriteString(m.result(kind) + " (*)(struct instance *")
	for _, t := range []byte(m.signatures[kind].params) {
		b.WriteString(", " + cTypes[valueType(t)])
	}
	b.WriteString(")")
	return b.String()
}

// head is the head of a function's definition.
func (m *module) head(index uint32) string {
	kind := m.kind(index)
	var b strings.Builder
	fmt.Fprintf(&b, "%s w%d(struct instance *I", m.result(kind), index)
	for i, t := range []byte(m.signatures[kind].params) {
		fmt.Fprintf(&b, ", %s l%d", cTypes[valueType(t)], i)
	}
	b.WriteString(")")
	return b.String()
}

// prototypes declares all functions, and what returns several values. No function is put into another: clang has done that before, where it is of use, and a stack has the names of all of
// its functions so.
func (m *module) prototypes() string {
	var b strings.Builder
	for i, s := range m.signatures {
		if len(s.results) < 2 || m.canonical[i] != uint32(i) {
			continue
		}
		fmt.Fprintf(&b, "struct results%d {", i)
		for k, t := range []byte(s.results) {
			fmt.Fprintf(&b, " %s r%d;", cTypes[valueType(t)], k)
		}
		b.WriteString(" };\n")
	}
	for i := range len(m.imports) + len(m.functions) {
		fmt.Fprintf(&b, "__attribute__((noinline, visibility(\"hidden\"))) %s;\n", m.head(uint32(i)))
	}
	b.WriteString("extern const struct function functions[];\n")
	return b.String()
}

// putSlots writes values to the words; the upper half of a word is zero for a type of 32 bits.
func putSlots(b *strings.Builder, types string, value func(i int) string) {
	at := 0
	for i, t := range []byte(types) {
		switch valueType(t) {
		case typeV128:
			fmt.Fprintf(b, " { v128 v = %s; s[%d] = v[0]; s[%d] = v[1]; }", value(i), at, at+1)
			at++
		case typeF32:
			fmt.Fprintf(b, " s[%d] = bits_f32(%s);", at, value(i))
		case typeF64:
			fmt.Fprintf(b, " s[%d] = bits_f64(%s);", at, value(i))
		default:
			fmt.Fprintf(b, " s[%d] = %s;", at, value(i))
		}
		at++
	}
}

// getSlot is an expression for the value in the words at at.
func getSlot(t valueType, at int) string {
	switch t {
	case typeV128:
		return fmt.Sprintf("(v128){s[%d], s[%d]}", at, at+1)
	case typeF32:
		return fmt.Sprintf("f32_bits(s[%d])", at)
	case typeF64:
		return fmt.Sprintf("f64_bits(s[%d])", at)
	default:
		return fmt.Sprintf("(%s)s[%d]", cTypes[t], at)
	}
}

// importWrappers are the functions by which a guest calls the host: its arguments are on its own stack.
func (m *module) importWrappers(b *strings.Builder) {
	for i, f := range m.imports {
		s := m.signatures[f.kind]
		fmt.Fprintf(b, "%s {\n  u64 s[%d];\n ", m.head(uint32(i)), max(slots(s.params), slots(s.results), 1))
		putSlots(b, s.params, func(i int) string { return fmt.Sprintf("l%d", i) })
		fmt.Fprintf(b, "\n  to_host(I, CALL, %d, s);\n", i)
		switch {
		case len(s.results) == 1:
			fmt.Fprintf(b, "  return %s;\n", getSlot(valueType(s.results[0]), 0))
		case len(s.results) > 1:
			fmt.Fprintf(b, "  return (%s){", m.result(f.kind))
			at := 0
			for _, t := range []byte(s.results) {
				fmt.Fprintf(b, "%s, ", getSlot(valueType(t), at))
				at += slots(string(t))
			}
			b.WriteString("};\n")
		}
		b.WriteString("}\n")
	}
}

// callWrappers are the functions by which the host calls a guest, one for each signature, and the list of all functions.
func (m *module) callWrappers(b *strings.Builder) {
	for i, sig := range m.signatures {
		if m.canonical[i] != uint32(i) {
			continue
		}
		fmt.Fprintf(b, "static void call%d(void *code, struct instance *I, u64 *s) {\n  ", i)
		if sig.results != "" {
			fmt.Fprintf(b, "%s r = ", m.result(uint32(i)))
		}
		fmt.Fprintf(b, "((%s)code)(I", m.pointer(uint32(i)))
		at := 0
		for _, t := range []byte(sig.params) {
			b.WriteString(", " + getSlot(valueType(t), at))
			at += slots(string(t))
		}
		b.WriteString(");\n ")
		putSlots(b, sig.results, func(k int) string {
			if len(sig.results) == 1 {
				return "r"
			}
			return fmt.Sprintf("r.r%d", k)
		})
		b.WriteString("\n}\n")
	}
	b.WriteString("const struct function functions[] = {\n")
	for i := range len(m.imports) + len(m.functions) {
		kind := m.canonical[m.kind(uint32(i))]
		fmt.Fprintf(b, "  {(void *)w%d, call%d, %d},\n", i, kind, kind)
	}
	b.WriteString("  {0, 0, 0}\n};\n")
}

// errCode is of code that is not well typed: the module has not been validated.
var errCode = errors.New("the code is not valid")
