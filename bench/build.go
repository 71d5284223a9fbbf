package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// place is where the ranks of a program are.
type place int

const (
	oneHost      place = iota
	betweenHosts       // every rank on a host of its own; all messages go by TCP, over loopback
)

// String is how a row ends.
func (p place) String() string {
	if p == betweenHosts {
		return "between hosts"
	}
	return "one host"
}

// build is one implementation of MPI: how it compiles a program and starts it.
type build struct {
	name     string
	cc       []string // the compiler and its flags
	suffix   string   // of what it makes
	needs    []string // programs without which it is not installed
	packages string   // of Debian, that install it
	launch   func(p place, ranks int) (env, argv []string)
}

// ours is Godwit on a cluster whose workers are w1, w2 and so on.
func (b *bench) ours() build {
	return build{
		name: "Godwit", cc: []string{b.godwit, "cc", "-O3"}, suffix: ".wasm",
		launch: func(p place, ranks int) (env, argv []string) {
			hosts := []string{fmt.Sprintf("w1:%d", ranks)}
			if p == betweenHosts {
				hosts = nil
				for i := range ranks {
					hosts = append(hosts, fmt.Sprintf("w%d:1", i+1))
				}
			}
			return nil, []string{b.godwit, "run", "-q", "-n", strconv.Itoa(ranks), "--place", strings.Join(hosts, ",")}
		},
	}
}

// openMPI takes shared memory, or TCP over loopback as a dev cluster does. The ranks may not read each other's memory: a
// container does not always let them.
func openMPI() build {
	return build{
		name: "Open MPI", cc: []string{"mpicc.openmpi", "-O3"}, suffix: ".openmpi",
		needs: []string{"mpicc.openmpi", "mpirun.openmpi"}, packages: "openmpi-bin libopenmpi-dev",
		launch: func(p place, ranks int) (env, argv []string) {
			argv = []string{
				"mpirun.openmpi", "--allow-run-as-root", "--oversubscribe", "-np", strconv.Itoa(ranks),
				"--mca", "pml", "ob1", "--mca", "btl_vader_single_copy_mechanism", "none",
			}
			if p == betweenHosts {
				return nil, append(argv, "--mca", "btl", "tcp,self", "--mca", "btl_tcp_if_include", "lo")
			}
			return nil, append(argv, "--mca", "btl", "vader,self")
		},
	}
}

// mpich is built over UCX in Debian: NOLOCAL takes MPICH's own shared memory away, UCX_TLS that of UCX. Over TCP, version 4.0.2
// often does not get out of MPI_Finalize: one rank waits for its launcher and no longer serves the others, which close their
// connections to it.
func mpich() build {
	return build{
		name: "MPICH", cc: []string{"mpicc.mpich", "-O3"}, suffix: ".mpich",
		needs: []string{"mpicc.mpich", "mpirun.mpich"}, packages: "mpich libmpich-dev",
		launch: func(p place, ranks int) (env, argv []string) {
			argv = []string{"mpirun.mpich", "-np", strconv.Itoa(ranks)}
			if p == betweenHosts {
				return []string{"MPIR_CVAR_NOLOCAL=1", "UCX_TLS=tcp,self", "UCX_NET_DEVICES=lo"}, argv
			}
			return nil, argv
		},
	}
}

// installed says whether the build can be used, and tells the user how it could.
func (m build) installed() bool {
	for _, name := range m.needs {
		if _, err := exec.LookPath(name); err != nil {
			fmt.Fprintf(os.Stderr, "bench: no %s: install %s to compare with %s\n", name, m.packages, m.name)
			return false
		}
	}
	return true
}

// compile makes a program in dir from one source, and returns its path.
func (m build) compile(ctx context.Context, dir, source string) (string, error) {
	bin := filepath.Join(dir, strings.TrimSuffix(filepath.Base(source), ".c")+m.suffix)
	_, err := output(ctx, os.Environ(), slices.Concat(m.cc, []string{"-o", bin, source})...)
	return bin, err
}

// run runs a program and returns what it prints; env is this process's, with GODWIT_ADDR.
func (m build) run(ctx context.Context, env []string, p place, ranks int, bin string, args ...string) (string, error) {
	out, _, err := m.runLines(ctx, env, p, ranks, 0, bin, args...)
	return out, err
}

// runLines is run for a program that may not end after so many lines, as outputLines says.
func (m build) runLines(ctx context.Context, env []string, p place, ranks, lines int, bin string, args ...string) (out string, ended bool, err error) {
	more, argv := m.launch(p, ranks)
	return outputLines(ctx, slices.Concat(env, more), lines, slices.Concat(argv, []string{bin}, args)...)
}
