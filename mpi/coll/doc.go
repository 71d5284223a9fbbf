// Package coll plans collectives (MPI 5.0 chapter 6): which messages a rank sends and receives in which rounds, and what it does with them in between. It is
// pure: a plan depends only on ranks and numbers of bytes, never on where ranks are, and it is somebody else who carries it out.
//
// Reductions combine neighbouring blocks of ranks, lower ranks left, so a result has the same bits on every rank and every placement.
package coll
