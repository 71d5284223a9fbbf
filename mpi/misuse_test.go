package mpi

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
)

// misuse is a wrong call, and the class of its error.
type misuse struct {
	class int
	call  string
	args  []int
}

func bad(class int, call string, args ...int) misuse { return misuse{class, call, args} }

// wrongs are what wrong calls are made with.
type wrongs struct {
	freedComm, freedType, freedGroup, freedOp, freedKey int
	open                                                int // a type that is not committed
	win, dynamic                                        int
	winKey, winHandler                                  int
	inter                                               int
	op, group                                           int
	grid                                                int
	size                                                int
}

// Addresses that wrong calls use.
const (
	wrOut     = 64
	wrReq     = 96 // a request that is not known
	wrNull    = 100
	wrActive  = 104 // a persistent request that is active
	wrIdle    = 108 // an active one that is not persistent
	wrName    = 600
	wrLongKey = 1000
	wrLongVal = 2000
	wrList    = 128
	wrNeg     = 160
	wrTwice   = 192
	past      = arenaBytes - 4
)

// prepare makes the objects that the rows use.
func (g *guest) prepare() *wrongs {
	make1 := func(call string, a ...int) int {
		g.call(call, append(a, wrOut)...)
		return g.int(wrOut)
	}
	free := func(call string, h int) int {
		g.setInts(wrOut, h)
		g.call(call, wrOut)
		return h
	}
	w := &wrongs{size: g.size}
	w.open = make1("MPI_Type_contiguous", 2, tInt)
	w.win = make1("MPI_Win_create", windowAt, 400, 4, abi.InfoNull, abi.CommWorld)
	w.dynamic = make1("MPI_Win_create_dynamic", abi.InfoNull, abi.CommWorld)
	g.call("MPI_Win_set_errhandler", w.win, abi.ErrorsReturn)
	g.call("MPI_Win_set_errhandler", w.dynamic, abi.ErrorsReturn)
	g.call("MPI_Win_create_keyval", abi.CopyNull, abi.DeleteNull, wrOut, 0)
	w.winKey = g.int(wrOut)
	w.winHandler = make1("MPI_Win_create_errhandler", 5)
	w.op = make1("MPI_Op_create", affineFn, 1)
	w.group = make1("MPI_Comm_group", abi.CommWorld)
	g.setInts(wrList, g.size)
	g.setInts(wrNeg, 0)
	w.grid = make1("MPI_Cart_create", abi.CommWorld, 1, wrList, wrNeg, 0)
	half := make1("MPI_Comm_split", abi.CommWorld, g.rank, 0)
	w.inter = make1("MPI_Intercomm_create", half, 0, abi.CommWorld, 1-g.rank, 3)
	w.freedComm = free("MPI_Comm_free", make1("MPI_Comm_dup", abi.CommSelf))
	w.freedType = free("MPI_Type_free", make1("MPI_Type_contiguous", 2, tInt))
	w.freedGroup = free("MPI_Group_free", make1("MPI_Comm_group", abi.CommSelf))
	w.freedOp = free("MPI_Op_free", make1("MPI_Op_create", affineFn, 1))
	g.call("MPI_Comm_create_keyval", abi.CopyNull, abi.DeleteNull, wrOut, 0)
	w.freedKey = free("MPI_Comm_free_keyval", g.int(wrOut))

	g.setInts(wrReq, 0x7777)
	g.setInts(wrNull, abi.RequestNull)
	g.call("MPI_Recv_init", rbuf, 1, tInt, 0, 77, abi.CommSelf, wrActive)
	g.call("MPI_Start", wrActive)
	g.call("MPI_Irecv", rbuf, 1, tInt, 0, 77, abi.CommSelf, wrIdle)
	copy(g.mem[wrName:], "name\x00")
	copy(g.mem[wrLongKey:], strings.Repeat("k", abi.MaxInfoKey)+"\x00")
	copy(g.mem[wrLongVal:], strings.Repeat("v", abi.MaxInfoVal)+"\x00")
	g.setInts(wrList, 1, 1, 1, 1)
	g.setInts(wrNeg, -1, -1, -1, -1)
	g.setInts(wrTwice, 0, 0)
	return w
}

