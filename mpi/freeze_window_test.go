package mpi

import "github.com/godwit-run/godwit/mpi/abi"

// opened makes a window of 100 ints that tell the rank, over all ranks; rank 0's data is at sbuf.
func opened(f func(x *ice, win int)) func(x *ice) {
	return func(x *ice) {
		x.numbers(windowAt, x.rank, 100)
		x.numbers(sbuf, 5, 4000)
		x.call("MPI_Win_create", windowAt, 400, 4, abi.InfoNull, abi.CommWorld, 64)
		f(x, x.int(64))
		x.call("MPI_Win_free", 64)
	}
}

// group makes a group of one rank.
func (x *ice) group(rank int) int {
	x.call("MPI_Comm_group", abi.CommWorld, 128)
	x.setInts(132, rank)
	x.call("MPI_Group_incl", x.int(128), 1, 132, 136)
	return x.int(136)
}

func (x *ice) put(target, n, win int) { x.call("MPI_Put", sbuf, n, tInt, target, 0, n, tInt, win) }

func frozenWindows() []frozenRow {
	locked := func(name string, take, back func(x *ice, win int)) frozenRow { // rank 1 has rank 2's lock
		return frozenRow{name: name, all: opened(func(x *ice, win int) {
			if x.rank == 1 {
				x.call("MPI_Win_lock", abi.LockExclusive, 2, 0, win)
			}
			x.call("MPI_Barrier", abi.CommWorld)
			switch x.rank {
			case 0:
				x.block()
				take(x, win)
				x.put(2, 10, win)
				back(x, win)
			case 1:
				x.release()
				x.put(2, 20, win)
				x.call("MPI_Win_unlock", 2, win)
			}
			x.call("MPI_Barrier", abi.CommWorld)
			if x.rank == 2 {
				x.expect(windowAt, 5, 20)
			}
		})}
	}
	free := opened(func(x *ice, _ int) { x.meet() })
	return []frozenRow{
		{name: "MPI_Win_create", all: func(x *ice) {
			x.meet()
			opened(func(*ice, int) {})(x)
		}},
		{name: "MPI_Win_allocate", all: func(x *ice) {
			x.meet()
			x.call("MPI_Win_allocate", 4000, 1, abi.InfoNull, abi.CommWorld, 68, 64)
			x.numbers(x.int(68), 0, 1000)
			x.call("MPI_Win_free", 64)
		}},
		{name: "MPI_Win_create_dynamic", all: func(x *ice) {
			x.meet()
			x.call("MPI_Win_create_dynamic", abi.InfoNull, abi.CommWorld, 64)
			x.call("MPI_Win_free", 64)
		}},
		{name: "MPI_Win_free", all: free},
		{name: "MPI_Win_fence", all: opened(func(x *ice, win int) {
			x.call("MPI_Win_fence", 0, win)
			x.put((x.rank+1)%3, 100, win)
			x.meet()
			x.call("MPI_Win_fence", modeNoSucceed, win)
			x.expect(windowAt, 5, 100)
		})},
		{name: "MPI_Win_start", all: opened(func(x *ice, win int) {
			switch x.rank {
			case 0:
				g := x.group(1)
				x.block()
				x.call("MPI_Win_start", g, 0, win)
				x.put(1, 100, win)
				x.call("MPI_Win_complete", win)
			case 1:
				x.release()
				x.call("MPI_Win_post", x.group(0), 0, win)
				x.call("MPI_Win_wait", win)
				x.expect(windowAt, 5, 100)
			}
		})},
		{name: "MPI_Win_wait", all: opened(func(x *ice, win int) {
			switch x.rank {
			case 0:
				x.call("MPI_Win_post", x.group(1), 0, win)
				x.block()
				x.call("MPI_Win_wait", win)
				x.expect(windowAt, 5, 100)
			case 1:
				x.call("MPI_Win_start", x.group(0), 0, win)
				x.put(0, 100, win)
				x.release()
				x.call("MPI_Win_complete", win)
			}
		})},
		locked("MPI_Win_lock", func(x *ice, win int) { x.call("MPI_Win_lock", abi.LockShared, 2, 0, win) },
			func(x *ice, win int) { x.call("MPI_Win_unlock", 2, win) }),
		locked("MPI_Win_lock_all", func(x *ice, win int) { x.call("MPI_Win_lock_all", 0, win) },
			func(x *ice, win int) { x.call("MPI_Win_unlock_all", win) }),
	}
}

