package mpi

import "encoding/binary"

// order is the byte order of wasm memory and of captured state.
var order = binary.LittleEndian //nolint:gochecknoglobals // immutable; a constant if the type allowed

// pick is a, or else b.
func pick[T any](first bool, a, b T) T {
	if first {
		return a
	}
	return b
}

// truth is a C truth value.
func truth(b bool) int { return pick(b, 1, 0) }
