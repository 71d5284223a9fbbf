package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLowerSession: the weight is written where there is one, and nothing is made where there is none.
func TestLowerSession(t *testing.T) {
	file := filepath.Join(t.TempDir(), "autogroup")
	lower(file)
	require.NoFileExists(t, file)
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	lower(file)
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "10", string(content))
}
