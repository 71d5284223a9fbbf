package mpi

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
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
	w.win = make1("MPI_Win_create", windowAt, 400, 4, infoNull, commWorld)
	w.dynamic = make1("MPI_Win_create_dynamic", infoNull, commWorld)
	g.call("MPI_Win_set_errhandler", w.win, errorsReturn)
	g.call("MPI_Win_set_errhandler", w.dynamic, errorsReturn)
	g.call("MPI_Win_create_keyval", copyNull, deleteNull, wrOut, 0)
	w.winKey = g.int(wrOut)
	w.winHandler = make1("MPI_Win_create_errhandler", 5)
	w.op = make1("MPI_Op_create", affineFn, 1)
	w.group = make1("MPI_Comm_group", commWorld)
	g.setInts(wrList, g.size)
	g.setInts(wrNeg, 0)
	w.grid = make1("MPI_Cart_create", commWorld, 1, wrList, wrNeg, 0)
	half := make1("MPI_Comm_split", commWorld, g.rank, 0)
	w.inter = make1("MPI_Intercomm_create", half, 0, commWorld, 1-g.rank, 3)
	w.freedComm = free("MPI_Comm_free", make1("MPI_Comm_dup", commSelf))
	w.freedType = free("MPI_Type_free", make1("MPI_Type_contiguous", 2, tInt))
	w.freedGroup = free("MPI_Group_free", make1("MPI_Comm_group", commSelf))
	w.freedOp = free("MPI_Op_free", make1("MPI_Op_create", affineFn, 1))
	g.call("MPI_Comm_create_keyval", copyNull, deleteNull, wrOut, 0)
	w.freedKey = free("MPI_Comm_free_keyval", g.int(wrOut))

	g.setInts(wrReq, 0x7777)
	g.setInts(wrNull, requestNull)
	g.call("MPI_Recv_init", rbuf, 1, tInt, 0, 77, commSelf, wrActive)
	g.call("MPI_Start", wrActive)
	g.call("MPI_Irecv", rbuf, 1, tInt, 0, 77, commSelf, wrIdle)
	copy(g.mem[wrName:], "name\x00")
	copy(g.mem[wrLongKey:], strings.Repeat("k", maxInfoKey)+"\x00")
	copy(g.mem[wrLongVal:], strings.Repeat("v", maxInfoVal)+"\x00")
	g.setInts(wrList, 1, 1, 1, 1)
	g.setInts(wrNeg, -1, -1, -1, -1)
	g.setInts(wrTwice, 0, 0)
	return w
}

