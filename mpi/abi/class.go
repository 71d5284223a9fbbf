package abi

import "fmt"

// Error classes of the standard ABI (MPI 5.0 section 9.4).
const (
	Success        = 0
	ErrBuffer      = 1
	ErrCount       = 2
	ErrType        = 3
	ErrTag         = 4
	ErrComm        = 5
	ErrRank        = 6
	ErrRequest     = 7
	ErrRoot        = 8
	ErrGroup       = 9
	ErrOp          = 10
	ErrTopology    = 11
	ErrDims        = 12
	ErrArg         = 13
	ErrTruncate    = 15
	ErrOther       = 16
	ErrIntern      = 17
	errPending     = 18
	ErrInStatus    = 19
	ErrAccess      = 20
	ErrAmode       = 21
	errAssert      = 22
	ErrBadFile     = 23
	ErrConversion  = 25
	ErrDisp        = 26
	ErrDupDatarep  = 27
	ErrFileExists  = 28
	ErrFileInUse   = 29
	ErrFile        = 30
	ErrInfoKey     = 31
	ErrInfoNoKey   = 32
	ErrInfoValue   = 33
	ErrInfo        = 34
	ErrIO          = 35
	ErrKeyval      = 36
	ErrLocktype    = 37
	ErrNoMem       = 39
	ErrNotSame     = 40
	ErrNoSpace     = 41
	ErrNoSuchFile  = 42
	ErrQuota       = 44
	ErrReadOnly    = 45
	ErrRMAAttach   = 46
	ErrRMARange    = 48
	ErrRMAShared   = 49
	ErrRMASync     = 50
	ErrSize        = 52
	ErrDatarep     = 54
	ErrUnsupported = 55
	ErrWin         = 56
	ErrRMAFlavor   = 57
	errTooLarge    = 59
	ErrSession     = 60
	ErrErrhandler  = 61
	ErrLastCode    = 16383
)

