package native

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// control translates blocks, branches and traps.
func (b *body) control(in instruction) {
	switch in.op {
	case opNop:
	case opUnreachable:
		b.emit("trap(I, UNREACHABLE);")
		b.dead = 1
	case opBlock, opLoop, opIf:
		b.block(in)
	case opElse:
		b.arrive()
		b.emit("goto L%d;", b.frames[len(b.frames)-1].end)
		b.otherwise()
	case opEnd:
		b.arrive()
		b.end()
	case opBr:
		b.branch(in.x)
		b.dead = 1
	case opBrIf:
		condition := b.take(typeI32)
		b.emit("if (%s) {", condition)
		b.branch(in.x)
		b.emit("}")
	case opBrTable:
		index := b.take(typeI32)
		b.emit("switch (%s) {", index)
		for i, l := range in.labels {
			b.emit("case %d:", i)
			b.branch(l)
		}
		b.emit("default:")
		b.branch(in.x)
		b.emit("}")
		b.dead = 1
	case opReturn:
		b.leave()
		b.dead = 1
	default:
		b.r.Failf("%w: instruction %#x", errUnsupported, in.op)
	}
}

func (b *body) block(in instruction) {
	f := frame{op: in.op, end: b.label()}
	if in.op == opIf {
		f.otherwise = b.label()
		b.emit("if (!%s) goto L%d;", b.take(typeI32), f.otherwise)
	}
	switch {
	case in.block >= 0 && in.block < int64(len(b.m.signatures)):
		f.params, f.results = b.m.signatures[in.block].params, b.m.signatures[in.block].results
	case in.block == -64: // nothing
	case in.block < 0 && in.block > -64:
		f.results = string(rune(newReader([]byte{byte(in.block & 0x7f)}).valueType()))
	default:
		b.fail()
		return
	}
	f.height = len(b.stack) - len(f.params)
	if f.height < b.frames[len(b.frames)-1].height {
		b.fail()
		return
	}
	if in.op == opLoop {
		b.emit("L%d:;", f.end)
		f.loop = b.scan.loops[b.loops]
		if b.loops++; f.loop.waits() {
			b.emit("AGAIN();")
		}
	}
	b.frames = append(b.frames, f)
}

// arrive checks that a block ends with its results: they are where they are to be.
func (b *body) arrive() {
	f := b.frames[len(b.frames)-1]
	if len(b.stack) != f.height+len(f.results) {
		b.fail()
		return
	}
	for i := range len(f.results) {
		if b.stack[f.height+i] != valueType(f.results[i]) {
			b.fail()
		}
	}
}

// otherwise begins the else of an if.
func (b *body) otherwise() {
	f := &b.frames[len(b.frames)-1]
	if f.op != opIf || f.otherwise == 0 {
		b.fail()
		return
	}
	b.emit("L%d:;", f.otherwise)
	f.otherwise = 0
	b.stack = b.stack[:f.height]
	b.pushAll(f.params)
}

// end closes a block.
func (b *body) end() {
	f := b.frames[len(b.frames)-1]
	if f.otherwise != 0 { // an if without else: what it was given is what it gives
		b.emit("L%d:;", f.otherwise)
	}
	if f.op != opLoop {
		b.emit("L%d:;", f.end)
	}
	b.stack = b.stack[:min(f.height, len(b.stack))]
	b.pushAll(f.results)
	if len(b.frames) == 1 {
		b.leave()
	}
	b.frames = b.frames[:len(b.frames)-1]
}

// branch goes to a label; the stack stays as it is, for whoever does not go.
func (b *body) branch(label uint32) {
	if int64(label) >= int64(len(b.frames)) {
		b.fail()
		return
	}
	f := b.frames[len(b.frames)-1-int(label)]
	types := f.results
	if f.op == opLoop {
		types = f.params
	}
	from := len(b.stack) - len(types)
	if from < f.height {
		b.fail()
		return
	}
	for i := range len(types) {
		if b.stack[from+i] != valueType(types[i]) {
			b.fail()
			return
		}
		if from != f.height {
			b.emit("%s = %s;", b.at(f.height+i, valueType(types[i])), b.at(from+i, valueType(types[i])))
		}
	}
	b.emit("goto L%d;", f.end)
}

// leave returns what is on top of the stack.
func (b *body) leave() {
	from := len(b.stack) - len(b.results)
	if from < 0 {
		b.fail()
		return
	}
	values := make([]string, len(b.results))
	for i := range values {
		t := valueType(b.results[i])
		if b.stack[from+i] != t {
			b.fail()
			return
		}
		values[i] = b.at(from+i, t)
	}
	switch len(values) {
	case 0:
		b.emit("return;")
	case 1:
		b.emit("return %s;", values[0])
	default:
		b.emit("return (%s){%s};", b.m.result(b.kind), strings.Join(values, ", "))
	}
}