// wrongPoints misuse chapter 3.
func wrongPoints(w *wrongs) []misuse {
	rows := []misuse{
		bad(errTag, "MPI_Recv", rbuf, 1, tInt, 0, -5, commWorld, 0),
		bad(errRank, "MPI_Recv", rbuf, 1, tInt, w.size, 0, commWorld, 0),
		bad(errArg, "MPI_Recv", rbuf, 1, tInt, 0, 0, commWorld, past),
		bad(errBuffer, "MPI_Recv", 0, 1, tInt, 0, 0, commWorld, 0),
		bad(errRank, "MPI_Probe", w.size, 0, commWorld, 0),
		bad(errTag, "MPI_Iprobe", 0, -7, commWorld, wrOut, 0),
		bad(errComm, "MPI_Mprobe", 0, 0, commNull, wrOut, 0),
		bad(errArg, "MPI_Mprobe", 0, 0, commWorld, 0, 0),
		bad(errRequest, "MPI_Mrecv", rbuf, 1, tInt, wrReq, 0),
		bad(errArg, "MPI_Isend", sbuf, 1, tInt, 0, 0, commWorld, 0),
		bad(errArg, "MPI_Irecv", sbuf, 1, tInt, 0, 0, commWorld, arenaBytes),
		bad(errTag, "MPI_Sendrecv", sbuf, 1, tInt, 0, anyTag, rbuf, 1, tInt, 0, 0, commWorld, 0),
		bad(errTag, "MPI_Sendrecv", sbuf, 1, tInt, 0, 0, rbuf, 1, tInt, 0, -9, commWorld, 0),
		bad(errType, "MPI_Sendrecv", sbuf, 1, tInt, 0, 0, rbuf, 1, w.open, 0, 0, commWorld, 0),
		bad(errRank, "MPI_Sendrecv_replace", rbuf, 1, tInt, w.size, 0, 0, 0, commWorld, 0),
		bad(errRank, "MPI_Isendrecv", sbuf, 1, tInt, 0, 0, rbuf, 1, tInt, -4, 0, commWorld, wrOut),
		bad(errBuffer, "MPI_Bsend", sbuf, 1, tInt, 0, 0, commWorld),
		bad(errBuffer, "MPI_Buffer_detach", wrOut, wrOut),
		bad(errArg, "MPI_Buffer_attach", sbuf, -1),
		bad(errBuffer, "MPI_Buffer_attach", past, 100),
		bad(errArg, "MPI_Psend_init", sbuf, 0, 1, tInt, 0, 0, commWorld, infoNull, wrOut),
		bad(errArg, "MPI_Precv_init", sbuf, 1, 1, tInt, anySource, 0, commWorld, infoNull, wrOut),
	}
	for _, call := range []string{"MPI_Send", "MPI_Ssend", "MPI_Rsend", "MPI_Bsend", "MPI_Isend", "MPI_Send_init"} {
		send := func(class int, a ...int) {
			if !strings.HasSuffix(call, "_init") && call != "MPI_Isend" {
				rows = append(rows, bad(class, call, a...))
				return
			}
			rows = append(rows, bad(class, call, append(a, wrOut)...))
		}
		send(errRank, sbuf, 1, tInt, w.size, 0, commWorld)
		send(errRank, sbuf, 1, tInt, anySource, 0, commWorld)
		send(errTag, sbuf, 1, tInt, 0, anyTag, commWorld)
		send(errTag, sbuf, 1, tInt, 0, tagUB+1, commWorld)
		send(errCount, sbuf, -1, tInt, 0, 0, commWorld)
		send(errBuffer, 0, 1, tInt, 0, 0, commWorld)
		send(errBuffer, past, 2, tInt, 0, 0, commWorld)
		send(errBuffer, sbuf, 1<<30, tInt, 0, 0, commWorld)
		send(errBuffer, -16, 8, tInt, 0, 0, commWorld)
		for _, comm := range []int{commNull, w.freedComm, 0, w.group, -1} {
			send(errComm, sbuf, 1, tInt, 0, 0, comm)
		}
		for _, typ := range []int{typeNull, w.open, w.freedType, 0, w.group, -1} {
			send(errType, sbuf, 1, typ, 0, 0, commWorld)
		}
	}
	return rows
}

func wrongRequests(*wrongs) []misuse {
	return []misuse{
		bad(errRequest, "MPI_Wait", wrReq, 0),
		bad(errArg, "MPI_Wait", arenaBytes, 0),
		bad(errArg, "MPI_Wait", wrNull, past),
		bad(errRequest, "MPI_Test", wrReq, wrOut, 0),
		bad(errArg, "MPI_Test", wrNull, 0, 0),
		bad(errCount, "MPI_Waitall", -1, wrNull, 0),
		bad(errRequest, "MPI_Waitall", 2, wrReq, 0),
		bad(errRequest, "MPI_Waitany", 2, wrReq, wrOut, 0),
		bad(errArg, "MPI_Waitsome", 1, wrNull, wrOut, arenaBytes, 0),
		bad(errRequest, "MPI_Testall", 1, wrReq, wrOut, 0),
		bad(errRequest, "MPI_Start", wrIdle),
		bad(errRequest, "MPI_Start", wrActive),
		bad(errRequest, "MPI_Start", wrNull),
		bad(errRequest, "MPI_Startall", 2, wrNull),
		bad(errRequest, "MPI_Request_free", wrNull),
		bad(errRequest, "MPI_Request_free", wrReq),
		bad(errRequest, "MPI_Cancel", wrNull),
		bad(errRequest, "MPI_Cancel", wrReq),
		bad(errRequest, "MPI_Request_get_status", 0x7777, wrOut, 0),
		bad(errRequest, "MPI_Grequest_complete", 0x7777),
		bad(errRequest, "MPI_Pready", 0, 0x7777),
		bad(errArg, "MPI_Get_count", 0, tInt, wrOut),
		bad(errType, "MPI_Get_count", wrList, 0x7777, wrOut),
		bad(errType, "MPI_Get_elements", wrList, typeNull, wrOut),
	}
}

