package jepsen

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"
)

// byRank puts labelled output in order of the ranks; each rank's lines keep their order.
func byRank(out string) string {
	lines := strings.SplitAfter(out, "\n")
	slices.SortStableFunc(lines, func(a, b string) int {
		ra, _, _ := strings.Cut(a, "]")
		rb, _, _ := strings.Cut(b, "]")
		if len(ra) != len(rb) {
			return len(ra) - len(rb)
		}
		return strings.Compare(ra, rb)
	})
	return strings.Join(lines, "")
}

// unmoved is what a program prints when nothing happens to it, by rank. It is run once for all tests; on this cluster,
// if no other has.
func (c *cluster) unmoved(size string, program ...string) string {
	c.t.Helper()
	sum := sha256.Sum256([]byte(size + "\x00" + strings.Join(program, "\x00")))
	path := filepath.Join(os.Getenv(envScratch), "unmoved-"+hex.EncodeToString(sum[:8]))
	if b, err := os.ReadFile(path); err == nil {
		return string(b)
	}
	out := byRank(c.must(append([]string{"run", "-q", "-l", "-n", size, "--oversubscribe", "--name", "unmoved"}, program...)...))
	require.NotEmpty(c.t, out)
	require.NoError(c.t, os.WriteFile(path+"."+filepath.Base(c.dir), []byte(out), 0o600))
	require.NoError(c.t, os.Rename(path+"."+filepath.Base(c.dir), path)) // another test reads all of it or nothing
	return out
}

// same fails the test unless a run has succeeded and printed what want says.
func (c *cluster) same(want string, r *command) {
	c.t.Helper()
	res := r.wait()
	require.Zero(c.t, res.code, "godwit %s: %s; the end of its output:\n%s", strings.Join(r.args, " "), res.stderr, res.stdout[max(0, len(res.stdout)-4000):])
	require.Equal(c.t, want, byRank(res.stdout), "godwit %s", strings.Join(r.args, " "))
}

// sameLogs fails the test unless an app has succeeded and its stored output is what want says.
func (c *cluster) sameLogs(want, app string) {
	c.t.Helper()
	a := c.phase(app, "succeeded", "failed", "cancelled")
	require.Equal(c.t, "succeeded", a.Phase, "%s: %s", app, a.Reason)
	require.Equal(c.t, want, byRank(c.must("logs", "-l", app)))
}