// call translates calls, of a function or through a table.
func (b *body) call(in instruction) {
	var kind uint32
	var callee string
	switch {
	case in.op == opCall && int64(in.x) < int64(len(b.m.imports)+len(b.m.functions)):
		kind = b.m.kind(in.x)
		callee = fmt.Sprintf("w%d(I", in.x)
	case in.op == opCallIndirect && int64(in.x) < int64(len(b.m.signatures)) && int64(in.y) < int64(len(b.m.tables)):
		kind = in.x
		callee = fmt.Sprintf("((%s)indirect(I, %d, %s, %d))(I", b.m.pointer(kind), in.y, b.take(typeI32), b.m.canonical[kind])
	default:
		b.fail()
		return
	}
	s := b.m.signatures[kind]
	for _, v := range b.takeAll(s.params) {
		callee += ", " + v
	}
	callee += ")"
	switch len(s.results) {
	case 0:
		b.emit("%s;", callee)
	case 1:
		b.emit("%s = %s;", b.push(valueType(s.results[0])), callee)
	default:
		b.emit("{ %s r = %s;", b.m.result(kind), callee)
		for i := range len(s.results) {
			b.emit("%s = r.r%d;", b.push(valueType(s.results[i])), i)
		}
		b.emit("}")
	}
}

// more translates conversions that saturate, and what is done to whole memories and tables.
func (b *body) more(in instruction) {
	if in.sub < 8 {
		b.apply(saturating[in.sub], 0)
		return
	}
	switch in.sub {
	case 9:
		b.emit("service3(I, DATA_DROP, %d, 0, 0, 0, 0);", in.x)
		return
	case 13:
		b.emit("service3(I, ELEM_DROP, %d, 0, 0, 0, 0);", in.x)
		return
	case 15:
		v := b.takeAll("ri")
		b.set(typeI32, "service3(I, TABLE_GROW, %d, 0, %s, 0, %s)", in.x, v[0], v[1])
		return
	case 16:
		b.set(typeI32, "TABLE(I, %d)->n", in.x)
		return
	case 17:
		v := b.takeAll("iri")
		b.emit("service3(I, TABLE_FILL, %d, 0, %s, %s, %s);", in.x, v[0], v[1], v[2])
		return
	}
	v := b.takeAll("iii")
	switch in.sub {
	case 8:
		b.emit("service3(I, MEMORY_INIT, %d, 0, %s, %s, %s);", in.x, v[0], v[1], v[2])
	case 10:
		b.emit("memory_copy(I, %s, %s, %s);", v[0], v[1], v[2])
	case 11:
		b.emit("memory_fill(I, %s, %s, %s);", v[0], v[1], v[2])
	case 12:
		b.emit("service3(I, TABLE_INIT, %d, %d, %s, %s, %s);", in.x, in.y, v[0], v[1], v[2])
	case 14:
		b.emit("service3(I, TABLE_COPY, %d, %d, %s, %s, %s);", in.x, in.y, v[0], v[1], v[2])
	}
}

// vector translates what is behind opVector.
func (b *body) vector(in instruction) {
	switch op := in.sub; {
	case int(op) < len(vectorLoads):
		b.access(access{vectorLoads[op], typeV128, false}, in.y)
	case op == 11:
		b.access(access{"store_v128", typeV128, true}, in.y)
	case op == 12:
		b.set(typeV128, "(v128){%dull, %dull}", binary.LittleEndian.Uint64(in.bytes), binary.LittleEndian.Uint64(in.bytes[8:]))
	case op == 13:
		lanes := make([]string, len(in.bytes))
		for i, l := range in.bytes {
			lanes[i] = fmt.Sprint(l & 31)
		}
		v := b.takeAll("vv")
		b.set(typeV128, "(v128)SHUFFLE((u8x16)%s, (u8x16)%s, %s)", v[0], v[1], strings.Join(lanes, ", "))
	case op >= 84 && op <= 87:
		l := laneKinds[op-84]
		v := b.takeAll("iv")
		b.set(typeV128, "REPLACE(%s, %s, %d, %s(I, (u64)%s + %du))", v[1], l.unsigned, in.x&15, l.load, v[0], in.y)
	case op >= 88 && op <= 91:
		l := laneKinds[op-88]
		v := b.takeAll("iv")
		b.emit("%s(I, (u64)%s + %du, LANE(%s, %s, %d));", l.store, v[0], in.y, v[1], l.unsigned, in.x&15)
	case op == 92 || op == 93:
		b.access(access{[]string{"load_zero32", "load_zero64"}[op-92], typeV128, false}, in.y)
	default:
		o, ok := vectorOperations[op]
		if !ok {
			b.r.Failf("%w: instruction 0xfd %d", errUnsupported, op)
			return
		}
		b.apply(o, in.x&15)
	}
}
