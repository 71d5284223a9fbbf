package native

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Compiler makes objects with clang.
type Compiler struct {
	Clang   string // command; default: clang-19 in PATH, else clang
	Level   string // of the processor, as -march has it; default: Level()
	Workers int    // how many files it compiles at a time; default 2
	Memory  uint64 // most address space of one clang, in bytes; default 4 GiB
	Dir     string // for its files, in a directory of their own; what a process has left there that was killed is removed; default: os.TempDir
	O       string // optimisation; default Best
	// Watch, if set, is told how far it is.
	Watch *Progress
	// Started, if set, is told each process of clang's, and what it returns whether that was killed by a signal. Neither may block.
	Started func(pid int) (ended func(killed bool))
}

// ErrNoCompiler is returned when no clang is installed.
var ErrNoCompiler = errors.New("no clang is installed here: install clang-19 and lld-19")

// Fault is an error of Compile's that another try would end in as well: the module is to blame for it, or the compiler.
type Fault struct{ Err error }

// Error implements error.
func (f Fault) Error() string { return f.Err.Error() }

// Unwrap returns the error.
func (f Fault) Unwrap() error { return f.Err }

// flags are what every object is compiled with. Results are those of the specification, whatever the processor could do faster; a stack can be walked, and shows all functions.
var flags = []string{ //nolint:gochecknoglobals // an immutable list
	"-ffp-contract=off", "-fwrapv", "-fno-strict-aliasing", "-fno-math-errno", "-fno-finite-loops", "-fPIC", "-fno-plt", "-fno-stack-protector", "-fno-omit-frame-pointer",
	"-mno-omit-leaf-frame-pointer", "-fno-optimize-sibling-calls", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables", "-fno-ident", "-std=gnu11", "-w", "-nostdlibinc",
}

// linking makes one object of the parts: all that it needs is in it.
var linking = []string{"-shared", "-nostdlib", "-fuse-ld=lld", "-Wl,-Bsymbolic,-z,defs,-z,noexecstack,-z,relro,--build-id=none"} //nolint:gochecknoglobals // an immutable list

// find returns the compiler's command.
func (c Compiler) find() (string, error) {
	for _, name := range []string{c.Clang, "clang-19", "clang"} {
		if name == "" {
			continue
		}
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrNoCompiler
}

// Recipe says how this compiler makes objects. It asks clang for its version. The error of a machine without one is ErrNoCompiler.
func (c Compiler) Recipe(ctx context.Context) (Recipe, error) {
	clang, err := c.find()
	if err != nil {
		return Recipe{}, err
	}
	version, err := exec.CommandContext(ctx, clang, "--version").Output()
	if err != nil {
		return Recipe{}, fmt.Errorf("%s --version: %w", clang, err)
	}
	first, _, _ := strings.Cut(string(version), "\n")
	return Recipe{Translator: Version, Flags: FlagsHash(), Level: c.level(), O: c.optimisation(), Compiler: printable(first)}, nil
}

// printable is what is told of a compiler's name.
func printable(name string) string {
	const most = 128
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, name)
	return name[:min(len(name), most)]
}

// FlagsHash is a hash of what compilers are given besides the processor and the optimisation.
func FlagsHash() string {
	sum := sha256.Sum256(fmt.Append(nil, flags, linking))
	return hex.EncodeToString(sum[:8])
}

func (c Compiler) level() string {
	if c.Level != "" {
		return c.Level
	}
	return Level()
}

func (c Compiler) optimisation() string {
	if c.O != "" {
		return c.O
	}
	return Best
}

// Compile makes an object of a module, which has been validated before. It blocks for as long as clang takes, and ends that when ctx ends. An error that is a Fault says nothing of this machine's state.
func (c Compiler) Compile(ctx context.Context, wasm []byte) ([]byte, error) {
	clang, err := c.find()
	if err != nil {
		return nil, err
	}
	m, err := decode(wasm)
	if err != nil {
		return nil, Fault{err}
	}
	s, err := translate(m)
	if err != nil {
		return nil, Fault{err}
	}
	dir, done, err := workDir(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("compile: %w", err)
	}
	defer done()
	objects, err := c.parts(ctx, clang, dir, s)
	if err != nil {
		return nil, err
	}
	out := filepath.Join(dir, "object.so")
	args := append(append([]string{}, linking...), "-o", out)
	if err := c.run(ctx, clang, dir, append(args, objects...)); err != nil {
		return nil, err
	}
	object, err := os.ReadFile(out)
	if err != nil {
		return nil, fmt.Errorf("compile: %w", err)
	}
	return object, nil
}