// wrongPoints misuse chapter 3.
func wrongPoints(w *wrongs) []misuse {
	rows := []misuse{
		bad(abi.ErrTag, "MPI_Recv", rbuf, 1, tInt, 0, -5, abi.CommWorld, 0),
		bad(abi.ErrRank, "MPI_Recv", rbuf, 1, tInt, w.size, 0, abi.CommWorld, 0),
		bad(abi.ErrArg, "MPI_Recv", rbuf, 1, tInt, 0, 0, abi.CommWorld, past),
		bad(abi.ErrBuffer, "MPI_Recv", 0, 1, tInt, 0, 0, abi.CommWorld, 0),
		bad(abi.ErrRank, "MPI_Probe", w.size, 0, abi.CommWorld, 0),
		bad(abi.ErrTag, "MPI_Iprobe", 0, -7, abi.CommWorld, wrOut, 0),
		bad(abi.ErrComm, "MPI_Mprobe", 0, 0, abi.CommNull, wrOut, 0),
		bad(abi.ErrArg, "MPI_Mprobe", 0, 0, abi.CommWorld, 0, 0),
		bad(abi.ErrRequest, "MPI_Mrecv", rbuf, 1, tInt, wrReq, 0),
		bad(abi.ErrArg, "MPI_Isend", sbuf, 1, tInt, 0, 0, abi.CommWorld, 0),
		bad(abi.ErrArg, "MPI_Irecv", sbuf, 1, tInt, 0, 0, abi.CommWorld, arenaBytes),
		bad(abi.ErrTag, "MPI_Sendrecv", sbuf, 1, tInt, 0, abi.AnyTag, rbuf, 1, tInt, 0, 0, abi.CommWorld, 0),
		bad(abi.ErrTag, "MPI_Sendrecv", sbuf, 1, tInt, 0, 0, rbuf, 1, tInt, 0, -9, abi.CommWorld, 0),
		bad(abi.ErrType, "MPI_Sendrecv", sbuf, 1, tInt, 0, 0, rbuf, 1, w.open, 0, 0, abi.CommWorld, 0),
		bad(abi.ErrRank, "MPI_Sendrecv_replace", rbuf, 1, tInt, w.size, 0, 0, 0, abi.CommWorld, 0),
		bad(abi.ErrRank, "MPI_Isendrecv", sbuf, 1, tInt, 0, 0, rbuf, 1, tInt, -4, 0, abi.CommWorld, wrOut),
		bad(abi.ErrBuffer, "MPI_Bsend", sbuf, 1, tInt, 0, 0, abi.CommWorld),
		bad(abi.ErrBuffer, "MPI_Buffer_detach", wrOut, wrOut),
		bad(abi.ErrArg, "MPI_Buffer_attach", sbuf, -1),
		bad(abi.ErrBuffer, "MPI_Buffer_attach", past, 100),
		bad(abi.ErrArg, "MPI_Psend_init", sbuf, 0, 1, tInt, 0, 0, abi.CommWorld, abi.InfoNull, wrOut),
		bad(abi.ErrArg, "MPI_Precv_init", sbuf, 1, 1, tInt, abi.AnySource, 0, abi.CommWorld, abi.InfoNull, wrOut),
	}
	for _, call := range []string{"MPI_Send", "MPI_Ssend", "MPI_Rsend", "MPI_Bsend", "MPI_Isend", "MPI_Send_init"} {
		send := func(class int, a ...int) {
			if !strings.HasSuffix(call, "_init") && call != "MPI_Isend" {
				rows = append(rows, bad(class, call, a...))
				return
			}
			rows = append(rows, bad(class, call, append(a, wrOut)...))
		}
		send(abi.ErrRank, sbuf, 1, tInt, w.size, 0, abi.CommWorld)
		send(abi.ErrRank, sbuf, 1, tInt, abi.AnySource, 0, abi.CommWorld)
		send(abi.ErrTag, sbuf, 1, tInt, 0, abi.AnyTag, abi.CommWorld)
		send(abi.ErrTag, sbuf, 1, tInt, 0, abi.TagUB+1, abi.CommWorld)
		send(abi.ErrCount, sbuf, -1, tInt, 0, 0, abi.CommWorld)
		send(abi.ErrBuffer, 0, 1, tInt, 0, 0, abi.CommWorld)
		send(abi.ErrBuffer, past, 2, tInt, 0, 0, abi.CommWorld)
		send(abi.ErrBuffer, sbuf, 1<<30, tInt, 0, 0, abi.CommWorld)
		send(abi.ErrBuffer, -16, 8, tInt, 0, 0, abi.CommWorld)
		for _, comm := range []int{abi.CommNull, w.freedComm, 0, w.group, -1} {
			send(abi.ErrComm, sbuf, 1, tInt, 0, 0, comm)
		}
		for _, typ := range []int{abi.TypeNull, w.open, w.freedType, 0, w.group, -1} {
			send(abi.ErrType, sbuf, 1, typ, 0, 0, abi.CommWorld)
		}
	}
	return rows
}

