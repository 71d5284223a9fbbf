package executor

import (
	"context"
	"fmt"
	"strings"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/mpi"
	"github.com/godwit-run/godwit/worker/wasm"
)

// program is what a run of ranks runs.
type program struct {
	module *wasm.Module
	path   string // of the module
	args   []string
	env    [][2]string
	ranks  int
}

// compile compiles what the app's ranks run, all of it: a rank of any program may come here. A module is compiled once.
func (e *Executor) compile(ctx context.Context, list []*apiv1.ExecProgram) error {
	e.code.keep(ctx, list)
	for _, p := range list {
		module, err := e.code.module(ctx, p)
		if err != nil {
			if len(list) > 1 && len(p.Args) > 0 {
				return fmt.Errorf("%s: %w", p.Args[0], err)
			}
			return err
		}
		if p.Code != nil {
			e.offer(module, p.Code)
		}
		if name, why := module.Engine(); why != "" {
			e.log.Info("a module does not run in the native engine's best code yet", "engine", name, "program", p.Args[:min(1, len(p.Args))], "why", why)
		}
		env := make([][2]string, 0, len(p.Env))
		for _, kv := range p.Env {
			k, v, _ := strings.Cut(kv, "=")
			env = append(env, [2]string{k, v})
		}
		e.programs = append(e.programs, program{module, p.ModulePath, p.Args, env, int(p.Ranks)})
	}
	return nil
}

// started is the same for the MPI library.
func started(list []*apiv1.ExecProgram) []mpi.Program {
	var out []mpi.Program
	for _, p := range list {
		run := mpi.Program{Ranks: int(p.Ranks)}
		if len(p.Args) > 0 {
			run.Command, run.Args = p.Args[0], p.Args[1:]
		}
		out = append(out, run)
	}
	return out
}

// programOf is what a rank runs.
func (e *Executor) programOf(rank mpi.Rank) (*program, error) {
	left := int(rank)
	for i := range e.programs {
		if left -= e.programs[i].ranks; left < 0 {
			return &e.programs[i], nil
		}
	}
	return nil, fmt.Errorf("executor: rank %d has no program", rank)
}
