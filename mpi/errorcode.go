package mpi

import (
	"fmt"

	"github.com/godwit-run/godwit/mpi/abi"
)

// errorCodes are the classes and codes that the program adds (MPI 5.0 section 9.5): they count up from the
// standard's last.
type errorCodes struct {
	last    int            // MPI_LASTUSEDCODE
	classes map[int]int    // class of each code; a class is its own
	texts   map[int]string // as set by MPI_Add_error_string
}

// classOf returns the class of an error code.
func (p *Proc) classOf(code int) int {
	if class, ok := p.codes.classes[code]; ok {
		return class
	}
	return code
}

// codeName is the code as messages show it.
func (p *Proc) codeName(code int) string {
	if text := p.codes.texts[code]; text != "" {
		return fmt.Sprintf("MPI error %d (%s)", code, text)
	}
	return abi.ClassName(code)
}

func (p *Proc) checkCode(code int) error {
	if _, added := p.codes.classes[code]; !added && (code < 0 || code > abi.ErrLastCode) {
		return abi.Fail(abi.ErrArg, "error code %d is not known", code)
	}
	return nil
}

type errorClassArgs struct {
	errorcode  int
	errorclass address
}

func callErrorClass(p *Proc, a errorClassArgs) error {
	if err := p.checkCode(a.errorcode); err != nil {
		return err
	}
	return p.putInt(a.errorclass, p.classOf(a.errorcode))
}

type errorStringArgs struct {
	errorcode         int
	string, resultlen address
}

func callErrorString(p *Proc, a errorStringArgs) error {
	code := a.errorcode
	if err := p.checkCode(code); err != nil {
		return err
	}
	text := abi.ClassName(code)
	if c, ok := abi.Classes[code]; ok {
		text += ": " + c[1]
	}
	if _, added := p.codes.classes[code]; added {
		text = p.codes.texts[code]
	}
	return p.putString(a.string, a.resultlen, text, abi.MaxErrorString)
}

// addCode makes a new code of a class, or a new class for class 0.
func (p *Proc) addCode(class int, out uint32) error {
	if len(p.codes.classes) >= p.w.cfg.MaxObjects {
		return abi.Fail(abi.ErrOther, "more than %d error codes", p.w.cfg.MaxObjects)
	}
	p.codes.last++
	code := p.codes.last
	p.codes.classes[code] = pick(class == 0, code, class)
	p.refreshAttributes()
	return p.putInt(out, code)
}

type addErrorClassArgs struct{ errorclass address }

func callAddErrorClass(p *Proc, a addErrorClassArgs) error { return p.addCode(0, a.errorclass) }

type addErrorCodeArgs struct {
	errorclass int
	errorcode  address
}

func callAddErrorCode(p *Proc, a addErrorCodeArgs) error {
	class := a.errorclass
	if err := p.checkCode(class); err != nil || p.classOf(class) != class {
		return abi.Fail(abi.ErrArg, "error class %d is not known", class)
	}
	return p.addCode(class, a.errorcode)
}

type addErrorStringArgs struct {
	errorcode int
	string    address
}

func callAddErrorString(p *Proc, a addErrorStringArgs) error {
	if _, added := p.codes.classes[a.errorcode]; !added {
		return abi.Fail(abi.ErrArg, "error code %d was not added by the program", a.errorcode)
	}
	text, err := p.cString(a.string, abi.MaxErrorString)
	if err != nil {
		return err
	}
	p.codes.texts[a.errorcode] = text
	return nil
}

type removeErrorCodeArgs struct{ errorcode int }

func callRemoveErrorCode(p *Proc, a removeErrorCodeArgs) error {
	code := a.errorcode
	if _, added := p.codes.classes[code]; !added {
		return abi.Fail(abi.ErrArg, "error code %d was not added by the program", code)
	}
	for other, class := range p.codes.classes {
		if class == code && other != code {
			return abi.Fail(abi.ErrArg, "error class %d has codes: remove them first", code)
		}
	}
	delete(p.codes.classes, code)
	delete(p.codes.texts, code)
	return nil
}

func callRemoveErrorString(p *Proc, a removeErrorCodeArgs) error {
	if _, added := p.codes.classes[a.errorcode]; !added {
		return abi.Fail(abi.ErrArg, "error code %d was not added by the program", a.errorcode)
	}
	delete(p.codes.texts, a.errorcode)
	return nil
}
