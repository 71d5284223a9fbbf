package mpi

import (
	"slices"
	"sync"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/layout"
)

// SharedMemory is a Memory that can share pages with others of its process. Windows of shared memory need it.
type SharedMemory interface {
	Memory
	// NewSegment makes n bytes that can be mapped into several memories. They are gone when nothing maps them any more and
	// Close was called.
	NewSegment(n int64) (Segment, error)
	// Map puts a segment in the place of the memory from addr on, both multiples of SharedAlign. Until Unmap the bytes
	// there are the segment's.
	Map(addr uint32, s Segment) error
	// Unmap puts private memory back, filled with zeros.
	Unmap(addr uint32, n int64) error
}

// Segment is memory that several ranks share.
type Segment interface{ Close() error }

// SharedAlign is what places and sizes of shared memory are multiples of, in bytes.
const SharedAlign = 64 << 10

// sharedSegment is a segment and how many local ranks have yet to map it.
type sharedSegment struct {
	segment Segment
	left    int
}

// segments are those of windows that are being made, by the window's id.
type segments struct {
	mu   sync.Mutex
	byID map[uint64]*sharedSegment
}

// mapped has one of so many ranks map a segment. The first one makes it; with the last one it is nobody's but the mappings'.
func (x *segments) mapped(id uint64, ranks int, create func() (Segment, error), mapIn func(Segment) error) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := x.byID[id]
	if s == nil {
		segment, err := create()
		if err != nil {
			return abi.Fail(abi.ErrNoMem, "%v", err)
		}
		s = &sharedSegment{segment, ranks}
		x.byID[id] = s
	}
	if err := mapIn(s.segment); err != nil {
		return abi.Fail(abi.ErrRMAShared, "%v", err)
	}
	if s.left--; s.left > 0 {
		return nil
	}
	delete(x.byID, id)
	if err := s.segment.Close(); err != nil {
		return abi.Fail(abi.ErrRMAShared, "%v", err)
	}
	return nil
}

// remove takes a segment out that was not mapped by all; nil: there is none.
func (x *segments) remove(id uint64) *sharedSegment {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := x.byID[id]
	delete(x.byID, id)
	return s
}

// callWinAllocateShared makes one segment that all ranks map, each at an address of its own (MPI 5.0 section 12.2.3).
func callWinAllocateShared(p *Proc, a winAllocateArgs) error {
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
		m := part{id: p.newID(), bytes: a.size, unit: int32(a.dispUnit), here: checksum(p.w.cfg.Host)}
		return m, p.checkPart(m.bytes, a.dispUnit)
	})
	if err != nil {
		return c.on(err)
	}
	why, err := p.phase(2, func() ([]byte, error) {
		if err := p.shareMemory(c, all, x); err != nil {
			return []byte(err.Error()), nil //nolint:nilerr // all ranks have to hear of it first
		}
		return []byte{}, nil
	})
	if err != nil {
		return c.on(err)
	}
	// A rank may have left the host since it spoke: all succeed, or none does.
	failed, err := p.contribute(c, 1, func() ([]byte, error) { return []byte{byte(truth(len(why) > 0))}, nil })
	if err != nil {
		return err
	}
	w := p.winByID[all[0].id]
	if i := slices.Index(failed, 1); i >= 0 || w == nil {
		return c.on(p.abandonShared(all[0].id, w, i, string(why)))
	}
	if err := p.putWord(a.baseptr, w.partAddress(c.me)); err != nil {
		return err
	}
	return p.giveWindow(w, a.win)
}

// abandonShared undoes what was done for a window of shared memory that not all ranks could map.
func (p *Proc) abandonShared(id uint64, w *window, rank int, why string) error {
	if s := p.w.segments.remove(id); s != nil {
		if err := s.segment.Close(); err != nil && why == "" {
			why = err.Error()
		}
	}
	if w != nil {
		p.wins.drop(w.handle)
		delete(p.winByID, id)
		if err := p.unshare(w); err != nil {
			return err
		}
		if err := p.freeMemory(w.memory); err != nil {
			return err
		}
	}
	if why == "" {
		why = "rank " + decimal(rank) + " could not map it"
	}
	return abi.Fail(abi.ErrRMAShared, "%s", why)
}

