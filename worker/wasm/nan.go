package wasm

import (
	"encoding/binary"
	"errors"
	"math"
	"runtime"
	"strings"

	"github.com/godwit-run/godwit/internal/bytecode"
)

// WebAssembly leaves open which sign a NaN has that an operation makes (0/0, inf-inf, the root of -1). Processors differ, and printf shows it; a rank that moves is not to see
// on which one it is. With Config.ExactNaNs amd64's counts, where nothing is done. Elsewhere a look follows each operation that can make a NaN: a comparison, and a jump that is not taken.
// A NaN that an operation was given goes on alike everywhere: the first operand's, if both are.

// ownNaN says whether this machine's processor makes other NaNs than amd64's.
const ownNaN = runtime.GOARCH != "amd64"

const (
	sectionCustom    = 0
	sectionTypes     = 1
	sectionFunctions = 3
	sectionCode      = 10
)

// Instructions: the WebAssembly specification, 5.4.
const (
	opIf     = 0x04
	opEnd    = 0x0b
	opSelect = 0x1b
	opGet    = 0x20
	opSet    = 0x21
	opTee    = 0x22
	opAnd    = 0x71
	opBulk   = 0xfc
	opVector = 0xfd
	noResult = 0x40 // the type of a block

	vectorConst  = 12
	vectorAnd    = 78
	vectorOr     = 80
	vectorSelect = 82
	vectorAny    = 83
)

// lane is a type of numbers, alone or in vectors, with what a look at one consists of.
type lane struct {
	local     int    // which of a function's own locals it takes: three each
	valueType byte   // of the locals
	equal     []byte // instructions
	differ    []byte
	made      []byte // a constant: what amd64 makes
	quiet     []byte // a constant, of vectors: the same without its sign
	sign      []byte // a constant, of vectors: the sign
}

// lanes in the order of their locals.
var lanes = func() [4]lane { //nolint:gochecknoglobals // an immutable list
	repeated := func(b ...byte) []byte {
		v := []byte{opVector, vectorConst}
		for len(v) < 2+16 {
			v = append(v, b...)
		}
		return v
	}
	return [...]lane{
		{local: 0, valueType: 0x7d, equal: []byte{0x5b}, differ: []byte{0x5c}, made: []byte{0x43, 0, 0, 0xc0, 0xff}},
		{local: 3, valueType: 0x7c, equal: []byte{0x61}, differ: []byte{0x62}, made: []byte{0x44, 0, 0, 0, 0, 0, 0, 0xf8, 0xff}},
		{
			local: 6, valueType: 0x7b, equal: []byte{opVector, 65}, differ: []byte{opVector, 66},
			made: repeated(0, 0, 0xc0, 0xff), quiet: repeated(0, 0, 0xc0, 0x7f), sign: repeated(0, 0, 0, 0x80),
		},
		{
			local: 6, valueType: 0x7b, equal: []byte{opVector, 71}, differ: []byte{opVector, 72},
			made: repeated(0, 0, 0, 0, 0, 0, 0xf8, 0xff), quiet: repeated(0, 0, 0, 0, 0, 0, 0xf8, 0x7f), sign: repeated(0, 0, 0, 0, 0, 0, 0, 0x80),
		},
	}
}()

// makes is an operation that can make a NaN.
type makes byte

const (
	makesNone makes = iota
	makesOfOne
	makesOfTwo
	makesLeast // of vectors: amd64's is made of whatever is no number
	makesMost  // of vectors: as before, with the sign that either has
)

// scalarMakes tells of an instruction on numbers, and of which.
func scalarMakes(op byte) (makes, *lane) {
	switch {
	case op == 0x91:
		return makesOfOne, &lanes[0]
	case op >= 0x92 && op <= 0x95:
		return makesOfTwo, &lanes[0]
	case op == 0x9f:
		return makesOfOne, &lanes[1]
	case op >= 0xa0 && op <= 0xa3:
		return makesOfTwo, &lanes[1]
	}
	return makesNone, nil
}

// vectorMakes is scalarMakes of instructions on vectors.
func vectorMakes(op uint32) (makes, *lane) {
	l := &lanes[2]
	if op >= 239 {
		l, op = &lanes[3], op-239+227
	}
	switch {
	case op == 227:
		return makesOfOne, l
	case op >= 228 && op <= 231:
		return makesOfTwo, l
	case op == 232:
		return makesLeast, l
	case op == 233:
		return makesMost, l
	}
	return makesNone, nil
}

