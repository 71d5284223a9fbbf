package abi

// Rank is a rank in MPI_COMM_WORLD, from 0, or one of the constants below it.
type Rank int32
