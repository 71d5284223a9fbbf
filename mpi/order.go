package mpi

import "encoding/binary"

// order is the byte order of wasm memory and of captured state.
var order = binary.LittleEndian //nolint:gochecknoglobals // immutable; a constant if the type allowed
