//go:build !amd64 && !arm64

package mpi

// relax tells the processor that its thread spins, where that is known.
func relax() {}
