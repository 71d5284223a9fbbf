package mpi

import (
	"slices"

	"github.com/godwit-run/godwit/mpi/abi"
)

// syncCalls are the synchronisation functions of windows (MPI 5.0 section 12.5).
func syncCalls() []entry {
	return []entry{
		{name: "MPI_Win_fence", impl: bind(callWinFence)},
		{name: "MPI_Win_start", impl: bind(callWinStart)},
		{name: "MPI_Win_complete", impl: bind(callWinComplete)},
		{name: "MPI_Win_post", impl: bind(callWinPost)},
		{name: "MPI_Win_wait", impl: bind(callWinWait)},
		{name: "MPI_Win_test", impl: bind(callWinTest)},
		{name: "MPI_Win_lock", impl: bind(callWinLock)},
		{name: "MPI_Win_unlock", impl: bind(callWinUnlock)},
		{name: "MPI_Win_lock_all", impl: bind(callWinLockAll)},
		{name: "MPI_Win_unlock_all", impl: bind(callWinUnlockAll)},
		{name: "MPI_Win_flush", impl: flushOne(false)},
		{name: "MPI_Win_flush_local", impl: flushOne(true)},
		{name: "MPI_Win_flush_all", impl: flushAll(false)},
		{name: "MPI_Win_flush_local_all", impl: flushAll(true)},
		{name: "MPI_Win_sync", impl: bind(callWinSync)},
	}
}

// modes of MPI_Win_fence and its kin.
const modeNoSucceed = 16384

// everyone is the list of all ranks of a window.
func (w *window) everyone() []int {
	all := make([]int, w.comm.size())
	for i := range all {
		all[i] = i
	}
	return all
}

// locking reports whether this rank has locked any rank: with MPI_Win_lock, or all with MPI_Win_lock_all.
func (w *window) locking() bool {
	return slices.ContainsFunc(w.origins, func(o origin) bool { return o.locked != lockNone })
}

// windowBarrier waits until all ranks of the window have come here.
func (p *Proc) windowBarrier(w *window) error {
	return p.collect(w.comm, func(s *sketch) error { s.Barrier(w.comm.me, w.comm.size()); return nil })
}

// report makes an error of what targets have reported.
func (w *window) report(ranks []int) error {
	for _, r := range ranks {
		if class := w.origins[r].class; class != abi.Success {
			w.origins[r].class = abi.Success
			return abi.Fail(int(class), "an access to rank %d has failed there", r)
		}
	}
	return nil
}

// flush waits until all accesses to the ranks (nil: all) are over: here only, or at their targets too.
func (p *Proc) flush(w *window, ranks []int, local bool) error {
	if ranks == nil {
		ranks = w.everyone()
	}
	reqs, err := p.once(func() ([]uint32, error) {
		for _, r := range ranks {
			if o := &w.origins[r]; o.dirty && !local {
				if err := p.ask(w, r, msgFlush, nil); err != nil {
					return nil, err
				}
				o.dirty = false
			}
		}
		return nil, nil
	})
	if err != nil {
		return err
	}
	if err := p.accesses(w, ranks).await(reqs); err != nil {
		return err
	}
	return w.report(ranks)
}

// ask sends a message that is answered.
func (p *Proc) ask(w *window, to int, kind uint8, payload []byte) error {
	w.origins[to].waiting++
	return p.tell(w, to, kind, payload, false)
}

type winFenceArgs struct {
	assert int
	win    handle
}

// callWinFence ends an epoch and begins the next. Nobody leaves before all accesses are over.
func callWinFence(p *Proc, a winFenceArgs) error {
	w, err := p.window(a.win)
	if err != nil {
		return err
	}
	_, err = p.phase(1, func() ([]byte, error) {
		if w.locking() || w.started != nil || w.exposed != nil {
			return nil, abi.Fail(abi.ErrRMASync, "an epoch of another kind is open")
		}
		return nil, p.flush(w, nil, false)
	})
	if err != nil {
		return w.on(err)
	}
	if err := p.windowBarrier(w); err != nil {
		return err
	}
	w.fenced = a.assert&modeNoSucceed == 0
	return nil
}

// windowRanks translates a group to ranks of a window.
func (p *Proc) windowRanks(w *window, handle uint32) ([]int, error) {
	g, err := p.group(handle)
	if err != nil {
		return nil, err
	}
	ranks := []int{}
	for _, r := range g.ranks {
		i := w.comm.group.find(r)
		if i == abi.Undefined {
			return nil, abi.Fail(abi.ErrGroup, "the group has ranks that are not in the window")
		}
		ranks = append(ranks, i)
	}
	return ranks, nil
}

