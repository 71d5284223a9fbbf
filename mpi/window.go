package mpi

import (
	"slices"

	"github.com/godwit-run/godwit/mpi/abi"
)

// window is a rank's side of a window (MPI 5.0 chapter 12). It has a communicator of its own, whose contexts carry what the
// ranks tell each other: see rma.go for operations and target.go for their other end.
type window struct {
	handle     uint32
	comm       *comm
	flavor     int
	base       uint32
	bytes      []int64 // of each rank's part; none in a dynamic window
	units      []int32 // displacement unit of each rank
	errhandler *errhandler
	name       string
	info       *info
	attrs      attributes
	regions    []region // attached to a dynamic window
	memory     uint32   // allocated for the window: given back when it is freed
	values     uint32   // of the predefined attributes, in the program's memory
	segment    uint64   // bytes shared with the others, mapped at memory; 0: none
	offsets    []int64  // of each rank's part in the segment

	origins []origin   // what this rank does to each other
	targets []*inbound // what each other does to this rank
	lock    targetLock

	fenced  bool  // an epoch between fences is open
	started []int // ranks of MPI_Win_start's group, nil: none
	exposed []int // ranks of MPI_Win_post's group, nil: none
	posted  []int // by rank: posts heard of and not used
	over    []int // by rank: completions heard of and not used
	lockAll bool
	tagNext uint32 // numbers operations that have data or an answer
}

type region struct{ addr, size uint32 }

// origin is what a rank keeps of its accesses to one target.
type origin struct {
	dirty   bool  // operations were sent since the last flush
	local   int   // requests of operations that are not over here
	waiting int   // answers that are awaited: to flushes, locks and unlocks
	locked  uint8 // lockNone ..
	class   int32 // of an error that the target reported
}

const (
	lockNone  = 0
	lockOne   = 1 // MPI_Win_lock
	lockEvery = 2 // MPI_Win_lock_all
)

// windowCalls make windows and ask about them.
func windowCalls() []entry {
	return []entry{
		{name: "MPI_Win_create", impl: bind(callWinCreate)},
		{name: "MPI_Win_allocate", impl: bind(callWinAllocate)},
		{name: "MPI_Win_allocate_shared", impl: bind(callWinAllocateShared)},
		{name: "MPI_Win_shared_query", impl: bind(callWinSharedQuery)},
		{name: "MPI_Win_create_dynamic", impl: bind(callWinCreateDynamic)},
		{name: "MPI_Win_attach", impl: bind(callWinAttach)},
		{name: "MPI_Win_detach", impl: bind(callWinDetach)},
		{name: "MPI_Win_free", impl: bind(callWinFree)},
		{name: "MPI_Win_get_group", impl: bind(callWinGetGroup)},
		{name: "MPI_Win_get_name", impl: bind(callWinGetName)},
		{name: "MPI_Win_set_name", impl: bind(callWinSetName)},
		{name: "MPI_Win_get_info", impl: bind(callWinGetInfo)},
		{name: "MPI_Win_set_info", impl: bind(callWinSetInfo)},
		{name: "MPI_Alloc_mem", impl: bind(callAllocMem), any: true},
		{name: "MPI_Free_mem", impl: bind(callFreeMem), any: true},
	}
}

// window finds a window by handle.
func (p *Proc) window(handle uint32) (*window, error) {
	if w := p.wins.get(handle); w != nil {
		return w, nil
	}
	if handle == abi.WinNull {
		return nil, abi.Fail(abi.ErrWin, "window is MPI_WIN_NULL")
	}
	return nil, abi.Fail(abi.ErrWin, "window %#x is not known", handle)
}

// part is what a rank says about its part of a window.
type part struct {
	id    uint64
	bytes int64
	unit  int32
	here  uint32 // which host the rank is on
}

const partBytes = 24

