// Package native runs WebAssembly modules as machine code that clang has made of them: a translator to C, a compiler's driver, a
// loader without cgo, and the switch between Go and a guest. It knows nothing of MPI, WASI or migration.
package native
