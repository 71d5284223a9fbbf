package mpi

import (
	"errors"
	"fmt"
)

var (
	// ErrFrozen is returned by Invoke when the rank is asked to freeze. The same
	// call made again with the same arguments, here or in a restored rank, goes
	// on exactly where it was.
	ErrFrozen = errors.New("mpi: rank is frozen")
	// ErrRankExists is returned when a rank is added that is local already.
	ErrRankExists = errors.New("mpi: rank is already here")
	// ErrNoRank is returned for a rank that is out of range or not local.
	ErrNoRank = errors.New("mpi: no such rank here")
	// ErrState is returned when captured state cannot be decoded.
	ErrState = errors.New("mpi: bad rank state")
)

// AbortError ends the app: MPI_Abort, or an MPI error under the fatal handler.
// Code is MPI_Abort's argument or the error class.
type AbortError struct {
	Code    int
	Message string
}

// Error returns the message, which names the rank, call, class and reason.
func (e *AbortError) Error() string { return e.Message }

// Error classes of the standard ABI (MPI 5.0 section 9.4).
const (
	success       = 0
	errBuffer     = 1
	errCount      = 2
	errType       = 3
	errTag        = 4
	errComm       = 5
	errRank       = 6
	errRequest    = 7
	errRoot       = 8
	errGroup      = 9
	errOp         = 10
	errArg        = 13
	errTruncate   = 15
	errOther      = 16
	errIntern     = 17
	errPending    = 18
	errInStatus   = 19
	errNoMem      = 39
	errErrhandler = 61
	errLastCode   = 16383
)

// classes are the error classes that this library raises: name and text.
var classes = map[int][2]string{ //nolint:gochecknoglobals // an immutable lookup table
	success:       {"MPI_SUCCESS", "no error"},
	errBuffer:     {"MPI_ERR_BUFFER", "invalid buffer pointer"},
	errCount:      {"MPI_ERR_COUNT", "invalid count argument"},
	errType:       {"MPI_ERR_TYPE", "invalid datatype argument"},
	errTag:        {"MPI_ERR_TAG", "invalid tag argument"},
	errComm:       {"MPI_ERR_COMM", "invalid communicator"},
	errRank:       {"MPI_ERR_RANK", "invalid rank"},
	errRequest:    {"MPI_ERR_REQUEST", "invalid request handle"},
	errRoot:       {"MPI_ERR_ROOT", "invalid root"},
	errGroup:      {"MPI_ERR_GROUP", "invalid group"},
	errOp:         {"MPI_ERR_OP", "invalid operation"},
	errArg:        {"MPI_ERR_ARG", "invalid argument"},
	errTruncate:   {"MPI_ERR_TRUNCATE", "message truncated on receive"},
	errOther:      {"MPI_ERR_OTHER", "known error not in this list"},
	errIntern:     {"MPI_ERR_INTERN", "internal error"},
	errPending:    {"MPI_ERR_PENDING", "pending request"},
	errInStatus:   {"MPI_ERR_IN_STATUS", "error code is in status"},
	errNoMem:      {"MPI_ERR_NO_MEM", "out of memory"},
	errErrhandler: {"MPI_ERR_ERRHANDLER", "invalid error handler"},
}

// className returns the constant's name of an error class.
func className(class int) string {
	if c, ok := classes[class]; ok {
		return c[0]
	}
	return fmt.Sprintf("MPI error %d", class)
}

// callError is an MPI error on its way to an error handler. comm is the
// communicator it is raised on, nil for MPI_COMM_SELF (MPI 5.0 section 9.3);
// fatal errors reach no handler (calls outside of Init..Finalize).
type callError struct {
	class int
	why   string
	comm  *comm
	fatal bool
}

func (e *callError) Error() string { return className(e.class) + ": " + e.why }

func fail(class int, format string, args ...any) error {
	return &callError{class: class, why: fmt.Sprintf(format, args...)}
}
