package mpi

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// envCalls are the functions about the environment (MPI 5.0 chapters 9 and 11).
func envCalls() []entry {
	return []entry{
		{name: "MPI_Init", params: "argc argv", impl: callInit, any: true},
		{name: "MPI_Init_thread", params: "argc argv required provided", impl: callInitThread, any: true},
		{name: "MPI_Query_thread", params: "provided", impl: callQueryThread},
		{name: "MPI_Finalize", impl: callFinalize},
		{name: "MPI_Initialized", params: "flag", impl: callInitialized, any: true},
		{name: "MPI_Finalized", params: "flag", impl: callFinalized, any: true},
		{name: "MPI_Abort", params: "comm errorcode", impl: callAbort, any: true},
		{name: "MPI_Comm_rank", params: "comm rank", impl: callCommRank},
		{name: "MPI_Comm_size", params: "comm size", impl: callCommSize},
		{name: "MPI_Comm_dup", params: "comm newcomm", impl: callCommDup},
		{name: "MPI_Comm_free", params: "comm_ptr", impl: callCommFree},
		{name: "MPI_Comm_set_errhandler", params: "comm errhandler", impl: callSetErrhandler, any: true},
		{name: "MPI_Errhandler_set", params: "comm errhandler", impl: callSetErrhandler, any: true},
		{name: "MPI_Comm_get_errhandler", params: "comm errhandler", impl: callGetErrhandler, any: true},
		{name: "MPI_Error_class", params: "errorcode errorclass", impl: callErrorClass, any: true},
		{name: "MPI_Error_string", params: "errorcode string resultlen", impl: callErrorString, any: true},
		{name: "MPI_Get_processor_name", params: "name resultlen", impl: callProcessorName},
		{name: "MPI_Get_version", params: "version subversion", impl: callGetVersion, any: true},
		{name: "MPI_Get_library_version", params: "version resultlen", impl: callLibraryVersion, any: true},
		{name: "MPI_Type_size", params: "datatype size", impl: callTypeSize},
		{name: "MPI_Wtime", impl: callWtime, any: true, float: true},
		{name: "MPI_Wtick", impl: callWtick, any: true, float: true},
	}
}

// callInit initializes the library; doing it twice is an error (section 11.2.1).
func callInit(p *Proc, _ args) (uint64, error) {
	if p.initialized {
		return 0, &callError{class: errOther, why: "MPI is initialized already", fatal: true}
	}
	p.initialized = true
	return success, nil
}

func callInitThread(p *Proc, a args) (uint64, error) {
	if p.initialized {
		return callInit(p, a)
	}
	if err := p.putInt(a.u32(3), min(max(a.int(2), threadSingle), threadSerialized)); err != nil {
		return 0, err
	}
	return callInit(p, a)
}

func callQueryThread(p *Proc, a args) (uint64, error) {
	return success, p.putInt(a.u32(0), threadSerialized)
}

// callFinalize does not wait for peers; what they have not acked stays in the
// World until Quiesced.
func callFinalize(p *Proc, _ args) (uint64, error) {
	p.finalized = true
	p.askAcks()
	return success, nil
}

func callInitialized(p *Proc, a args) (uint64, error) {
	return success, p.putInt(a.u32(0), truth(p.initialized))
}

func callFinalized(p *Proc, a args) (uint64, error) {
	return success, p.putInt(a.u32(0), truth(p.finalized))
}

func truth(b bool) int { return pick(b, 1, 0) }

// callAbort ends the whole app, whichever communicator is given (section 9.5
// leaves this to the implementation).
func callAbort(p *Proc, a args) (uint64, error) {
	return 0, &AbortError{Code: a.int(1), Message: fmt.Sprintf("rank %d: MPI_Abort(errorcode=%d)", p.rank, a.int(1))}
}

func callCommRank(p *Proc, a args) (uint64, error) {
	c, err := p.comm(a.u32(0))
	if err != nil {
		return 0, err
	}
	return success, c.on(p.putInt(a.u32(1), p.commRank(c)))
}

func callCommSize(p *Proc, a args) (uint64, error) {
	c, err := p.comm(a.u32(0))
	if err != nil {
		return 0, err
	}
	return success, c.on(p.putInt(a.u32(1), p.commSize(c)))
}

func callSetErrhandler(p *Proc, a args) (uint64, error) {
	c, err := p.comm(a.u32(0))
	if err != nil {
		return 0, err
	}
	switch h := a.u32(1); h {
	case errorsAreFatal, errorsAbort, errorsReturn:
		c.errhandler = h
		return success, nil
	default:
		return 0, c.on(fail(errErrhandler, "error handler %#x is not known", h))
	}
}

func callGetErrhandler(p *Proc, a args) (uint64, error) {
	c, err := p.comm(a.u32(0))
	if err != nil {
		return 0, err
	}
	return success, c.on(p.putInt(a.u32(1), int(c.errhandler)))
}

func callErrorClass(p *Proc, a args) (uint64, error) {
	code := a.int(0) // codes are classes
	if code < 0 || code > errLastCode {
		return 0, fail(errArg, "error code %d is not valid", code)
	}
	return success, p.putInt(a.u32(1), code)
}

func callErrorString(p *Proc, a args) (uint64, error) {
	code := a.int(0)
	if code < 0 || code > errLastCode {
		return 0, fail(errArg, "error code %d is not valid", code)
	}
	text := className(code)
	if c, ok := classes[code]; ok {
		text += ": " + c[1]
	}
	return success, p.putString(a.u32(1), a.u32(2), text, maxErrorString)
}

// callProcessorName gives each rank a name that a migration does not change.
func callProcessorName(p *Proc, a args) (uint64, error) {
	return success, p.putString(a.u32(0), a.u32(1), "godwit-rank-"+strconv.Itoa(int(p.rank)), maxProcessorName)
}

func callGetVersion(p *Proc, a args) (uint64, error) {
	if err := p.putInt(a.u32(0), 5); err != nil {
		return 0, err
	}
	return success, p.putInt(a.u32(1), 0)
}

func callLibraryVersion(p *Proc, a args) (uint64, error) {
	return success, p.putString(a.u32(0), a.u32(1), "Godwit MPI", maxLibVersion)
}

func callTypeSize(p *Proc, a args) (uint64, error) {
	t, err := typeOf(a.u32(0))
	if err != nil {
		return 0, err
	}
	return success, p.putInt(a.u32(1), int(t.size))
}

// callWtime returns seconds since the app started, as this rank counts them: its
// clock goes on after a migration where it stood at the capture.
func callWtime(p *Proc, _ args) (uint64, error) {
	return math.Float64bits(time.Since(p.clockStart).Seconds()), nil
}

func callWtick(*Proc, args) (uint64, error) { return math.Float64bits(1e-9), nil }
