// Package sdk is what guests are built with: the headers mpi.h and godwit.h, the thin C glue that is
// linked into every guest, and Toolchain, which is the whole of `godwit cc` and `godwit c++`.
//
// A guest is a wasm32-wasi command. Its MPI calls are imports of module "mpi_abi", so nothing is
// linked for them. Three commands make one from C:
//
//  1. clang compiles the glue, which reserves the unwind area (lib/godwit_unwind.c);
//  2. clang compiles and links the user's files against wasi-libc, stack first, so that an overflow
//     of the stack traps instead of running into data;
//  3. wasm-opt optimises, and instruments every path that may reach an import of mpi_abi or
//     godwit_v1 with asyncify, which is what lets a rank be stopped there and moved.
//
// The commands take what cc takes: sources, objects and archives, -c, -S, -E, -o, -O, -g, -I, -D, -L,
// -l, -W, -std and the rest, and @files. `-show` (also -showme, --showme) prints the commands and runs
// nothing; -showme:compile and -showme:link print only the flags. What differs from cc:
//
//   - without -o, a link writes a.out.wasm;
//   - options that only make sense for a native CPU or a native MPI (-march, -mtune, -pthread,
//     -static, -rdynamic, -lmpi) are dropped, with a note on stderr for those that promise something;
//   - C++ is compiled with -fno-exceptions, and setjmp is not there: asyncify and wasm exceptions do
//     not mix;
//   - the name section and debug information are dropped, unless -g is given;
//   - -DGODWIT_UNWIND_BYTES=N at the link sets the size of the unwind area (default 1 MiB, which
//     holds tens of thousands of frames).
//
// The same inputs give the same bytes on every run and from every directory.
package sdk
