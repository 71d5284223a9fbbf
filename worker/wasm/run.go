package wasm

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tetratelabs/wazero/sys"

	"github.com/godwit-run/godwit/mpi"
)

// Exit codes of guests that trapped: what a shell shows for the signal that a native program would die of.
const (
	codeSignal = 128 // and the signal's number
	codeAbort  = 134 // SIGABRT
	codeFPE    = 136 // SIGFPE
	codeSegv   = 139 // SIGSEGV
	codeHost   = 1   // the host ended it
)

// errEnded is thrown through guest code by end. Run knows the cause.
var errEnded = errors.New("guest ended by its host")

// Exit is how Run returned.
type Exit struct {
	Frozen bool   // the guest's stack is saved: Capture it, or Run it on. The rest is zero then
	Code   uint32 // exit code: the program's own, MPI_Abort's, or one that stands for the trap
	Reason string // why, for humans: empty if the program exited by itself
	Err    error  // what the host ended the guest with: an *mpi.AbortError, the host's error, or Cancel's
}

// Run runs the guest from its beginning or, if it is frozen, from where it stands, on the calling
// goroutine. It blocks until the guest has frozen or ended. It panics if the guest has ended before, and
// when the Host panics.
func (g *Guest) Run(ctx context.Context) Exit {
	if g.state != ready && g.state != frozen {
		panic("wasm: guest run again after its end")
	}
	ctx = &guestContext{ctx, g}
	g.nested = nestedCaller(ctx)
	var err error
	thaw := g.state == frozen
	g.state = running
	end := g.stopCancelled()
	if !g.presence.released { // else it has the native engine's
		g.stack.begin()
	}
	g.presence.enter()
	for again := true; again && err == nil; {
		err = g.runOnce(ctx, thaw)
		if again = err == nil && g.turning; again {
			g.unwinder.repay()
			g.turn(ctx)
			thaw = true
		}
	}
	end()
	if wasStopped(err) && g.stopped == nil {
		g.stopped = g.cancelCause
	}
	g.unwinder.repay()
	g.presence.leave()
	short := g.stack.short()
	g.stack.end()
	lost := g.stand()
	if g.fault != nil {
		g.state = ended
		panic(fmt.Sprintf("wasm: host function panicked: %v", g.fault))
	}
	if g.state == frozen && lost == nil {
		return Exit{Frozen: true}
	}
	g.state = ended
	exit := g.exit(err).ofShortStack(short, g.memory.budget.limit)
	if exit == (Exit{}) {
		g.files.unlockAll(g)
	}
	switch {
	case lost == nil || exit.Err != nil:
	case exit.Reason == "":
		exit = Exit{Code: max(exit.Code, codeHost), Reason: lost.Error(), Err: lost}
	default:
		exit.Reason += "; " + lost.Error()
	}
	g.exited = exit.Reason == ""
	return exit
}

// runOnce runs the guest until it ends or is unwound: it is frozen then, unless it is to go on in another engine.
func (g *Guest) runOnce(ctx context.Context, thaw bool) error {
	if thaw {
		if err := g.unwinder.startRewind(ctx); err != nil {
			return err
		}
	}
	g.stack.enter(g.start)
	err := g.start.CallWithStack(ctx, nil)
	g.stack.leave()
	if err != nil || g.unwinder.phase != unwinding {
		return err //nolint:wrapcheck // exit explains it
	}
	if err := g.unwinder.stopUnwind(ctx); err != nil || g.turning {
		return err
	}
	g.state = frozen
	g.Preempt(false)
	return nil
}

// end stops the guest with err. It does not return.
func (g *Guest) end(err error) {
	g.stopped = err
	panic(errEnded)
}

// checkCancel ends the guest if Cancel was called.
func (g *Guest) checkCancel() {
	if g.cancelled.Load() {
		g.end(g.cancelCause)
	}
}

// exit explains how the guest ended, given what the engine says.
func (g *Guest) exit(err error) Exit {
	var exited *sys.ExitError
	var aborted *mpi.AbortError
	switch {
	case g.stopped != nil && errors.As(g.stopped, &aborted):
		return Exit{Code: uint32(aborted.Code), Reason: aborted.Message, Err: g.stopped}
	case g.stopped != nil:
		return Exit{Code: codeHost, Reason: g.stopped.Error(), Err: g.stopped}
	case err == nil && g.unwinder.phase == rewinding:
		err = errors.New("the saved stack did not lead back to a call: image and module do not match")
		return Exit{Code: codeAbort, Reason: err.Error(), Err: err}
	case err == nil:
		return Exit{}
	case errors.As(err, &exited):
		return Exit{Code: exited.ExitCode()}
	case errors.Is(err, ErrUnwindOverflow):
		return Exit{Code: codeAbort, Reason: err.Error(), Err: err}
	case g.unwinder.phase == unwinding:
		err = g.unwinder.overflow()
		return Exit{Code: codeAbort, Reason: err.Error(), Err: err}
	}
	return explainTrap(err.Error(), g.module.compiled.Name(), g.words(), g.stackOverrun())
}

// ofShortStack says of a stack overflow that it is for want of memory, where the stack might have had no more than so many bytes.
func (e Exit) ofShortStack(may, limit uint64) Exit {
	if may > 0 && strings.HasPrefix(e.Reason, "trap: "+callsOverflow) {
		e.Reason = fmt.Sprintf("trap: stack overflow (the calls under way take more than the %d KiB that are left for them of the memory that this host has for programs, %d bytes: give it more (the worker's --total-memory), or have fewer ranks on it)",
			may>>10, limit) + strings.TrimPrefix(e.Reason, "trap: "+callsOverflow)
	}
	return e
}

// stackOverrun tells whether the C stack, which begins at address 0 and grows down, has run out.
func (g *Guest) stackOverrun() bool {
	pointer := g.instance.Global(exportStack)
	return pointer != nil && int32(pointer.Get()) < 0
}
