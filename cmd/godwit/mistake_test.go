package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCommandsByOtherNames: what other tools call a command leads to it.
func TestCommandsByOtherNames(t *testing.T) {
	for words, want := range map[string][]string{
		"remove":   {"servers", "rm"},
		"transfer": {"servers", "promote"},
		"ps":       {"squeue"},
		"hosts":    {"nodes"},
	} {
		c := newRoot()
		c.SetArgs(want)
		c.SilenceErrors, c.SilenceUsage = true, true
		require.ErrorContains(t, c.ExecuteContext(t.Context()), "did you mean "+words+"?")
	}
}