func wrongRequests(*wrongs) []misuse {
	return []misuse{
		bad(abi.ErrRequest, "MPI_Wait", wrReq, 0),
		bad(abi.ErrArg, "MPI_Wait", arenaBytes, 0),
		bad(abi.ErrArg, "MPI_Wait", wrNull, past),
		bad(abi.ErrRequest, "MPI_Test", wrReq, wrOut, 0),
		bad(abi.ErrArg, "MPI_Test", wrNull, 0, 0),
		bad(abi.ErrCount, "MPI_Waitall", -1, wrNull, 0),
		bad(abi.ErrRequest, "MPI_Waitall", 2, wrReq, 0),
		bad(abi.ErrRequest, "MPI_Waitany", 2, wrReq, wrOut, 0),
		bad(abi.ErrArg, "MPI_Waitsome", 1, wrNull, wrOut, arenaBytes, 0),
		bad(abi.ErrRequest, "MPI_Testall", 1, wrReq, wrOut, 0),
		bad(abi.ErrRequest, "MPI_Start", wrIdle),
		bad(abi.ErrRequest, "MPI_Start", wrActive),
		bad(abi.ErrRequest, "MPI_Start", wrNull),
		bad(abi.ErrRequest, "MPI_Startall", 2, wrNull),
		bad(abi.ErrRequest, "MPI_Request_free", wrNull),
		bad(abi.ErrRequest, "MPI_Request_free", wrReq),
		bad(abi.ErrRequest, "MPI_Cancel", wrNull),
		bad(abi.ErrRequest, "MPI_Cancel", wrReq),
		bad(abi.ErrRequest, "MPI_Request_get_status", 0x7777, wrOut, 0),
		bad(abi.ErrRequest, "MPI_Grequest_complete", 0x7777),
		bad(abi.ErrRequest, "MPI_Pready", 0, 0x7777),
		bad(abi.ErrArg, "MPI_Get_count", 0, tInt, wrOut),
		bad(abi.ErrType, "MPI_Get_count", wrList, 0x7777, wrOut),
		bad(abi.ErrType, "MPI_Get_elements", wrList, abi.TypeNull, wrOut),
	}
}

func wrongTypes(w *wrongs) []misuse {
	return []misuse{
		bad(abi.ErrCount, "MPI_Type_contiguous", -1, tInt, wrOut),
		bad(abi.ErrType, "MPI_Type_contiguous", 1, abi.TypeNull, wrOut),
		bad(abi.ErrArg, "MPI_Type_contiguous", 1, tInt, 0),
		bad(abi.ErrArg, "MPI_Type_vector", 1, -1, 1, tInt, wrOut),
		bad(abi.ErrCount, "MPI_Type_create_hvector", -1, 1, 1, tInt, wrOut),
		bad(abi.ErrArg, "MPI_Type_indexed", 2, wrNeg, wrList, tInt, wrOut),
		bad(abi.ErrArg, "MPI_Type_indexed", 2, 0, wrList, tInt, wrOut),
		bad(abi.ErrArg, "MPI_Type_create_hindexed", 2, wrList, arenaBytes, tInt, wrOut),
		bad(abi.ErrArg, "MPI_Type_create_indexed_block", 1, -1, wrList, tInt, wrOut),
		bad(abi.ErrType, "MPI_Type_create_struct", 1, wrList, wrList, wrReq, wrOut),
		bad(abi.ErrArg, "MPI_Type_create_subarray", 1, wrList, wrList, wrNeg, abi.OrderC, tInt, wrOut),
		bad(abi.ErrArg, "MPI_Type_create_subarray", 0, wrList, wrList, wrTwice, abi.OrderC, tInt, wrOut),
		bad(abi.ErrArg, "MPI_Type_create_subarray", 1, wrList, wrList, wrTwice, 7, tInt, wrOut),
		bad(abi.ErrArg, "MPI_Type_create_darray", 2, 0, 1, wrList, wrNeg, wrList, wrList, abi.OrderC, tInt, wrOut),
		bad(abi.ErrType, "MPI_Type_create_resized", w.freedType, 0, 4, wrOut),
		bad(abi.ErrType, "MPI_Type_dup", w.freedType, wrOut),
		bad(abi.ErrType, "MPI_Type_commit", wrReq),
		bad(abi.ErrType, "MPI_Type_free", wrReq),
		bad(abi.ErrType, "MPI_Type_size", abi.TypeNull, wrOut),
		bad(abi.ErrType, "MPI_Type_get_contents", tInt, 0, 0, 0, 0, 0, 0),
		bad(abi.ErrArg, "MPI_Type_get_contents", w.open, 0, 0, 0, wrOut, wrOut, wrOut),
		bad(abi.ErrTruncate, "MPI_Pack", sbuf, 2, tInt, rbuf, 7, wrTwice, abi.CommWorld),
		bad(abi.ErrArg, "MPI_Pack", sbuf, 1, tInt, rbuf, 7, wrNeg, abi.CommWorld),
		bad(abi.ErrType, "MPI_Pack", sbuf, 1, w.open, rbuf, 70, wrTwice, abi.CommWorld),
		bad(abi.ErrTruncate, "MPI_Unpack", sbuf, 3, wrTwice, rbuf, 1, tInt, abi.CommWorld),
		bad(54, "MPI_Pack_external", wrName, sbuf, 1, tInt, rbuf, 70, wrTwice),
	}
}

