package wasm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/godwit-run/godwit/internal/files"
	"github.com/godwit-run/godwit/mpi"
	"github.com/godwit-run/godwit/worker/native"
)

// GuestConfig is what a guest is started with.
type GuestConfig struct {
	Args   []string    // with the program's name first
	Env    [][2]string // name and value
	Stdin  io.Reader   // nil: empty. For Restore: from its beginning; what was read before is skipped
	Stdout io.Writer   // nil: dropped. Written to by the guest's goroutine, which waits meanwhile
	Stderr io.Writer   // as Stdout
	Mounts []Mount     // what the guest sees of files, besides an empty root and a few devices
	Locks  Locker      // between the ranks that see these files; nil: there are none
	Dir    string      // where it begins: an absolute path; empty: in the root
	// Scratch is a directory of this host for files that have no name any more when the guest is restored; empty: os.TempDir.
	Scratch string
}

// guestState is where a guest is in its life.
type guestState uint8

const (
	ready    guestState = iota // instantiated, not run
	running                    // inside Run
	frozen                     // stack saved in its memory: may be captured, or run on
	ended                      // exited, trapped or stopped
	expected                   // to be filled and restored
)

// Guest is one rank's instance of a module. Run, Capture, Bind and Close belong to one goroutine at a
// time; Memory and Cancel may be used from any.
type Guest struct {
	module   *Module
	instance instance
	memory   *Memory
	stack    *callStack
	system   *system
	files    *descriptors
	start    function
	host     Host
	unwinder unwinder
	grade    int32 // of the native engine's code that it runs; 0: it is in wazero
	stays    bool  // it was tried to have it go on in the native engine, or in better code
	turning  bool  // it is being unwound for that
	runsIn   atomic.Pointer[place]
	nested   func(f function, stack []uint64) error // set by Run: how the host calls back
	state    guestState
	depth    int  // functions that the host has called back, one in another
	passed   bool // a loop in one of them has come to a point at which the rank may stop, and could not
	exited   bool // ended, by the program's own exit; false after Close

	callbacks map[uint32]*callback // by index in the function table
	unfreed   []uint32             // memory of the program that is to be freed when no exception is on its way any more
	fault     any                  // a panic of the host, on its way through the engine
	stopped   error                // why the host ended the guest

	cancelOnce  sync.Once
	cancelCh    chan struct{} // closed by Cancel
	cancelCause error         // set before cancelCh is closed
	terminal    termination
	cancelled   atomic.Bool // it is
	presence    *presence
}

// New instantiates a guest without running any of its code. It reserves addresses for the most memory
// that the guest may grow to.
func (m *Module) New(ctx context.Context, cfg GuestConfig) (*Guest, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	open, err := newDescriptors(cfg.Mounts, cfg.Scratch)
	if err != nil {
		return nil, err
	}
	open.begin, open.locker = cfg.Dir, cfg.Locks
	memory, err := newMemory(uint64(m.info.MemoryMaxPages)*pageSize, m.engine.budget, m.native != nil && native.Level() != "")
	if err != nil {
		return nil, err
	}
	// The engine cannot take a refusal for the first pages, so they are asked for here.
	if initial := uint64(m.info.MemoryMinPages) * pageSize; initial > 0 && memory.Reallocate(initial) == nil {
		return nil, errors.Join(fmt.Errorf("no memory: guest needs %d bytes to start", initial), memory.release())
	}
	stack, ok := newCallStack(m.engine.budget)
	if !ok {
		return nil, errors.Join(fmt.Errorf("no memory: guest needs %d bytes to start, and %d for its calls", m.info.MemoryMinPages*pageSize, stackLeast), memory.release())
	}
	g := &Guest{module: m, memory: memory, stack: stack, files: open, cancelCh: make(chan struct{}), terminal: termination{told: make(chan struct{})}, callbacks: map[uint32]*callback{}, presence: m.engine.activity.join()}
	g.system = &system{guest: g, stdin: cfg.Stdin, stdout: cfg.Stdout, stderr: cfg.Stderr, began: time.Now(), now: time.Now}
	g.system.configure(cfg)
	if g.instance, err = m.instantiate(&guestContext{ctx, g}, memory); err != nil {
		g.presence.quit()
		return nil, errors.Join(fmt.Errorf("instantiate: %w", err), memory.release(), stack.release())
	}
	if g.unwinder, err = newUnwinder(g.instance, memory, m.info); err != nil {
		return nil, errors.Join(err, g.Close(ctx))
	}
	g.start = g.instance.Function(exportStart)
	return g, nil
}