// Classes are the error classes of the standard: name and text.
var Classes = map[int][2]string{ //nolint:gochecknoglobals // an immutable lookup table
	Success:        {"MPI_SUCCESS", "no error"},
	ErrBuffer:      {"MPI_ERR_BUFFER", "invalid buffer pointer"},
	ErrCount:       {"MPI_ERR_COUNT", "invalid count argument"},
	ErrType:        {"MPI_ERR_TYPE", "invalid datatype argument"},
	ErrTag:         {"MPI_ERR_TAG", "invalid tag argument"},
	ErrComm:        {"MPI_ERR_COMM", "invalid communicator"},
	ErrRank:        {"MPI_ERR_RANK", "invalid rank"},
	ErrRequest:     {"MPI_ERR_REQUEST", "invalid request handle"},
	ErrRoot:        {"MPI_ERR_ROOT", "invalid root"},
	ErrGroup:       {"MPI_ERR_GROUP", "invalid group"},
	ErrOp:          {"MPI_ERR_OP", "invalid operation"},
	ErrTopology:    {"MPI_ERR_TOPOLOGY", "invalid topology"},
	ErrDims:        {"MPI_ERR_DIMS", "invalid dimension argument"},
	ErrArg:         {"MPI_ERR_ARG", "invalid argument"},
	14:             {"MPI_ERR_UNKNOWN", "unknown error"},
	ErrTruncate:    {"MPI_ERR_TRUNCATE", "message truncated on receive"},
	ErrOther:       {"MPI_ERR_OTHER", "known error not in this list"},
	ErrIntern:      {"MPI_ERR_INTERN", "internal error"},
	errPending:     {"MPI_ERR_PENDING", "pending request"},
	ErrInStatus:    {"MPI_ERR_IN_STATUS", "error code is in status"},
	ErrAccess:      {"MPI_ERR_ACCESS", "permission denied"},
	ErrAmode:       {"MPI_ERR_AMODE", "invalid access mode of a file"},
	errAssert:      {"MPI_ERR_ASSERT", "invalid assert argument"},
	ErrBadFile:     {"MPI_ERR_BAD_FILE", "invalid file name"},
	24:             {"MPI_ERR_BASE", "invalid base passed to MPI_Free_mem"},
	ErrConversion:  {"MPI_ERR_CONVERSION", "error in a data conversion function"},
	ErrDisp:        {"MPI_ERR_DISP", "invalid displacement argument"},
	ErrDupDatarep:  {"MPI_ERR_DUP_DATAREP", "data representation is defined already"},
	ErrFileExists:  {"MPI_ERR_FILE_EXISTS", "file exists"},
	ErrFileInUse:   {"MPI_ERR_FILE_IN_USE", "file is open"},
	ErrFile:        {"MPI_ERR_FILE", "invalid file handle"},
	ErrInfoKey:     {"MPI_ERR_INFO_KEY", "info key is too long or empty"},
	ErrInfoNoKey:   {"MPI_ERR_INFO_NOKEY", "info key is not there"},
	ErrInfoValue:   {"MPI_ERR_INFO_VALUE", "info value is too long"},
	ErrInfo:        {"MPI_ERR_INFO", "invalid info argument"},
	ErrIO:          {"MPI_ERR_IO", "input or output error"},
	ErrKeyval:      {"MPI_ERR_KEYVAL", "invalid attribute key"},
	ErrLocktype:    {"MPI_ERR_LOCKTYPE", "invalid lock type"},
	38:             {"MPI_ERR_NAME", "service name is not published"},
	ErrNoMem:       {"MPI_ERR_NO_MEM", "out of memory"},
	ErrNotSame:     {"MPI_ERR_NOT_SAME", "collective arguments differ between ranks"},
	ErrNoSpace:     {"MPI_ERR_NO_SPACE", "not enough space"},
	ErrNoSuchFile:  {"MPI_ERR_NO_SUCH_FILE", "file does not exist"},
	43:             {"MPI_ERR_PORT", "invalid port name"},
	ErrQuota:       {"MPI_ERR_QUOTA", "quota exceeded"},
	ErrReadOnly:    {"MPI_ERR_READ_ONLY", "read-only file or file system"},
	ErrRMAAttach:   {"MPI_ERR_RMA_ATTACH", "memory cannot be attached"},
	47:             {"MPI_ERR_RMA_CONFLICT", "conflicting accesses to window"},
	ErrRMARange:    {"MPI_ERR_RMA_RANGE", "target memory is not part of the window"},
	ErrRMAShared:   {"MPI_ERR_RMA_SHARED", "memory cannot be shared"},
	ErrRMASync:     {"MPI_ERR_RMA_SYNC", "wrong synchronisation of RMA calls"},
	51:             {"MPI_ERR_SERVICE", "invalid service name"},
	ErrSize:        {"MPI_ERR_SIZE", "invalid size argument"},
	53:             {"MPI_ERR_SPAWN", "error in spawning processes"},
	ErrDatarep:     {"MPI_ERR_UNSUPPORTED_DATAREP", "data representation is not supported"},
	ErrUnsupported: {"MPI_ERR_UNSUPPORTED_OPERATION", "operation is not supported"},
	ErrWin:         {"MPI_ERR_WIN", "invalid window"},
	ErrRMAFlavor:   {"MPI_ERR_RMA_FLAVOR", "window is of the wrong flavor"},
	58:             {"MPI_ERR_PROC_ABORTED", "a peer has aborted"},
	errTooLarge:    {"MPI_ERR_VALUE_TOO_LARGE", "value is too large to be stored"},
	ErrSession:     {"MPI_ERR_SESSION", "invalid session"},
	ErrErrhandler:  {"MPI_ERR_ERRHANDLER", "invalid error handler"},
	62:             {"MPI_ERR_ABI", "the ABI does not support this"},
}

// ClassName returns the constant's name of an error class.
func ClassName(class int) string {
	if c, ok := Classes[class]; ok {
		return c[0]
	}
	return fmt.Sprintf("MPI error %d", class)
}

// Fault says what is wrong with a call: a class of the standard, or a code of the program's, and why.
type Fault struct {
	Class int
	Why   string
}

func (e *Fault) Error() string { return ClassName(e.Class) + ": " + e.Why }

// Fail makes an error of a class.
func Fail(class int, format string, args ...any) error {
	return &Fault{Class: class, Why: fmt.Sprintf(format, args...)}
}
