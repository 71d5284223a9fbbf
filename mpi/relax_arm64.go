package mpi

// relax tells the processor that its thread spins.
//
//go:noescape
func relax()