func wrongTypes(w *wrongs) []misuse {
	return []misuse{
		bad(errCount, "MPI_Type_contiguous", -1, tInt, wrOut),
		bad(errType, "MPI_Type_contiguous", 1, typeNull, wrOut),
		bad(errArg, "MPI_Type_contiguous", 1, tInt, 0),
		bad(errArg, "MPI_Type_vector", 1, -1, 1, tInt, wrOut),
		bad(errCount, "MPI_Type_create_hvector", -1, 1, 1, tInt, wrOut),
		bad(errArg, "MPI_Type_indexed", 2, wrNeg, wrList, tInt, wrOut),
		bad(errArg, "MPI_Type_indexed", 2, 0, wrList, tInt, wrOut),
		bad(errArg, "MPI_Type_create_hindexed", 2, wrList, arenaBytes, tInt, wrOut),
		bad(errArg, "MPI_Type_create_indexed_block", 1, -1, wrList, tInt, wrOut),
		bad(errType, "MPI_Type_create_struct", 1, wrList, wrList, wrReq, wrOut),
		bad(errArg, "MPI_Type_create_subarray", 1, wrList, wrList, wrNeg, orderC, tInt, wrOut),
		bad(errArg, "MPI_Type_create_subarray", 0, wrList, wrList, wrTwice, orderC, tInt, wrOut),
		bad(errArg, "MPI_Type_create_subarray", 1, wrList, wrList, wrTwice, 7, tInt, wrOut),
		bad(errArg, "MPI_Type_create_darray", 2, 0, 1, wrList, wrNeg, wrList, wrList, orderC, tInt, wrOut),
		bad(errType, "MPI_Type_create_resized", w.freedType, 0, 4, wrOut),
		bad(errType, "MPI_Type_dup", w.freedType, wrOut),
		bad(errType, "MPI_Type_commit", wrReq),
		bad(errType, "MPI_Type_free", wrReq),
		bad(errType, "MPI_Type_size", typeNull, wrOut),
		bad(errType, "MPI_Type_get_contents", tInt, 0, 0, 0, 0, 0, 0),
		bad(errArg, "MPI_Type_get_contents", w.open, 0, 0, 0, wrOut, wrOut, wrOut),
		bad(errTruncate, "MPI_Pack", sbuf, 2, tInt, rbuf, 7, wrTwice, commWorld),
		bad(errArg, "MPI_Pack", sbuf, 1, tInt, rbuf, 7, wrNeg, commWorld),
		bad(errType, "MPI_Pack", sbuf, 1, w.open, rbuf, 70, wrTwice, commWorld),
		bad(errTruncate, "MPI_Unpack", sbuf, 3, wrTwice, rbuf, 1, tInt, commWorld),
		bad(54, "MPI_Pack_external", wrName, sbuf, 1, tInt, rbuf, 70, wrTwice),
	}
}

