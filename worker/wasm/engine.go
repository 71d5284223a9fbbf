package wasm

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/godwit-run/godwit/worker/native"
)

// Config is an Engine's configuration.
type Config struct {
	CacheDir         string // where Compile keeps compiled code, shared with other processes; default: not kept
	MemoryLimitPages uint32 // most memory of one guest, in pages of 64 KiB; default 65,536 (4 GiB)
	MemoryBytes      int64  // most memory of all guests together; default: no limit
	CompileWorkers   int    // goroutines that compile one module; default 2
	Engine           string // what runs guests: EngineWazero, EngineNative or EngineAuto; default EngineWazero
	Optimize         string // for tests and measurements: Compile has clang make a module's code for the native engine itself, optimised like this, before it returns; default: code comes by Offer
	ExactNaNs        bool   // results that are not a number have the bits that amd64 gives them, on every processor; default: those of this one
}

// Engines.
const (
	EngineWazero = "wazero"
	EngineNative = "native" // guests run in the code of clang's that is offered for their module: who offers it does so before the first guest is made, if there can be any
	EngineAuto   = "auto"   // the same, but that nobody waits for it: guests begin in wazero, and go on in the native engine
)

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{MemoryLimitPages: maxMemoryPages, CompileWorkers: 2, Engine: EngineWazero}
}

// Validate reports the first value that cannot work.
func (c Config) Validate() error {
	switch {
	case c.MemoryLimitPages < 1 || c.MemoryLimitPages > maxMemoryPages:
		return fmt.Errorf("wasm config: memory limit of %d pages is not in 1..%d", c.MemoryLimitPages, maxMemoryPages)
	case c.Engine != EngineWazero && c.Engine != EngineNative && c.Engine != EngineAuto:
		return fmt.Errorf("wasm config: engine %q is none of %s, %s and %s", c.Engine, EngineWazero, EngineNative, EngineAuto)
	case c.MemoryBytes < 0:
		return fmt.Errorf("wasm config: memory of %d bytes", c.MemoryBytes)
	case c.CompileWorkers < 1:
		return fmt.Errorf("wasm config: %d compile workers", c.CompileWorkers)
	}
	return nil
}

// Engine compiles modules and holds what their guests share: the host functions, the compiled code and
// the count of running guests. Its methods may be called from any goroutine.
type Engine struct {
	config   Config
	hosts    map[string]hostFunction // by module and name, with a point between them
	activity Activity
	budget   *budget

	mu        sync.Mutex           // guards compilers
	compilers map[string]*compiler // by the directory of their code; "": it is not kept
}

// compiler is a wazero runtime, which keeps what it compiles in one directory.
type compiler struct {
	wazero.Runtime
	cache wazero.CompilationCache
}

// NewEngine creates the cache directory if need be, and instantiates the host functions. Zero values of
// cfg stand for the defaults. A cache directory that cannot be made, or used, costs time and nothing else.
func NewEngine(ctx context.Context, cfg Config) (*Engine, error) {
	defaults := DefaultConfig()
	if cfg.MemoryLimitPages == 0 {
		cfg.MemoryLimitPages = defaults.MemoryLimitPages
	}
	if cfg.Engine == "" {
		cfg.Engine = defaults.Engine
	}
	if cfg.CompileWorkers == 0 {
		cfg.CompileWorkers = defaults.CompileWorkers
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	e := &Engine{config: cfg, hosts: map[string]hostFunction{}, budget: newBudget(uint64(cfg.MemoryBytes)), compilers: map[string]*compiler{}}
	for _, f := range hostFunctions() {
		e.hosts[f.module+"."+f.name] = f
	}
	if _, err := e.compilerOf(ctx, cfg.CacheDir); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *Engine) runtimeConfig() wazero.RuntimeConfig {
	// What a guest may grow to its Memory decides, which notes what it refuses.
	return wazero.NewRuntimeConfig().WithCoreFeatures(api.CoreFeaturesV2).WithMemoryLimitPages(maxMemoryPages)
}

// compilerOf is the runtime that keeps compiled code in dir, made at the first call. Where that cannot be, it keeps none.
func (e *Engine) compilerOf(ctx context.Context, dir string) (*compiler, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r := e.compilers[dir]; r != nil {
		return r, nil
	}
	cache := wazero.NewCompilationCache()
	if dir != "" {
		if kept, err := wazero.NewCompilationCacheWithDir(dir); err == nil {
			cache = kept
		}
	}
	r := &compiler{wazero.NewRuntimeWithConfig(ctx, e.runtimeConfig().WithCompilationCache(cache)), cache}
	if err := instantiateHosts(ctx, r.Runtime, slices.Collect(maps.Values(e.hosts))); err != nil {
		return nil, errors.Join(err, r.close(ctx))
	}
	e.compilers[dir] = r
	return r, nil
}

func (r *compiler) close(ctx context.Context) error {
	return errors.Join(r.Close(ctx), r.cache.Close(ctx))
}

// Close frees all modules. Guests must have been closed before.
func (e *Engine) Close(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var err error
	for _, r := range e.compilers {
		err = errors.Join(err, r.close(ctx))
	}
	if err != nil {
		return fmt.Errorf("close engine: %w", err)
	}
	return nil
}

// InUse is how many bytes of memory guests have that are not closed.
func (e *Engine) InUse() uint64 { return e.budget.inUse() }

// Activity counts this engine's guests inside machine code.
func (e *Engine) Activity() *Activity { return &e.activity }

// Module is a compiled module. It may make any number of guests, from any goroutine.
type Module struct {
	engine   *Engine
	info     Info
	digest   [sha256.Size]byte
	compiled wazero.CompiledModule
	runtime  wazero.Runtime // that compiled it
	native   *machineCode   // nil: its guests run in wazero alone
}

// Close frees the compiled code. Guests of it must have been closed before.
func (m *Module) Close(ctx context.Context) error {
	err := m.compiled.Close(ctx)
	if m.native != nil {
		err = errors.Join(err, m.native.close())
	}
	if err != nil {
		return fmt.Errorf("close module: %w", err)
	}
	return nil
}

// Info describes the module.
func (m *Module) Info() Info { return m.info }

// Compile checks and compiles a module, or takes the code from the cache. It blocks for as long as the
// compiler takes: milliseconds to seconds. Errors are ErrModule with the reason: not a module, cut short,
// unknown or mistyped imports (all are listed), features that are off, more memory than the limit.
func (e *Engine) Compile(ctx context.Context, wasm []byte) (*Module, error) {
	return e.CompileIn(ctx, e.config.CacheDir, wasm)
}

// CompileIn is Compile of a module whose compiled code has a directory of its own; "": it is not kept.
func (e *Engine) CompileIn(ctx context.Context, dir string, wasm []byte) (*Module, error) {
	info, err := Inspect(wasm)
	if err != nil {
		return nil, err
	}
	if err := e.checkImports(info.Imports); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModule, err)
	}
	if info.MemoryMinPages > e.config.MemoryLimitPages {
		return nil, fmt.Errorf("%w: %w: needs %d KiB of memory to start, the limit is %d KiB",
			ErrModule, ErrMemoryLimit, info.MemoryMinPages*(pageSize>>10), uint64(e.config.MemoryLimitPages)*(pageSize>>10))
	}
	info.MemoryMaxPages = min(info.MemoryMaxPages, e.config.MemoryLimitPages)
	compiled, runtime, err := e.compile(experimental.WithCompilationWorkers(ctx, e.config.CompileWorkers), dir, e.code(wasm))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModule, err)
	}
	if err := e.checkSignatures(compiled); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrModule, err), compiled.Close(ctx))
	}
	m := &Module{engine: e, info: info, digest: sha256.Sum256(wasm), compiled: compiled, runtime: runtime}
	if e.config.Engine != EngineWazero {
		imports := make([]hostFunction, len(info.Imports))
		for i, full := range info.Imports {
			imports[i] = e.hosts[full]
		}
		m.native = newMachineCode(imports, wasm)
		if e.config.Optimize != "" {
			m.native.make(ctx, native.Compiler{O: e.config.Optimize, Dir: dir}, dir)
		}
	}
	return m, nil
}

