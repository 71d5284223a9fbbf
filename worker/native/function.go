package native

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// frame is a block of a function that is being translated.
type frame struct {
	op              byte // opBlock (also the function itself), opLoop, opIf
	height          int  // of the stack below its parameters
	params, results string
	end             int // label behind it, or at the head of a loop
	otherwise       int // label of an else; 0: none, or it has come
	loop            *loop
}

// body translates one function. Each place of the stack is a variable of C for each type of value that it has; blocks are labels and
// jumps, so that nothing is nested in C.
type body struct {
	m       *module
	r       *reader
	out     strings.Builder
	locals  string // types, parameters first
	results string
	kind    uint32
	stack   []valueType
	frames  []frame
	labels  int
	last    instruction
	scan    scan
	loops   int // that have begun, those that are not reached among them
	dead    int // what cannot be reached is skipped: 1 and how many blocks began in it
	used    map[string]valueType
	err     error
}

func (m *module) translateFunction(out *strings.Builder, i int) error {
	f := m.functions[i]
	s := m.signatures[f.kind]
	b := &body{m: m, r: newReader(f.code), locals: s.params + f.locals, results: s.results, kind: f.kind, used: map[string]valueType{}, scan: scanned(f.code)}
	b.frames = []frame{{op: opBlock, results: s.results, end: b.label()}}
	for len(b.frames) > 0 && b.r.Err == nil && b.err == nil {
		in := b.r.instruction()
		b.instruction(in)
		b.last = in
	}
	switch {
	case b.r.Err != nil:
		return b.r.Err
	case b.err != nil:
		return b.err
	case len(b.r.Data) > 0:
		return errCode
	}
	fmt.Fprintf(out, "%s {\n", m.head(uint32(i+len(m.imports))))
	for k, t := range []byte(f.locals) {
		zero := "0"
		if valueType(t) == typeV128 {
			zero = "{}"
		}
		fmt.Fprintf(out, "  %s l%d = %s;\n", cTypes[valueType(t)], len(s.params)+k, zero)
	}
	names := make([]string, 0, len(b.used))
	for name := range b.used {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(out, "  %s %s;\n", cTypes[b.used[name]], name)
	}
	out.WriteString(b.out.String())
	out.WriteString("}\n")
	return nil
}

func (b *body) label() int {
	b.labels++
	return b.labels
}

func (b *body) fail() {
	if b.err == nil {
		b.err = errCode
	}
}

// emit writes one line of C.
func (b *body) emit(format string, args ...any) { fmt.Fprintf(&b.out, "  "+format+"\n", args...) }

// at is the variable of a place of the stack.
func (b *body) at(depth int, t valueType) string {
	name := "x" + string(rune(t)) + strconv.Itoa(depth)
	b.used[name] = t
	return name
}

func (b *body) push(t valueType) string {
	b.stack = append(b.stack, t)
	return b.at(len(b.stack)-1, t)
}

func (b *body) pushAll(types string) {
	for _, t := range []byte(types) {
		b.push(valueType(t))
	}
}

// pop is the variable on top of the stack, whatever its type.
func (b *body) pop() (string, valueType) {
	n := len(b.stack) - 1
	if n < b.frames[len(b.frames)-1].height || n < 0 {
		b.fail()
		return "xi0", typeI32
	}
	t := b.stack[n]
	b.stack = b.stack[:n]
	return b.at(n, t), t
}

// take is pop of a type.
func (b *body) take(t valueType) string {
	name, have := b.pop()
	if have != t {
		b.fail()
	}
	return name
}

// takeAll pops values of some types, and returns their variables in the order of the types.
func (b *body) takeAll(types string) []string {
	out := make([]string, len(types))
	for i := len(types) - 1; i >= 0; i-- {
		out[i] = b.take(valueType(types[i]))
	}
	return out
}

// set assigns an expression to a new value.
func (b *body) set(t valueType, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	b.emit("%s = %s;", b.push(t), text)
}

// apply is an operation on values of the stack.
func (b *body) apply(o operation, immediate uint32) {
	values := b.takeAll(o.takes)
	var text strings.Builder
	for i := 0; i < len(o.source); i++ {
		c := o.source[i]
		if c != '$' {
			text.WriteByte(c)
			continue
		}
		i++
		if o.source[i] == 'k' {
			text.WriteString(strconv.Itoa(int(immediate)))
		} else {
			text.WriteString(values[o.source[i]-'0'])
		}
	}
	b.emit("%s = %s;", b.push(o.gives), text.String())
}