// frozenTargets are calls that wait for a target, which is detached meanwhile. left says whose numbers the window has in
// the end.
func frozenTargets() []frozenRow {
	row := func(name, call string, all bool, left int, f func(x *ice, win int)) frozenRow {
		return frozenRow{name: name, call: call, held: "MPI_Recv", all: opened(func(x *ice, win int) {
			x.call("MPI_Barrier", abi.CommWorld)
			switch x.rank {
			case 0:
				if all {
					x.call("MPI_Win_lock_all", 0, win)
				} else {
					x.call("MPI_Win_lock", abi.LockExclusive, 1, 0, win)
				}
				f(x, win)
				if name != "MPI_Win_unlock" && name != "MPI_Win_unlock_all" {
					x.unlock(all, win)
				}
				x.tell()
			case 1:
				x.untilTold()
				x.expect(windowAt, left, 100)
			}
		})}
	}
	flush := func(name string, all bool, a ...int) frozenRow {
		return row(name, "", all, 5, func(x *ice, win int) {
			x.put(1, 100, win)
			x.block()
			x.call(name, append(a, win)...)
		})
	}
	get := func(name string, all bool, a ...int) frozenRow {
		return row(name+"/get", name, all, 1, func(x *ice, win int) {
			x.block()
			x.call("MPI_Get", rbuf, 100, tInt, 1, 0, 100, tInt, win)
			x.call(name, append(a, win)...)
			x.expect(rbuf, 1, 100)
		})
	}
	return []frozenRow{
		flush("MPI_Win_flush", false, 1), flush("MPI_Win_flush_all", true),
		get("MPI_Win_flush_local", false, 1), get("MPI_Win_flush_local_all", true),
		row("MPI_Win_unlock", "", false, 5, func(x *ice, win int) {
			x.put(1, 100, win)
			x.block()
			x.unlock(false, win)
		}),
		row("MPI_Win_unlock_all", "", true, 5, func(x *ice, win int) {
			x.put(1, 100, win)
			x.block()
			x.unlock(true, win)
		}),
		row("MPI_Put", "", false, 5, func(x *ice, win int) {
			x.block()
			for range maxOutstanding + 100 {
				x.put(1, 100, win)
			}
		}),
		row("MPI_Rget", "MPI_Wait", false, 1, func(x *ice, win int) {
			x.block()
			x.call("MPI_Rget", rbuf, 100, tInt, 1, 0, 100, tInt, win, 72)
			x.call("MPI_Wait", 72, 0)
			x.expect(rbuf, 1, 100)
		}),
		{name: "MPI_Win_complete", held: "MPI_Win_wait", all: opened(func(x *ice, win int) {
			switch x.rank {
			case 0:
				x.call("MPI_Win_start", x.group(1), 0, win)
				x.put(1, 100, win)
				x.block()
				x.call("MPI_Win_complete", win)
			case 1:
				x.call("MPI_Win_post", x.group(0), 0, win)
				x.hold()
				x.call("MPI_Win_wait", win)
				x.expect(windowAt, 5, 100)
			}
		})},
		{name: "MPI_Win_fence/flush", call: "MPI_Win_fence", held: "MPI_Win_fence", all: opened(func(x *ice, win int) {
			x.call("MPI_Win_fence", 0, win)
			switch x.rank {
			case 0:
				x.put(1, 100, win)
				x.block()
			case 1:
				x.hold()
			}
			x.call("MPI_Win_fence", modeNoSucceed, win)
			if x.rank == 1 {
				x.expect(windowAt, 5, 100)
			}
		})},
	}
}

func (x *ice) unlock(all bool, win int) {
	if all {
		x.call("MPI_Win_unlock_all", win)
		return
	}
	x.call("MPI_Win_unlock", 1, win)
}