func wrongCollectives(w *wrongs) []misuse {
	return []misuse{
		bad(abi.ErrComm, "MPI_Barrier", abi.CommNull),
		bad(abi.ErrComm, "MPI_Barrier", w.freedComm),
		bad(abi.ErrRoot, "MPI_Bcast", sbuf, 1, tInt, w.size, abi.CommWorld),
		bad(abi.ErrRoot, "MPI_Bcast", sbuf, 1, tInt, -1, abi.CommWorld),
		bad(abi.ErrRoot, "MPI_Bcast", sbuf, 1, tInt, abi.RootHere, abi.CommWorld),
		bad(abi.ErrCount, "MPI_Bcast", sbuf, -1, tInt, 0, abi.CommWorld),
		bad(abi.ErrType, "MPI_Bcast", sbuf, 1, w.open, 0, abi.CommWorld),
		bad(abi.ErrBuffer, "MPI_Bcast", 0, 1, tInt, 0, abi.CommWorld),
		bad(abi.ErrOp, "MPI_Allreduce", sbuf, rbuf, 1, tInt, abi.OpNull, abi.CommWorld),
		bad(abi.ErrOp, "MPI_Allreduce", sbuf, rbuf, 1, tInt, w.freedOp, abi.CommWorld),
		bad(abi.ErrOp, "MPI_Allreduce", sbuf, rbuf, 1, tInt, abi.OpReplace, abi.CommWorld),
		bad(abi.ErrOp, "MPI_Allreduce", sbuf, rbuf, 1, tDouble, abi.OpBand, abi.CommWorld),
		bad(abi.ErrOp, "MPI_Allreduce", sbuf, rbuf, 1, tInt, abi.OpMinloc, abi.CommWorld),
		bad(abi.ErrBuffer, "MPI_Allreduce", sbuf, sbuf, 1, tInt, abi.OpSum, abi.CommWorld),
		bad(abi.ErrCount, "MPI_Iallreduce", sbuf, rbuf, -1, tInt, abi.OpSum, abi.CommWorld, wrOut),
		bad(abi.ErrArg, "MPI_Iallreduce", sbuf, rbuf, 1, tInt, abi.OpSum, abi.CommWorld, arenaBytes),
		bad(abi.ErrInfo, "MPI_Allreduce_init", sbuf, rbuf, 1, tInt, abi.OpSum, abi.CommWorld, 0x7777, wrOut),
		bad(abi.ErrRoot, "MPI_Reduce", sbuf, rbuf, 1, tInt, abi.OpSum, 9, abi.CommWorld),
		bad(abi.ErrRoot, "MPI_Gather", sbuf, 1, tInt, rbuf, 1, tInt, 9, abi.CommWorld),
		bad(abi.ErrCount, "MPI_Allgather", sbuf, 1, tInt, rbuf, -1, tInt, abi.CommWorld),
		bad(abi.ErrTruncate, "MPI_Allgather", sbuf, 2, tInt, rbuf, 1, tInt, abi.CommWorld),
		bad(abi.ErrCount, "MPI_Allgatherv", sbuf, 1, tInt, rbuf, wrNeg, wrList, tInt, abi.CommWorld),
		bad(abi.ErrArg, "MPI_Alltoallv", sbuf, 0, wrList, tInt, rbuf, wrList, wrList, tInt, abi.CommWorld),
		bad(abi.ErrCount, "MPI_Alltoallv", sbuf, wrNeg, wrList, tInt, rbuf, wrList, wrList, tInt, abi.CommWorld),
		bad(abi.ErrCount, "MPI_Reduce_scatter", sbuf, rbuf, wrNeg, tInt, abi.OpSum, abi.CommWorld),
		bad(abi.ErrComm, "MPI_Scan", sbuf, rbuf, 1, tInt, abi.OpSum, w.inter),
		bad(abi.ErrArg, "MPI_Op_create", 0, 1, wrOut),
		bad(abi.ErrOp, "MPI_Op_free", wrReq),
		bad(abi.ErrOp, "MPI_Op_commutative", w.freedOp, wrOut),
		bad(abi.ErrBuffer, "MPI_Reduce_local", sbuf, sbuf, 1, tInt, abi.OpSum),
	}
}