// makeWindow agrees on a window over c. It is the first phase of the calls that make windows.
func (p *Proc) makeWindow(c *comm, mine func() (part, error)) ([]part, error) {
	b, err := p.phase(1, func() ([]byte, error) {
		return p.contribute(c, partBytes, func() ([]byte, error) {
			m, err := mine()
			b := order.AppendUint64(nil, m.id)
			b = order.AppendUint64(b, uint64(m.bytes))
			b = order.AppendUint32(b, uint32(m.unit))
			return order.AppendUint32(b, m.here), err
		})
	})
	if err != nil {
		return nil, err
	}
	all := make([]part, c.size())
	for i := range all {
		e := b[partBytes*i:]
		all[i] = part{order.Uint64(e), int64(order.Uint64(e[8:])), int32(order.Uint32(e[16:])), order.Uint32(e[20:])}
	}
	return all, nil
}

// openWindow makes the window of what the ranks have said; messages that came for it early are served now.
func (p *Proc) openWindow(c *comm, all []part, flavor int, base uint32, x *info) (*window, error) {
	w := newWindow(c, all, flavor, base, x)
	var err error
	if w.handle, err = p.wins.add(w, p.w.cfg.MaxObjects); err != nil {
		return nil, c.on(err)
	}
	p.begins(w)
	return w, nil
}

// newWindow makes a window that nobody knows yet.
func newWindow(c *comm, all []part, flavor int, base uint32, x *info) *window {
	n := c.size()
	w := &window{
		flavor: flavor, base: base, errhandler: predefinedHandlers[abi.ErrorsAreFatal], info: windowHints(x),
		comm:    &comm{id: all[0].id, group: c.group, me: c.me, errhandler: c.errhandler},
		origins: make([]origin, n), targets: make([]*inbound, n), posted: make([]int, n), over: make([]int, n),
	}
	for i, m := range all {
		w.bytes, w.units = append(w.bytes, m.bytes), append(w.units, m.unit)
		w.targets[i] = &inbound{}
	}
	return w
}

// begins has a window take what is told to it.
func (p *Proc) begins(w *window) {
	p.winByID[w.comm.id] = w
	for i := 0; i < len(p.unexpected); {
		m := p.unexpected[i]
		if m.context != w.comm.context(contextWindow) {
			i++
			continue
		}
		p.dropUnexpected(i)
		back, _ := p.serveWindow(m)
		p.pair(m.src).answer(back)
	}
}

// windowHints are the standard's defaults (MPI 5.0 section 12.2.1) under what the program has given.
func windowHints(x *info) *info {
	y := &info{pairs: [][2]string{
		{"no_locks", "false"},
		{"accumulate_ordering", "rar,raw,war,waw"},
		{"accumulate_ops", "same_op_no_op"},
		{"same_size", "false"},
		{"same_disp_unit", "false"},
	}}
	for _, kv := range x.heeded().pairs {
		y.set(kv[0], kv[1])
	}
	return y
}

// giveWindow stores the handle.
func (p *Proc) giveWindow(w *window, out uint32) error {
	return p.putWord(out, w.handle)
}

// checkPart checks size and displacement unit.
func (p *Proc) checkPart(bytes int64, unit int) error {
	if bytes < 0 || bytes > 1<<32-1 {
		return abi.Fail(abi.ErrSize, "size is %d", bytes)
	}
	if unit < 1 {
		return abi.Fail(abi.ErrDisp, "disp_unit is %d", unit)
	}
	return nil
}

type winCreateArgs struct {
	base       address
	size       count
	dispUnit   int
	info, comm handle
	win        address
}

func callWinCreate(p *Proc, a winCreateArgs) error {
	c, err := p.intra(a.comm)
	if err != nil {
		return err
	}
	x, err := p.hints(a.info)
	if err == nil {
		_, err = p.handles(a.win, 1)
	}
	if err != nil {
		return c.on(err)
	}
	all, err := p.makeWindow(c, func() (part, error) {
		err := p.checkPart(a.size, a.dispUnit)
		if err == nil {
			_, err = p.guest(a.base, uint64(max(a.size, 0)))
		}
		return part{id: p.newID(), bytes: a.size, unit: int32(a.dispUnit)}, err
	})
	if err != nil {
		return c.on(err)
	}
	w, err := p.openWindow(c, all, abi.FlavorCreate, a.base, x)
	if err != nil {
		return err
	}
	return p.giveWindow(w, a.win)
}

type winAllocateArgs struct {
	size         count
	dispUnit     int
	info, comm   handle
	baseptr, win address
}

