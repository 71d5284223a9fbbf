package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/fsm"
)

// TestWholeEnvironment: -genvall and -envall pass variables, but no function of bash and nothing that is of this machine.
func TestWholeEnvironment(t *testing.T) {
	require.Equal(t, []string{"A=1", "EMPTY=", "OMP_NUM_THREADS=2", "lower_9=x=y"}, wholeEnvironment([]string{
		"A=1", "PATH=/bin", "HOME=/root", "PWD=/x", "_=/bin/mpirun", "EMPTY=", "BASH_FUNC_f%%=() { :; }", "TMPDIR=/scratch", "LD_LIBRARY_PATH=/lib", "GODWIT_ADDR=none",
		"OMP_NUM_THREADS=2", "lower_9=x=y", "9=z",
	}))
}

// TestEnvOf: what stands nearer to the program comes last, and so counts.
func TestEnvOf(t *testing.T) {
	for _, kv := range os.Environ() { // of the tester
		key, value, _ := strings.Cut(kv, "=")
		t.Setenv(key, value) // which brings it back
		require.NoError(t, os.Unsetenv(key))
	}
	t.Setenv("FOO", "1")
	t.Setenv("BAR", "2")
	t.Setenv("HOME", "/root")
	all := []string{"BAR=2", "FOO=1"}
	for words, want := range map[string][]string{
		"p": nil, "-genvall p": all, "-envall p": all, "-genvall -envnone p": nil, "-genvall -x FOO=3 -genv FOO 4 p": {"BAR=2", "FOO=1", "FOO=4", "FOO=3"}, "-envall -x HOME p": {"BAR=2", "FOO=1", "HOME=/root"},
	} {
		l, err := parseLaunch(strings.Fields(words))
		require.NoError(t, err)
		env, err := l.envOf(l.parts[0])
		require.NoError(t, err)
		require.ElementsMatch(t, want, env, words)
		if len(want) == 4 {
			require.Equal(t, want[2:], env[2:])
		}
	}
	l, err := parseLaunch([]string{"-x", "FOO=3", "p"})
	require.NoError(t, err)
	t.Setenv(passVariable, "FOO, HOME,NOTSET,")
	env, err := l.envOf(l.parts[0])
	require.NoError(t, err)
	require.Equal(t, []string{"FOO=1", "HOME=/root", "FOO=3"}, env)
	t.Setenv(passVariable, "FOO=3")
	require.ErrorContains(t, l.checkRun(), `GODWIT_PASS: "FOO=3" is no name of a variable`)
	t.Setenv(passVariable, "FOO")
	t.Setenv("FOO", strings.Repeat("x", fsm.MaxEnvBytes))
	require.ErrorContains(t, l.checkRun(), "-genvlist A,B")
}