func wrongCollectives(w *wrongs) []misuse {
	return []misuse{
		bad(errComm, "MPI_Barrier", commNull),
		bad(errComm, "MPI_Barrier", w.freedComm),
		bad(errRoot, "MPI_Bcast", sbuf, 1, tInt, w.size, commWorld),
		bad(errRoot, "MPI_Bcast", sbuf, 1, tInt, -1, commWorld),
		bad(errRoot, "MPI_Bcast", sbuf, 1, tInt, rootHere, commWorld),
		bad(errCount, "MPI_Bcast", sbuf, -1, tInt, 0, commWorld),
		bad(errType, "MPI_Bcast", sbuf, 1, w.open, 0, commWorld),
		bad(errBuffer, "MPI_Bcast", 0, 1, tInt, 0, commWorld),
		bad(errOp, "MPI_Allreduce", sbuf, rbuf, 1, tInt, opNull, commWorld),
		bad(errOp, "MPI_Allreduce", sbuf, rbuf, 1, tInt, w.freedOp, commWorld),
		bad(errOp, "MPI_Allreduce", sbuf, rbuf, 1, tInt, opReplace, commWorld),
		bad(errOp, "MPI_Allreduce", sbuf, rbuf, 1, tDouble, opBand, commWorld),
		bad(errOp, "MPI_Allreduce", sbuf, rbuf, 1, tInt, opMinloc, commWorld),
		bad(errBuffer, "MPI_Allreduce", sbuf, sbuf, 1, tInt, opSum, commWorld),
		bad(errCount, "MPI_Iallreduce", sbuf, rbuf, -1, tInt, opSum, commWorld, wrOut),
		bad(errArg, "MPI_Iallreduce", sbuf, rbuf, 1, tInt, opSum, commWorld, arenaBytes),
		bad(errInfo, "MPI_Allreduce_init", sbuf, rbuf, 1, tInt, opSum, commWorld, 0x7777, wrOut),
		bad(errRoot, "MPI_Reduce", sbuf, rbuf, 1, tInt, opSum, 9, commWorld),
		bad(errRoot, "MPI_Gather", sbuf, 1, tInt, rbuf, 1, tInt, 9, commWorld),
		bad(errCount, "MPI_Allgather", sbuf, 1, tInt, rbuf, -1, tInt, commWorld),
		bad(errTruncate, "MPI_Allgather", sbuf, 2, tInt, rbuf, 1, tInt, commWorld),
		bad(errCount, "MPI_Allgatherv", sbuf, 1, tInt, rbuf, wrNeg, wrList, tInt, commWorld),
		bad(errArg, "MPI_Alltoallv", sbuf, 0, wrList, tInt, rbuf, wrList, wrList, tInt, commWorld),
		bad(errCount, "MPI_Alltoallv", sbuf, wrNeg, wrList, tInt, rbuf, wrList, wrList, tInt, commWorld),
		bad(errCount, "MPI_Reduce_scatter", sbuf, rbuf, wrNeg, tInt, opSum, commWorld),
		bad(errComm, "MPI_Scan", sbuf, rbuf, 1, tInt, opSum, w.inter),
		bad(errArg, "MPI_Op_create", 0, 1, wrOut),
		bad(errOp, "MPI_Op_free", wrReq),
		bad(errOp, "MPI_Op_commutative", w.freedOp, wrOut),
		bad(errBuffer, "MPI_Reduce_local", sbuf, sbuf, 1, tInt, opSum),
	}
}

func wrongComms(w *wrongs) []misuse {
	return []misuse{
		bad(errComm, "MPI_Comm_rank", commNull, wrOut),
		bad(errArg, "MPI_Comm_rank", commWorld, 0),
		bad(errComm, "MPI_Comm_size", w.freedComm, wrOut),
		bad(errComm, "MPI_Comm_remote_size", commWorld, wrOut),
		bad(errComm, "MPI_Comm_compare", commWorld, 0x7777, wrOut),
		bad(errComm, "MPI_Comm_dup", commNull, wrOut),
		bad(errInfo, "MPI_Comm_dup_with_info", commSelf, 0x7777, wrOut),
		bad(errArg, "MPI_Comm_split", commWorld, -5, 0, wrOut),
		bad(errArg, "MPI_Comm_split", commWorld, 0, 0, 0),
		bad(errArg, "MPI_Comm_split_type", commWorld, 7, 0, infoNull, wrOut),
		bad(errGroup, "MPI_Comm_create", commWorld, groupNull, wrOut),
		bad(errGroup, "MPI_Comm_create", commSelf, w.group, wrOut),
		bad(errTag, "MPI_Comm_create_group", commWorld, w.group, -1, wrOut),
		bad(errRank, "MPI_Intercomm_create", commWorld, 9, commWorld, 0, 0, wrOut),
		bad(errRank, "MPI_Intercomm_create", commSelf, 0, commWorld, 9, 0, wrOut),
		bad(errComm, "MPI_Intercomm_create", commSelf, 0, 0x7777, 0, 0, wrOut),
		bad(errComm, "MPI_Intercomm_merge", commWorld, 0, wrOut),
		bad(errArg, "MPI_Comm_set_name", commWorld, 0),
		bad(errGroup, "MPI_Group_size", groupNull, wrOut),
		bad(errGroup, "MPI_Group_rank", w.freedGroup, wrOut),
		bad(errRank, "MPI_Group_incl", w.group, 1, wrNeg, wrOut),
		bad(errRank, "MPI_Group_incl", w.group, 2, wrTwice, wrOut),
		bad(errArg, "MPI_Group_incl", w.group, -1, wrTwice, wrOut),
		bad(errRank, "MPI_Group_translate_ranks", w.group, 1, wrNeg, w.group, wrOut),
		bad(errGroup, "MPI_Group_union", w.group, 0x7777, wrOut),
		bad(errTopology, "MPI_Cart_get", commWorld, 1, wrOut, wrOut, wrOut),
		bad(errTopology, "MPI_Graphdims_get", w.grid, wrOut, wrOut),
		bad(errTopology, "MPI_Neighbor_allgather", sbuf, 1, tInt, rbuf, 1, tInt, commWorld),
		bad(errDims, "MPI_Dims_create", 4, 1, wrNeg),
		bad(errDims, "MPI_Cart_create", commWorld, 1, wrNeg, wrList, 0, wrOut),
		bad(errRank, "MPI_Cart_rank", w.grid, wrNeg, wrOut),
		bad(errRank, "MPI_Cart_coords", w.grid, 9, 1, wrOut),
		bad(errArg, "MPI_Cart_shift", w.grid, 1, 1, wrOut, wrOut),
		bad(errRank, "MPI_Dist_graph_create_adjacent", commWorld, 1, wrNeg, unweighted, 0, 0, unweighted, infoNull, 0, wrOut),
		bad(errArg, "MPI_Graph_create", commWorld, 9, wrList, wrList, 0, wrOut),
	}
}

