package jepsen

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// compilePatience bounds waits for modules that are compiled: clang makes way for ranks, and takes as long as whatever else there is leaves it.
const compilePatience = 10 * patience

// needsClang skips a test where nothing can be compiled for the native engine.
func needsClang(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("clang-19"); err != nil || runtime.GOARCH != "amd64" {
		t.Skip("needs clang-19, and amd64")
	}
}

// runsAs waits until show says that what is wanted of each rank of an app.
func (c *cluster) runsAs(id, want string) {
	c.t.Helper()
	c.eventually(compilePatience, "the ranks run as wanted", func() error {
		ranks := c.ranks(id)
		if len(ranks) == 0 {
			return fmt.Errorf("no rank runs")
		}
		for _, r := range ranks {
			if !strings.Contains(r.Doing, want) {
				return fmt.Errorf("rank %d: %s", r.Rank, r.Doing)
			}
		}
		return nil
	})
}

// TestCodeOutlivesItsApp: a module is compiled by the worker. An app that is over before that has the next one begin natively; executors that an earlier process of the worker has left hear of code, too.
func TestCodeOutlivesItsApp(t *testing.T) {
	inCheck(t)
	needsClang(t) // and so not beside other tests: it makes way for all else
	c := newCluster(t, shape{workers: 1, workerArgs: []string{"--engine", "auto"}})
	c.leveled()
	want := c.must("run", "-q", "-n", "1", steadyModule, "1", "1") // it may be over before anybody has begun to compile: then nobody does
	id := c.submit("-n", "1", steadyModule, "100000", "20")
	c.runsAs(id, " at -O") // this host compiles it, or has
	c.must("cancel", id)
	c.logged("w1", "a module was compiled", "at=-O3")
	require.Equal(t, 2, c.compiles("w1"), "at -O1 and at -O3")
	id = c.submit("-n", "2", steadyModule, "100000", "20")
	c.runsAs(id, "in the native engine, compiled at -O3")
	c.must("cancel", id)
	require.Equal(t, want, c.must("run", "-q", "-n", "1", steadyModule, "1", "1"))
	require.Equal(t, 2, c.compiles("w1"))

	id = c.submit("-n", "2", journalModule, "100000", "20")
	c.runsAs(id, "(in wazero: this host compiles it at -O1")
	c.again(c.workers[0], syscall.SIGKILL) // its compiler ends with it
	c.runsAs(id, "in the native engine, compiled at -O3")
	c.must("cancel", id)
	require.Equal(t, 4, c.compiles("w1"))
}

// logOf is a process's log.
func (c *cluster) logOf(name string) string {
	c.t.Helper()
	text, err := os.ReadFile(c.process(name).log)
	require.NoError(c.t, err)
	return string(text)
}

// logged waits until a line of a process's log has all of these words.
func (c *cluster) logged(name string, words ...string) {
	c.t.Helper()
	c.eventually(compilePatience, "a line of the log", func() error {
		for line := range strings.Lines(c.logOf(name)) {
			has := true
			for _, w := range words {
				has = has && strings.Contains(line, w)
			}
			if has {
				return nil
			}
		}
		return fmt.Errorf("no line with %q", words)
	})
}

// withoutClang is the environment of a process that finds no clang.
func withoutClang(t *testing.T) string { return "PATH=" + t.TempDir() }

// codeFiles are the files of machine code that a host keeps.
func (c *cluster) codeFiles(host string) []string {
	c.t.Helper()
	files, err := filepath.Glob(filepath.Join(c.process(host).dir, "cache", "*", "native-*.so"))
	require.NoError(c.t, err)
	return files
}

// compiles is how many modules a host has compiled in all, each optimisation for itself.
func (c *cluster) compiles(host string) int {
	return strings.Count(c.logOf(host), "a module was compiled")
}

// natively runs a program on a host until its ranks run in code at -O3, and cancels it.
func (c *cluster) natively(host string) {
	c.t.Helper()
	id := c.submit("-n", "1", "--place", host+":1", steadyModule, "100000", "20")
	c.runsAs(id, "in the native engine, compiled at -O3")
	c.must("cancel", id)
	c.phase(id, "cancelled")
}

