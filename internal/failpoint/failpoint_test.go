package failpoint

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	if os.Getenv(Env) != "" {
		Here("a")
		Here("b")
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestPoints(t *testing.T) {
	require.Equal(t, map[string]action{"a": {"wait", "/x:y"}, "b.c": {"exit", "/z"}}, parse("a=wait:/x:y,b.c=exit:/z,nothing,=,d="))
	file := filepath.Join(t.TempDir(), "f")
	start := func(points string) *exec.Cmd {
		require.NoError(t, os.WriteFile(file, nil, 0o600))
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = []string{Env + "=" + points}
		require.NoError(t, cmd.Start())
		return cmd
	}
	waits := start("b=wait:" + file)
	ended := make(chan error, 1)
	go func() { ended <- waits.Wait() }()
	select {
	case err := <-ended:
		require.NoError(t, err)
		require.FailNow(t, "it does not wait")
	default:
	}
	require.NoError(t, os.Remove(file))
	require.NoError(t, <-ended)
	var exit *exec.ExitError
	require.ErrorAs(t, start("a=exit:"+file).Wait(), &exit)
	require.Equal(t, ExitCode, exit.ExitCode())
	require.NoFileExists(t, file)
}