// withNaNs is a module whose operations make amd64's NaNs. Its lines of the source, which are told by places in the code, are left out. One that cannot be read stays as it
// is: the compiler says what is wrong with it.
func withNaNs(wasm []byte) []byte {
	if checkPreamble(wasm) != nil {
		return wasm
	}
	out := append([]byte(nil), wasm[:8]...)
	var types, functions []uint32 // how many parameters
	r := newReader(wasm[8:])
	for len(r.Data) > 0 {
		id := r.Byte()
		content := r.Bytes(uint64(r.U32()))
		body := newReader(content)
		switch id {
		case sectionCustom:
			if strings.HasPrefix(body.Name(), ".debug_") {
				continue
			}
		case sectionTypes:
			body.Vector(func() { types = append(types, body.parameters()) })
		case sectionFunctions:
			body.Vector(func() {
				if t := body.U32(); int64(t) < int64(len(types)) {
					functions = append(functions, types[t])
				}
			})
		case sectionCode:
			content = codeWithNaNs(body, functions)
		}
		if r.Err != nil || body.Err != nil {
			return wasm
		}
		out = binary.AppendUvarint(append(out, id), uint64(len(content)))
		out = append(out, content...)
	}
	return out
}

// parameters reads the type of a function, and says how many it has.
func (r *reader) parameters() uint32 {
	r.Byte() // that it is one
	n := r.U32()
	r.Bytes(uint64(n))
	r.Bytes(uint64(r.U32()))
	return n
}

func codeWithNaNs(r *reader, parameters []uint32) []byte {
	n := r.U32()
	if int64(n) != int64(len(parameters)) {
		r.Fail(bytecode.ErrTruncated)
		return nil
	}
	out := binary.AppendUvarint(nil, uint64(n))
	for _, p := range parameters {
		f := &reader{r.Sized()}
		code := functionWithNaNs(f, p)
		if f.Err != nil {
			r.Fail(f.Err)
		}
		if r.Err != nil {
			return nil
		}
		out = append(binary.AppendUvarint(out, uint64(len(code))), code...)
	}
	return out
}

// functionWithNaNs is the body of a function, with nine locals more, whose types nobody minds that does not use them.
func functionWithNaNs(r *reader, parameters uint32) []byte {
	whole := r.Data
	groups, locals := r.U32(), uint64(parameters)
	begin := r.Data
	for range groups {
		locals += uint64(r.U32())
		if r.Byte(); r.Err != nil {
			return nil
		}
	}
	looks := looks{first: locals}
	out := binary.AppendUvarint(nil, uint64(groups)+3)
	out = append(out, begin[:len(begin)-len(r.Data)]...)
	out = append(out, 3, lanes[0].valueType, 3, lanes[1].valueType, 3, lanes[2].valueType)
	var last []byte
	for len(r.Data) > 0 {
		before := r.Data
		kind, l := r.instruction()
		if r.Err != nil {
			return nil
		}
		instruction := before[:len(before)-len(r.Data)]
		if kind == makesOfTwo && harmless(last) {
			kind = makesNone
		}
		out = looks.append(out, instruction, kind, l)
		last = instruction
	}
	if !looks.any {
		return whole
	}
	return out
}

// harmless says whether an instruction gives a number with which no addition, subtraction, multiplication or division of another number makes a NaN: a finite constant that is
// not zero.
func harmless(instruction []byte) bool {
	value := 0.0
	switch len(instruction) {
	case 5:
		value = float64(math.Float32frombits(binary.LittleEndian.Uint32(instruction[1:])))
	case 9:
		value = math.Float64frombits(binary.LittleEndian.Uint64(instruction[1:]))
	}
	const (
		float32Const = 0x43
		float64Const = 0x44
	)
	return len(instruction) > 0 && (instruction[0] == float32Const || instruction[0] == float64Const) && value != 0 && value-value == 0
}

// looks adds them to the code of one function.
type looks struct {
	first uint64 // local of its own
	any   bool   // there is one
}