func wrongHandles(w *wrongs) []misuse {
	return []misuse{
		bad(errKeyval, "MPI_Comm_set_attr", commWorld, 0x7777, 1),
		bad(errKeyval, "MPI_Comm_set_attr", commWorld, keyTagUB, 1),
		bad(errKeyval, "MPI_Comm_set_attr", commWorld, w.winKey, 1),
		bad(errKeyval, "MPI_Comm_set_attr", commWorld, w.freedKey, 1),
		bad(errKeyval, "MPI_Comm_get_attr", commWorld, keyInvalid, wrOut, wrOut),
		bad(errKeyval, "MPI_Comm_delete_attr", commWorld, 0x7777),
		bad(errKeyval, "MPI_Comm_free_keyval", wrReq),
		bad(errComm, "MPI_Comm_get_attr", commNull, keyTagUB, wrOut, wrOut),
		bad(errErrhandler, "MPI_Comm_set_errhandler", commWorld, 0x7777),
		bad(errErrhandler, "MPI_Comm_set_errhandler", commWorld, errhandlerNull),
		bad(errErrhandler, "MPI_Comm_set_errhandler", commWorld, w.winHandler),
		bad(errErrhandler, "MPI_Errhandler_free", wrReq),
		bad(errArg, "MPI_Comm_create_errhandler", 0, wrOut),
		bad(errArg, "MPI_Error_string", 77_777, wrOut, wrOut),
		bad(errArg, "MPI_Error_class", -1, wrOut),
		bad(errArg, "MPI_Add_error_code", 77_777, wrOut),
		bad(errArg, "MPI_Add_error_string", errArg, wrName),
		bad(errInfo, "MPI_Info_set", infoNull, wrName, wrName),
		bad(errInfo, "MPI_Info_set", infoEnv, wrName, wrName),
		bad(errInfo, "MPI_Info_get_nkeys", 0x7777, wrOut),
		bad(errInfo, "MPI_Info_free", wrReq),
		bad(errSession, "MPI_Session_finalize", wrReq),
		bad(errSession, "MPI_Session_get_num_psets", 0x7777, infoNull, wrOut),
		bad(errArg, "MPI_Alloc_mem", -1, infoNull, wrOut),
	}
}

