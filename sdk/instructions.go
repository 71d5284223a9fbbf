package sdk

import "slices"

// codeSection holds the bodies of functions.
const codeSection = 10

// vectorPrefix begins every instruction on vectors.
const vectorPrefix = 0xfd

// usesVectors says whether a function of a module or an object has an instruction on vectors. Nothing else tells it of a module: its
// section of features is left out by -s, and a function may have features of its own. It is false for what is no WebAssembly, and for code
// that cannot be read, which wasm-opt refuses.
func usesVectors(module []byte) bool {
	return slices.ContainsFunc(bodies(module), func(body *reader) bool { return body.vectors() })
}

// bodies are those of a module's functions.
func bodies(module []byte) []*reader {
	var out []*reader
	for id, section := range sections(module) {
		if id != codeSection {
			continue
		}
		for n := section.uint(); n > 0 && !section.bad; n-- {
			out = append(out, &reader{b: section.bytes(section.uint())})
		}
	}
	return out
}

// vectors reads the body of a function, and says whether it came to an instruction on vectors.
func (r *reader) vectors() bool {
	for n := r.uint(); n > 0 && !r.bad; n-- {
		r.numbers(2) // how many locals, of which type
	}
	for len(r.b) > 0 && !r.bad {
		op := r.byte()
		if op == vectorPrefix {
			return true
		}
		r.immediates(op)
	}
	return false
}

// numbers passes n numbers over, of any width and sign.
func (r *reader) numbers(n uint64) {
	for n > 0 && !r.bad {
		if r.byte()&0x80 == 0 { // its last byte
			n--
		}
	}
}

// immediates passes over what follows the first byte of an instruction: the table of the WebAssembly specification, 5.4, with threads,
// tail calls and exceptions.
func (r *reader) immediates(op byte) {
	switch {
	case op <= 0x01, op == 0x05, op == 0x0b, op == 0x0f, op == 0x19, op == 0x1a, op == 0x1b, op == 0xd1: // control without a target
	case op <= 0x0d, op == 0x10, op == 0x12, op == 0x18: // blocks, branches, calls
		r.numbers(1)
	case op == 0x0e: // br_table
		r.numbers(r.uint())
		r.numbers(1)
	case op == 0x11, op == 0x13: // indirect calls
		r.numbers(2)
	case op == 0x1c: // select of a type
		r.numbers(r.uint())
	case op >= 0x20 && op <= 0x26: // variables, tables
		r.numbers(1)
	case op >= 0x28 && op <= 0x3e: // loads, stores
		r.place()
	case op >= 0x3f && op <= 0x42: // sizes of memory, whole constants
		r.numbers(1)
	case op == 0x43:
		r.bytes(4)
	case op == 0x44:
		r.bytes(8)
	case op >= 0x45 && op <= 0xc4: // arithmetic
	case op == 0xd0, op == 0xd2: // references
		r.numbers(1)
	case op == opBulk:
		r.bulk(r.uint())
	case op == vectorPrefix:
		r.vector(r.uint())
	case op == 0xfe: // atomic
		if r.uint() == 0x03 { // fence
			r.byte()
			return
		}
		r.place()
	default:
		r.bad = true
	}
}

// bulk passes over the immediates of conversions that saturate, and of the instructions on whole memories and tables.
func (r *reader) bulk(op uint64) {
	switch op {
	case 0, 1, 2, 3, 4, 5, 6, 7:
	case 8, 10, 12, 14:
		r.numbers(2)
	case 9, 11, 13, 15, 16, 17:
		r.numbers(1)
	default:
		r.bad = true
	}
}

// vector passes over the immediates of an instruction on vectors.
func (r *reader) vector(op uint64) {
	switch {
	case op <= 11, op == 92, op == 93: // loads, stores
		r.place()
	case op == 12, op == 13: // constants, shuffles
		r.bytes(16)
	case op >= 21 && op <= 34: // one lane
		r.byte()
	case op >= 84 && op <= 91: // loads and stores of one lane
		r.place()
		r.byte()
	}
}

