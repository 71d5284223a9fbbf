// Package sdk is what guests are built with: the headers mpi.h and godwit.h, the thin C glue that is
// linked into every guest, Toolchain, which is the whole of `godwit cc` and `godwit c++`, and Install,
// which writes out what CMake, autoconf and pkg-config need.
//
// A guest is a wasm32-wasi command. Its MPI calls are imports of module "mpi_abi", so nothing is
// linked for them. These commands make one from C:
//
//  1. clang compiles each source that is named, side by side;
//  2. clang compiles the glue (lib/godwit_glue.c), once for all links that want the same (glue.go), which reserves the unwind area, lets the host
//     use the guest's malloc, and has what wasi-libc leaves out of POSIX (declared in lib/include);
//  3. where an object calls a function under a try, clang compiles what it calls (tries.go);
//  4. clang links all against wasi-libc, stack first, so that an overflow of the stack traps instead
//     of running into data;
//     Before that, calls of functions by another type than they are defined with are made calls of functions in between, where a native program's would work (redirect.go), and what the C library
//     and the glue have by names that the user's files define has private names, in copies (ownnames.go);
//  5. other calls by another type, for which wasm-ld has stubs that trap, are given adapters (adapt.go), by links that
//     export what they mean, as many as it takes until all of it is there (mismatch.go);
//  6. wasm-opt optimises, and instruments every path that may reach an import of mpi_abi or
//     godwit_v1, or fd_read, with asyncify, which is what lets a rank be stopped there and moved.
//
// C++ has exceptions, and C has setjmp, by the same means: lib/godwit_try.h tells how. The C++ library is LLVM's, built by BuildCXX (cxxlib.go).
//
// The commands take what cc takes: sources, objects and archives, -c, -S, -E, -o, -O, -g, -I, -D, -L,
// -l, -W, -std and the rest, and @files. `-show` (also -showme, --showme) prints the commands and runs
// nothing; -showme:compile, :link, :incdirs, :libdirs, :libs, :command, :version and :help answer what build
// systems ask of an MPI's wrapper, in Open MPI's spelling and in MPICH's. What differs from cc:
//
//   - options that only make sense for a native CPU, compiler, linker or MPI (-march, -fipa-pta, -pthread,
//     -static, -flto, -Wl,-rpath, -lmpi) are dropped, with a note on stderr for those that promise something (dropped.go);
//     -fopenmp leaves pragmas out; -shared and sanitizers are errors;
//   - what is called without a prototype is an error that names its header, and of an open list of arguments a warning (undeclared.go); a function that no guest can have is missing with a reason (missing.go);
//   - main may take the environment, as on Linux (main.go);
//   - headers are wasi-libc's and libc++'s, and none of the machine that builds (headers.go);
//   - functions of MPI are found by whoever links a call of them without mpi.h, as configure scripts do (lib/probes.txt), with a note that it is no program;
//   - archives without an index, as GNU ar makes of WebAssembly objects, get one in a copy (archive.go);
//   - vectors are refused of a clang that makes wrong code of them (vectors.go), in an option or, since a function may have an attribute
//     for them, in what it has compiled or linked;
//   - another clang is taken with -cc=CMD or -cxx=CMD, or from MPI_CC, OMPI_CC, MPICH_CC and their like;
//   - debug information is dropped, unless -g is given. The names of functions stay, so that a trap
//     tells where it was, unless -s is; clang's own run of wasm-opt, which drops them, is left out
//     (lib/clang), and wasm-opt does not inline functions for having one caller only;
//   - -DGODWIT_UNWIND_BYTES=N at the link sets the size of the unwind area (default 4 MiB, which
//     holds 10,000 frames and more): for exceptions, and for the stack of a rank that stops. A deeper one of those is put behind the rank's memory.
//
// `godwit ar`, ranlib, nm, strip and size are LLVM's (binutils.go). share/config.site tells configure scripts what they cannot try when they compile for a guest.
//
// The same inputs give the same bytes on every run and from every directory.
package sdk
