package mpi

import (
	"fmt"
	"strings"
)

// describe prints a call with its arguments.
func describe(c *Call, v []uint64) string {
	var b strings.Builder
	for i, p := range c.params {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s=%s", p.name, formatArg(p, v[i]))
	}
	return c.Name + "(" + b.String() + ")"
}

// names of special values, by the C type of the parameter.
var constants = map[string]map[int32]string{ //nolint:gochecknoglobals // an immutable lookup table
	"MPI_Comm":  {commNull: "MPI_COMM_NULL", commWorld: "MPI_COMM_WORLD", commSelf: "MPI_COMM_SELF"},
	"MPI_Group": {groupNull: "MPI_GROUP_NULL", groupEmpty: "MPI_GROUP_EMPTY"},
	"MPI_Win":   {winNull: "MPI_WIN_NULL"},
	"MPI_Info":  {infoNull: "MPI_INFO_NULL", infoEnv: "MPI_INFO_ENV"},
	"MPI_Errhandler": {
		errhandlerNull: "MPI_ERRHANDLER_NULL", errorsAreFatal: "MPI_ERRORS_ARE_FATAL",
		errorsAbort: "MPI_ERRORS_ABORT", errorsReturn: "MPI_ERRORS_RETURN",
	},
	"MPI_Request": {requestNull: "MPI_REQUEST_NULL"},
}

// ranks and tags have wildcards.
var wildcards = map[string]map[int32]string{ //nolint:gochecknoglobals // an immutable lookup table
	"source": {anySource: "MPI_ANY_SOURCE", procNull: "MPI_PROC_NULL"},
	"dest":   {procNull: "MPI_PROC_NULL"},
	"root":   {rootHere: "MPI_ROOT", procNull: "MPI_PROC_NULL"},
	"tag":    {anyTag: "MPI_ANY_TAG"}, "recvtag": {anyTag: "MPI_ANY_TAG"},
}

// formatArg prints an argument as its parameter's type suggests.
func formatArg(p param, v uint64) string {
	if p.kind == I64 {
		return fmt.Sprint(int64(v))
	}
	if name, ok := constants[p.ctype][int32(v)]; ok {
		return name
	}
	if p.ctype == "int" {
		if name, ok := wildcards[p.name][int32(v)]; ok {
			return name
		}
	}
	switch p.ctype {
	case "MPI_Datatype":
		if t := predefined()[uint32(v)]; t != nil {
			return t.name
		}
	case "MPI_Op":
		if n, ok := opNames[uint32(v)]; ok {
			return n
		}
	case "int", "MPI_Aint", "MPI_Fint":
		return fmt.Sprint(int32(v))
	}
	return fmt.Sprintf("%#x", uint32(v))
}