func wrongComms(w *wrongs) []misuse {
	return []misuse{
		bad(abi.ErrComm, "MPI_Comm_rank", abi.CommNull, wrOut),
		bad(abi.ErrArg, "MPI_Comm_rank", abi.CommWorld, 0),
		bad(abi.ErrComm, "MPI_Comm_size", w.freedComm, wrOut),
		bad(abi.ErrComm, "MPI_Comm_remote_size", abi.CommWorld, wrOut),
		bad(abi.ErrComm, "MPI_Comm_compare", abi.CommWorld, 0x7777, wrOut),
		bad(abi.ErrComm, "MPI_Comm_dup", abi.CommNull, wrOut),
		bad(abi.ErrInfo, "MPI_Comm_dup_with_info", abi.CommSelf, 0x7777, wrOut),
		bad(abi.ErrArg, "MPI_Comm_split", abi.CommWorld, -5, 0, wrOut),
		bad(abi.ErrArg, "MPI_Comm_split", abi.CommWorld, 0, 0, 0),
		bad(abi.ErrArg, "MPI_Comm_split_type", abi.CommWorld, 7, 0, abi.InfoNull, wrOut),
		bad(abi.ErrGroup, "MPI_Comm_create", abi.CommWorld, abi.GroupNull, wrOut),
		bad(abi.ErrGroup, "MPI_Comm_create", abi.CommSelf, w.group, wrOut),
		bad(abi.ErrTag, "MPI_Comm_create_group", abi.CommWorld, w.group, -1, wrOut),
		bad(abi.ErrRank, "MPI_Intercomm_create", abi.CommWorld, 9, abi.CommWorld, 0, 0, wrOut),
		bad(abi.ErrRank, "MPI_Intercomm_create", abi.CommSelf, 0, abi.CommWorld, 9, 0, wrOut),
		bad(abi.ErrComm, "MPI_Intercomm_create", abi.CommSelf, 0, 0x7777, 0, 0, wrOut),
		bad(abi.ErrComm, "MPI_Intercomm_merge", abi.CommWorld, 0, wrOut),
		bad(abi.ErrArg, "MPI_Comm_set_name", abi.CommWorld, 0),
		bad(abi.ErrGroup, "MPI_Group_size", abi.GroupNull, wrOut),
		bad(abi.ErrGroup, "MPI_Group_rank", w.freedGroup, wrOut),
		bad(abi.ErrRank, "MPI_Group_incl", w.group, 1, wrNeg, wrOut),
		bad(abi.ErrRank, "MPI_Group_incl", w.group, 2, wrTwice, wrOut),
		bad(abi.ErrArg, "MPI_Group_incl", w.group, -1, wrTwice, wrOut),
		bad(abi.ErrRank, "MPI_Group_translate_ranks", w.group, 1, wrNeg, w.group, wrOut),
		bad(abi.ErrGroup, "MPI_Group_union", w.group, 0x7777, wrOut),
		bad(abi.ErrTopology, "MPI_Cart_get", abi.CommWorld, 1, wrOut, wrOut, wrOut),
		bad(abi.ErrTopology, "MPI_Graphdims_get", w.grid, wrOut, wrOut),
		bad(abi.ErrTopology, "MPI_Neighbor_allgather", sbuf, 1, tInt, rbuf, 1, tInt, abi.CommWorld),
		bad(abi.ErrDims, "MPI_Dims_create", 4, 1, wrNeg),
		bad(abi.ErrDims, "MPI_Cart_create", abi.CommWorld, 1, wrNeg, wrList, 0, wrOut),
		bad(abi.ErrRank, "MPI_Cart_rank", w.grid, wrNeg, wrOut),
		bad(abi.ErrRank, "MPI_Cart_coords", w.grid, 9, 1, wrOut),
		bad(abi.ErrArg, "MPI_Cart_shift", w.grid, 1, 1, wrOut, wrOut),
		bad(abi.ErrRank, "MPI_Dist_graph_create_adjacent", abi.CommWorld, 1, wrNeg, abi.Unweighted, 0, 0, abi.Unweighted, abi.InfoNull, 0, wrOut),
		bad(abi.ErrArg, "MPI_Graph_create", abi.CommWorld, 9, wrList, wrList, 0, wrOut),
	}
}

func wrongHandles(w *wrongs) []misuse {
	return []misuse{
		bad(abi.ErrKeyval, "MPI_Comm_set_attr", abi.CommWorld, 0x7777, 1),
		bad(abi.ErrKeyval, "MPI_Comm_set_attr", abi.CommWorld, abi.KeyTagUB, 1),
		bad(abi.ErrKeyval, "MPI_Comm_set_attr", abi.CommWorld, w.winKey, 1),
		bad(abi.ErrKeyval, "MPI_Comm_set_attr", abi.CommWorld, w.freedKey, 1),
		bad(abi.ErrKeyval, "MPI_Comm_get_attr", abi.CommWorld, abi.KeyInvalid, wrOut, wrOut),
		bad(abi.ErrKeyval, "MPI_Comm_delete_attr", abi.CommWorld, 0x7777),
		bad(abi.ErrKeyval, "MPI_Comm_free_keyval", wrReq),
		bad(abi.ErrComm, "MPI_Comm_get_attr", abi.CommNull, abi.KeyTagUB, wrOut, wrOut),
		bad(abi.ErrErrhandler, "MPI_Comm_set_errhandler", abi.CommWorld, 0x7777),
		bad(abi.ErrErrhandler, "MPI_Comm_set_errhandler", abi.CommWorld, abi.ErrhandlerNull),
		bad(abi.ErrErrhandler, "MPI_Comm_set_errhandler", abi.CommWorld, w.winHandler),
		bad(abi.ErrErrhandler, "MPI_Errhandler_free", wrReq),
		bad(abi.ErrArg, "MPI_Comm_create_errhandler", 0, wrOut),
		bad(abi.ErrArg, "MPI_Error_string", 77_777, wrOut, wrOut),
		bad(abi.ErrArg, "MPI_Error_class", -1, wrOut),
		bad(abi.ErrArg, "MPI_Add_error_code", 77_777, wrOut),
		bad(abi.ErrArg, "MPI_Add_error_string", abi.ErrArg, wrName),
		bad(abi.ErrInfo, "MPI_Info_set", abi.InfoNull, wrName, wrName),
		bad(abi.ErrInfo, "MPI_Info_set", abi.InfoEnv, wrName, wrName),
		bad(abi.ErrInfo, "MPI_Info_get_nkeys", 0x7777, wrOut),
		bad(abi.ErrInfo, "MPI_Info_free", wrReq),
		bad(abi.ErrSession, "MPI_Session_finalize", wrReq),
		bad(abi.ErrSession, "MPI_Session_get_num_psets", 0x7777, abi.InfoNull, wrOut),
		bad(abi.ErrArg, "MPI_Alloc_mem", -1, abi.InfoNull, wrOut),
	}
}

