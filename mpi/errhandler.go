package mpi

import "github.com/godwit-run/godwit/mpi/abi"

// errhandler is an error handler: one of the standard's, or a function of the program (MPI 5.0 section 9.3).
type errhandler struct {
	handle uint32
	refs   int // handles that the program holds
	kind   objectKind
	fn     uint32
}

// objectKind tells what error handlers, keys and attributes belong to.
type objectKind uint8

const (
	kindComm objectKind = iota + 1
	kindType
	kindWin
	kindSession
	kindFile
)

// predefinedHandlers are immutable and belong to no rank.
var predefinedHandlers = map[uint32]*errhandler{ //nolint:gochecknoglobals // an immutable lookup table
	abi.ErrorsAreFatal: {handle: abi.ErrorsAreFatal},
	abi.ErrorsAbort:    {handle: abi.ErrorsAbort},
	abi.ErrorsReturn:   {handle: abi.ErrorsReturn},
}

func (h *errhandler) predefined() bool { return h.kind == 0 }

// errorCalls are the functions about errors (MPI 5.0 sections 9.3 to 9.5).
func errorCalls() []entry {
	calls := []entry{
		{name: "MPI_Errhandler_free", impl: bind(callErrhandlerFree), any: true},
		{name: "MPI_Error_class", impl: bind(callErrorClass), any: true},
		{name: "MPI_Error_string", impl: bind(callErrorString), any: true},
		{name: "MPI_Add_error_class", impl: bind(callAddErrorClass), any: true},
		{name: "MPI_Add_error_code", impl: bind(callAddErrorCode), any: true},
		{name: "MPI_Add_error_string", impl: bind(callAddErrorString), any: true},
		{name: "MPI_Remove_error_class", impl: bind(callRemoveErrorCode).as("errorcode", "errorclass"), any: true},
		{name: "MPI_Remove_error_code", impl: bind(callRemoveErrorCode), any: true},
		{name: "MPI_Remove_error_string", impl: bind(callRemoveErrorString), any: true},
	}
	for _, r := range []struct {
		name           string
		kind           objectKind
		object, raised string // what MPI_X_set_errhandler and MPI_X_call_errhandler call the object
	}{
		{"Comm", kindComm, "comm", "comm"}, {"Win", kindWin, "win", "win"}, {"Session", kindSession, "session", "session"}, {"File", kindFile, "file", "fh"},
	} {
		calls = append(calls,
			entry{name: "MPI_" + r.name + "_create_errhandler", any: true, impl: createErrhandler(r.kind).as("fn", r.object+"_errhandler_fn")},
			entry{name: "MPI_" + r.name + "_set_errhandler", any: true, impl: setErrhandler(r.kind).as("object", r.object)},
			entry{name: "MPI_" + r.name + "_get_errhandler", any: true, impl: getErrhandler(r.kind).as("object", r.object)},
			entry{name: "MPI_" + r.name + "_call_errhandler", any: true, impl: callErrhandler(r.kind).as("object", r.raised)})
	}
	return append(calls,
		entry{name: "MPI_Errhandler_create", any: true, impl: createErrhandler(kindComm).as("fn", "handler_fn")},
		entry{name: "MPI_Errhandler_set", any: true, impl: setErrhandler(kindComm).as("object", "comm")},
		entry{name: "MPI_Errhandler_get", any: true, impl: getErrhandler(kindComm).as("object", "comm")})
}

// handlerSlot finds where an object keeps its handler, and an error raised on it.
func (p *Proc) handlerSlot(kind objectKind, handle uint32) (**errhandler, *callError, error) {
	switch kind {
	case kindWin:
		w, err := p.window(handle)
		if err != nil {
			return nil, nil, err
		}
		return &w.errhandler, &callError{win: w}, nil
	case kindSession:
		s, err := p.session(handle)
		if err != nil {
			return nil, nil, err
		}
		return &s.errhandler, &callError{session: s}, nil
	case kindFile:
		if handle == abi.FileNull {
			return &p.fileHandler, &callError{files: true}, nil
		}
		f, err := p.file(handle)
		if err != nil {
			return nil, nil, err
		}
		return &f.errhandler, &callError{file: f}, nil
	case kindComm, kindType:
	}
	c, err := p.comm(handle)
	if err != nil {
		return nil, nil, err
	}
	return &c.errhandler, &callError{comm: c}, nil
}

func (p *Proc) errhandler(handle uint32) (*errhandler, error) {
	if h := predefinedHandlers[handle]; h != nil {
		return h, nil
	}
	if h := p.errhandlers.get(handle); h != nil {
		return h, nil
	}
	return nil, abi.Fail(abi.ErrErrhandler, "error handler %#x is not known", handle)
}

type createErrhandlerArgs struct{ fn, errhandler address }