// parts compiles the files of a module, some at a time.
func (c Compiler) parts(ctx context.Context, clang, dir string, s *source) ([]string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := os.WriteFile(filepath.Join(dir, "module.h"), []byte(s.header), 0o600); err != nil {
		return nil, fmt.Errorf("compile: %w", err)
	}
	objects, errs := make([]string, len(s.parts)), make([]error, len(s.parts))
	next := make(chan int, len(s.parts))
	for i, part := range s.parts {
		next <- i
		name := filepath.Join(dir, fmt.Sprintf("part%d", i))
		objects[i] = name + ".o"
		c.Watch.add(0, 1)
		if err := os.WriteFile(name+".c", []byte("#include \"module.h\"\n"+part), 0o600); err != nil {
			return nil, fmt.Errorf("compile: %w", err)
		}
	}
	close(next)
	var running sync.WaitGroup
	for range max(c.Workers, min(2, len(s.parts))) {
		running.Go(func() {
			for i := range next {
				args := append([]string{"-c", c.optimisation(), "-march=" + c.level()}, flags...)
				args = append(args, "-o", objects[i], strings.TrimSuffix(objects[i], ".o")+".c")
				if errs[i] = c.run(ctx, clang, dir, args); errs[i] != nil {
					cancel()
				}
				c.Watch.add(1, 0)
			}
		})
	}
	running.Wait()
	return objects, errors.Join(errs...)
}

// maxSaid bounds what is told of a compiler's complaints, in bytes.
const maxSaid = 2 << 10

// Bounds on one run of clang.
const (
	maxMemory = 4 << 30 // bytes of address space, unless Compiler says otherwise
	maxFile   = 1 << 30 // bytes of a file that it writes
	maxCPU    = 30 * 60 // seconds of processor time
)

// run runs the compiler in its jail, with the least priority and bounds on what it takes. It and what it has started end with ctx, and clang with this process.
func (c Compiler) run(ctx context.Context, clang, dir string, args []string) error {
	return onThread(func() error {
		if _, err := confine(dir, toolsOf(clang)); err != nil { // what is lacking is told when a worker starts (Lacking)
			return fmt.Errorf("clang's jail: %w", err)
		}
		return c.child(ctx, clang, dir, args)
	})
}

// child runs the compiler as a child of the calling thread.
func (c Compiler) child(ctx context.Context, clang, dir string, args []string) error {
	cmd := exec.CommandContext(ctx, clang, args...)
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + dir, "LC_ALL=C"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) } // the linker, too
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("compile: %w", err)
	}
	if c.Started != nil {
		ended := c.Started(cmd.Process.Pid)
		defer func() {
			status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
			ended(ok && status.Signaled())
		}()
	}
	c.Watch.begins(cmd.Process.Pid)
	defer func() { c.Watch.ends(cmd.Process.Pid, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()) }()
	memory := c.Memory
	if memory == 0 {
		memory = maxMemory
	}
	_ = onThread(func() error { // another than the jail's, which may not set limits of others
		for what, most := range map[int]uint64{unix.RLIMIT_AS: memory, unix.RLIMIT_FSIZE: maxFile, unix.RLIMIT_CPU: maxCPU, unix.RLIMIT_CORE: 0} {
			_ = unix.Prlimit(cmd.Process.Pid, what, &unix.Rlimit{Cur: most, Max: most}, nil) // it may have ended
		}
		return unix.Setpriority(unix.PRIO_PROCESS, cmd.Process.Pid, 10)
	})
	if err := cmd.Wait(); err != nil {
		text := said.Bytes()
		err = fmt.Errorf("clang: %w: %s", err, bytes.TrimSpace(text[:min(len(text), maxSaid)]))
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && (status.Exited() && !lacksRoom(text) || status.Signaled() && status.Signal() == unix.SIGXCPU) {
			err = Fault{err}
		}
		return err
	}
	return nil
}

// lacksRoom says whether a compiler's complaints are of the disk.
func lacksRoom(said []byte) bool {
	said = bytes.ToLower(said)
	for _, err := range []error{unix.ENOSPC, unix.EDQUOT, unix.EIO, unix.EROFS} {
		if bytes.Contains(said, []byte(err.Error())) {
			return true
		}
	}
	return false
}