// wrongWindows are raised on the window, whose handler is of its own.
func wrongWindows(w *wrongs) []misuse {
	put := func(class, n, typ, target, disp, count, win int) misuse {
		return bad(class, "MPI_Put", sbuf, n, typ, target, disp, count, tInt, win)
	}
	return []misuse{
		put(errRMASync, 1, tInt, 0, 0, 1, w.win), // no epoch
		put(errWin, 1, tInt, 0, 0, 1, winNull),
		put(errWin, 1, tInt, 0, 0, 1, 0x7777),
		put(errRank, 1, tInt, 9, 0, 1, w.win),
		put(errCount, 1, tInt, 0, 0, -1, w.win),
		put(errType, 1, w.open, 0, 0, 1, w.win),
		bad(errLocktype, "MPI_Win_lock", 7, 0, 0, w.win),
		bad(errRank, "MPI_Win_lock", lockShared, 9, 0, w.win),
		bad(errRMASync, "MPI_Win_unlock", 0, w.win),
		bad(errRMASync, "MPI_Win_unlock_all", w.win),
		bad(errRMASync, "MPI_Win_flush", 0, w.win),
		bad(errRMASync, "MPI_Win_flush_all", w.win),
		bad(errRMASync, "MPI_Win_complete", w.win),
		bad(errRMASync, "MPI_Win_wait", w.win),
		bad(errRMASync, "MPI_Win_test", w.win, wrOut),
		bad(errGroup, "MPI_Win_post", groupNull, 0, w.win),
		bad(errGroup, "MPI_Win_start", 0x7777, 0, w.win),
		bad(errDisp, "MPI_Win_create", windowAt, 400, 0, infoNull, commWorld, wrOut),
		bad(errSize, "MPI_Win_create", windowAt, -1, 1, infoNull, commWorld, wrOut),
		bad(errBuffer, "MPI_Win_create", past, 400, 1, infoNull, commWorld, wrOut),
		bad(errComm, "MPI_Win_create", windowAt, 400, 1, infoNull, commNull, wrOut),
		bad(errRMAFlavor, "MPI_Win_attach", w.win, windowAt, 4),
		bad(errRMAAttach, "MPI_Win_detach", w.dynamic, windowAt),
		bad(errBuffer, "MPI_Win_attach", w.dynamic, past, 400),
		bad(errRMAFlavor, "MPI_Win_shared_query", w.win, 0, wrOut, wrOut, wrOut),
		bad(errRMAShared, "MPI_Win_allocate_shared", 64, 1, infoNull, commWorld, wrOut, wrOut+4),
		bad(errWin, "MPI_Win_free", wrReq),
		bad(errKeyval, "MPI_Win_set_attr", w.win, 0x7777, 1),
	}
}

// wrongAccesses are made while rank 0 is locked.
func wrongAccesses(w *wrongs) []misuse {
	return []misuse{
		bad(errRMARange, "MPI_Put", sbuf, 1, tInt, 0, 100, 1, tInt, w.win),
		bad(errRMARange, "MPI_Put", sbuf, 1, tInt, 0, -1, 1, tInt, w.win),
		bad(errRMARange, "MPI_Get", sbuf, 2, tInt, 0, 99, 2, tInt, w.win),
		bad(errRMASync, "MPI_Put", sbuf, 1, tInt, 1, 0, 1, tInt, w.win),
		bad(errArg, "MPI_Put", sbuf, 2, tInt, 0, 0, 1, tInt, w.win),
		bad(errArg, "MPI_Rput", sbuf, 1, tInt, 0, 0, 1, tInt, w.win, arenaBytes),
		bad(errOp, "MPI_Accumulate", sbuf, 1, tInt, 0, 0, 1, tInt, w.op, w.win),
		bad(errOp, "MPI_Accumulate", sbuf, 1, tInt, 0, 0, 1, tInt, opMinloc, w.win),
		bad(errType, "MPI_Accumulate", sbuf, 1, tFloat, 0, 0, 1, tInt, opSum, w.win),
		bad(errOp, "MPI_Fetch_and_op", sbuf, rbuf, tInt, 0, 0, 0x7777, w.win),
		bad(errType, "MPI_Fetch_and_op", sbuf, rbuf, w.open, 0, 0, opSum, w.win),
		bad(errType, "MPI_Compare_and_swap", sbuf, sbuf+8, rbuf, tDouble, 0, 0, w.win),
		bad(errRMASync, "MPI_Win_lock", lockShared, 0, 0, w.win),
		bad(errRMASync, "MPI_Win_lock_all", 0, w.win),
		bad(errRMASync, "MPI_Win_start", w.group, 0, w.win),
		bad(errRMASync, "MPI_Win_fence", 0, w.win),
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
				m.call, m.args, className(int(code)), className(m.class), before, after))
		}
	}
	require.Empty(t, wrong)
	g.setInts(sbuf, g.rank+1)
	g.call("MPI_Allreduce", sbuf, rbuf, 1, tInt, opSum, commWorld)
	require.Equal(t, g.size*(g.size+1)/2, g.int(rbuf))
}

