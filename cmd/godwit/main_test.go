package main

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/sdk"
)

func TestMain(m *testing.M) {
	commands := map[string]func(){}
	for _, name := range append(sdk.Commands(), "sbatch", "squeue", "scancel", "sinfo", "srun") {
		commands[name] = func() { os.Exit(run(os.Args)) }
	}
	testscript.Main(m, commands)
}

// TestScripts runs the commands that need no cluster; package jepsen has those that do.
func TestScripts(t *testing.T) { scripts(t, "testdata/script") }

// TestClusterScripts runs commands that start clusters of their own.
func TestClusterScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("starts clusters")
	}
	scripts(t, "testdata/cluster")
}

func scripts(t *testing.T, dir string) {
	t.Helper()
	testscript.Run(t, testscript.Params{
		Dir: dir,
		Setup: func(e *testscript.Env) error {
			wd, err := os.Getwd()
			e.Setenv("REPO", wd+"/../..")
			e.Setenv("GODWIT_ADDR", "")
			return err
		},
	})
}

// TestReadCommandsSpeakJSON walks the commands: every one that reads takes -o.
func TestReadCommandsSpeakJSON(t *testing.T) {
	silent := []string{"run", "cancel", "policy", "renew-code-key", "tenant", "set", "push", "plan", "cc", "c++", "ar", "ranlib", "nm", "strip", "size", "mpirun", "mpiexec", "sdk", "dev", "server", "recover", "remove", "rm", "transfer", "clear-alarms", "worker", "exec", "compile-module", "compile", "sweep", "debug", "raft-dump", "module", "token", "create", "revoke", "context", "add", "use", "completion", "help", "bash", "zsh", "fish", "powershell"}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			if !slices.Contains(silent, sub.Name()) {
				require.NotNil(t, sub.Flags().Lookup("output"), "%s has no -o", sub.CommandPath())
			}
			require.NotEmpty(t, sub.Short, sub.CommandPath())
			walk(sub)
		}
	}
	walk(newRoot())
}

func TestJSONHasAllFieldsUnderTheirNames(t *testing.T) {
	v := jsonValue((&apiv1.Migration{Id: "m", Moves: []*apiv1.Move{{Rank: 2, ImageBytes: 1 << 40, PauseMs: 1.5}}}).ProtoReflect())
	b, err := v.(orderedObject).MarshalJSON()
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"m","app":"","from_epoch":0,"phase":"","reason":"","acks":[],"cause":"","proposed_at":null,"ended_at":null,
		"propose_index":0,"ended_index":0,"moves":[{"rank":2,"from":"","to":"","image_bytes":1099511627776,"pause_ms":1.5,"image_digest":"","pause_bytes":0,"rounds":0}]}`, string(b))
}

func TestAppName(t *testing.T) {
	for path, want := range map[string]string{
		"hello.wasm": "hello", "/a/b/Heat 2D.wasm": "heat-2d", "...wasm": "app", "x_y-1.2.wasm": "x_y-1.2", "-.wasm": "app",
	} {
		require.Equal(t, want, appName(path))
	}
}

func TestParsePlaceAndPeriod(t *testing.T) {
	rules, err := parsePlace("h1:2,h2:3")
	require.NoError(t, err)
	require.Len(t, rules, 2)
	require.EqualValues(t, 3, rules[1].Ranks)
	for _, bad := range []string{"h1", "h1:", ":2", "h1:x", "h1:2,"} {
		_, err := parsePlace(bad)
		require.Error(t, err, bad)
	}
	for in, want := range map[string]float64{"5s": 5, "0": 0, "1.5": 1.5, "200ms": 0.2} {
		got, err := parsePeriod("x", in)
		require.NoError(t, err)
		require.InDelta(t, want, got, 1e-9)
	}
	_, err = parsePeriod("x", "often")
	require.Error(t, err)
}

// A placement for another number of ranks than -n is refused before anything is sent, in the words of the flags.
func TestPlaceIsForAllRanks(t *testing.T) {
	for place, want := range map[string]string{
		"w1:2":                        "--place w1:2: it names 2 slots, -n is 4",
		"w1:2,w2:3":                   "--place w1:2,w2:3: it names 5 slots, -n is 4",
		"w1:2147483647,w2:2147483647": "it names 4294967294 slots, -n is 4",
		"w1:0,w2:4":                   "0 ranks on w1; at least 1 is needed",
		"w1:4":                        "",
		"":                            "",
	} {
		f := &submitFlags{spec: &apiv1.AppSpec{}, size: 4, period: "0", place: place}
		err := f.finish([]string{"hello.wasm"})
		if want == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, want)
		require.Equal(t, exitUsage, exitCode(err))
	}
}

// run and submit find a program as mpirun does: .wasm may be left out.
func TestRunFindsTheModule(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("native.wasm", []byte("\x7fELF"), 0o600))
	for name, want := range map[string]string{"native": "native.wasm is a program for this machine's CPU", "absent": "absent: no such file"} {
		f := &submitFlags{owner: ownerLease, spec: &apiv1.AppSpec{}, size: 1, period: "0", stdin: "0"}
		require.ErrorContains(t, start(t.Context(), &options{addr: "127.0.0.1:1", timeout: time.Second}, f, []string{name}), want)
	}
}