// wrongWindows are raised on the window, whose handler is of its own.
func wrongWindows(w *wrongs) []misuse {
	put := func(class, n, typ, target, disp, count, win int) misuse {
		return bad(class, "MPI_Put", sbuf, n, typ, target, disp, count, tInt, win)
	}
	return []misuse{
		put(abi.ErrRMASync, 1, tInt, 0, 0, 1, w.win), // no epoch
		put(abi.ErrWin, 1, tInt, 0, 0, 1, abi.WinNull),
		put(abi.ErrWin, 1, tInt, 0, 0, 1, 0x7777),
		put(abi.ErrRank, 1, tInt, 9, 0, 1, w.win),
		put(abi.ErrCount, 1, tInt, 0, 0, -1, w.win),
		put(abi.ErrType, 1, w.open, 0, 0, 1, w.win),
		bad(abi.ErrLocktype, "MPI_Win_lock", 7, 0, 0, w.win),
		bad(abi.ErrRank, "MPI_Win_lock", abi.LockShared, 9, 0, w.win),
		bad(abi.ErrRMASync, "MPI_Win_unlock", 0, w.win),
		bad(abi.ErrRMASync, "MPI_Win_unlock_all", w.win),
		bad(abi.ErrRMASync, "MPI_Win_flush", 0, w.win),
		bad(abi.ErrRMASync, "MPI_Win_flush_all", w.win),
		bad(abi.ErrRMASync, "MPI_Win_complete", w.win),
		bad(abi.ErrRMASync, "MPI_Win_wait", w.win),
		bad(abi.ErrRMASync, "MPI_Win_test", w.win, wrOut),
		bad(abi.ErrGroup, "MPI_Win_post", abi.GroupNull, 0, w.win),
		bad(abi.ErrGroup, "MPI_Win_start", 0x7777, 0, w.win),
		bad(abi.ErrDisp, "MPI_Win_create", windowAt, 400, 0, abi.InfoNull, abi.CommWorld, wrOut),
		bad(abi.ErrSize, "MPI_Win_create", windowAt, -1, 1, abi.InfoNull, abi.CommWorld, wrOut),
		bad(abi.ErrBuffer, "MPI_Win_create", past, 400, 1, abi.InfoNull, abi.CommWorld, wrOut),
		bad(abi.ErrComm, "MPI_Win_create", windowAt, 400, 1, abi.InfoNull, abi.CommNull, wrOut),
		bad(abi.ErrRMAFlavor, "MPI_Win_attach", w.win, windowAt, 4),
		bad(abi.ErrRMAAttach, "MPI_Win_detach", w.dynamic, windowAt),
		bad(abi.ErrBuffer, "MPI_Win_attach", w.dynamic, past, 400),
		bad(abi.ErrRMAShared, "MPI_Win_allocate_shared", 64, 1, abi.InfoNull, abi.CommWorld, wrOut, wrOut+4),
		bad(abi.ErrWin, "MPI_Win_free", wrReq),
		bad(abi.ErrKeyval, "MPI_Win_set_attr", w.win, 0x7777, 1),
	}
}

// wrongAccesses are made while rank 0 is locked.
func wrongAccesses(w *wrongs) []misuse {
	return []misuse{
		bad(abi.ErrRMARange, "MPI_Put", sbuf, 1, tInt, 0, 100, 1, tInt, w.win),
		bad(abi.ErrRMARange, "MPI_Put", sbuf, 1, tInt, 0, -1, 1, tInt, w.win),
		bad(abi.ErrRMARange, "MPI_Get", sbuf, 2, tInt, 0, 99, 2, tInt, w.win),
		bad(abi.ErrRMASync, "MPI_Put", sbuf, 1, tInt, 1, 0, 1, tInt, w.win),
		bad(abi.ErrArg, "MPI_Put", sbuf, 2, tInt, 0, 0, 1, tInt, w.win),
		bad(abi.ErrArg, "MPI_Rput", sbuf, 1, tInt, 0, 0, 1, tInt, w.win, arenaBytes),
		bad(abi.ErrOp, "MPI_Accumulate", sbuf, 1, tInt, 0, 0, 1, tInt, w.op, w.win),
		bad(abi.ErrOp, "MPI_Accumulate", sbuf, 1, tInt, 0, 0, 1, tInt, abi.OpMinloc, w.win),
		bad(abi.ErrType, "MPI_Accumulate", sbuf, 1, tFloat, 0, 0, 1, tInt, abi.OpSum, w.win),
		bad(abi.ErrOp, "MPI_Fetch_and_op", sbuf, rbuf, tInt, 0, 0, 0x7777, w.win),
		bad(abi.ErrType, "MPI_Fetch_and_op", sbuf, rbuf, w.open, 0, 0, abi.OpSum, w.win),
		bad(abi.ErrType, "MPI_Compare_and_swap", sbuf, sbuf+8, rbuf, tDouble, 0, 0, w.win),
		bad(abi.ErrRMASync, "MPI_Win_lock", abi.LockShared, 0, 0, w.win),
		bad(abi.ErrRMASync, "MPI_Win_lock_all", 0, w.win),
		bad(abi.ErrRMASync, "MPI_Win_start", w.group, 0, w.win),
		bad(abi.ErrRMASync, "MPI_Win_fence", 0, w.win),
	}
}