// Under MPI_ERRORS_RETURN a wrong call returns the class of its error (MPI 5.0 sections 9.3 and 9.4).
func TestMisuse(t *testing.T) {
	run1(t, 2, func(g *guest) {
		w := g.prepare()
		g.call("MPI_Comm_set_errhandler", commWorld, errorsReturn)
		g.call("MPI_Comm_set_errhandler", commSelf, errorsReturn)
		for _, comm := range []int{w.inter, w.grid} {
			g.call("MPI_Comm_set_errhandler", comm, errorsReturn)
		}
		for _, rows := range [][]misuse{
			wrongPoints(w), wrongRequests(w), wrongTypes(w), wrongCollectives(w), wrongComms(w), wrongHandles(w), wrongWindows(w),
		} {
			g.tryAll(t, rows)
		}
		g.misuseInfo(t)
		g.call("MPI_Win_lock", lockShared, 0, 0, w.win)
		g.tryAll(t, wrongAccesses(w))
		g.call("MPI_Win_unlock", 0, w.win)
		g.call("MPI_Buffer_attach", sbuf, 4096)
		g.tryAll(t, []misuse{bad(errBuffer, "MPI_Buffer_attach", sbuf, 4096), bad(errBuffer, "MPI_Bsend", rbuf, 2000, tInt, 0, 0, commWorld)})
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
		bad(errInfoKey, "MPI_Info_set", info, wrLongKey, wrName),
		bad(errInfoKey, "MPI_Info_set", info, empty, wrName),
		bad(errInfoValue, "MPI_Info_set", info, wrName, wrLongVal),
		bad(errArg, "MPI_Info_set", info, 0, wrName),
		bad(errInfoKey, "MPI_Info_get", info, wrLongKey, 10, wrOut, wrOut),
		bad(errInfoNoKey, "MPI_Info_delete", info, wrName),
		bad(errArg, "MPI_Info_get_nthkey", info, 0, wrOut),
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
			g.call("MPI_Comm_size", commWorld, 4000) // a call inside of the handler
			return 0
		}
		g.call("MPI_Comm_create_errhandler", fn, wrOut)
		handler := g.int(wrOut)
		g.call("MPI_Win_create_errhandler", fn, wrOut)
		onWindow := g.int(wrOut)
		g.call("MPI_Comm_dup", commWorld, wrOut)
		dup := g.int(wrOut)
		g.call("MPI_Comm_set_errhandler", dup, handler)
		g.call("MPI_Comm_set_errhandler", commSelf, handler)
		g.call("MPI_Win_set_errhandler", w.win, onWindow)
		g.setInts(wrOut, handler)
		g.call("MPI_Errhandler_free", wrOut) // it lives on where it is set
		tests := []struct {
			object int
			m      misuse
		}{
			{dup, bad(errRank, "MPI_Send", sbuf, 1, tInt, 9, 0, dup)},
			{dup, bad(errTag, "MPI_Recv", sbuf, 1, tInt, 0, -9, dup, 0)},
			{dup, bad(errRoot, "MPI_Bcast", sbuf, 1, tInt, 9, dup)},
			{dup, bad(errArg, "MPI_Comm_split", dup, -5, 0, wrOut)},
			{commSelf, bad(errType, "MPI_Type_size", typeNull, wrOut)},
			{commSelf, bad(errRequest, "MPI_Wait", wrReq, 0)},
			{commSelf, bad(errComm, "MPI_Barrier", commNull)},
			{commSelf, bad(errCount, "MPI_Send", sbuf, -1, tInt, 0, 0, commSelf)},
			{w.win, bad(errRMASync, "MPI_Put", sbuf, 1, tInt, 0, 0, 1, tInt, w.win)},
			{w.win, bad(errLocktype, "MPI_Win_lock", 7, 0, 0, w.win)},
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
		require.EqualValues(t, errTruncate, g.call("MPI_Wait", wrOut, 0))
		require.Equal(t, [][2]int{{dup, errTruncate}}, seen)
		// One that the program raises itself.
		seen = nil
		require.EqualValues(t, success, g.call("MPI_Comm_call_errhandler", dup, errOther))
		require.Equal(t, [][2]int{{dup, errOther}}, seen)
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
			g.call("MPI_Send", sbuf, 1, tInt, 0, 0, commSelf)
		}},
		{"called after MPI_Finalize", func(g *guest) {
			g.call("MPI_Finalize")
			g.call("MPI_Finalize")
		}},
		{"is not supported", func(g *guest) { g.call("MPI_Comm_spawn", 0, 0, 1, infoNull, 0, commWorld, wrOut, 0) }},
	} {
		errs := runLocal(t, smallConfig(1), func(g *guest) {
			g.call("MPI_Comm_set_errhandler", commWorld, errorsReturn)
			g.call("MPI_Comm_set_errhandler", commSelf, errorsReturn)
			tt.f(g)
		})
		var abort *AbortError
		require.ErrorAs(t, errs[0], &abort)
		require.Contains(t, abort.Message, tt.why)
	}
}
