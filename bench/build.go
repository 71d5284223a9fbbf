package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// place is where the ranks of a program are: on the first hosts of a network, in blocks of the same size.
type place struct {
	network *network
	hosts   int
}

// String is how a row ends.
func (p place) String() string {
	if p.hosts == 1 {
		return "on one host"
	}
	return fmt.Sprintf("between %d %s", p.hosts, p.network.noun)
}

// blocks names the hosts, each with how many of the ranks it has.
func (p place) blocks(names []string, ranks int) string {
	blocks := make([]string, p.hosts)
	for i := range blocks {
		blocks[i] = fmt.Sprintf("%s:%d", names[i], ranks/p.hosts)
	}
	return strings.Join(blocks, ",")
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
			var workers []string
			for i := range p.hosts {
				workers = append(workers, fmt.Sprintf("w%d", i+1))
			}
			argv = []string{b.godwit, "run", "-q", "-n", strconv.Itoa(ranks), "--place", p.blocks(workers, ranks)}
			if b.volume != "" { // at the same place as for the peers
				argv = append(argv, "--mount", "bench:"+b.volume)
			}
			return nil, argv
		},
	}
}

// openMPI takes shared memory within a host, and TCP between hosts. The ranks may not read each other's memory: a container
// does not always let them. Of hosts that are one machine it does not see that they share its processors, so it is told.
func openMPI() build {
	return build{
		name: "Open MPI", cc: []string{"mpicc.openmpi", "-O3"}, suffix: ".openmpi",
		needs: []string{"mpicc.openmpi", "mpirun.openmpi"}, packages: "openmpi-bin libopenmpi-dev",
		launch: func(p place, ranks int) (env, argv []string) {
			argv = []string{
				"mpirun.openmpi", "--allow-run-as-root", "--oversubscribe", "-np", strconv.Itoa(ranks),
				"--mca", "pml", "ob1", "--mca", "btl_vader_single_copy_mechanism", "none",
			}
			if p.hosts == 1 {
				return nil, append(argv, "--mca", "btl", "vader,self")
			}
			if ranks > runtime.NumCPU() {
				argv = append(argv, "--mca", "mpi_yield_when_idle", "1")
			}
			return nil, append(argv, "--host", p.blocks(p.network.addrs, ranks), "--map-by", "slot", "--bind-to", "none",
				"--mca", "plm_rsh_agent", p.network.agent, "--mca", "oob_tcp_if_include", p.network.device,
				"--mca", "btl", "tcp,vader,self", "--mca", "btl_tcp_if_include", p.network.device)
		},
	}
}

// mpich is built over UCX in Debian, which gets TCP only: within a host MPICH has shared memory of its own. Over TCP, version
// 4.0.2 often does not get out of MPI_Finalize: one rank waits for its launcher and no longer serves the others, which close
// their connections to it.
func mpich() build {
	return build{
		name: "MPICH", cc: []string{"mpicc.mpich", "-O3"}, suffix: ".mpich",
		needs: []string{"mpicc.mpich", "mpirun.mpich"}, packages: "mpich libmpich-dev",
		launch: func(p place, ranks int) (env, argv []string) {
			argv = []string{"mpirun.mpich", "-np", strconv.Itoa(ranks)}
			if p.hosts == 1 {
				return nil, argv
			}
			return []string{"UCX_TLS=tcp,self", "UCX_NET_DEVICES=" + p.network.device}, append(argv, "-iface", p.network.device,
				"-launcher", "ssh", "-launcher-exec", p.network.agent, "-hosts", p.blocks(p.network.addrs, ranks))
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
	more, argv := m.launch(p, ranks)
	return output(ctx, slices.Concat(env, more), slices.Concat(p.network.enter, argv, []string{bin}, args)...)
}