// held counts what the library keeps for the program.
func (p *Proc) held() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Sprint(len(p.requests)-len(p.freeList), len(p.posted), len(p.active), len(p.comms.items),
		len(p.groups.items), len(p.types.items), len(p.ops.items), len(p.errhandlers.items), len(p.keyvals.items),
		len(p.infos.items), len(p.messages.items), len(p.sessions.items), len(p.wins.items), p.suspended != nil)
}

// tryAll makes wrong calls. Each gives its class, keeps nothing, and the rank goes on.
func (g *guest) tryAll(t *testing.T, rows []misuse) {
	var wrong []string
	for _, m := range rows {
		before := g.p.held()
		code := g.call(m.call, m.args...)
		if after := g.p.held(); int(code) != m.class || after != before {
			wrong = append(wrong, fmt.Sprintf("\n%s%#x: %s, not %s; held %q before, %q after",
				m.call, m.args, abi.ClassName(int(code)), abi.ClassName(m.class), before, after))
		}
	}
	require.Empty(t, wrong)
	g.setInts(sbuf, g.rank+1)
	g.call("MPI_Allreduce", sbuf, rbuf, 1, tInt, abi.OpSum, abi.CommWorld)
	require.Equal(t, g.size*(g.size+1)/2, g.int(rbuf))
}

// Under MPI_ERRORS_RETURN a wrong call returns the class of its error (MPI 5.0 sections 9.3 and 9.4).
func TestMisuse(t *testing.T) {
	run1(t, 2, func(g *guest) {
		w := g.prepare()
		g.call("MPI_Comm_set_errhandler", abi.CommWorld, abi.ErrorsReturn)
		g.call("MPI_Comm_set_errhandler", abi.CommSelf, abi.ErrorsReturn)
		for _, comm := range []int{w.inter, w.grid} {
			g.call("MPI_Comm_set_errhandler", comm, abi.ErrorsReturn)
		}
		for _, rows := range [][]misuse{
			wrongPoints(w), wrongRequests(w), wrongTypes(w), wrongCollectives(w), wrongComms(w), wrongHandles(w), wrongWindows(w),
		} {
			g.tryAll(t, rows)
		}
		g.misuseInfo(t)
		g.call("MPI_Win_lock", abi.LockShared, 0, 0, w.win)
		g.tryAll(t, wrongAccesses(w))
		g.call("MPI_Win_unlock", 0, w.win)
		g.call("MPI_Buffer_attach", sbuf, 4096)
		g.tryAll(t, []misuse{bad(abi.ErrBuffer, "MPI_Buffer_attach", sbuf, 4096), bad(abi.ErrBuffer, "MPI_Bsend", rbuf, 2000, tInt, 0, 0, abi.CommWorld)})
		g.call("MPI_Buffer_detach", wrOut, wrOut+4)
		for _, r := range []int{wrActive, wrIdle} {
			g.call("MPI_Cancel", r)
			g.call("MPI_Wait", r, 0)
		}
	})
}

// misuseInfo misuses an info that is there.
func (g *guest) misuseInfo(t *testing.T) {
	g.call("MPI_Info_create", wrOut)
	info := g.int(wrOut)
	const empty = wrName + 4 // the NUL of the name
	g.tryAll(t, []misuse{
		bad(abi.ErrInfoKey, "MPI_Info_set", info, wrLongKey, wrName),
		bad(abi.ErrInfoKey, "MPI_Info_set", info, empty, wrName),
		bad(abi.ErrInfoValue, "MPI_Info_set", info, wrName, wrLongVal),
		bad(abi.ErrArg, "MPI_Info_set", info, 0, wrName),
		bad(abi.ErrInfoKey, "MPI_Info_get", info, wrLongKey, 10, wrOut, wrOut),
		bad(abi.ErrInfoNoKey, "MPI_Info_delete", info, wrName),
		bad(abi.ErrArg, "MPI_Info_get_nthkey", info, 0, wrOut),
	})
}

