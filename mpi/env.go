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
		{name: "MPI_Init", impl: callInit, any: true},
		{name: "MPI_Init_thread", impl: callInitThread, any: true},
		{name: "MPI_Query_thread", impl: callQueryThread},
		{name: "MPI_Is_thread_main", impl: func(p *Proc, a args) (uint64, error) { return success, p.putInt(a.u32(0), 1) }},
		{name: "MPI_Finalize", impl: callFinalize},
		{name: "MPI_Initialized", impl: callInitialized, any: true},
		{name: "MPI_Finalized", impl: callFinalized, any: true},
		{name: "MPI_Abort", impl: callAbort, any: true},
		{name: "MPI_Get_processor_name", impl: callProcessorName},
		{name: "MPI_Get_hw_resource_info", impl: func(p *Proc, a args) (uint64, error) { return success, p.giveInfo(&info{}, a.u32(0)) }, any: true},
		{name: "MPI_Get_version", impl: callGetVersion, any: true},
		{name: "MPI_Get_library_version", impl: callLibraryVersion, any: true},
		{name: "MPI_Pcontrol", impl: func(*Proc, args) (uint64, error) { return success, nil }},
		{name: "MPI_Wtime", impl: callWtime, any: true},
		{name: "MPI_Wtick", impl: callWtick, any: true},
	}
}

// callInit initializes the library; doing it twice is an error (section 11.2.1).
func callInit(p *Proc, _ args) (uint64, error) {
	if p.initialized {
		return 0, &callError{mpiError: mpiError{class: errOther, why: "MPI is initialized already"}, fatal: true}
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

// callFinalize deletes the attributes of MPI_COMM_SELF first (section 11.2.4). It does not wait for peers; what they have
// not acked stays in the World until Drain is over.
func callFinalize(p *Proc, _ args) (uint64, error) {
	if err := p.deleteAttributes(commSelf, &p.self.attrs); err != nil {
		return 0, err
	}
	if err := p.deleteAttributes(commWorld, &p.world.attrs); err != nil {
		return 0, err
	}
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

// callAbort ends the whole app, whichever communicator is given (section 9.5
// leaves this to the implementation).
func callAbort(p *Proc, a args) (uint64, error) {
	return 0, &AbortError{Code: a.int(1), Message: fmt.Sprintf("rank %d: MPI_Abort(errorcode=%d)", p.rank, a.int(1))}
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

// callWtime returns seconds since the app started, as this rank counts them: its
// clock goes on after a migration where it stood at the capture.
func callWtime(p *Proc, _ args) (uint64, error) {
	return math.Float64bits(time.Since(p.clockStart).Seconds()), nil
}

func callWtick(*Proc, args) (uint64, error) { return math.Float64bits(1e-9), nil }