func callWinAllocate(p *Proc, a winAllocateArgs) error {
	c, err := p.intra(a.comm)
	if err != nil {
		return err
	}
	x, err := p.hints(a.info)
	for _, ptr := range []uint32{a.baseptr, a.win} {
		if _, bad := p.handles(ptr, 1); err == nil {
			err = bad
		}
	}
	if err != nil {
		return c.on(err)
	}
	all, err := p.makeWindow(c, func() (part, error) {
		return part{id: p.newID(), bytes: a.size, unit: int32(a.dispUnit)}, p.checkPart(a.size, a.dispUnit)
	})
	if err != nil {
		return c.on(err)
	}
	addr, err := p.alloc(uint32(a.size), 16)
	if err != nil {
		return c.on(err)
	}
	w, err := p.openWindow(c, all, abi.FlavorAllocate, addr, x)
	if err != nil {
		return err
	}
	w.memory = addr
	if err := p.putWord(a.baseptr, addr); err != nil {
		return err
	}
	return p.giveWindow(w, a.win)
}

type winCreateDynamicArgs struct {
	info, comm handle
	win        address
}

func callWinCreateDynamic(p *Proc, a winCreateDynamicArgs) error {
	c, err := p.intra(a.comm)
	if err != nil {
		return err
	}
	x, err := p.hints(a.info)
	if err == nil {
		_, err = p.handles(a.win, 1)
	}
	if err != nil {
		return c.on(err)
	}
	all, err := p.makeWindow(c, func() (part, error) { return part{id: p.newID(), unit: 1}, nil })
	if err != nil {
		return c.on(err)
	}
	w, err := p.openWindow(c, all, abi.FlavorDynamic, abi.Bottom, x)
	if err != nil {
		return err
	}
	return p.giveWindow(w, a.win)
}

// dynamic finds a dynamic window.
func (p *Proc) dynamic(handle uint32) (*window, error) {
	w, err := p.window(handle)
	if err == nil && w.flavor != abi.FlavorDynamic {
		err = w.on(abi.Fail(abi.ErrRMAFlavor, "memory can be attached to a dynamic window only"))
	}
	return w, err
}

type winAttachArgs struct {
	win  handle
	base address
	size count
}

func callWinAttach(p *Proc, a winAttachArgs) error {
	w, err := p.dynamic(a.win)
	if err != nil {
		return err
	}
	size := a.size
	if size < 0 {
		return w.on(abi.Fail(abi.ErrSize, "size is %d", size))
	}
	if _, err := p.guest(a.base, uint64(size)); err != nil {
		return w.on(err)
	}
	for _, r := range w.regions {
		if size > 0 && int64(a.base) < int64(r.addr)+int64(r.size) && int64(r.addr) < int64(a.base)+size {
			return w.on(abi.Fail(abi.ErrRMAAttach, "the memory is attached already"))
		}
	}
	if len(w.regions) >= p.w.cfg.MaxObjects {
		return w.on(abi.Fail(abi.ErrRMAAttach, "more than %d regions", p.w.cfg.MaxObjects))
	}
	w.regions = append(w.regions, region{a.base, uint32(size)})
	return nil
}

type winDetachArgs struct {
	win  handle
	base address
}

func callWinDetach(p *Proc, a winDetachArgs) error {
	w, err := p.dynamic(a.win)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(w.regions, func(r region) bool { return r.addr == a.base })
	if i < 0 {
		return w.on(abi.Fail(abi.ErrRMAAttach, "no memory at %#x is attached", a.base))
	}
	w.regions = slices.Delete(w.regions, i, i+1)
	return nil
}

type winFreeArgs struct{ win address }

