package mpi

import (
	"strings"

	"github.com/godwit-run/godwit/mpi/abi"
)

// instead says what to use in place of functions that are not supported, by the beginning of the name.
var instead = []struct{ prefix, use string }{ //nolint:gochecknoglobals // an immutable lookup table
	{"MPI_Comm_spawn", "start the app with all the ranks it needs (godwit run -n N): its size is fixed"},
	{"MPI_Comm_connect", "run both programs as one app, and MPI_Comm_split it"},
	{"MPI_Comm_accept", "run both programs as one app, and MPI_Comm_split it"},
	{"MPI_Comm_join", "run both programs as one app, and MPI_Comm_split it"},
	{"MPI_Open_port", "run both programs as one app, and MPI_Comm_split it"},
	{"MPI_Close_port", "run both programs as one app, and MPI_Comm_split it"},
	{"MPI_Publish_name", "run both programs as one app, and MPI_Comm_split it"},
	{"MPI_Unpublish_name", "run both programs as one app, and MPI_Comm_split it"},
	{"MPI_Lookup_name", "run both programs as one app, and MPI_Comm_split it"},
	{"MPI_Abi_", "use the C bindings: there is no Fortran"},
}

// unsupported is the body of a function that is not supported. It ends the app whatever the error
// handler, so that no program goes on as if the call had worked.
func unsupported(name string) func(*Proc, []slot, []uint64) (uint64, error) {
	return func(*Proc, []slot, []uint64) (uint64, error) {
		return 0, &callError{Fault: abi.Fault{Class: abi.ErrUnsupported, Why: name + " is not supported: " + hint(name)}, fatal: true}
	}
}

func hint(name string) string {
	for _, i := range instead {
		if strings.HasPrefix(name, i.prefix) {
			return i.use
		}
	}
	return "use the functions that `godwit module functions` lists"
}