// code is what is compiled of a module. What is kept of compiled code is named by its hash, so that one directory may have a module in both forms.
func (e *Engine) code(wasm []byte) []byte {
	if ownNaN && e.config.ExactNaNs {
		return withNaNs(wasm)
	}
	return wasm
}

// compile compiles a module, or takes its code from the cache. Whatever is wrong with the cache, the module is compiled: a damaged
// entry is dropped, and where the disk is full, or broken, the code is not kept.
func (e *Engine) compile(ctx context.Context, dir string, wasm []byte) (wazero.CompiledModule, wazero.Runtime, error) {
	r, err := e.compilerOf(ctx, dir)
	if err != nil {
		return nil, nil, err
	}
	compiled, err := compileModule(ctx, r, wasm)
	if err == nil || dir == "" {
		return compiled, r, err //nolint:wrapcheck // the caller does
	}
	if strings.Contains(err.Error(), damagedCache) && dropCache(dir) == nil {
		if compiled, err = compileModule(ctx, r, wasm); err == nil {
			return compiled, r, nil
		}
	}
	plain, perr := e.compilerOf(ctx, "")
	if perr != nil {
		return nil, nil, errors.Join(err, perr)
	}
	compiled, err = compileModule(ctx, plain, wasm)
	return compiled, plain, err //nolint:wrapcheck // the caller does
}

// compileModule is the runtime's CompileModule. wazero looks at the modules' types before it has checked that they are there, and panics where a damaged module has
// one that is not: that is the module's fault, too.
func compileModule(ctx context.Context, r wazero.Runtime, wasm []byte) (compiled wazero.CompiledModule, err error) {
	defer func() {
		if p := recover(); p != nil {
			compiled, err = nil, fmt.Errorf("the module is damaged: the compiler fails with %q", fmt.Sprint(p))
		}
	}()
	return r.CompileModule(ctx, wasm) //nolint:wrapcheck // the caller does
}

// checkImports lists all imports that no host function answers.
func (e *Engine) checkImports(imports []string) error {
	var unknown []string
	for _, full := range imports {
		if _, ok := e.hosts[full]; !ok {
			unknown = append(unknown, full)
		}
	}
	if len(unknown) > 0 {
		return fmt.Errorf("unknown imports: %s", strings.Join(unknown, ", "))
	}
	return nil
}

// checkSignatures lists all imports whose types differ from the host functions'.
func (e *Engine) checkSignatures(compiled wazero.CompiledModule) error {
	var wrong []string
	for _, f := range compiled.ImportedFunctions() {
		module, name, _ := f.Import()
		host, ok := e.hosts[module+"."+name]
		if !ok || !slices.Equal(f.ParamTypes(), host.params) || !slices.Equal(f.ResultTypes(), host.results) {
			wrong = append(wrong, module+"."+name)
		}
	}
	for name, f := range compiled.ExportedFunctions() {
		params, ok := asyncifyExports[name]
		if name == exportStart || ok {
			if len(f.ParamTypes()) != params || len(f.ResultTypes()) != 0 {
				wrong = append(wrong, name)
			}
		}
	}
	if len(wrong) > 0 {
		slices.Sort(wrong)
		return fmt.Errorf("wrong parameters or results: %s", strings.Join(wrong, ", "))
	}
	return nil
}
