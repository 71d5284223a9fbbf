package layout

import "encoding/binary"

// order is the byte order of wasm memory.
var order = binary.LittleEndian //nolint:gochecknoglobals // immutable; a constant if the type allowed

func pick[T any](first bool, a, b T) T {
	if first {
		return a
	}
	return b
}

func truth(b bool) int { return pick(b, 1, 0) }