// TestCodeOfOthers: a host without clang runs code that another host has made, and gives it on. Code that was damaged, or that somebody has forged, is refused and made anew, on the host that has it and on one that
// was given it; none is ever made twice without that.
func TestCodeOfOthers(t *testing.T) {
	inCheck(t)
	needsClang(t) // and so not beside other tests: it makes way for all else
	c := emptyCluster(t, shape{workerArgs: []string{"--engine", "auto"}}.defaults())
	c.addServer()
	makes, runs := c.addWorker(), c.addWorker()
	runs.env = append(runs.env, withoutClang(t))
	for _, p := range c.processes() {
		p.start(t)
	}
	c.waitReady()
	c.leveled()
	c.natively("w2")
	require.Equal(t, 2, c.compiles("w1"))
	require.Zero(t, c.compiles("w2"))
	require.Len(t, c.codeFiles("w1"), 2)
	require.NotEmpty(t, c.codeFiles("w2"))

	change := func(host string, how func(code []byte) []byte) {
		for _, file := range c.codeFiles(host) {
			code, err := os.ReadFile(file)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(file, how(code), 0o600))
		}
	}
	forget := func(w *process) { // as one that is new
		w.signal(syscall.SIGINT)
		w.wait(t, patience)
		require.NoError(t, os.RemoveAll(filepath.Join(w.dir, "cache")))
		w.start(t)
		c.state(w.name, "ready", patience)
	}
	damage := func(code []byte) []byte { code[len(code)-1] ^= 1; return code }
	forge := func(code []byte) []byte { // all is as it should be, but for the key
		h := hmac.New(sha256.New, []byte("somebody's key"))
		h.Write(code[sha256.Size:])
		return append(h.Sum(nil), code[sha256.Size:]...)
	}
	for n, how := range []func([]byte) []byte{damage, forge} {
		change("w1", how)
		forget(runs)
		c.natively("w2")
		require.Equal(t, 2*(n+2), c.compiles("w1"), "it was made anew, where it was found to be none")
		c.logged("w1", "is not what it should be")
		change("w2", how)
		c.natively("w2")
		require.Equal(t, 2*(n+2), c.compiles("w1"), "it came anew")
		c.logged("w2", "is not what it should be")
	}
	c.again(makes, syscall.SIGINT)
	c.state("w1", "ready", patience)
	c.natively("w1")
	require.Equal(t, 6, c.compiles("w1"), "what it has made before is kept")
}

// TestCompilerIsKilled: where the host that compiles a module is killed, another one does.
func TestCompilerIsKilled(t *testing.T) {
	inCheck(t)
	needsClang(t) // and so not beside other tests: it makes way for all else
	c := emptyCluster(t, shape{lease: "3s", workerArgs: []string{"--engine", "auto"}}.defaults())
	c.addServer()
	c.addWorker()
	c.addWorker()
	runs := c.addWorker()
	runs.env = append(runs.env, withoutClang(t))
	for _, p := range c.processes() {
		p.start(t)
	}
	c.waitReady()
	c.leveled()
	id := c.submit("-n", "1", "--place", "w3:1", steadyModule, "100000", "20")
	c.runsAs(id, "(in wazero: host w1 compiles it at -O1")
	c.process("w1").kill()
	c.runsAs(id, "in the native engine, compiled at -O3")
	require.Zero(t, c.compiles("w1"))
	require.Equal(t, 2, c.compiles("w2"))
	c.must("cancel", id)
}