// append appends an instruction, and the look behind it if it can make a NaN.
func (k *looks) append(out, instruction []byte, kind makes, l *lane) []byte {
	if kind == makesNone {
		return append(out, instruction...)
	}
	k.any = true
	local := func(op byte, n int) { out = binary.AppendUvarint(append(out, op), k.first+uint64(l.local+n)) }
	put := func(b ...byte) { out = append(out, b...) }
	const x, y, result = 0, 1, 2
	if kind == makesOfOne {
		local(opTee, x)
	} else {
		local(opSet, y)
		local(opTee, x)
		local(opGet, y)
	}
	put(instruction...)
	local(opTee, result)
	local(opGet, result)
	put(l.differ...)
	isVector := l.sign != nil
	if isVector {
		put(opVector, vectorAny)
	}
	put(opIf, noResult)
	// What is made, what there is, and where it is made.
	if kind == makesMost {
		local(opGet, x)
		local(opGet, y)
		put(opVector, vectorOr)
		put(l.sign...)
		put(opVector, vectorAnd)
		put(l.quiet...)
		put(opVector, vectorOr)
	} else {
		put(l.made...)
	}
	local(opGet, result)
	and := []byte{opAnd}
	if isVector {
		and = []byte{opVector, vectorAnd}
		local(opGet, result)
		local(opGet, result)
		put(l.differ...)
	}
	if kind == makesOfOne || kind == makesOfTwo {
		local(opGet, x)
		local(opGet, x)
		put(l.equal...)
		if isVector {
			put(and...)
		}
	}
	if kind == makesOfTwo {
		local(opGet, y)
		local(opGet, y)
		put(l.equal...)
		put(and...)
	}
	if isVector {
		put(opVector, vectorSelect)
	} else {
		put(opSelect)
	}
	local(opSet, result)
	put(opEnd)
	local(opGet, result)
	return out
}

// errInstruction is of code that the compiler refuses, too.
var errInstruction = errors.New("unknown instruction")

// instruction reads one, with what follows its first byte: the WebAssembly specification 2.0, 5.4.
func (r *reader) instruction() (makes, *lane) {
	switch op := r.Byte(); {
	case op <= 0x01, op == 0x05, op == 0x0b, op == 0x0f, op == 0x1a, op == 0x1b, op == 0xd1: // control without a target
	case op >= 0x02 && op <= 0x04: // blocks
		r.Signed(33)
	case op == 0x0c, op == 0x0d, op == 0x10, op >= 0x20 && op <= 0x26, op == 0x3f, op == 0x40, op == 0xd0, op == 0xd2: // branches, calls, variables, tables, sizes of memory, references
		r.U32()
	case op == 0x0e: // br_table
		r.Vector(func() { r.U32() })
		r.U32()
	case op == 0x11, op >= 0x28 && op <= 0x3e: // indirect calls, loads, stores
		r.U32()
		r.U32()
	case op == 0x1c: // select of a type
		r.Vector(func() { r.Byte() })
	case op == 0x41:
		r.Signed(32)
	case op == 0x42:
		r.Signed(64)
	case op == 0x43:
		r.Bytes(4)
	case op == 0x44:
		r.Bytes(8)
	case op >= 0x45 && op <= 0xc4:
		return scalarMakes(op)
	case op == opBulk:
		r.bulkInstruction()
	case op == opVector:
		return r.vectorInstruction()
	default:
		r.Fail(errInstruction)
	}
	return makesNone, nil
}

// bulkInstruction is of conversions that saturate, and of the instructions on whole memories and tables.
func (r *reader) bulkInstruction() {
	switch op := r.U32(); op {
	case 0, 1, 2, 3, 4, 5, 6, 7:
	case 8, 10, 12, 14:
		r.U32()
		r.U32()
	case 9, 11, 13, 15, 16, 17:
		r.U32()
	default:
		r.Fail(errInstruction)
	}
}

func (r *reader) vectorInstruction() (makes, *lane) {
	op := r.U32()
	switch {
	case op <= 11, op == 92, op == 93: // loads, stores
		r.U32()
		r.U32()
	case op == 12, op == 13: // constants, shuffles
		r.Bytes(16)
	case op >= 21 && op <= 34: // one lane
		r.Byte()
	case op >= 84 && op <= 91: // loads and stores of one lane
		r.U32()
		r.U32()
		r.Byte()
	case op > 255:
		r.Fail(errInstruction)
	}
	return vectorMakes(op)
}
