// Package abi is what a program and its MPI library have agreed on: the values of the standard ABI (MPI 5.0 chapter 20), the prototypes of all functions, and
// the classes of errors. Handles are 32 bits on wasm32.
package abi