// shareMemory maps the segment of a new window.
func (p *Proc) shareMemory(c *comm, all []part, x *info) error {
	mem, ok := p.mem.(SharedMemory)
	if !ok {
		return abi.Fail(abi.ErrRMAShared, "memory cannot be shared here")
	}
	total, offsets := int64(0), make([]int64, len(all))
	for i, m := range all {
		if m.here != all[0].here || p.w.procs[c.group.ranks[i]].Load() == nil {
			return abi.Fail(abi.ErrRMAShared, "rank %d is on another host: split the communicator by MPI_COMM_TYPE_SHARED again", i)
		}
		offsets[i] = total
		total += layout.RoundUp(m.bytes, 16)
	}
	total = layout.RoundUp(max(total, 1), SharedAlign)
	if total > 1<<31 {
		return abi.Fail(abi.ErrNoMem, "the window has %d bytes", total)
	}
	addr, err := p.alloc(uint32(total)+SharedAlign, SharedAlign)
	if err != nil {
		return err
	}
	id := all[0].id
	err = p.w.segments.mapped(id, c.size(), func() (Segment, error) { return mem.NewSegment(total) }, func(s Segment) error { return mem.Map(addr, s) })
	if err != nil {
		return err
	}
	w, err := p.openWindow(c, all, abi.FlavorShared, addr+uint32(offsets[c.me]), x)
	if err != nil {
		return err
	}
	w.memory, w.segment, w.offsets = addr, uint64(total), offsets
	return nil
}

// unshare gives a shared window's pages back to the rank alone.
func (p *Proc) unshare(w *window) error {
	mem, ok := p.mem.(SharedMemory)
	if w.segment == 0 || !ok {
		return nil
	}
	if err := mem.Unmap(w.memory, int64(w.segment)); err != nil {
		return abi.Fail(abi.ErrRMAShared, "%v", err)
	}
	w.segment = 0
	return nil
}

// tied reports whether the rank shares memory, so that it cannot leave its host.
func (p *Proc) tied() bool {
	for _, w := range p.wins.items {
		if w.segment != 0 {
			return true
		}
	}
	return false
}

type winSharedQueryArgs struct {
	win                     handle
	rank                    int
	size, dispUnit, baseptr address
}

// callWinSharedQuery tells where a rank's part is in this rank's memory; for MPI_PROC_NULL that of the lowest rank with a
// part.
func callWinSharedQuery(p *Proc, a winSharedQueryArgs) error {
	w, err := p.window(a.win)
	if err != nil {
		return err
	}
	r := a.rank
	if r == abi.ProcNull {
		r = 0
		for i, n := range w.bytes {
			if n > 0 {
				r = i
				break
			}
		}
	}
	if r < 0 || r >= w.comm.size() {
		return w.on(abi.Fail(abi.ErrRank, "rank %d is not in 0..%d", r, w.comm.size()-1))
	}
	// Of another window no rank's memory is shared, which is told so (MPI 5.0 section 12.2.3).
	bytes, unit, address := 0, 0, uint32(0)
	if w.flavor == abi.FlavorShared {
		bytes, unit, address = int(w.bytes[r]), int(w.units[r]), w.partAddress(r)
	}
	if err := p.putInt(a.size, bytes); err != nil {
		return w.on(err)
	}
	if err := p.putInt(a.dispUnit, unit); err != nil {
		return w.on(err)
	}
	return w.on(p.putWord(a.baseptr, address))
}

// partAddress is where a rank's part is in this rank's memory; a part of no bytes is nowhere.
func (w *window) partAddress(r int) uint32 {
	if w.bytes[r] == 0 {
		return 0
	}
	return w.memory + uint32(w.offsets[r])
}
