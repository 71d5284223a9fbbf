package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTableLines: a row is one line, whatever a cell says: of a stack, its first.
func TestTableLines(t *testing.T) {
	var out strings.Builder
	require.NoError(t, writeTable(&out, "ID REASON", []string{"exited 134 (trap: unreachable\n  at f\n  at main)", "exited 1"},
		func(s string) []string { return []string{"app", s} }))
	require.Equal(t, "ID   REASON\napp  exited 134 (trap: unreachable ...\napp  exited 1\n", out.String())
}