// callWinFree waits until all ranks have ended their accesses.
func callWinFree(p *Proc, a winFreeArgs) error {
	h, err := p.word(a.win)
	if err != nil {
		return err
	}
	w, err := p.window(h)
	if err != nil {
		return err
	}
	_, err = p.phase(1, func() ([]byte, error) {
		if len(w.exposed) > 0 || len(w.started) > 0 || w.locking() {
			return nil, abi.Fail(abi.ErrRMASync, "an epoch is open")
		}
		if err := p.deleteAttributes(h, &w.attrs); err != nil {
			return nil, err
		}
		if p.wins.get(h) != w {
			return nil, abi.Fail(abi.ErrWin, freedInside)
		}
		return nil, nil
	})
	if err == nil {
		_, err = p.phase(2, func() ([]byte, error) { return nil, p.flush(w, nil, false) })
	}
	if err == nil {
		err = p.windowBarrier(w)
	}
	if err != nil {
		return w.on(err)
	}
	p.wins.drop(h)
	delete(p.winByID, w.comm.id)
	if err := p.unshare(w); err != nil {
		return err
	}
	for _, addr := range []uint32{w.memory, w.values} {
		if err := p.freeMemory(addr); err != nil {
			return err
		}
	}
	return p.putWord(a.win, abi.WinNull)
}

type winGetGroupArgs struct {
	win   handle
	group address
}

func callWinGetGroup(p *Proc, a winGetGroupArgs) error {
	w, err := p.window(a.win)
	if err != nil {
		return err
	}
	return w.on(p.giveGroup(w.comm.group.ranks, a.group))
}

type winGetNameArgs struct {
	win                handle
	winName, resultlen address
}

func callWinGetName(p *Proc, a winGetNameArgs) error {
	if a.win == abi.WinNull {
		return p.putString(a.winName, a.resultlen, "MPI_WIN_NULL", abi.MaxObjectName)
	}
	w, err := p.window(a.win)
	if err != nil {
		return err
	}
	return w.on(p.putString(a.winName, a.resultlen, w.name, abi.MaxObjectName))
}

type winSetNameArgs struct {
	win     handle
	winName address
}

func callWinSetName(p *Proc, a winSetNameArgs) error {
	w, err := p.window(a.win)
	if err != nil {
		return err
	}
	name, err := p.cString(a.winName, 1<<16)
	if err != nil {
		return w.on(err)
	}
	w.name = name[:min(len(name), abi.MaxObjectName-1)]
	return nil
}

type winGetInfoArgs struct {
	win      handle
	infoUsed address
}

func callWinGetInfo(p *Proc, a winGetInfoArgs) error {
	w, err := p.window(a.win)
	if err != nil {
		return err
	}
	return w.on(p.giveInfo(w.info.clone(), a.infoUsed))
}

type winSetInfoArgs struct{ win, info handle }

func callWinSetInfo(p *Proc, a winSetInfoArgs) error {
	w, err := p.window(a.win)
	if err != nil {
		return err
	}
	x, err := p.hints(a.info)
	if err != nil {
		return w.on(err)
	}
	for _, kv := range x.heeded().pairs {
		w.info.set(kv[0], kv[1])
	}
	return nil
}

// windowAttribute answers for the predefined keys of windows.
func (p *Proc) windowAttribute(object, key uint32) (value uint32, found bool, err error) {
	w, err := p.window(object)
	if err != nil || key < abi.KeyWinBase || key > abi.KeyWinModel {
		return 0, false, err
	}
	if key == abi.KeyWinBase {
		return w.base, true, nil
	}
	if w.values == 0 {
		if w.values, err = p.alloc(16, 8); err != nil {
			return 0, false, err
		}
		for i, v := range [...]int{int(w.units[w.comm.me]), int(w.bytes[w.comm.me]), w.flavor, abi.WinUnified} {
			if err := p.putInt(w.values+4*uint32(i), v); err != nil {
				return 0, false, err
			}
		}
	}
	return w.values + 4*(key-abi.KeyWinDispUnit), true, nil
}

type allocMemArgs struct {
	size    count
	info    handle
	baseptr address
}

// callAllocMem allocates with the program's malloc (MPI 5.0 section 9.2).
func callAllocMem(p *Proc, a allocMemArgs) error {
	if a.size < 0 {
		return abi.Fail(abi.ErrArg, "size is %d", a.size)
	}
	if _, err := p.hints(a.info); err != nil {
		return err
	}
	if _, err := p.handles(a.baseptr, 1); err != nil {
		return err
	}
	addr, err := p.alloc(uint32(a.size), 16)
	if err != nil {
		return err
	}
	return p.putWord(a.baseptr, addr)
}

type freeMemArgs struct{ base address }

func callFreeMem(p *Proc, a freeMemArgs) error { return p.freeMemory(a.base) }
