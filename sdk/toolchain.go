package sdk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// packages is what to install when something is missing.
const packages = "install the Debian packages clang-19 lld-19 llvm-19 libclang-rt-19-dev-wasm32 wasi-libc binaryen"

// ErrNoTool is returned when clang or wasm-opt is not installed.
var ErrNoTool = errors.New("tool not found")

// Toolchain builds guests. The zero value uses what is installed.
type Toolchain struct {
	Clang   string // C compiler; default: clang-19 in PATH, else clang
	ClangXX string // C++ compiler; default: clang++-19 in PATH, else clang++
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
	if a.mode == modeLink {
		a.notes = append(a.notes, a.linkNotes...)
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
	if a.mode != modeLink {
		return t.partial(ctx, lang, a, p, stdout, stderr)
	}
	if err := a.checkTarget(); err != nil {
		return 1, err
	}
	if p.scratch, err = os.MkdirTemp("", "godwit-cc-"); err != nil {
		return 1, fmt.Errorf("scratch directory: %w", err)
	}
	defer os.RemoveAll(p.scratch) //nolint:errcheck // what is left is harmless
	return t.link(ctx, lang, a, p, stdout, stderr)
}

// partial runs clang alone, and finishes the objects that it makes.
func (t Toolchain) partial(ctx context.Context, lang Lang, a arguments, p paths, stdout, stderr io.Writer) (int, error) {
	command := planned(lang, a, p).alone
	if code, err := t.step(ctx, lang, a, command, stdout, stderr); err != nil || code != 0 {
		return code, err
	}
	for _, file := range a.objects() {
		if err := setMadeApart(ctx, a.commandFor(command, file), file); err != nil {
			return 1, err
		}
		if err := checkMade(ctx, lang, a, p, file); err != nil {
			return 1, err
		}
		if a.common {
			if err := makeCommon(file); err != nil {
				return 1, err
			}
		}
		if !a.preempt {
			continue
		}
		if err := markPreemptible(file); err != nil {
			return 1, err
		}
	}
	return 0, nil
}

// link compiles what is to be compiled, links it, and has wasm-opt finish it.
func (t Toolchain) link(ctx context.Context, lang Lang, a arguments, p paths, stdout, stderr io.Writer) (int, error) {
	do := planned(lang, a, p)
	if code, err := t.objects(ctx, lang, a, do, stdout, stderr); err != nil || code != 0 {
		return code, err
	}
	files, err := indexArchives(do.files, p.scratch)
	if err != nil {
		return 1, err
	}
	libraries := p.librariesOf(ctx, lang, a, files)
	calls := redirects{dir: p.scratch, libraries: libraries}
	calls.read(files, do.fileNames())
	n, err := needsOf(files, libraries.cxx)
	if err != nil {
		return 1, err
	}
	if code, err := t.glue(ctx, lang, a, p, do, n, calls.types, stdout, stderr); err != nil || code != 0 {
		return code, err
	}
	calls.types.addLibrary(p.scratchFile("godwit_glue.o"), "godwit_glue.o")
	for _, library := range libraries.c {
		calls.types.addLibrary(library, library)
	}
	if files, err = calls.redirect(); err != nil {
		return 1, err
	}
	files, own, err := p.setApart(calls.types, libraries, files)
	if err != nil {
		return 1, err
	}
	between, err := calls.archive()
	if err != nil {
		return 1, err
	}
	between = slices.Concat(between, calls.types.mainFlags(), n.endFlags())
	if !a.preempt && markedPreemptible(files) {
		a.preempt = true
		between = append(between, preemptFlags()...)
	}
	command := func(more []string) []string { return own(do.linker(files, n.any(), append(between, more...)...)) }
	if code, err := t.linkObjects(ctx, lang, a, p, do, &calls, command, stdout, stderr); err != nil || code != 0 {
		return code, err
	}
	if err := n.markEnds(p.linked()); err != nil {
		return 1, fmt.Errorf("destructors: %w", err)
	}
	if a.preempt {
		if a.debug {
			fmt.Fprintf(stderr, "%s: note: a trap tells no lines: %s leaves out what -g gives\n", lang, preemptible)
		}
		if err := makePreemptible(p.linked()); err != nil {
			return 1, fmt.Errorf("%s: %w", preemptible, err)
		}
	}
	if code, err := t.step(ctx, lang, a, do.optimise, stdout, stderr); err != nil || code != 0 {
		return code, errors.Join(err, removeOutput(a.target()))
	}
	if err := checkWhole(a.target()); err != nil {
		return 1, err
	}
	if !isFile(a.target()) {
		return 0, nil // a device, whose mode is others' affair
	}
	// Build systems take an output that is not executable for a failure.
	if err := os.Chmod(a.target(), 0o755); err != nil {
		return 1, fmt.Errorf("output: %w", err)
	}
	return 0, nil
}

// objects makes those of a link's sources.
func (t Toolchain) objects(ctx context.Context, lang Lang, a arguments, do plan, stdout, stderr io.Writer) (int, error) {
	if code, err := t.compile(ctx, lang, a, do.compiles, stdout, stderr); err != nil || code != 0 {
		return code, err
	}
	for i, s := range do.sources {
		if err := setMadeApart(ctx, do.compiles[i], s.object); err != nil {
			return 1, err
		}
		if a.common {
			if err := makeCommon(s.object); err != nil {
				return 1, err
			}
		}
	}
	return 0, nil
}

// glue makes what is ours of a link.
func (t Toolchain) glue(ctx context.Context, lang Lang, a arguments, p paths, do plan, n needs, user linkedTypes, stdout, stderr io.Writer) (int, error) {
	command := do.glue
	if user.ownMalloc() {
		command = slices.Insert(slices.Clone(command), 1, "-DGODWIT_OWN_MALLOC")
	}
	if user.named {
		command = slices.Insert(slices.Clone(command), 1, "-DGODWIT_NAMED")
	}
	if code, err := t.makeGlue(ctx, lang, a, p, command, stdout, stderr); err != nil || code != 0 || !n.any() {
		return code, err
	}
	if err := os.WriteFile(p.scratchFile("godwit_tries.c"), n.source(), 0o600); err != nil {
		return 1, fmt.Errorf("scratch directory: %w", err)
	}
	return t.step(ctx, lang, a, do.tries, stdout, stderr)
}

// linkObjects makes the module that wasm-opt finishes. What the linker says names the user's files, and its stubs for calls by another type are adapted.
func (t Toolchain) linkObjects(ctx context.Context, lang Lang, a arguments, p paths, do plan, between *redirects, command func(more []string) []string, stdout, stderr io.Writer) (int, error) {
	calls := adaptation{types: between.types}
	names, verbose := do.userNames(p.scratch), slices.Contains(a.rest, "-v")
	for again := true; again; {
		var said bytes.Buffer
		code, err := t.step(ctx, lang, a, command(calls.flags()), stdout, &said)
		list, rest := cutMismatches(said.String(), names)
		if !verbose { // then it has commands, too
			rest = names.Replace(rest)
		}
		if err != nil || code != 0 {
			_, _ = io.WriteString(stderr, rest)
			return code, err
		}
		module := readFile(p.linked())
		if again = calls.linked(module, list); again {
			continue
		}
		_, _ = io.WriteString(stderr, rest)
		if err := checkMade(ctx, lang, a, p, p.linked()); err != nil {
			return 1, err
		}
		noteUndeclared(module, lang, stderr)
		calls.list = append(calls.list, between.linked(module)...)
	}
	if module := calls.finish(); module != nil {
		if err := os.WriteFile(p.linked(), module, 0o600); err != nil {
			return 1, fmt.Errorf("scratch directory: %w", err)
		}
	}
	calls.tell(lang, verbose, stderr)
	return 0, nil
}

// compile compiles sources side by side. What the compilers say comes in the order of the sources.
func (t Toolchain) compile(ctx context.Context, lang Lang, a arguments, commands [][]string, stdout, stderr io.Writer) (int, error) {
	if len(commands) == 1 {
		return t.step(ctx, lang, a, commands[0], stdout, stderr)
	}
	type outcome struct {
		stdout, stderr bytes.Buffer
		code           int
		err            error
	}
	outcomes := make([]outcome, len(commands))
	var group errgroup.Group
	group.SetLimit(runtime.NumCPU())
	for i, command := range commands {
		group.Go(func() error {
			o := &outcomes[i]
			o.code, o.err = t.step(ctx, lang, a, command, &o.stdout, &o.stderr)
			return nil
		})
	}
	_ = group.Wait()
	code, err := 0, error(nil)
	for i := range outcomes {
		o := &outcomes[i]
		_, outErr := stdout.Write(o.stdout.Bytes())
		_, _ = stderr.Write(o.stderr.Bytes())
		code, err = max(code, o.code), errors.Join(err, o.err, outErr)
	}
	return code, err
}

// step runs one command, and adds a hint if it fails. A file with data by names of clang's own functions is compiled once more, without these.
func (t Toolchain) step(ctx context.Context, lang Lang, a arguments, command []string, stdout, stderr io.Writer) (int, error) {
	var said tail
	var all bytes.Buffer
	code, err := execute(ctx, command, stdout, io.MultiWriter(&all, &said))
	if not := withoutFunctions(said.b); err == nil && code != 0 && not != nil {
		all.Reset()
		said = tail{}
		command = slices.Insert(slices.Clone(command), 1, not...)
		code, err = execute(ctx, command, stdout, io.MultiWriter(&all, &said))
	}
	_, _ = stderr.Write(all.Bytes())
	include := wasiHeaders
	if t.Sysroot != "" {
		include = filepath.Join(t.Sysroot, "include")
	}
	explainOpen(append(said.b, unseen(ctx, command)...), lang, include, stderr)
	if err != nil || code != 0 {
		explainMissing(said.b, lang, stderr)
		explainHeaders(said.b, lang, stderr)
		explainNames(said.b, lang, stderr)
		explainMixed(said.b, lang, stderr)
		explainUndeclared(said.b, lang, a.rest, include, stderr)
		t.hint(lang, a, stderr)
	}
	return code, err
}

// chosen is the compiler that the user asks for instead of clang, and by what: an option, or the environment.
func chosen(lang Lang, a arguments) (words []string, by string) {
	if a.driver != "" {
		return SplitWords(a.driver), "the -cc or -cxx option"
	}
	for _, name := range languages[lang].chosen {
		if words := SplitWords(os.Getenv(name)); len(words) > 0 {
			return words, name
		}
	}
	return nil, ""
}

// locate finds the tools and unpacks the SDK.
func (t Toolchain) locate(lang Lang, a arguments) (paths, error) {
	p := paths{drivers: [len(languages)]string{C: t.Clang, CXX: t.ClangXX}, wasmOpt: t.WasmOpt, sysroot: t.Sysroot}
	needed := make(map[string]*string)
	for l, language := range languages {
		needed[preferred(language.driver)] = &p.drivers[l]
	}
	if words, _ := chosen(lang, a); len(words) > 0 {
		p.drivers[lang], p.driverArgs = words[0], words[1:]
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
	if p.sysroot == "" {
		if p.cxx, err = FindCXX(); err != nil && languages[lang].library && a.show == showNothing && a.mode != modeAsk {
			return paths{}, err
		}
	}
	return p, nil
}

// preferred is the tool of the version that guests are made with, if it is installed.
func preferred(tool string) string {
	name := tool + "-" + llvmVersion
	if _, err := exec.LookPath(name); err == nil {
		return name
	}
	return tool
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
	if _, err := FindCXX(); err != nil && (languages[lang].library || slices.ContainsFunc(a.inputs, isCXX)) {
		fmt.Fprintf(stderr, "%s: %v\n", lang, err)
	}
	for _, file := range []string{wasiHeaders + "/stdio.h", "/usr/lib/wasm32-wasi/libc.a"} {
		if _, err := os.Stat(file); err != nil {
			fmt.Fprintf(stderr, "%s: %s is missing: %s\n", lang, file, packages)
			return
		}
	}
}
