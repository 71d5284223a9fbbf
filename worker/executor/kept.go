package executor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/worker/wasm"
)

// kept is what an executor keeps from one app to the next: compiled modules, which no guest can change. Those of the last app alone stay.
type kept struct {
	engine  *wasm.Engine
	config  wasm.Config             // of engine, but for where it keeps code
	modules map[string]*wasm.Module // by file, which is named by what is in it
	left    error                   // of what the app before had, and could not be freed: this one begins all the same, and is the last of its process
}

// engineOf is the engine for such guests: the one that there is, if it is.
func (k *kept) engineOf(ctx context.Context, cfg wasm.Config) (*wasm.Engine, error) {
	same := cfg
	same.CacheDir = ""
	if k.engine != nil && k.config == same {
		return k.engine, nil
	}
	if k.engine != nil {
		k.left = errors.Join(k.left, k.engine.Close(ctx))
	}
	engine, err := wasm.NewEngine(ctx, cfg)
	if err != nil {
		return nil, err
	}
	*k = kept{engine: engine, config: same, modules: map[string]*wasm.Module{}, left: k.left}
	return engine, nil
}

// keep frees the modules that none of these programs is.
func (k *kept) keep(ctx context.Context, list []*apiv1.ExecProgram) {
	wanted := map[string]bool{}
	for _, p := range list {
		wanted[p.ModulePath] = true
	}
	maps.DeleteFunc(k.modules, func(path string, m *wasm.Module) bool {
		if !wanted[path] {
			k.left = errors.Join(k.left, m.Close(ctx))
		}
		return !wanted[path]
	})
}

// module is a program's, compiled if it is not yet.
func (k *kept) module(ctx context.Context, p *apiv1.ExecProgram) (*wasm.Module, error) {
	if m := k.modules[p.ModulePath]; m != nil {
		return m, nil
	}
	code, err := os.ReadFile(p.ModulePath)
	if err != nil {
		return nil, fmt.Errorf("executor: read the module: %w", err)
	}
	m, err := k.engine.CompileIn(ctx, p.CacheDir, code)
	if err == nil {
		k.modules[p.ModulePath] = m
	}
	return m, err
}
