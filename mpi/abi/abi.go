package abi

// Values of the MPI 5.0 standard ABI (chapter 20). Handles are 32-bit on wasm32.
const (
	CommNull   = 0x100
	CommWorld  = 0x101
	CommSelf   = 0x102
	GroupNull  = 0x108
	GroupEmpty = 0x109
	WinNull    = 0x110
	FileNull   = 0x118

	SessionNull   = 0x120
	MessageNull   = 0x128
	MessageNoProc = 0x129
	InfoNull      = 0x130
	InfoEnv       = 0x131

	ErrhandlerNull = 0x140
	ErrorsAreFatal = 0x141
	ErrorsAbort    = 0x142
	ErrorsReturn   = 0x143
	RequestNull    = 0x180
	OpNull         = 0x20
	TypeNull       = 0x200
	TypeInt64      = 0x258 // MPI_INT64_T
	TypeByte       = 0x247

	AnySource = -1
	AnyTag    = -2
	ProcNull  = -3
	RootHere  = -4 // MPI_ROOT
	Undefined = -32766

	Bottom          = 0 // MPI_BOTTOM
	InPlace         = 1
	BufferAutomatic = 2
	Unweighted      = 10
	WeightsEmpty    = 11
	StatusIgnore    = 0
	StatusBytes     = 32

	TagUB            = 1 << 30
	ThreadSingle     = 0
	ThreadSerialized = 2048

	MaxProcessorName = 256
	MaxErrorString   = 512
	MaxLibVersion    = 8192
	MaxObjectName    = 128
	MaxInfoKey       = 256
	MaxInfoVal       = 1024
	BsendOverhead    = 512
	MaxDatarep       = 128
)

// Results of comparisons and topologies, splitting, layouts and windows.
const (
	Ident     = 201
	Congruent = 202
	Similar   = 203
	Unequal   = 204

	TopoCart  = 211
	TopoGraph = 212
	TopoDist  = 213

	SplitShared      = 221
	splitHWUnguided  = 222
	SplitHWGuided    = 223
	SplitResource    = 224
	OrderC           = 0xC
	OrderFortran     = 0xF
	DistributeNone   = 16
	DistributeBlock  = 17
	DistributeCyclic = 18
	DistributeArg    = 19 // MPI_DISTRIBUTE_DFLT_DARG

	CombinerNamed      = 101
	CombinerDup        = 102
	CombinerContiguous = 103
	CombinerVector     = 104
	CombinerHvector    = 105
	CombinerIndexed    = 106
	CombinerHindexed   = 107
	CombinerIdxBlock   = 108
	CombinerHidxBlock  = 109
	CombinerStruct     = 110
	CombinerSubarray   = 111
	CombinerDarray     = 112
	CombinerF90Real    = 113
	CombinerF90Complex = 114
	CombinerF90Integer = 115
	CombinerResized    = 116
	CombinerValueIndex = 117

	TypeclassInteger = 192
	TypeclassReal    = 193
	TypeclassComplex = 194

	LockExclusive = 301
	LockShared    = 302

	FlavorCreate   = 311
	FlavorAllocate = 312
	FlavorDynamic  = 313
	FlavorShared   = 314
	WinUnified     = 321

	ModeNoCheck = 1024

	ModeAppend        = 1 // of files
	ModeCreate        = 2
	ModeDeleteOnClose = 4
	ModeExcl          = 8
	ModeRdonly        = 16
	ModeRdwr          = 32
	ModeSequential    = 64
	ModeUniqueOpen    = 128
	ModeWronly        = 256

	SeekCur = 401
	SeekEnd = 402
	SeekSet = 403

	DisplacementCurrent = -1

	KeyInvalid       = 0
	KeyTagUB         = 501
	keyIO            = 502
	keyHost          = 503
	KeyWtimeGlobal   = 504
	KeyAppnum        = 505
	KeyLastUsedCode  = 506
	KeyUniverse      = 507
	KeyWinBase       = 601
	KeyWinDispUnit   = 602
	keyWinSize       = 603
	keyWinFlavor     = 604
	KeyWinModel      = 605
	CopyNull         = 0 // MPI_COMM_NULL_COPY_FN and its kin
	CopyDup          = 1 // MPI_COMM_DUP_FN and its kin
	DeleteNull       = 0
	MaxKeyPredefined = 1 << 10
	MaxRanks         = 1 << 20 // ranks of a world
)

// Predefined operations.
const (
	OpSum     = 0x21
	OpMin     = 0x22
	OpMax     = 0x23
	OpProd    = 0x24
	OpBand    = 0x28
	OpBor     = 0x29
	OpBxor    = 0x2a
	OpLand    = 0x30
	OpLor     = 0x31
	OpLxor    = 0x32
	OpMinloc  = 0x38
	OpMaxloc  = 0x39
	OpReplace = 0x3c
	OpNoOp    = 0x3d
)

// OpNames are the constants' names of the predefined operations.
var OpNames = map[uint32]string{ //nolint:gochecknoglobals // an immutable lookup table
	OpSum: "MPI_SUM", OpMin: "MPI_MIN", OpMax: "MPI_MAX", OpProd: "MPI_PROD",
	OpBand: "MPI_BAND", OpBor: "MPI_BOR", OpBxor: "MPI_BXOR",
	OpLand: "MPI_LAND", OpLor: "MPI_LOR", OpLxor: "MPI_LXOR",
	OpMinloc: "MPI_MINLOC", OpMaxloc: "MPI_MAXLOC", OpReplace: "MPI_REPLACE", OpNoOp: "MPI_NO_OP",
}
