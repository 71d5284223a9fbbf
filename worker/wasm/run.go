package wasm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tetratelabs/wazero/sys"

	"github.com/godwit-run/godwit/mpi"
)

// Exit codes of guests that trapped: what a shell shows for the signal that a native program would die of.
const (
	codeAbort = 134 // SIGABRT
	codeFPE   = 136 // SIGFPE
	codeSegv  = 139 // SIGSEGV
	codeHost  = 1   // the host ended it
)

// maxFrames is how much of a trap's stack is shown.
const maxFrames = 8

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
	g.presence.enter()
	if thaw {
		err = g.unwinder.startRewind(ctx)
	}
	if err == nil {
		_, err = g.start.Call(ctx)
	}
	if err == nil && g.unwinder.phase == unwinding {
		if err = g.unwinder.stopUnwind(ctx); err == nil {
			g.state = frozen
		}
	}
	g.presence.leave()
	if g.fault != nil {
		g.state = ended
		panic(fmt.Sprintf("wasm: host function panicked: %v", g.fault))
	}
	if g.state == frozen {
		return Exit{Frozen: true}
	}
	g.state = ended
	exit := g.exit(err)
	g.exited = exit.Reason == ""
	return exit
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
		err = fmt.Errorf("%w: %w", ErrUnwindOverflow, err)
		return Exit{Code: codeAbort, Reason: err.Error(), Err: err}
	}
	return g.trapped(err.Error())
}

// trapped tells a trap in the words of the engine, shortened.
func (g *Guest) trapped(text string) Exit {
	text, trace, _ := strings.Cut(strings.TrimPrefix(text, "wasm error: "), "\nwasm stack trace:\n")
	text = strings.TrimSuffix(text, " (recovered by wazero)")
	code := uint32(codeAbort)
	switch {
	case strings.HasPrefix(text, "out of bounds memory access"):
		code = codeSegv
		if g.stackOverrun() {
			text = "stack overflow"
		}
	case strings.HasPrefix(text, "stack overflow"):
		code = codeSegv
	case strings.HasPrefix(text, "integer divide by zero"), strings.HasPrefix(text, "integer overflow"):
		code = codeFPE
	}
	if onFile(trace) {
		text += " (of a FILE? A rank has no files: its fopen has returned NULL)"
	}
	reason := "trap: " + text
	for i, frame := range strings.Split(trace, "\n") {
		frame = strings.TrimSpace(frame)
		if frame == "" || strings.HasPrefix(frame, "...") {
			continue
		}
		if i == maxFrames {
			reason += "\n  ..."
			break
		}
		reason += "\n  at " + frameName(frame)
	}
	return Exit{Code: code, Reason: reason}
}

// onFile reports whether a trap was met inside one of C's functions that take a FILE: by far the most often it is a NULL that a program
// has not looked at.
func onFile(trace string) bool {
	left := 3 // what such a function calls, at the most
	for frame := range strings.SplitSeq(trace, "\n") {
		if left == 0 {
			break
		}
		if strings.HasPrefix(frame, "\t\t") { // a place in the source, of a module with debug information
			continue
		}
		left--
		name, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(frame), "."), "(")
		if slices.Contains(onFiles, name) {
			return true
		}
	}
	return false
}

//nolint:gochecknoglobals // a constant list
var onFiles = strings.Fields(`fclose fprintf vfprintf fiprintf fputs fputc putc fwrite fread fgets fgetc getc getline getdelim fscanf vfscanf
	ungetc fseek fseeko ftell ftello rewind feof ferror clearerr fileno setvbuf setbuf`)

// frameName is a frame of the engine's, "module.function(parameters) results", without the module's name, which guests have
// none of. A function without a name, which the engine calls $ and its index, and wasm-opt its index alone, is called by its index.
func frameName(frame string) string {
	frame = strings.TrimPrefix(frame, ".")
	if head, _, ok := strings.Cut(frame, "("); ok {
		if index, err := strconv.ParseUint(strings.TrimPrefix(head, "$"), 10, 32); err == nil {
			return fmt.Sprintf("function %d", index)
		}
	}
	return frame
}

// stackOverrun tells whether the C stack, which begins at address 0 and grows down, has run out.
func (g *Guest) stackOverrun() bool {
	pointer := g.instance.ExportedGlobal("__stack_pointer")
	return pointer != nil && int32(pointer.Get()) < 0
}
