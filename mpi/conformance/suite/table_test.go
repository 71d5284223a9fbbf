package suite_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi"
)

const tableFile = "../FUNCTIONS.md"

// The table of functions says what is supported, and which programs test it. To write it anew: GODWIT_UPDATE=1.
func TestFunctionTable(t *testing.T) {
	tested := testedBy(t)
	var b strings.Builder
	rows, supported, covered := functionRows(tested)
	fmt.Fprintf(&b, "# MPI functions\n\nOf the %d functions of the standard that are declared, %d are supported; %d of these are tested by name in the programs\n"+
		"of this directory. MPI_X_c is the large-count form of MPI_X and runs the same code. A function that is not\nsupported ends the app when it is called, and says what to use.\n\n",
		len(rows), supported, covered)
	b.WriteString("| function | supported | tests |\n|---|---|---|\n")
	for _, r := range rows {
		b.WriteString(r)
	}
	if os.Getenv("GODWIT_UPDATE") != "" {
		require.NoError(t, os.WriteFile(tableFile, []byte(b.String()), 0o644))
	}
	committed, err := os.ReadFile(tableFile)
	require.NoError(t, err)
	require.Equal(t, string(committed), b.String(), "run GODWIT_UPDATE=1 go test ./mpi/conformance/... -run FunctionTable")
}

func functionRows(tested map[string][]string) (rows []string, supported, covered int) {
	for _, c := range mpi.Calls() {
		state := "no: " + c.Instead()
		if c.Supported() {
			state = "yes"
			supported++
			covered += min(len(tested[c.Name]), 1)
		}
		names := tested[c.Name]
		what := strings.Join(names[:min(len(names), 3)], ", ")
		if len(names) > 3 {
			what += fmt.Sprintf(" and %d more", len(names)-3)
		}
		rows = append(rows, fmt.Sprintf("| %s | %s | %s |\n", c.Name, state, what))
	}
	return rows, supported, covered
}

// testedBy lists the tests that call each function for its own sake, as the module says.
func testedBy(t *testing.T) map[string][]string {
	c := newCluster(t, compile(t), 1, 1, 0, 1, "list")
	c.run()
	known := map[string]bool{}
	for _, call := range mpi.Calls() {
		known[call.Name] = true
	}
	tested := map[string][]string{}
	for line := range strings.Lines(c.ranks[0].stdout.String()) {
		words := strings.Fields(line)
		for _, w := range words[1:] {
			if known[w] { // constants may be named too
				tested[w] = append(tested[w], words[0])
			}
		}
	}
	for _, names := range tested {
		slices.Sort(names)
	}
	return tested
}