type winGroupArgs struct {
	group  handle
	assert int
	win    handle
}

// callWinStart waits for the posts of all targets.
func callWinStart(p *Proc, a winGroupArgs) error {
	w, err := p.window(a.win)
	if err != nil {
		return err
	}
	ranks, err := p.windowRanks(w, a.group)
	if err == nil && (w.started != nil || w.locking()) {
		err = abi.Fail(abi.ErrRMASync, "an access epoch is open already")
	}
	if err != nil {
		return w.on(err)
	}
	if a.assert&abi.ModeNoCheck == 0 {
		x := p.windowWait(w, ranks, func(r int) bool { return w.posted[r] == 0 })
		if err := p.wait(x.done); err != nil {
			return err
		}
		if err := x.err(); err != nil {
			return w.on(err)
		}
		for _, r := range ranks {
			w.posted[r]--
		}
	}
	w.started, w.fenced = ranks, false
	return nil
}

// winArgs are those of the functions that take a window alone.
type winArgs struct{ win handle }

// callWinComplete ends the accesses: they are over at the targets, which are told so.
func callWinComplete(p *Proc, a winArgs) error {
	w, err := p.window(a.win)
	if err != nil {
		return err
	}
	if w.started == nil {
		return w.on(abi.Fail(abi.ErrRMASync, "no access epoch is open: call MPI_Win_start first"))
	}
	if err := p.flush(w, w.started, false); err != nil {
		return w.on(err)
	}
	for _, r := range w.started {
		if err := p.tell(w, r, msgComplete, nil, false); err != nil {
			return w.on(err)
		}
	}
	w.started = nil
	return nil
}

func callWinPost(p *Proc, a winGroupArgs) error {
	w, err := p.window(a.win)
	if err != nil {
		return err
	}
	ranks, err := p.windowRanks(w, a.group)
	if err == nil && w.exposed != nil {
		err = abi.Fail(abi.ErrRMASync, "an exposure epoch is open already")
	}
	if err != nil {
		return w.on(err)
	}
	if a.assert&abi.ModeNoCheck == 0 {
		for _, r := range ranks {
			if err := p.tell(w, r, msgPost, nil, false); err != nil {
				return w.on(err)
			}
		}
	}
	w.exposed, w.fenced = ranks, false
	return nil
}

// exposure is the wait for all origins of the exposure epoch to end theirs.
func (p *Proc) exposure(w *window) *windowWait {
	return p.windowWait(w, w.exposed, func(r int) bool { return w.over[r] == 0 })
}

// unexpose ends the exposure epoch.
func (w *window) unexpose() {
	for _, r := range w.exposed {
		w.over[r]--
	}
	w.exposed = nil
}

func callWinWait(p *Proc, a winArgs) error {
	w, err := p.window(a.win)
	if err != nil {
		return err
	}
	if w.exposed == nil {
		return w.on(abi.Fail(abi.ErrRMASync, "no exposure epoch is open: call MPI_Win_post first"))
	}
	x := p.exposure(w)
	if err := p.wait(x.done); err != nil {
		return err
	}
	if err := x.err(); err != nil {
		return w.on(err)
	}
	w.unexpose()
	return nil
}

type winTestArgs struct {
	win  handle
	flag address
}

func callWinTest(p *Proc, a winTestArgs) error {
	w, err := p.window(a.win)
	if err != nil {
		return err
	}
	if w.exposed == nil {
		return w.on(abi.Fail(abi.ErrRMASync, "no exposure epoch is open: call MPI_Win_post first"))
	}
	x := p.exposure(w)
	if !x.done() {
		p.yield()
	}
	done := x.done()
	if err := x.err(); err != nil {
		return w.on(err)
	}
	if err := p.putInt(a.flag, truth(done)); err != nil {
		return w.on(err)
	}
	if done {
		w.unexpose()
	}
	return nil
}

// target checks a rank of a window.
func (w *window) target(r int) error {
	if r < 0 || r >= w.comm.size() {
		return w.on(abi.Fail(abi.ErrRank, "rank %d is not in 0..%d", r, w.comm.size()-1))
	}
	return nil
}

type winLockArgs struct {
	lockType, rank int
	_              int `mpi:"assert"`
	win            handle
}

