package mpi

import "fmt"

// Error classes of the standard ABI (MPI 5.0 section 9.4).
const (
	success        = 0
	errBuffer      = 1
	errCount       = 2
	errType        = 3
	errTag         = 4
	errComm        = 5
	errRank        = 6
	errRequest     = 7
	errRoot        = 8
	errGroup       = 9
	errOp          = 10
	errTopology    = 11
	errDims        = 12
	errArg         = 13
	errTruncate    = 15
	errOther       = 16
	errIntern      = 17
	errPending     = 18
	errInStatus    = 19
	errAssert      = 22
	errDisp        = 26
	errInfoKey     = 31
	errInfoNoKey   = 32
	errInfoValue   = 33
	errInfo        = 34
	errKeyval      = 36
	errLocktype    = 37
	errNoMem       = 39
	errRMAAttach   = 46
	errRMARange    = 48
	errRMAShared   = 49
	errRMASync     = 50
	errSize        = 52
	errUnsupported = 55
	errWin         = 56
	errRMAFlavor   = 57
	errTooLarge    = 59
	errSession     = 60
	errErrhandler  = 61
	errLastCode    = 16383
)

// classes are the error classes of the standard: name and text.
var classes = map[int][2]string{ //nolint:gochecknoglobals // an immutable lookup table
	success:        {"MPI_SUCCESS", "no error"},
	errBuffer:      {"MPI_ERR_BUFFER", "invalid buffer pointer"},
	errCount:       {"MPI_ERR_COUNT", "invalid count argument"},
	errType:        {"MPI_ERR_TYPE", "invalid datatype argument"},
	errTag:         {"MPI_ERR_TAG", "invalid tag argument"},
	errComm:        {"MPI_ERR_COMM", "invalid communicator"},
	errRank:        {"MPI_ERR_RANK", "invalid rank"},
	errRequest:     {"MPI_ERR_REQUEST", "invalid request handle"},
	errRoot:        {"MPI_ERR_ROOT", "invalid root"},
	errGroup:       {"MPI_ERR_GROUP", "invalid group"},
	errOp:          {"MPI_ERR_OP", "invalid operation"},
	errTopology:    {"MPI_ERR_TOPOLOGY", "invalid topology"},
	errDims:        {"MPI_ERR_DIMS", "invalid dimension argument"},
	errArg:         {"MPI_ERR_ARG", "invalid argument"},
	14:             {"MPI_ERR_UNKNOWN", "unknown error"},
	errTruncate:    {"MPI_ERR_TRUNCATE", "message truncated on receive"},
	errOther:       {"MPI_ERR_OTHER", "known error not in this list"},
	errIntern:      {"MPI_ERR_INTERN", "internal error"},
	errPending:     {"MPI_ERR_PENDING", "pending request"},
	errInStatus:    {"MPI_ERR_IN_STATUS", "error code is in status"},
	20:             {"MPI_ERR_ACCESS", "permission denied"},
	21:             {"MPI_ERR_AMODE", "invalid access mode of a file"},
	errAssert:      {"MPI_ERR_ASSERT", "invalid assert argument"},
	23:             {"MPI_ERR_BAD_FILE", "invalid file name"},
	24:             {"MPI_ERR_BASE", "invalid base passed to MPI_Free_mem"},
	25:             {"MPI_ERR_CONVERSION", "error in a data conversion function"},
	errDisp:        {"MPI_ERR_DISP", "invalid displacement argument"},
	27:             {"MPI_ERR_DUP_DATAREP", "data representation is defined already"},
	28:             {"MPI_ERR_FILE_EXISTS", "file exists"},
	29:             {"MPI_ERR_FILE_IN_USE", "file is open"},
	30:             {"MPI_ERR_FILE", "invalid file handle"},
	errInfoKey:     {"MPI_ERR_INFO_KEY", "info key is too long or empty"},
	errInfoNoKey:   {"MPI_ERR_INFO_NOKEY", "info key is not there"},
	errInfoValue:   {"MPI_ERR_INFO_VALUE", "info value is too long"},
	errInfo:        {"MPI_ERR_INFO", "invalid info argument"},
	35:             {"MPI_ERR_IO", "input or output error"},
	errKeyval:      {"MPI_ERR_KEYVAL", "invalid attribute key"},
	errLocktype:    {"MPI_ERR_LOCKTYPE", "invalid lock type"},
	38:             {"MPI_ERR_NAME", "service name is not published"},
	errNoMem:       {"MPI_ERR_NO_MEM", "out of memory"},
	40:             {"MPI_ERR_NOT_SAME", "collective arguments differ between ranks"},
	41:             {"MPI_ERR_NO_SPACE", "not enough space"},
	42:             {"MPI_ERR_NO_SUCH_FILE", "file does not exist"},
	43:             {"MPI_ERR_PORT", "invalid port name"},
	44:             {"MPI_ERR_QUOTA", "quota exceeded"},
	45:             {"MPI_ERR_READ_ONLY", "read-only file or file system"},
	errRMAAttach:   {"MPI_ERR_RMA_ATTACH", "memory cannot be attached"},
	47:             {"MPI_ERR_RMA_CONFLICT", "conflicting accesses to window"},
	errRMARange:    {"MPI_ERR_RMA_RANGE", "target memory is not part of the window"},
	errRMAShared:   {"MPI_ERR_RMA_SHARED", "memory cannot be shared"},
	errRMASync:     {"MPI_ERR_RMA_SYNC", "wrong synchronisation of RMA calls"},
	51:             {"MPI_ERR_SERVICE", "invalid service name"},
	errSize:        {"MPI_ERR_SIZE", "invalid size argument"},
	53:             {"MPI_ERR_SPAWN", "error in spawning processes"},
	54:             {"MPI_ERR_UNSUPPORTED_DATAREP", "data representation is not supported"},
	errUnsupported: {"MPI_ERR_UNSUPPORTED_OPERATION", "operation is not supported"},
	errWin:         {"MPI_ERR_WIN", "invalid window"},
	errRMAFlavor:   {"MPI_ERR_RMA_FLAVOR", "window is of the wrong flavor"},
	58:             {"MPI_ERR_PROC_ABORTED", "a peer has aborted"},
	errTooLarge:    {"MPI_ERR_VALUE_TOO_LARGE", "value is too large to be stored"},
	errSession:     {"MPI_ERR_SESSION", "invalid session"},
	errErrhandler:  {"MPI_ERR_ERRHANDLER", "invalid error handler"},
	62:             {"MPI_ERR_ABI", "the ABI does not support this"},
}

// className returns the constant's name of an error class.
func className(class int) string {
	if c, ok := classes[class]; ok {
		return c[0]
	}
	return fmt.Sprintf("MPI error %d", class)
}

// mpiError says what is wrong with a call: a class of the standard, or a code of the program's, and why.
type mpiError struct {
	class int
	why   string
}

func (e *mpiError) Error() string { return className(e.class) + ": " + e.why }

// fail makes an error of a class.
func fail(class int, format string, args ...any) error {
	return &mpiError{class: class, why: fmt.Sprintf(format, args...)}
}
