package mpi

import (
	"errors"

	"github.com/godwit-run/godwit/mpi/abi"
)

var (
	// ErrFrozen is returned by Invoke when the rank is asked to freeze. The same
	// call made again with the same arguments, here or in a restored rank, goes
	// on exactly where it was.
	ErrFrozen = errors.New("mpi: rank is frozen")
	// ErrThrown is returned by a Guest when an exception has left the function that it was to call, and by Invoke when that was one that may let an exception through (callThrough): the call
	// has ended, and the program goes on where it catches the exception.
	ErrThrown = errors.New("mpi: an exception has left a function that MPI had called")
	// ErrRankExists is returned when a rank is added that is local already.
	ErrRankExists = errors.New("mpi: rank is already here")
	// ErrNoRank is returned for a rank that is out of range or not local.
	ErrNoRank = errors.New("mpi: no such rank here")
	// ErrState is returned when captured state cannot be decoded.
	ErrState = errors.New("mpi: bad rank state")
	// ErrTied is returned by Capture for a rank that cannot leave its host: it shares memory with others.
	ErrTied = errors.New("mpi: rank shares memory with others of its host")
)

// AbortError ends the app: MPI_Abort, or an MPI error under the fatal handler.
// Code is MPI_Abort's argument or the error class.
type AbortError struct {
	Code    int
	Message string
}

// Error returns the message, which names the rank, call, class and reason.
func (e *AbortError) Error() string { return e.Message }

// callError is an MPI error on its way to an error handler. It is raised on a communicator, window, session
// or file; on none of them, it goes to MPI_COMM_SELF or MPI_COMM_WORLD (MPI 5.0 section
// 9.3). Fatal errors reach no handler: calls outside of MPI_Init .. MPI_Finalize, and
// functions that are not supported.
type callError struct {
	abi.Fault
	comm    *comm
	win     *window
	session *session
	handler *errhandler // of an object that was to be made: it has none yet
	file    *file
	files   bool // on MPI_FILE_NULL, which has the errors that belong to no open file
	fatal   bool
}

// raised is err as an error that is raised on something, or will be; nil if it is none of MPI.
func raised(err error) *callError {
	switch e := err.(type) { //nolint:errorlint // neither is ever wrapped
	case *callError:
		return e
	case *abi.Fault:
		return &callError{Fault: *e}
	}
	return nil
}

// errorClass is the class of an MPI error, success for nil.
func errorClass(err error) int32 {
	if e := raised(err); e != nil {
		return int32(e.Class)
	}
	return abi.Success
}

// on makes err an error raised on c, if it is an MPI error that is raised on nothing yet.
func (c *comm) on(err error) error {
	e := raised(err)
	if e == nil {
		return err
	}
	if e.comm == nil && e.win == nil {
		e.comm = c
	}
	return e
}

// raise makes err an error raised on s.
func (s *session) raise(err error) error { return (&callError{session: s}).raise(err) }

// on makes err an error raised on w.
func (w *window) on(err error) error {
	e := raised(err)
	if e == nil {
		return err
	}
	e.win = w
	return e
}
