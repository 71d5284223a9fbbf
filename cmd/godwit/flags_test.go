package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

// TestFlagValuesHaveOneWord: what stands in back-quotes in the usage of a flag is shown as the name of its value, and nothing else may.
func TestFlagValuesHaveOneWord(t *testing.T) {
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		check := func(f *pflag.Flag) {
			name, usage := pflag.UnquoteUsage(f)
			require.NotContains(t, name, " ", "%s --%s", c.CommandPath(), f.Name)
			require.False(t, strings.Contains(usage, "`"), "%s --%s: %s", c.CommandPath(), f.Name, usage)
		}
		c.LocalFlags().VisitAll(check)
		c.InheritedFlags().VisitAll(check)
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newRoot())
}

// TestFlagsOfAllMeanOneThing: a command has no flag of its own by the name of one that all commands take, which would mean something else there.
func TestFlagsOfAllMeanOneThing(t *testing.T) {
	root := newRoot()
	looked := 0
	var look func(*cobra.Command)
	look = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			sub.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
				looked++
				require.Nil(t, root.PersistentFlags().Lookup(f.Name), "%s --%s", sub.CommandPath(), f.Name)
			})
			look(sub)
		}
	}
	look(root)
	require.Greater(t, looked, 50)
}
