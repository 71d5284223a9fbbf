package mpi

import (
	"fmt"
	"strings"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/layout"
)

// describe prints a call with its arguments.
func describe(c *Call, v []uint64) string {
	var b strings.Builder
	for i, p := range c.params {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s=%s", p.Name, formatArg(p, v[i]))
	}
	return c.Name + "(" + b.String() + ")"
}

// names of special values, by the C type of the parameter.
var constants = map[string]map[int32]string{ //nolint:gochecknoglobals // an immutable lookup table
	"MPI_Comm":  {abi.CommNull: "MPI_COMM_NULL", abi.CommWorld: "MPI_COMM_WORLD", abi.CommSelf: "MPI_COMM_SELF"},
	"MPI_Group": {abi.GroupNull: "MPI_GROUP_NULL", abi.GroupEmpty: "MPI_GROUP_EMPTY"},
	"MPI_Win":   {abi.WinNull: "MPI_WIN_NULL"},
	"MPI_Info":  {abi.InfoNull: "MPI_INFO_NULL", abi.InfoEnv: "MPI_INFO_ENV"},
	"MPI_Errhandler": {
		abi.ErrhandlerNull: "MPI_ERRHANDLER_NULL", abi.ErrorsAreFatal: "MPI_ERRORS_ARE_FATAL",
		abi.ErrorsAbort: "MPI_ERRORS_ABORT", abi.ErrorsReturn: "MPI_ERRORS_RETURN",
	},
	"MPI_Request": {abi.RequestNull: "MPI_REQUEST_NULL"},
}

// ranks and tags have wildcards.
var wildcards = map[string]map[int32]string{ //nolint:gochecknoglobals // an immutable lookup table
	"source": {abi.AnySource: "MPI_ANY_SOURCE", abi.ProcNull: "MPI_PROC_NULL"},
	"dest":   {abi.ProcNull: "MPI_PROC_NULL"},
	"root":   {abi.RootHere: "MPI_ROOT", abi.ProcNull: "MPI_PROC_NULL"},
	"tag":    {abi.AnyTag: "MPI_ANY_TAG"}, "recvtag": {abi.AnyTag: "MPI_ANY_TAG"},
}

// formatArg prints an argument as its parameter's type suggests.
func formatArg(p abi.Param, v uint64) string {
	if p.Kind == abi.I64 {
		return fmt.Sprint(int64(v))
	}
	if name, ok := constants[p.CType][int32(v)]; ok {
		return name
	}
	if p.CType == "int" {
		if name, ok := wildcards[p.Name][int32(v)]; ok {
			return name
		}
	}
	switch p.CType {
	case "MPI_Datatype":
		if t := layout.Predefined()[uint32(v)]; t != nil {
			return t.Name
		}
	case "MPI_Op":
		if n, ok := abi.OpNames[uint32(v)]; ok {
			return n
		}
	case "int", "MPI_Aint", "MPI_Fint":
		return fmt.Sprint(int32(v))
	}
	return fmt.Sprintf("%#x", uint32(v))
}
