package mpi

import "fmt"

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
	return className(code)
}

func (p *Proc) checkCode(code int) error {
	if _, added := p.codes.classes[code]; !added && (code < 0 || code > errLastCode) {
		return fail(errArg, "error code %d is not known", code)
	}
	return nil
}

func callErrorClass(p *Proc, a args) (uint64, error) {
	if err := p.checkCode(a.int(0)); err != nil {
		return 0, err
	}
	return success, p.putInt(a.u32(1), p.classOf(a.int(0)))
}

func callErrorString(p *Proc, a args) (uint64, error) {
	code := a.int(0)
	if err := p.checkCode(code); err != nil {
		return 0, err
	}
	text := className(code)
	if c, ok := classes[code]; ok {
		text += ": " + c[1]
	}
	if _, added := p.codes.classes[code]; added {
		text = p.codes.texts[code]
	}
	return success, p.putString(a.u32(1), a.u32(2), text, maxErrorString)
}

// addCode makes a new code of a class, or a new class for class 0.
func (p *Proc) addCode(class int, out uint32) (uint64, error) {
	if len(p.codes.classes) >= p.w.cfg.MaxObjects {
		return 0, fail(errOther, "more than %d error codes", p.w.cfg.MaxObjects)
	}
	p.codes.last++
	code := p.codes.last
	p.codes.classes[code] = pick(class == 0, code, class)
	p.refreshAttributes()
	return success, p.putInt(out, code)
}

func callAddErrorClass(p *Proc, a args) (uint64, error) { return p.addCode(0, a.u32(0)) }

func callAddErrorCode(p *Proc, a args) (uint64, error) {
	class := a.int(0)
	if err := p.checkCode(class); err != nil || p.classOf(class) != class {
		return 0, fail(errArg, "error class %d is not known", class)
	}
	return p.addCode(class, a.u32(1))
}

func callAddErrorString(p *Proc, a args) (uint64, error) {
	if _, added := p.codes.classes[a.int(0)]; !added {
		return 0, fail(errArg, "error code %d was not added by the program", a.int(0))
	}
	text, err := p.cString(a.u32(1), maxErrorString)
	if err != nil {
		return 0, err
	}
	p.codes.texts[a.int(0)] = text
	return success, nil
}

func callRemoveErrorCode(p *Proc, a args) (uint64, error) {
	code := a.int(0)
	if _, added := p.codes.classes[code]; !added {
		return 0, fail(errArg, "error code %d was not added by the program", code)
	}
	for other, class := range p.codes.classes {
		if class == code && other != code {
			return 0, fail(errArg, "error class %d has codes: remove them first", code)
		}
	}
	delete(p.codes.classes, code)
	delete(p.codes.texts, code)
	return success, nil
}

func callRemoveErrorString(p *Proc, a args) (uint64, error) {
	if _, added := p.codes.classes[a.int(0)]; !added {
		return 0, fail(errArg, "error code %d was not added by the program", a.int(0))
	}
	delete(p.codes.texts, a.int(0))
	return success, nil
}
