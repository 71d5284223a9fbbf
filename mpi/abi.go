package mpi

// Values of the MPI 5.0 standard ABI. Handles are 32-bit on wasm32.
const (
	commNull  = 0x100
	commWorld = 0x101
	commSelf  = 0x102

	errhandlerNull   = 0x140
	errorsAreFatal   = 0x141
	errorsAbort      = 0x142
	errorsReturn     = 0x143
	requestNull      = 0x180
	firstRequest     = 0x1000 // handles of requests; the ABI keeps lower values for constants
	anySource        = -1
	anyTag           = -2
	procNull         = -3
	undefined        = -32766
	inPlace          = 1
	statusIgnore     = 0
	statusBytes      = 32
	tagUB            = 1 << 30
	threadSingle     = 0
	threadSerialized = 2048
	threadMultiple   = 4096

	maxProcessorName = 256
	maxErrorString   = 512
	maxLibVersion    = 8192
)
