package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/spf13/cobra"

	"github.com/godwit-run/godwit/sdk"
)

// isWrapper says whether a name is one that the binary compiles under.
func isWrapper(name string) bool {
	switch name {
	case "mpicc", "mpicxx", "mpic++", "mpiCC":
		return true
	default:
		return false
	}
}

// compile is the compiler of that name.
func compile(ctx context.Context, name string, args []string) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	lang := sdk.CXX
	if name == "mpicc" {
		lang = sdk.C
	}
	out := &keepsError{w: os.Stdout}
	code := sdk.Toolchain{Version: version}.Run(ctx, lang, args, out, os.Stderr)
	if code == 0 {
		code = report(name, out.err)
	}
	return code
}

func newCC(name, lang string) *cobra.Command {
	return &cobra.Command{
		Use: name + " [FLAGS] FILE... [-o OUT.wasm]", Short: "Compile a " + lang + " MPI program to a module",
		Long: fmt.Sprintf("Compile a %s MPI program to a WebAssembly module whose ranks can be moved while they run.\n"+
			"Takes a compiler's flags; -show prints the commands, -showme:help lists the wrapper's own flags.\n"+
			"The same as mpicc (or mpicxx) when the binary is called by that name.", lang),
		DisableFlagParsing: true,
		RunE:               func(*cobra.Command, []string) error { return nil }, // runAs handles it before flags are parsed
	}
}

const sdkLong = `Write what build systems need to build guests into DIR, which may be there already:

  bin/            mpicc, mpicxx, mpic++, mpiCC, mpirun, mpiexec and godwit: links to this binary
  include/        mpi.h, godwit.h
  lib/pkgconfig/  mpi.pc
  share/          config.site, for configure scripts; godwit/godwit.cmake, a CMake toolchain file

A Makefile needs the compilers alone. A configure script is also told by config.site what it can try only where it runs what it builds:

  PATH=DIR/bin:$PATH CONFIG_SITE=DIR/share/config.site ./configure --host=wasm32-wasi CC=mpicc CXX=mpicxx

A CMake project, with find_package(MPI) in it, and tests that run by mpiexec:

  cmake -DCMAKE_TOOLCHAIN_FILE=DIR/share/godwit/godwit.cmake -B build && cmake --build build

mpi.pc gives the headers to whoever asks pkg-config; compile and link with mpicc or mpicxx, which add the rest.`

func newSDK() *cobra.Command {
	return &cobra.Command{
		Use: "sdk DIR", Short: "Write mpi.h, mpicc, mpirun and files for CMake, autoconf and pkg-config to a directory", Long: sdkLong, Args: wants("a directory", 1),
		RunE: func(_ *cobra.Command, args []string) error {
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find the godwit binary: %w", err)
			}
			return sdk.Install(args[0], self)
		},
	}
}
