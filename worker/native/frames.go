//go:build linux && amd64

package native

import "unsafe"

// maxFrames bounds what a trap tells of the stack.
const maxFrames = 30

// frames walks the guest's stack, from the frame pointer with which it left: each function has one. pc is where it was, if it did not leave by a call.
func (i *Instance) frames(pc uintptr) []string {
	var out []string
	add := func(pc uintptr) {
		if index, ok := i.object.at(pc); ok {
			out = append(out, i.object.module.name(index))
		}
	}
	add(pc)
	bp, last := i.shared.guest.bp, uint64(0)
	low := uint64(uintptr(unsafe.Pointer(&i.stack[0]))) + guardBytes
	for bp > last && bp%8 == 0 && bp >= low && bp+16 <= low-guardBytes+stackBytes && len(out) < maxFrames {
		frame := i.words(bp, 2)
		add(uintptr(frame[1]) - 1) // where it returns to is behind the call
		last, bp = bp, frame[0]
	}
	return out
}
