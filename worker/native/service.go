//go:build linux && amd64

package native

import "unsafe"

// maxTable bounds a table.
const maxTable = 10_000_000

// Services: what a guest has the host do for it (c/guest.h).
const (
	serviceGrow = iota
	serviceMemoryInit
	serviceDataDrop
	serviceTableInit
	serviceElemDrop
	serviceTableCopy
	serviceTableGrow
	serviceTableFill
)

// serve does what the guest asks for, and returns why it traps; empty: it does not. Arguments: two indices, then d, s and n as the specification calls them.
func (i *Instance) serve(what uint64, a []uint64) string {
	x, y := int(a[0]), 0
	ok := true
	if what != serviceGrow {
		y = int(a[1])
	}
	switch what {
	case serviceGrow:
		old, grown := i.Grow(uint32(a[0]))
		if a[0] = uint64(old); !grown {
			a[0] = 1<<32 - 1
		}
	case serviceMemoryInit:
		if !i.memoryInit(x, a[2], a[3], a[4]) {
			return trapBounds
		}
	case serviceDataDrop:
		i.dropped.data[x] = true
	case serviceTableInit:
		ok = i.tableInit(x, y, a[2], a[3], a[4])
	case serviceElemDrop:
		i.dropped.elements[x] = true
	case serviceTableCopy:
		to, from := i.tables[x], i.tables[y]
		if ok = a[2]+a[4] <= uint64(len(to)) && a[3]+a[4] <= uint64(len(from)); ok {
			copy(to[a[2]:], from[a[3]:a[3]+a[4]])
		}
	case serviceTableGrow:
		a[0] = i.tableGrow(x, a[4], a[2])
	case serviceTableFill:
		t := i.tables[x]
		if ok = a[2]+a[4] <= uint64(len(t)); ok {
			for k := range a[4] {
				t[a[2]+k] = a[3]
			}
		}
	}
	if !ok {
		return trapTable
	}
	return ""
}

// accessible is the guest's memory.
func (i *Instance) accessible() []byte {
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(i.shared), memoryAt)), i.shared.bytes)
}

func (i *Instance) memoryInit(segment int, d, s, n uint64) bool {
	var bytes []byte
	if !i.dropped.data[segment] {
		bytes = i.object.module.data[segment].bytes
	}
	memory := i.accessible()
	if d+n > uint64(len(memory)) || s+n > uint64(len(bytes)) {
		return false
	}
	copy(memory[d:], bytes[s:s+n])
	return true
}

func (i *Instance) tableInit(segment, table int, d, s, n uint64) bool {
	var items []constant
	if !i.dropped.elements[segment] {
		items = i.object.module.elements[segment].items
	}
	t := i.tables[table]
	if d+n > uint64(len(t)) || s+n > uint64(len(items)) {
		return false
	}
	for k, c := range items[s : s+n] {
		t[d+uint64(k)] = i.value(c)[0]
	}
	return true
}

// setTable has the guest see a table.
func (i *Instance) setTable(k int, t []uint64) {
	i.tables[k] = t
	head := i.shared.tableAt(k)
	head.at, head.n = unsafe.SliceData(t), uint64(len(t))
}

func (i *Instance) tableGrow(k int, n, value uint64) uint64 {
	old := uint64(len(i.tables[k]))
	if old+n > min(maxTable, i.object.module.tables[k].most) {
		return 1<<32 - 1
	}
	t := make([]uint64, old+n)
	copy(t, i.tables[k])
	for at := old; at < old+n; at++ {
		t[at] = value
	}
	i.setTable(k, t)
	return old
}
