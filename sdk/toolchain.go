package sdk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Lang is the language that a driver is called for.
type Lang uint8

// The languages: C is `godwit cc` (mpicc), CXX is `godwit c++` (mpicxx, mpic++).
const (
	C Lang = iota
	CXX
)

// String is the name of the command.
func (l Lang) String() string {
	if l == CXX {
		return "godwit c++"
	}
	return "godwit cc"
}

// packages is what to install when something is missing.
const packages = "install the Debian packages clang lld wasi-libc libclang-rt-14-dev-wasm32 " +
	"libc++-14-dev-wasm32 libc++abi-14-dev-wasm32 binaryen"

// ErrNoTool is returned when clang or wasm-opt is not installed.
var ErrNoTool = errors.New("tool not found")

// Toolchain builds guests. The zero value uses what is installed.
type Toolchain struct {
	Clang   string // C compiler; default: clang in PATH
	ClangXX string // C++ compiler; default: clang++ in PATH
	WasmOpt string // default: wasm-opt in PATH
	Sysroot string // wasi-libc's root; default: the one clang knows (Debian's)
	Dir     string // where headers and glue are unpacked; default: godwit below the user's cache directory
	Version string // of Godwit, for -showme:version
}

// Run is `godwit cc ARGS` or `godwit c++ ARGS`: it runs the tools in the current directory, blocks until
// they end or ctx does, and returns the exit code for the process: 0, that of the first tool that failed,
// or 1 if no tool could be run. What -show prints goes to stdout; errors go to stderr.
func (t Toolchain) Run(ctx context.Context, lang Lang, args []string, stdout, stderr io.Writer) int {
	code, err := t.run(ctx, lang, args, stdout, stderr)
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", lang, err)
		if code == 0 {
			code = 1
		}
	}
	return code
}

func (t Toolchain) run(ctx context.Context, lang Lang, args []string, stdout, stderr io.Writer) (int, error) {
	a, err := parse(args)
	if err != nil {
		return 1, err
	}
	for _, note := range a.notes {
		fmt.Fprintf(stderr, "%s: note: %s\n", lang, note)
	}
	p, err := t.locate(lang, a)
	if err != nil {
		return 1, err
	}
	if a.show != showNothing {
		t.print(stdout, lang, a, p)
		return 0, nil
	}
	if a.vectors != "" {
		if err := refuseVectors(ctx, lang, p, a.vectors); err != nil {
			return 1, err
		}
	}
	scratch, err := os.MkdirTemp("", "godwit-cc-")
	if err != nil {
		return 1, fmt.Errorf("scratch directory: %w", err)
	}
	defer os.RemoveAll(scratch) //nolint:errcheck // what is left is harmless
	p.glue, p.linked = filepath.Join(scratch, "godwit_glue.o"), filepath.Join(scratch, "linked.wasm")
	if a.mode == modeLink {
		if a.rest, err = indexArchives(a.rest, scratch); err != nil {
			return 1, err
		}
	}
	for _, command := range commands(lang, a, p) {
		if code, err := execute(ctx, command, stdout, stderr); err != nil || code != 0 {
			t.hint(lang, a, stderr)
			return code, err
		}
		for _, file := range made(command, a, p) {
			if err := checkMade(ctx, lang, a, p, file); err != nil {
				return 1, err
			}
		}
	}
	if a.mode == modeLink {
		// Build systems take an output that is not executable for a failure.
		if err := os.Chmod(a.target(), 0o755); err != nil {
			return 1, fmt.Errorf("output: %w", err)
		}
	}
	return 0, nil
}

// chosen is the compiler that the user asks for instead of clang, and by what: an option, or the environment.
func chosen(lang Lang, a arguments) (words []string, by string) {
	if a.driver != "" {
		return SplitWords(a.driver), "the -cc or -cxx option"
	}
	names := []string{"MPI_CC", "OMPI_CC", "MPICH_CC"}
	if lang == CXX {
		names = []string{"MPI_CXX", "OMPI_CXX", "MPICH_CXX"}
	}
	for _, name := range names {
		if words := SplitWords(os.Getenv(name)); len(words) > 0 {
			return words, name
		}
	}
	return nil, ""
}

// locate finds the tools and unpacks the SDK.
func (t Toolchain) locate(lang Lang, a arguments) (paths, error) {
	p := paths{clang: t.Clang, clangXX: t.ClangXX, wasmOpt: t.WasmOpt, sysroot: t.Sysroot}
	needed := map[string]*string{"clang": &p.clang, "clang++": &p.clangXX}
	if words, _ := chosen(lang, a); len(words) > 0 {
		if p.driverArgs = words[1:]; lang == CXX {
			p.clangXX = words[0]
		} else {
			p.clang = words[0]
		}
	}
	if a.mode == modeLink && a.show < showIncludeDirs {
		needed["wasm-opt"] = &p.wasmOpt
	}
	for name, tool := range needed {
		if *tool == "" {
			*tool = name
		}
		found, err := exec.LookPath(*tool)
		if err != nil {
			return paths{}, fmt.Errorf("%w: %s: %s", ErrNoTool, *tool, packages)
		}
		*tool = found
	}
	base := t.Dir
	if base == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			cache = os.TempDir()
		}
		base = filepath.Join(cache, "godwit")
	}
	var err error
	if p.sdk, err = unpack(base); err != nil {
		return paths{}, err
	}
	if p.work, err = os.Getwd(); err != nil {
		return paths{}, fmt.Errorf("current directory: %w", err)
	}
	return p, nil
}

// execute runs one tool. The error is for a tool that could not be run at all.
func execute(ctx context.Context, command []string, stdout, stderr io.Writer) (int, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, stdout, stderr
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return exit.ExitCode(), nil
	case err != nil:
		return 1, fmt.Errorf("%s: %w", filepath.Base(command[0]), err)
	}
	return 0, nil
}

// hint adds what may have to be changed: the compiler that the user chose, or a library that is missing.
func (t Toolchain) hint(lang Lang, a arguments, stderr io.Writer) {
	if words, by := chosen(lang, a); len(words) > 0 && !strings.Contains(words[len(words)-1], "clang") {
		fmt.Fprintf(stderr, "%s: the compiler is %s because of %s; it has to be a clang that knows wasm32\n", lang, quote(words), by)
	}
	if t.Sysroot != "" {
		return
	}
	needed := []string{wasiHeaders + "/stdio.h", "/usr/lib/wasm32-wasi/libc.a"}
	if lang == CXX {
		needed = append(needed, "/usr/lib/wasm32-wasi/libc++.a")
	}
	for _, file := range needed {
		if _, err := os.Stat(file); err != nil {
			fmt.Fprintf(stderr, "%s: %s is missing: %s\n", lang, file, packages)
			return
		}
	}
}