// TestModuleCompile: whoever wants a module compiled waits for it, sees how far it is, and has the first app begin natively, also on a host without clang. Lists say who has clang, and who has code.
func TestModuleCompile(t *testing.T) {
	inCheck(t)
	needsClang(t) // and so not beside other tests: it makes way for all else
	c := emptyCluster(t, shape{workerArgs: []string{"--engine", "native"}}.defaults())
	c.addServer()
	c.addWorker()
	runs := c.addWorker()
	runs.env = append(runs.env, withoutClang(t))
	for _, p := range c.processes() {
		p.start(t)
	}
	c.waitReady()
	c.leveled()
	c.eventually(patience, "both hosts have sessions", func() error {
		wide := c.must("hosts", "-o", "wide")
		for _, line := range []string{`(?m)^w1 .* x86-64-v[23], .*clang version`, `(?m)^w2 .* x86-64-v[23], compiled elsewhere: no clang is installed here`} {
			if !regexp.MustCompile(line).MatchString(wide) {
				return fmt.Errorf("no %s in %s", line, wide)
			}
		}
		return nil
	})
	require.NotContains(t, c.must("hosts"), "clang")

	r := c.godwit("module", "compile", steadyModule)
	require.Zero(t, r.code, r.stderr)
	require.Contains(t, r.stderr, "host w1 compiles it at -O1")
	require.Contains(t, r.stderr, "host w1 compiles it at -O3")
	require.Regexp(t, `x86-64-v[23] +-O3 +w1 +.*clang version`, r.stdout)
	require.Contains(t, c.must("module", "inspect", "steady.wasm"), "compiled at -O3 by ")
	id := c.submit("-n", "1", "--place", "w2:1", steadyModule, "100000", "20")
	c.runsAs(id, "in the native engine, compiled at -O3")
	require.Equal(t, 2, c.compiles("w1"))
	require.Contains(t, c.must("module", "inspect", "steady.wasm"), ", on w1, w2")

	before := c.codeFiles("w2")
	old := map[string][]byte{}
	for _, file := range before {
		sealed, err := os.ReadFile(file)
		require.NoError(t, err)
		old[file] = sealed
	}
	c.must("policy", "renew-code-key") // the app's ranks go on, and its code is made anew
	c.eventually(compilePatience, "all code is sealed with the new key", func() error {
		if n := c.compiles("w1"); n != 4 || len(c.codeFiles("w2")) == 0 {
			return fmt.Errorf("%d compiles", n)
		}
		for _, file := range append(c.codeFiles("w1"), c.codeFiles("w2")...) {
			if sealed, err := os.ReadFile(file); err != nil || bytes.Equal(sealed[:sha256.Size], old[file][:min(sha256.Size, len(old[file]))]) {
				return fmt.Errorf("%s is as it was (%w)", file, err)
			}
		}
		return nil
	})
	c.runsAs(id, "in the native engine, compiled at -O3")
	c.must("cancel", id)
	c.natively("w1")
	require.Equal(t, 4, c.compiles("w1"))
}

// TestExamplesNatively: each example prints the same in the native engine as in wazero, and where some of its ranks are in each.
func TestExamplesNatively(t *testing.T) {
	inCheck(t)
	needsClang(t) // and so not beside other tests: it makes way for all else
	c := emptyCluster(t, shape{workerArgs: []string{"--engine", "native"}}.defaults())
	c.addServer()
	c.addWorker()
	plain := c.addWorker()
	plain.args = append(plain.args, "--engine", "wazero")
	for _, p := range c.processes() {
		p.start(t)
	}
	c.waitReady()
	c.leveled()
	c.eventually(patience, "the host with clang has its session", func() error {
		if wide := c.must("hosts", "-o", "wide"); !strings.Contains(wide, "clang version") {
			return fmt.Errorf("%s", wide)
		}
		return nil
	})
	for _, program := range [][]string{
		{"hello"},
		{"ring", "1000"},
		{"pi", "10000000", "3"},
		{"heat2d", "256", "256", "1000"},
		{"alltoall", "500", "64"},
		{"cg", "4000", "200"},
	} {
		module := fmt.Sprintf("../examples/%[1]s/%[1]s.wasm", program[0])
		r := c.godwit("module", "compile", module)
		require.Zero(t, r.code, r.stderr)
		run := func(place string) string {
			return c.must(append([]string{"run", "-q", "-n", "4", "--place", place, module}, program[1:]...)...)
		}
		want := run("w2:4")
		require.NotEmpty(t, want)
		require.Equal(t, want, run("w1:4"), program[0])
		require.Equal(t, want, run("w1:2,w2:2"), program[0])
	}
	require.NotContains(t, c.logOf("w1"), "does not run in the native engine's best code")
}