// instruction translates one, or skips it.
func (b *body) instruction(in instruction) {
	if b.dead > 0 {
		b.skip(in)
		return
	}
	switch op := in.op; {
	case op <= opReturn:
		b.control(in)
	case op == opCall || op == opCallIndirect:
		b.call(in)
	case op == opDrop:
		b.pop()
	case op == opSelect || op == opSelectType:
		condition := b.take(typeI32)
		y, t := b.pop()
		x := b.take(t)
		b.set(t, "%s ? %s : %s", condition, x, y)
	case op >= opLocalGet && op <= opTableSet:
		b.variable(in)
	case op >= firstAccess && int(op) < firstAccess+len(accesses):
		b.access(accesses[op-firstAccess], in.y)
	case op == opMemorySize:
		b.set(typeI32, "I->bytes >> 16")
	case op == opMemoryGrow:
		n := b.take(typeI32)
		b.set(typeI32, "memory_grow(I, %s)", n)
	case op >= opI32Const && op <= opF64Const:
		b.constant(in)
	case op == opDemote && b.last.op == opPromote:
		b.hide(typeF64)
		b.apply(scalarOperations[op-firstScalar], 0)
	case op >= firstScalar && int(op) < firstScalar+len(scalarOperations):
		b.apply(scalarOperations[op-firstScalar], 0)
	case op == opRefNull:
		b.set(typeRef, "0")
	case op == opRefIsNull:
		r := b.take(typeRef)
		b.set(typeI32, "!%s", r)
	case op == opRefFunc:
		b.set(typeRef, "(u64)&functions[%d]", in.x)
	case op == opMore:
		b.more(in)
	case op == opVector:
		b.vector(in)
	default:
		b.r.Failf("%w: instruction %#x", errUnsupported, op)
	}
}

// skip passes over what cannot be reached, up to the end of its block.
func (b *body) skip(in instruction) {
	switch in.op {
	case opBlock, opLoop, opIf:
		b.dead++
		if in.op == opLoop {
			b.loops++
		}
	case opElse:
		if b.dead == 1 {
			b.dead = 0
			b.otherwise()
		}
	case opEnd:
		if b.dead--; b.dead == 0 {
			b.end()
		}
	}
}

func (b *body) variable(in instruction) {
	var t valueType
	name := ""
	switch {
	case in.op <= opLocalTee && int64(in.x) < int64(len(b.locals)):
		t, name = valueType(b.locals[in.x]), fmt.Sprintf("l%d", in.x)
	case (in.op == opGlobalGet || in.op == opGlobalSet) && int64(in.x) < int64(len(b.m.globals)):
		t = b.m.globals[in.x].kind
		name = fmt.Sprintf("GLOBAL(I, %s, %d)", cTypes[t], b.m.globalAt(in.x))
	case in.op >= opTableGet && int64(in.x) < int64(len(b.m.tables)):
	default:
		b.fail()
		return
	}
	switch in.op {
	case opLocalGet, opGlobalGet:
		b.set(t, "%s", name)
	case opLocalSet, opGlobalSet:
		b.emit("%s = %s;", name, b.take(t))
	case opLocalTee:
		v := b.take(t)
		b.push(t)
		b.emit("%s = %s;", name, v)
	case opTableGet:
		i := b.take(typeI32)
		b.set(typeRef, "table_get(I, %d, %s)", in.x, i)
	case opTableSet:
		v := b.take(typeRef)
		b.emit("table_set(I, %d, %s, %s);", in.x, b.take(typeI32), v)
	}
}

func (b *body) access(a access, offset uint32) {
	if a.store {
		v := b.take(a.value)
		b.emit("%s(I, (u64)%s + %du, %s);", a.name, b.take(typeI32), offset, v)
		return
	}
	address := b.take(typeI32)
	b.set(a.value, "%s%s(I, (u64)%s + %du)", b.manner(), a.name, address, offset)
}

// manner is in which way a load is made (c/guest.h). One whose address its loop does not change is made each time: a rank may wait so for another that shares the memory, or
// look so whether it is to stop. In a tight loop loads are plain, unless it can be seen that nobody looks at what is loaded.
func (b *body) manner() string {
	l := b.around()
	if l == nil {
		return ""
	}
	if b.last.op == opI32Const || b.last.op == opLocalGet && !l.changes[b.last.x] {
		return "fresh_"
	}
	if !l.tight() || b.unused() {
		return ""
	}
	return "plain_"
}

// around is the innermost loop; nil: there is none.
func (b *body) around() *loop {
	for i := len(b.frames) - 1; i >= 0; i-- {
		if l := b.frames[i].loop; l != nil {
			return l
		}
	}
	return nil
}

// unused says whether what the instruction gives that is being translated is dropped, or goes to a local that is not read.
func (b *body) unused() bool {
	next := newReader(b.r.Data).instruction()
	return next.op == opDrop || next.op == opLocalSet && !b.scan.read[next.x]
}

func (b *body) constant(in instruction) {
	switch in.op {
	case opI32Const:
		b.set(typeI32, "%du", uint32(in.value))
	case opI64Const:
		b.set(typeI64, "%dull", in.value)
	case opF32Const:
		b.number(typeF32, "f32_bits(%du)", in.value, float64(math.Float32frombits(uint32(in.value))))
	case opF64Const:
		b.number(typeF64, "f64_bits(%dull)", in.value, math.Float64frombits(in.value))
	}
}

// number is a constant. One by which clang would leave out an operation, and with it what that makes of a NaN (x*1, 0-x), or compute one, is hidden from it.
func (b *body) number(t valueType, format string, bits uint64, value float64) {
	b.set(t, format, bits)
	if a := math.Abs(value); a == 0 || a == 1 || math.IsInf(a, 0) || math.IsNaN(a) {
		b.hide(t)
	}
}

// hide has clang know nothing of the value on top of the stack.
func (b *body) hide(t valueType) { b.emit("HIDE(%s);", b.at(len(b.stack)-1, t)) }
