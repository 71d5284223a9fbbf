package mpi

// Values of the MPI 5.0 standard ABI (chapter 20). Handles are 32-bit on wasm32.
const (
	commNull   = 0x100
	commWorld  = 0x101
	commSelf   = 0x102
	groupNull  = 0x108
	groupEmpty = 0x109
	winNull    = 0x110
	fileNull   = 0x118

	sessionNull   = 0x120
	messageNull   = 0x128
	messageNoProc = 0x129
	infoNull      = 0x130
	infoEnv       = 0x131

	errhandlerNull = 0x140
	errorsAreFatal = 0x141
	errorsAbort    = 0x142
	errorsReturn   = 0x143
	requestNull    = 0x180
	opNull         = 0x20
	typeNull       = 0x200

	anySource = -1
	anyTag    = -2
	procNull  = -3
	rootHere  = -4 // MPI_ROOT
	undefined = -32766

	bottom          = 0 // MPI_BOTTOM
	inPlace         = 1
	bufferAutomatic = 2
	unweighted      = 10
	weightsEmpty    = 11
	statusIgnore    = 0
	statusBytes     = 32

	tagUB            = 1 << 30
	threadSingle     = 0
	threadSerialized = 2048

	maxProcessorName = 256
	maxErrorString   = 512
	maxLibVersion    = 8192
	maxObjectName    = 128
	maxInfoKey       = 256
	maxInfoVal       = 1024
	bsendOverhead    = 512
)

// Results of comparisons and topologies, splitting, layouts and windows.
const (
	ident     = 201
	congruent = 202
	similar   = 203
	unequal   = 204

	topoCart  = 211
	topoGraph = 212
	topoDist  = 213

	splitShared      = 221
	splitHWUnguided  = 222
	splitHWGuided    = 223
	splitResource    = 224
	orderC           = 0xC
	orderFortran     = 0xF
	distributeNone   = 16
	distributeBlock  = 17
	distributeCyclic = 18
	distributeArg    = 19 // MPI_DISTRIBUTE_DFLT_DARG

	combinerNamed      = 101
	combinerDup        = 102
	combinerContiguous = 103
	combinerVector     = 104
	combinerHvector    = 105
	combinerIndexed    = 106
	combinerHindexed   = 107
	combinerIdxBlock   = 108
	combinerHidxBlock  = 109
	combinerStruct     = 110
	combinerSubarray   = 111
	combinerDarray     = 112
	combinerF90Real    = 113
	combinerF90Complex = 114
	combinerF90Integer = 115
	combinerResized    = 116
	combinerValueIndex = 117

	typeclassInteger = 192
	typeclassReal    = 193
	typeclassComplex = 194

	lockExclusive = 301
	lockShared    = 302

	flavorCreate   = 311
	flavorAllocate = 312
	flavorDynamic  = 313
	flavorShared   = 314
	winUnified     = 321

	modeNoCheck = 1024

	keyInvalid       = 0
	keyTagUB         = 501
	keyIO            = 502
	keyHost          = 503
	keyWtimeGlobal   = 504
	keyAppnum        = 505
	keyLastUsedCode  = 506
	keyUniverse      = 507
	keyWinBase       = 601
	keyWinDispUnit   = 602
	keyWinSize       = 603
	keyWinFlavor     = 604
	keyWinModel      = 605
	copyNull         = 0 // MPI_COMM_NULL_COPY_FN and its kin
	copyDup          = 1 // MPI_COMM_DUP_FN and its kin
	deleteNull       = 0
	maxKeyPredefined = 1 << 10
	maxRanks         = 1 << 20 // ranks of a world
)

// Predefined operations.
const (
	opSum     = 0x21
	opMin     = 0x22
	opMax     = 0x23
	opProd    = 0x24
	opBand    = 0x28
	opBor     = 0x29
	opBxor    = 0x2a
	opLand    = 0x30
	opLor     = 0x31
	opLxor    = 0x32
	opMinloc  = 0x38
	opMaxloc  = 0x39
	opReplace = 0x3c
	opNoOp    = 0x3d
)

// opNames are the constants' names of the predefined operations.
var opNames = map[uint32]string{ //nolint:gochecknoglobals // an immutable lookup table
	opSum: "MPI_SUM", opMin: "MPI_MIN", opMax: "MPI_MAX", opProd: "MPI_PROD",
	opBand: "MPI_BAND", opBor: "MPI_BOR", opBxor: "MPI_BXOR",
	opLand: "MPI_LAND", opLor: "MPI_LOR", opLxor: "MPI_LXOR",
	opMinloc: "MPI_MINLOC", opMaxloc: "MPI_MAXLOC", opReplace: "MPI_REPLACE", opNoOp: "MPI_NO_OP",
}