func createErrhandler(kind objectKind) body {
	return bind(func(p *Proc, a createErrhandlerArgs) error {
		if _, err := p.handles(a.errhandler, 1); err != nil {
			return err
		}
		if a.fn == 0 {
			return abi.Fail(abi.ErrArg, "the handler is a null pointer")
		}
		h := &errhandler{kind: kind, fn: a.fn, refs: 1}
		var err error
		if h.handle, err = p.errhandlers.add(h, p.w.cfg.MaxObjects); err != nil {
			return err
		}
		return p.putWord(a.errhandler, h.handle)
	})
}

type setErrhandlerArgs struct{ object, errhandler handle }

func setErrhandler(kind objectKind) body {
	return bind(func(p *Proc, a setErrhandlerArgs) error {
		slot, on, err := p.handlerSlot(kind, a.object)
		if err != nil {
			return err
		}
		h, err := p.errhandler(a.errhandler)
		if err == nil && !h.predefined() && h.kind != kind {
			err = abi.Fail(abi.ErrErrhandler, "the error handler is for objects of another kind")
		}
		if err != nil {
			return on.raise(err)
		}
		*slot = h
		return nil
	})
}

// raise makes err an error on the same object.
func (e *callError) raise(err error) error {
	r := raised(err)
	if r == nil {
		return err
	}
	r.comm, r.win, r.session, r.file, r.files, r.handler = e.comm, e.win, e.session, e.file, e.files, e.handler
	return r
}

type getErrhandlerArgs struct {
	object     handle
	errhandler address
}

func getErrhandler(kind objectKind) body {
	return bind(func(p *Proc, a getErrhandlerArgs) error {
		slot, on, err := p.handlerSlot(kind, a.object)
		if err != nil {
			return err
		}
		h := *slot
		if !h.predefined() { // one more handle for the program to free
			if h.handle, err = p.errhandlers.restore(h, h.handle, p.w.cfg.MaxObjects); err != nil {
				return on.raise(err)
			}
			h.refs++
		}
		return on.raise(p.putWord(a.errhandler, h.handle))
	})
}

type errhandlerFreeArgs struct{ errhandler address }

func callErrhandlerFree(p *Proc, a errhandlerFreeArgs) error {
	handle, err := p.word(a.errhandler)
	if err != nil {
		return err
	}
	h, err := p.errhandler(handle)
	if err != nil {
		return err
	}
	if !h.predefined() {
		if h.refs--; h.refs <= 0 {
			p.errhandlers.drop(handle)
		}
	}
	return p.putWord(a.errhandler, abi.ErrhandlerNull)
}

type callErrhandlerArgs struct {
	object    handle
	errorcode int
}

// callErrhandler raises an error that the program has found (MPI 5.0 section 9.5).
func callErrhandler(kind objectKind) body {
	return bind(func(p *Proc, a callErrhandlerArgs) error {
		_, on, err := p.handlerSlot(kind, a.object)
		if err != nil {
			return err
		}
		on.Class, on.Why = a.errorcode, "raised by the program"
		_, err = p.handle(p.running.call, p.running.args, on)
		return err
	})
}

// handlerFor returns the handler of an error and the handle of the object it is raised on. An error that belongs to no
// object goes to MPI_COMM_SELF (MPI 5.0 section 9.3); where the program has left that one's handler alone, to
// MPI_COMM_WORLD, as in MPI 3.1.
func (p *Proc) handlerFor(e *callError) (h *errhandler, object uint32) {
	switch {
	case e.handler != nil:
		return e.handler, abi.CommNull
	case e.file != nil:
		return e.file.errhandler, e.file.handle
	case e.files:
		return p.fileHandler, abi.FileNull
	case e.win != nil:
		return e.win.errhandler, e.win.handle
	case e.session != nil:
		return e.session.errhandler, e.session.handle
	case e.comm != nil:
		return e.comm.errhandler, e.comm.handle
	case p.self.errhandler.handle == abi.ErrorsAreFatal:
		return p.world.errhandler, abi.CommWorld
	}
	return p.self.errhandler, abi.CommSelf
}

// handle applies the error handler: it returns the error code as the call's result, or the error that ends the app.
func (p *Proc) handle(c *Call, v []uint64, e *callError) (uint64, error) {
	h, object := p.handlerFor(e)
	switch {
	case e.fatal || h.handle == abi.ErrorsAreFatal || h.handle == abi.ErrorsAbort:
		return 0, p.abort(c, v, e)
	case h.handle == abi.ErrorsReturn:
		return uint64(uint32(e.Class)), nil
	}
	// A handler takes pointers to the handle and the code, and variable arguments: there are none.
	err := p.withWords([]uint32{object, uint32(e.Class)}, func(addr uint32) error {
		_, err := p.callThrough(h.fn, addr, addr+4, 0)
		return err
	})
	if r := raised(err); r != nil { // a handler that cannot be called handles nothing
		return 0, p.abort(c, v, r)
	}
	return uint64(uint32(e.Class)), err
}
