package mpi

import (
	"fmt"
	"reflect"
	"strings"
	"unsafe"

	"github.com/godwit-run/godwit/mpi/abi"
)

// A function of MPI takes its arguments as a struct whose fields are the parameters, in order and by name: array_of_requests is
// arrayOfRequests. A field that is a struct itself stands for the parameters that its fields are; one that the function does not look
// at is blank, with the name in a tag, `mpi:"info"`. These are the types of the others.
type (
	address = uint32 // a pointer
	handle  = uint32 // of an object, or another word that is not a number
	count   = int64  // an int or MPI_Aint, where the large-count function may have an MPI_Count; an int never has more than 32 bits

	noArgs = struct{}
)

// body is the code of a function, and the arguments that it takes.
type body struct {
	args    reflect.Type
	renamed map[string]string // parameters by the fields that have other names
	run     func(p *Proc, plan []slot, v []uint64) (uint64, error)
}

// bind makes the body of a function that returns an error class. Whether its arguments are those of the standard is
// checked when the table of calls is made.
func bind[T any](f func(*Proc, T) error) body {
	return body{args: reflect.TypeFor[T](), run: func(p *Proc, plan []slot, v []uint64) (uint64, error) {
		var a T
		fill(unsafe.Pointer(&a), plan, v)
		return abi.Success, f(p, a)
	}}
}

// bindValue is bind for a function that returns something else.
func bindValue[T any](f func(*Proc, T) (uint64, error)) body {
	return body{args: reflect.TypeFor[T](), run: func(p *Proc, plan []slot, v []uint64) (uint64, error) {
		var a T
		fill(unsafe.Pointer(&a), plan, v)
		return f(p, a)
	}}
}

// bindBlind is bindValue for a function that looks at none of its parameters, whatever they are.
func bindBlind(f func(*Proc) (uint64, error)) body {
	return body{run: func(p *Proc, _ []slot, _ []uint64) (uint64, error) { return f(p) }}
}

// as has fields stand for parameters of other names: field, parameter, and so on. One piece of code may serve several functions
// so, where the standard calls the same thing by several names.
func (b body) as(pairs ...string) body {
	b.renamed = map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		b.renamed[pairs[i]] = pairs[i+1]
	}
	return b
}

// slot is where a parameter goes in the struct of arguments.
type slot struct {
	offset uintptr
	form   form
}

// form is how a parameter is read.
type form uint8

const (
	formWord   form = iota // 32 bits as they are
	formInt                // 32 bits with a sign, in an int
	formNarrow             // 32 bits with a sign, in an int64
	formWide               // 64 bits
)

// fill stores a call's parameters in the struct of arguments whose plan it is.
//
// It is safe: plan was made from the struct's type, so that each slot is within it, aligned, and of the type that its form says, none of
// which is a pointer. The struct does not escape: it stays on the stack of the call.
func fill(args unsafe.Pointer, plan []slot, v []uint64) {
	for i, s := range plan {
		field := unsafe.Add(args, s.offset)
		switch s.form {
		case formWord:
			*(*uint32)(field) = uint32(v[i])
		case formInt:
			*(*int)(field) = int(int32(uint32(v[i])))
		case formNarrow:
			*(*int64)(field) = int64(int32(uint32(v[i])))
		case formWide:
			*(*int64)(field) = int64(v[i])
		}
	}
}

// plan compares the arguments with a function's parameters, and says where these go. What does not fit is a programmer error and panics.
func (b body) plan(name string, params []abi.Param) []slot {
	if b.args == nil {
		return nil
	}
	fields := flatten(b.args, 0)
	if len(fields) != len(params) {
		panic(fmt.Sprintf("mpi: %s has %d parameters, its code takes %d: %v", name, len(params), len(fields), b.args))
	}
	plan := make([]slot, len(fields))
	renamed := 0
	for i, f := range fields {
		p := params[i]
		field := f.Name
		if field == "_" {
			field = f.Tag.Get("mpi")
		}
		same := sameName(field, p.Name)
		if other, ok := b.renamed[field]; ok {
			same = other == p.Name
			renamed++
		}
		if !same {
			panic(fmt.Sprintf("mpi: parameter %d of %s is %s, its code calls it %s", i+1, name, p.Name, field))
		}
		form, ok := formOf(f.Type.Kind(), p.Kind)
		if !ok {
			panic(fmt.Sprintf("mpi: %s of %s cannot be read as %v", p.Name, name, f.Type))
		}
		plan[i] = slot{f.Offset, form}
	}
	if renamed != len(b.renamed) {
		panic(fmt.Sprintf("mpi: the code of %s has other names for arguments that it does not take: %v", name, b.renamed))
	}
	return plan
}

// flatten lists the fields of a struct, and in place of structs among them theirs. Offsets count from the outermost struct.
func flatten(t reflect.Type, offset uintptr) []reflect.StructField {
	var all []reflect.StructField
	for i := range t.NumField() {
		f := t.Field(i)
		f.Offset += offset
		if f.Type.Kind() == reflect.Struct {
			all = append(all, flatten(f.Type, f.Offset)...)
		} else {
			all = append(all, f)
		}
	}
	return all
}

// sameName compares a field with a parameter: underscores and case do not count.
func sameName(field, parameter string) bool {
	return strings.EqualFold(field, strings.ReplaceAll(parameter, "_", ""))
}

// formOf is how a parameter of a wasm type is read into a field.
func formOf(field reflect.Kind, kind abi.Kind) (form, bool) {
	switch {
	case field == reflect.Uint32 && kind == abi.I32:
		return formWord, true
	case field == reflect.Int && kind == abi.I32:
		return formInt, true
	case field == reflect.Int64 && kind == abi.I32:
		return formNarrow, true
	case field == reflect.Int64 && kind == abi.I64:
		return formWide, true
	}
	return 0, false
}

// large reports whether the running call is a large-count function (MPI 5.0 section 2.5.8): the counts in memory have 64 bits. What a
// function of the program calls meanwhile is the running call in its turn.
func (p *Proc) large() bool { return p.running.call.large }
