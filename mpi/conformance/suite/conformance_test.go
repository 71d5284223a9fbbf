// Package suite_test runs the conformance programs, built as one module, over the MPI library: on one host and
// on several, and while their ranks move.
package suite_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/godwit-run/godwit/worker/wasm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// long reports whether everything is to run: make conformance.
func long() bool { return os.Getenv("GODWIT_LONG") != "" }

// seed returns the run's seed: GODWIT_SEED, or a new one. It is printed.
func seed(t *testing.T) uint64 {
	s := rand.Uint64() % 1e9
	if v := os.Getenv("GODWIT_SEED"); v != "" {
		var err error
		s, err = strconv.ParseUint(v, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("GODWIT_SEED=%d", s)
	return s
}

// compile compiles the committed module.
func compile(t *testing.T) *wasm.Module {
	ctx := context.Background()
	cfg := wasm.DefaultConfig()
	cfg.MemoryLimitPages = 4096
	cfg.Engine, cfg.Optimize = os.Getenv("GODWIT_TEST_ENGINE"), "-O1"
	cfg.CacheDir = os.Getenv("GODWIT_TEST_CACHE") // clang takes a minute and more; not set: nothing is kept
	engine, err := wasm.NewEngine(ctx, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, engine.Close(ctx)) })
	code, err := os.ReadFile("../conformance.wasm")
	require.NoError(t, err)
	module, err := engine.Compile(ctx, code)
	require.NoError(t, err)
	name, why := module.Engine()
	t.Logf("in %s %s", name, why)
	require.True(t, module.Info().Migratable, module.Info().Reason)
	return module
}

// listed are the tests of the module that run without being named, with the ranks they need.
func listed(t *testing.T, module *wasm.Module) map[string]int {
	c := newCluster(t, module, 1, 1, 0, 1, "list")
	c.run()
	tests := map[string]int{}
	for line := range strings.Lines(c.ranks[0].stdout.String()) {
		words := strings.Fields(line)
		if strings.Contains(line, "(by name only)") || len(words) < 2 {
			continue
		}
		n, err := strconv.Atoi(words[1])
		require.NoError(t, err, line)
		tests[words[0]] = n
	}
	require.Greater(t, len(tests), 100)
	return tests
}

// expect is what rank 0 prints of all tests.
func expect(t *testing.T, tests map[string]int, size int, output string) {
	seen := map[string]bool{}
	for line := range strings.Lines(output) {
		words := strings.Fields(line)
		require.GreaterOrEqual(t, len(words), 2, line)
		name := strings.TrimSuffix(words[1], ":")
		require.False(t, seen[name], "%s ran twice", name)
		seen[name] = true
		need, ok := tests[name]
		require.True(t, ok, line)
		require.Equal(t, need <= size, words[0] == "ok", line)
	}
	require.Len(t, seen, len(tests))
}

// Every test passes at several sizes, on one host and on several.
func TestConformance(t *testing.T) {
	module := compile(t)
	tests := listed(t, module)
	shapes := [][2]int{{1, 1}, {2, 1}, {3, 2}, {4, 1}, {5, 3}, {8, 3}}
	if long() {
		shapes = nil
		for size := 1; size <= 17; size++ {
			shapes = append(shapes, [2]int{size, 1}, [2]int{size, min(size, 3)})
		}
	}
	for _, s := range shapes {
		t.Run(fmt.Sprintf("ranks=%d/hosts=%d", s[0], s[1]), func(t *testing.T) {
			c := newCluster(t, module, s[0], s[1], 0, 1, "all")
			c.run()
			expect(t, tests, s[0], c.ranks[0].stdout.String())
		})
	}
}

// Migration is invisible: while ranks move at random, every test passes, and the output is the same.
func TestConformanceMigrating(t *testing.T) {
	module := compile(t)
	tests := listed(t, module)
	first := seed(t)
	sizes, rounds := []int{2, 3, 5}, 1
	if long() {
		sizes, rounds = []int{1, 2, 3, 4, 5, 6, 7, 8, 11, 16}, 4
	}
	for _, size := range sizes {
		every := 20 * size // calls: as many moves whatever the size
		if long() {
			every = 40
		}
		still := newCluster(t, module, size, 1, 0, 1, "all")
		still.run()
		for round := range rounds {
			t.Run(fmt.Sprintf("ranks=%d/round=%d", size, round), func(t *testing.T) {
				c := newCluster(t, module, size, 3, every, first+uint64(round), "all")
				c.run()
				expect(t, tests, size, c.ranks[0].stdout.String())
				for i, r := range c.ranks {
					require.Equal(t, still.ranks[i].stdout.String(), r.stdout.String(), "rank %d", i)
				}
				require.Positive(t, c.moves)
				t.Logf("%d moves, %d in place", c.moves, c.stays)
			})
		}
	}
}

// TestMovingOften: the modes of sending, while some rank moves every few calls, so that ranks come together and part within each of a message's steps.
func TestMovingOften(t *testing.T) {
	module := compile(t)
	first, rounds := seed(t), 6
	if long() {
		rounds = 300
	}
	for round := range rounds {
		size, every := 2+round%3, []int{4, 20}[round%2]
		c := newCluster(t, module, size, 3, every, first+uint64(round), "@p2p_modes")
		c.run()
		require.NotContains(t, c.ranks[0].stdout.String(), "not ok")
		require.Positive(t, c.moves)
	}
}
