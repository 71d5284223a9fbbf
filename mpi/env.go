package mpi

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/godwit-run/godwit/mpi/abi"
)

// envCalls are the functions about the environment (MPI 5.0 chapters 9 and 11).
func envCalls() []entry {
	return []entry{
		{name: "MPI_Init", impl: bind(callInit), any: true},
		{name: "MPI_Init_thread", impl: bind(callInitThread), any: true},
		{name: "MPI_Query_thread", impl: bind(callQueryThread)},
		{name: "MPI_Is_thread_main", impl: bind(func(p *Proc, a flagArgs) error { return p.putInt(a.flag, 1) })},
		{name: "MPI_Finalize", impl: bind(callFinalize)},
		{name: "MPI_Initialized", impl: bind(callInitialized), any: true},
		{name: "MPI_Finalized", impl: bind(callFinalized), any: true},
		{name: "MPI_Abort", impl: bind(callAbort), any: true},
		{name: "MPI_Get_processor_name", impl: bind(callProcessorName)},
		{name: "MPI_Get_hw_resource_info", impl: bind(callHWInfo), any: true},
		{name: "MPI_Get_version", impl: bind(callGetVersion), any: true},
		{name: "MPI_Get_library_version", impl: bind(callLibraryVersion), any: true},
		{name: "MPI_Pcontrol", impl: bindBlind(func(*Proc) (uint64, error) { return abi.Success, nil })},
		{name: "MPI_Wtime", impl: bindValue(callWtime), any: true},
		{name: "MPI_Wtick", impl: bindValue(callWtick), any: true},
	}
}

type initArgs struct {
	_ address `mpi:"argc"`
	_ address `mpi:"argv"`
}

func callInit(p *Proc, _ initArgs) error { return p.initialize() }

// initialize begins MPI; doing it twice is an error (section 11.2.1).
func (p *Proc) initialize() error {
	if p.initialized {
		return &callError{Fault: abi.Fault{Class: abi.ErrOther, Why: "MPI is initialized already"}, fatal: true}
	}
	p.initialized = true
	return nil
}

type initThreadArgs struct {
	_        address `mpi:"argc"`
	_        address `mpi:"argv"`
	required int
	provided address
}

func callInitThread(p *Proc, a initThreadArgs) error {
	if p.initialized {
		return p.initialize()
	}
	if err := p.putInt(a.provided, min(max(a.required, abi.ThreadSingle), abi.ThreadSerialized)); err != nil {
		return err
	}
	return p.initialize()
}

type queryThreadArgs struct{ provided address }

func callQueryThread(p *Proc, a queryThreadArgs) error {
	return p.putInt(a.provided, abi.ThreadSerialized)
}

// callFinalize deletes the attributes of MPI_COMM_SELF first (section 11.2.4). It does not wait for peers; what they have
// not acked stays in the World until Drain is over.
func callFinalize(p *Proc, _ noArgs) error {
	if err := p.deleteAttributes(abi.CommSelf, &p.self.attrs); err != nil {
		return err
	}
	if err := p.deleteAttributes(abi.CommWorld, &p.world.attrs); err != nil {
		return err
	}
	p.finalized = true
	p.askAcks()
	return nil
}

// flagArgs are those of the functions that tell whether something is so.
type flagArgs struct{ flag address }

func callInitialized(p *Proc, a flagArgs) error {
	return p.putInt(a.flag, truth(p.initialized))
}

func callFinalized(p *Proc, a flagArgs) error {
	return p.putInt(a.flag, truth(p.finalized))
}

type abortArgs struct {
	_         handle `mpi:"comm"`
	errorcode int
}

// callAbort ends the whole app, whichever communicator is given (section 9.5
// leaves this to the implementation).
func callAbort(p *Proc, a abortArgs) error {
	return &AbortError{Code: a.errorcode, Message: fmt.Sprintf("rank %d: MPI_Abort(errorcode=%d)", p.rank, a.errorcode)}
}

type processorNameArgs struct{ name, resultlen address }

// callProcessorName gives each rank a name that a migration does not change.
func callProcessorName(p *Proc, a processorNameArgs) error {
	return p.putString(a.name, a.resultlen, "godwit-rank-"+strconv.Itoa(int(p.rank)), abi.MaxProcessorName)
}

type hwInfoArgs struct{ hwInfo address }

func callHWInfo(p *Proc, a hwInfoArgs) error { return p.giveInfo(&info{}, a.hwInfo) }

type getVersionArgs struct{ version, subversion address }

func callGetVersion(p *Proc, a getVersionArgs) error {
	if err := p.putInt(a.version, 5); err != nil {
		return err
	}
	return p.putInt(a.subversion, 0)
}

type libraryVersionArgs struct{ version, resultlen address }

func callLibraryVersion(p *Proc, a libraryVersionArgs) error {
	return p.putString(a.version, a.resultlen, "Godwit MPI", abi.MaxLibVersion)
}

// callWtime returns seconds since the app started, as this rank counts them: its
// clock goes on after a migration where it stood at the capture.
func callWtime(p *Proc, _ noArgs) (uint64, error) {
	return math.Float64bits(time.Since(p.clockStart).Seconds()), nil
}

func callWtick(*Proc, noArgs) (uint64, error) { return math.Float64bits(1e-9), nil }