// instantiate makes an instance of the module, with this memory: in the native engine, if that can be.
func (m *Module) instantiate(ctx *guestContext, memory *Memory) (instance, error) {
	at := &place{engine: EngineWazero}
	ctx.guest.runsIn.Store(at)
	if m.native != nil {
		i, err := m.native.instantiate(ctx, memory, 0)
		if err == nil {
			ctx.guest.presence.released = true
			ctx.guest.runsIn.Store(&place{engine: EngineNative, grade: ctx.guest.grade})
			return i, nil
		}
		if !errors.Is(err, errNoCode) { // which may come
			at.why = err.Error()
		}
	}
	allocate := experimental.WithMemoryAllocator(ctx, experimental.MemoryAllocatorFunc(
		func(uint64, uint64) experimental.LinearMemory { return memory }))
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions()
	module, err := m.runtime.InstantiateModule(&guestContext{allocate, ctx.guest}, m.compiled, config)
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller does
	}
	return wazeroInstance{module, memory}, nil
}

// Memory is the guest's memory, until Close. It fits mpi.Memory.
func (g *Guest) Memory() *Memory { return g.memory }

// Bind sets what the guest's MPI calls reach. It is called before Run, and again before Run goes on with
// another host. A Host that calls guests back, as *mpi.Proc does, is told whom.
func (g *Guest) Bind(h Host) {
	g.host = h
	if b, ok := h.(interface{ Bind(mpi.Guest) }); ok {
		b.Bind(g)
	}
}

// CheckDir is ENOENT if the directory in which the guest begins is not there, ENOTDIR if something else is. It may wait for another host, and is for the guest's goroutine, before Run.
func (g *Guest) CheckDir() error {
	t := g.files.find(g.files.mounts[0], ".", g.files.begin)
	info, err := t.mount.Tree.Stat(t.path, true)
	if err == nil && info.Kind != files.Directory {
		return syscall.ENOTDIR
	}
	return err
}

// Ended tells whether the program has exited by itself. Its memory can be used, and captured, until Close.
func (g *Guest) Ended() bool { return g.exited }

// Migratable tells whether the guest can be frozen.
func (g *Guest) Migratable() bool { return g.module.info.Migratable }

// Cancel ends the guest with err at its next host call, output or sleep, and wakes it if it sleeps; in the native engine it ends wherever it computes. A guest
// that is blocked in Host.Invoke is woken by the host, not by this. Only the first call counts.
func (g *Guest) Cancel(err error) {
	g.cancelOnce.Do(func() {
		g.cancelCause = err
		g.cancelled.Store(true)
		close(g.cancelCh)
	})
}

// Preempt says whether the guest's loops are to come to a migration point, if it was built for that (godwit cc --preemptible). It may be called from any goroutine until Close; a guest
// that freezes takes it back by itself.
func (g *Guest) Preempt(wanted bool) {
	at := g.module.info.preempt
	if memory := g.memory.Bytes(); at != 0 && at%4 == 0 && uint64(at)+4 <= uint64(len(memory)) {
		word := uint32(0)
		if wanted {
			word = 1
		}
		atomic.StoreUint32((*uint32)(unsafe.Pointer(&memory[at])), word)
	}
}

// Close releases the guest's memory, and closes its files. The guest must not be running, and nobody may use its memory any
// more: above all, its rank must have been removed from the MPI world.
func (g *Guest) Close(ctx context.Context) error {
	if g.state == running {
		panic("wasm: guest closed while it runs")
	}
	g.state, g.exited = ended, false
	g.presence.quit()
	err := errors.Join(g.instance.Close(ctx), g.memory.release(), g.stack.release(), g.files.closeAll())
	if err != nil {
		return fmt.Errorf("close guest: %w", err)
	}
	return nil
}
