package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"

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

// isUnsupported says whether a name is that of a compiler that there is not: they are there so that nobody takes another MPI's for ours.
func isUnsupported(name string) bool {
	return slices.Contains([]string{"mpifort", "mpif90", "mpif77"}, name)
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

// binutil is which of sdk.Binutils a name stands for; empty, if none.
func binutil(name string) string {
	if name = strings.TrimPrefix(name, sdk.BinutilPrefix); slices.Contains(sdk.Binutils(), name) {
		return name
	}
	return ""
}

// runBinutil is the tool of that name.
func runBinutil(ctx context.Context, name string, args []string) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	return sdk.Toolchain{Version: version}.RunBinutil(ctx, name, args, os.Stdout, os.Stderr)
}

func newBinutil(name, short string) *cobra.Command {
	return &cobra.Command{
		Use: name + " ARGS...", Short: short,
		Long: fmt.Sprintf("%s, by LLVM's tool of the compiler's version (llvm-%s), whose arguments these are.\n"+
			"The same as %s%s, by which name a configure script finds it.", short, name, sdk.BinutilPrefix, name),
		DisableFlagParsing: true,
		RunE:               func(*cobra.Command, []string) error { return nil }, // runAs handles it before flags are parsed
	}
}

const sdkLong = `Write what build systems need to build guests into DIR, which may be there already:

  bin/            mpicc, mpicxx, mpic++, mpiCC, mpirun, mpiexec and godwit: links to this binary; and so are
                  mpifort, mpif90 and mpif77, which say that Fortran is not supported yet, and
                  wasm32-wasi-ar, -ranlib, -nm, -strip and -size, which a configure script finds by --host=wasm32-wasi
  include/        mpi.h, godwit.h
  lib/pkgconfig/  mpi.pc, which is also there by Open MPI's names (ompi-c.pc, ompi-cxx.pc)
  share/          config.site, for configure scripts; godwit/godwit.cmake, a CMake toolchain file; godwit/meson.ini, a Meson cross file

A Makefile needs the compilers alone. A configure script is also told by config.site which they are, and what it can try only where it runs what it builds:

  PATH=DIR/bin:$PATH CONFIG_SITE=DIR/share/config.site ./configure --host=wasm32-wasi

Its tests run by: make check LOG_COMPILER='mpiexec -q -n 1'. GODWIT_PASS=FOO,BAR passes variables to them; GODWIT_ADDR=none lets them read the files beside them.
A CMake project, with find_package(MPI) in it, and one of Meson, with dependency('mpi'), have tests that run by mpiexec:

  cmake -DCMAKE_TOOLCHAIN_FILE=DIR/share/godwit/godwit.cmake -B build && cmake --build build
  meson setup --cross-file DIR/share/godwit/meson.ini build && ninja -C build

mpi.pc gives the headers to whoever asks pkg-config; compile and link with mpicc or mpicxx, which add the rest.

C++ programs need a C++ library that has exceptions, which no package has. --cxx builds it from the sources of LLVM in Debian, once, in about a minute: into
/usr/local/lib/godwit if root asks, else into ~/.local/share/godwit. --source DIR takes sources that are there already (DIR/libcxx and DIR/libcxxabi).`

func newSDK() *cobra.Command {
	var cxx bool
	var source string
	c := &cobra.Command{
		Use: "sdk [DIR]", Short: "Write mpi.h, mpicc, mpirun and files for CMake, autoconf and pkg-config to a directory; build the C++ library", Long: sdkLong,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 && !cxx {
				return usagef("name a directory: godwit sdk DIR; or build the C++ library: godwit sdk --cxx (see godwit sdk --help)")
			}
			if source != "" && !cxx {
				return usagef("--source is for --cxx")
			}
			if len(args) > 0 {
				self, err := os.Executable()
				if err != nil {
					return fmt.Errorf("find the godwit binary: %w", err)
				}
				if err := sdk.Install(args[0], self); err != nil {
					return err
				}
			}
			if !cxx {
				return nil
			}
			return buildCXX(c.Context(), source)
		},
	}
	c.Flags().BoolVar(&cxx, "cxx", false, "build the C++ library for guests, if it is not there")
	c.Flags().StringVar(&source, "source", "", "directory of LLVM's sources; default: they are downloaded from Debian")
	return c
}

// buildCXX builds the C++ library, of sources in a directory or, if that is empty, of Debian's.
func buildCXX(ctx context.Context, source string) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	if dir, err := sdk.FindCXX(); err == nil {
		return printf("%s\n", dir)
	}
	if source == "" {
		scratch, err := os.MkdirTemp("", "godwit-llvm-")
		if err != nil {
			return fmt.Errorf("scratch directory: %w", err)
		}
		defer os.RemoveAll(scratch) //nolint:errcheck // what is left is harmless
		if source, err = sdk.FetchLLVM(ctx, scratch, os.Stderr); err != nil {
			return err
		}
	}
	dir, err := sdk.Toolchain{Version: version}.BuildCXX(ctx, source, os.Stderr)
	if err != nil {
		return err
	}
	return printf("%s\n", dir)
}
