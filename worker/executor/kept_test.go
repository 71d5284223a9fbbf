package executor

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLeftOverEndsTheProcess: where something of an app before could not be freed, the app that runs is the process's last one.
func TestLeftOverEndsTheProcess(t *testing.T) {
	failed := errors.New("it is in use")
	e := &Executor{code: kept{left: failed}, workers: workers{handovers: make(chan workerCall, 1)}}
	err := e.rest(t.Context(), slog.New(slog.DiscardHandler))
	require.ErrorIs(t, err, errLeftOver)
	require.ErrorIs(t, err, failed)
}