// A program's error handler is told the object and the code, may make calls itself, and the call returns the code (MPI 5.0
// section 9.3).
func TestErrorHandlerIsCalled(t *testing.T) {
	const fn = 9
	run1(t, 2, func(g *guest) {
		w := g.prepare()
		var seen [][2]int
		g.functions[fn] = func(p ...uint32) uint32 {
			seen = append(seen, [2]int{g.int(int(p[0])), g.int(int(p[1]))})
			g.call("MPI_Comm_size", abi.CommWorld, 4000) // a call inside of the handler
			return 0
		}
		g.call("MPI_Comm_create_errhandler", fn, wrOut)
		handler := g.int(wrOut)
		g.call("MPI_Win_create_errhandler", fn, wrOut)
		onWindow := g.int(wrOut)
		g.call("MPI_Comm_dup", abi.CommWorld, wrOut)
		dup := g.int(wrOut)
		g.call("MPI_Comm_set_errhandler", dup, handler)
		g.call("MPI_Comm_set_errhandler", abi.CommSelf, handler)
		g.call("MPI_Win_set_errhandler", w.win, onWindow)
		g.setInts(wrOut, handler)
		g.call("MPI_Errhandler_free", wrOut) // it lives on where it is set
		tests := []struct {
			object int
			m      misuse
		}{
			{dup, bad(abi.ErrRank, "MPI_Send", sbuf, 1, tInt, 9, 0, dup)},
			{dup, bad(abi.ErrTag, "MPI_Recv", sbuf, 1, tInt, 0, -9, dup, 0)},
			{dup, bad(abi.ErrRoot, "MPI_Bcast", sbuf, 1, tInt, 9, dup)},
			{dup, bad(abi.ErrArg, "MPI_Comm_split", dup, -5, 0, wrOut)},
			{abi.CommSelf, bad(abi.ErrType, "MPI_Type_size", abi.TypeNull, wrOut)},
			{abi.CommSelf, bad(abi.ErrRequest, "MPI_Wait", wrReq, 0)},
			{abi.CommSelf, bad(abi.ErrComm, "MPI_Barrier", abi.CommNull)},
			{abi.CommSelf, bad(abi.ErrCount, "MPI_Send", sbuf, -1, tInt, 0, 0, abi.CommSelf)},
			{w.win, bad(abi.ErrRMASync, "MPI_Put", sbuf, 1, tInt, 0, 0, 1, tInt, w.win)},
			{w.win, bad(abi.ErrLocktype, "MPI_Win_lock", 7, 0, 0, w.win)},
		}
		for _, tt := range tests {
			seen = nil
			require.EqualValues(t, tt.m.class, g.call(tt.m.call, tt.m.args...), tt.m.call)
			require.Equal(t, [][2]int{{tt.object, tt.m.class}}, seen, "%s%#x", tt.m.call, tt.m.args)
		}
		// A truncated message, at the end of a wait.
		seen = nil
		peer := 1 - g.rank
		g.call("MPI_Irecv", rbuf, 1, tInt, peer, 0, dup, wrOut)
		g.call("MPI_Send", sbuf, 2, tInt, peer, 0, dup)
		require.EqualValues(t, abi.ErrTruncate, g.call("MPI_Wait", wrOut, 0))
		require.Equal(t, [][2]int{{dup, abi.ErrTruncate}}, seen)
		// One that the program raises itself.
		seen = nil
		require.EqualValues(t, abi.Success, g.call("MPI_Comm_call_errhandler", dup, abi.ErrOther))
		require.Equal(t, [][2]int{{dup, abi.ErrOther}}, seen)
		for _, r := range []int{wrActive, wrIdle} {
			g.call("MPI_Cancel", r)
			g.call("MPI_Wait", r, 0)
		}
	})
}

// What no handler can catch (MPI 5.0 sections 9.3 and 11.2): the error ends the app.
func TestMisuseIsFatal(t *testing.T) {
	for _, tt := range []struct {
		why string
		f   func(g *guest)
	}{
		{"MPI is initialized already", func(g *guest) { g.call("MPI_Init", 0, 0) }},
		{"MPI is initialized already", func(g *guest) { g.call("MPI_Init_thread", 0, 0, 0, wrOut) }},
		{"called after MPI_Finalize", func(g *guest) {
			g.call("MPI_Finalize")
			g.call("MPI_Send", sbuf, 1, tInt, 0, 0, abi.CommSelf)
		}},
		{"called after MPI_Finalize", func(g *guest) {
			g.call("MPI_Finalize")
			g.call("MPI_Finalize")
		}},
		{"is not supported", func(g *guest) { g.call("MPI_Comm_spawn", 0, 0, 1, abi.InfoNull, 0, abi.CommWorld, wrOut, 0) }},
	} {
		errs := runLocal(t, smallConfig(1), func(g *guest) {
			g.call("MPI_Comm_set_errhandler", abi.CommWorld, abi.ErrorsReturn)
			g.call("MPI_Comm_set_errhandler", abi.CommSelf, abi.ErrorsReturn)
			tt.f(g)
		})
		var abort *AbortError
		require.ErrorAs(t, errs[0], &abort)
		require.Contains(t, abort.Message, tt.why)
	}
}
