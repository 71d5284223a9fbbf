package dirlock

import (
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	first, err := Lock(dir)
	require.NoError(t, err)
	_, err = Lock(dir)
	require.ErrorIs(t, err, ErrHeld)
	require.ErrorContains(t, err, strconv.Itoa(os.Getpid()))
	require.NoError(t, first.Close())
	again, err := Lock(dir)
	require.NoError(t, err)
	require.NoError(t, again.Close())
	_, err = Lock(dir + "/missing")
	require.Error(t, err)
}