func callWinLock(p *Proc, a winLockArgs) error {
	w, err := p.window(a.win)
	if err != nil {
		return err
	}
	kind, r := a.lockType, a.rank
	if kind != abi.LockExclusive && kind != abi.LockShared {
		return w.on(abi.Fail(abi.ErrLocktype, "lock type %d is not known", kind))
	}
	if r == abi.ProcNull {
		return nil
	}
	if err := w.target(r); err != nil {
		return err
	}
	reqs, err := p.once(func() ([]uint32, error) {
		if w.origins[r].locked != lockNone || w.lockAll || w.started != nil {
			return nil, abi.Fail(abi.ErrRMASync, "an access epoch to rank %d is open already", r)
		}
		return nil, p.ask(w, r, msgLock, []byte{byte(truth(kind == abi.LockExclusive))})
	})
	if err != nil {
		return w.on(err)
	}
	if err := p.accesses(w, []int{r}).await(reqs); err != nil {
		return w.on(err)
	}
	w.origins[r].locked, w.fenced = lockOne, false
	return nil
}

type winRankArgs struct {
	rank int
	win  handle
}

func callWinUnlock(p *Proc, a winRankArgs) error {
	w, err := p.window(a.win)
	if err != nil {
		return err
	}
	r := a.rank
	if r == abi.ProcNull {
		return nil
	}
	if err := w.target(r); err != nil {
		return err
	}
	if w.origins[r].locked != lockOne {
		return w.on(abi.Fail(abi.ErrRMASync, "rank %d is not locked: call MPI_Win_lock first", r))
	}
	return w.on(p.unlockRanks(w, []int{r}))
}

// unlockRanks gives locks back; the answers say that all accesses are over.
func (p *Proc) unlockRanks(w *window, ranks []int) error {
	reqs, err := p.once(func() ([]uint32, error) {
		for _, r := range ranks {
			if err := p.ask(w, r, msgUnlock, nil); err != nil {
				return nil, err
			}
			w.origins[r].dirty = false
		}
		return nil, nil
	})
	if err != nil {
		return err
	}
	if err := p.accesses(w, ranks).await(reqs); err != nil {
		return err
	}
	for _, r := range ranks {
		w.origins[r].locked = lockNone
	}
	return w.report(ranks)
}

func callWinLockAll(p *Proc, a winFenceArgs) error {
	w, err := p.window(a.win)
	if err != nil {
		return err
	}
	all := w.everyone()
	reqs, err := p.once(func() ([]uint32, error) {
		if w.locking() || w.started != nil {
			return nil, abi.Fail(abi.ErrRMASync, "an access epoch is open already")
		}
		for _, r := range all {
			if err := p.ask(w, r, msgLock, []byte{0}); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
	if err != nil {
		return w.on(err)
	}
	if err := p.accesses(w, all).await(reqs); err != nil {
		return w.on(err)
	}
	for i := range w.origins {
		w.origins[i].locked = lockEvery
	}
	w.lockAll, w.fenced = true, false
	return nil
}

func callWinUnlockAll(p *Proc, a winArgs) error {
	w, err := p.window(a.win)
	if err != nil {
		return err
	}
	if !w.lockAll {
		return w.on(abi.Fail(abi.ErrRMASync, "the window is not locked: call MPI_Win_lock_all first"))
	}
	if err := p.unlockRanks(w, w.everyone()); err != nil {
		return w.on(err)
	}
	w.lockAll = false
	return nil
}

func flushOne(local bool) body {
	return bind(func(p *Proc, a winRankArgs) error {
		w, err := p.window(a.win)
		if err != nil {
			return err
		}
		r := a.rank
		if r == abi.ProcNull {
			return nil
		}
		if err := w.target(r); err != nil {
			return err
		}
		if w.origins[r].locked == lockNone {
			return w.on(abi.Fail(abi.ErrRMASync, "rank %d is not locked: call MPI_Win_lock first", r))
		}
		return w.on(p.flush(w, []int{r}, local))
	})
}

func flushAll(local bool) body {
	return bind(func(p *Proc, a winArgs) error {
		w, err := p.window(a.win)
		if err != nil {
			return err
		}
		if !w.locking() {
			return w.on(abi.Fail(abi.ErrRMASync, "no rank is locked: call MPI_Win_lock or MPI_Win_lock_all first"))
		}
		return w.on(p.flush(w, nil, local))
	})
}

// callWinSync: a rank's memory is one, so there is nothing to do (the model is MPI_WIN_UNIFIED).
func callWinSync(p *Proc, a winArgs) error {
	_, err := p.window(a.win)
	return err
}