// calls goes through the body of a function, and has f see the place of each function's index that is called.
func (r *reader) calls(f func(place []byte, index uint64)) {
	for n := r.uint(); n > 0 && !r.bad; n-- {
		r.numbers(2) // how many locals, of which type
	}
	for len(r.b) > 0 && !r.bad {
		op := r.byte()
		if op != opCall && op != opReturnCall {
			r.immediates(op)
			continue
		}
		place := r.b
		index := r.uint()
		if !r.bad {
			f(place[:len(place)-len(r.b)], index)
		}
	}
}

// place passes over where in memory an instruction works: alignment, which may tell of a number of the memory, and offset.
func (r *reader) place() {
	const numbered = 1 << 6
	if r.uint()&numbered != 0 {
		r.numbers(1)
	}
	r.numbers(1)
}

// effectOf is how many values an instruction that only computes, or reads or writes variables or memory, takes from the stack, and gives: the WebAssembly specification, 3.3.
func effectOf(op byte) (takes, gives int, ok bool) {
	switch {
	case op == opDrop, op == opLocalSet, op == 0x24: // and global.set
		return 1, 0, true
	case op == 0x1b: // select
		return 3, 1, true
	case op == opLocalGet, op == 0x23, op == 0x3f, op >= 0x41 && op <= 0x44: // and global.get, memory.size, constants
		return 0, 1, true
	case op == opLocalTee, op >= 0x28 && op <= 0x35, op == 0x40, op == 0x45, op == 0x50: // and loads, memory.grow, eqz
		return 1, 1, true
	case op >= opStore && op <= 0x3e:
		return 2, 0, true
	case op >= 0x46 && op <= 0x66: // comparisons
		return 2, 1, true
	case op >= 0x67 && op <= 0x69, op >= 0x79 && op <= 0x7b, op >= 0x8b && op <= 0x91, op >= 0x99 && op <= 0x9f, op >= 0xa7 && op <= 0xc4: // of one number
		return 1, 1, true
	case op >= 0x6a && op <= 0xa6: // of two
		return 2, 1, true
	}
	return 0, 0, false
}

// bulkEffect is effectOf for conversions that saturate, and for memory.copy and memory.fill.
func bulkEffect(op uint64) (takes, gives int, ok bool) {
	switch {
	case op <= 7:
		return 1, 1, true
	case op == 10, op == 11:
		return 3, 0, true
	}
	return 0, 0, false
}

// ofOneVector are the instructions that take one vector, or a number, and give one: the rest of those that compute take two.
var ofOneVector = []uint64{ //nolint:gochecknoglobals // an immutable list
	77, 83, 94, 95, 96, 97, 98, 99, 100, 103, 104, 105, 106, 116, 117, 122, 124, 125, 126, 127, 128, 129, 131, 132, 135, 136, 137, 138, 148, 160, 161, 163, 164, 167, 168, 169, 170,
	192, 193, 195, 196, 199, 200, 201, 202, 224, 225, 227, 236, 237, 239, 248, 249, 250, 251, 252, 253, 254, 255,
}

// vectorEffect is effectOf for instructions on vectors.
func vectorEffect(op uint64) (takes, gives int, ok bool) {
	replaces := op == 23 || op == 26 || op == 28 || op == 30 || op == 32 || op == 34
	switch {
	case op == 12: // a constant
		return 0, 1, true
	case op == 11, op >= 88 && op <= 91: // stores
		return 2, 0, true
	case op == 82: // bitselect
		return 3, 1, true
	case op <= 10, op == 92, op == 93, op >= 15 && op <= 34 && !replaces, slices.Contains(ofOneVector, op): // and loads, splats, one lane
		return 1, 1, true
	case op <= 255: // and one lane replaced or loaded
		return 2, 1, true
	}
	return 0, 0, false // those whose results differ between machines
}
