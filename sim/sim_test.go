package sim

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// number is a number in the environment.
func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(v, 10, 64)
	require.NoError(t, err, name)
	return n
}

// TestSeeds: whatever happens, what is promised holds. SEEDS says how many runs, FIRST from which seed on; SEED prints all of one.
func TestSeeds(t *testing.T) {
	if os.Getenv("SEED") != "" {
		cfg := Of(number(t, "SEED", 0))
		cfg.Trace = func(line string) { fmt.Println(line) }
		_, err := Run(cfg)
		require.NoError(t, err)
		return
	}
	first, n := number(t, "FIRST", 0), number(t, "SEEDS", 2000)
	var next atomic.Uint64
	var mu sync.Mutex // guards the next
	var all Stats
	failed, ends := 0, map[string]int{}
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				seed := first + next.Add(1) - 1
				if seed >= first+n {
					return
				}
				st, err := Run(Of(seed))
				mu.Lock()
				all.Add(st)
				ends[st.Phase]++
				if err != nil {
					if failed++; failed <= 10 {
						t.Error(err)
					}
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	t.Logf("%d runs from seed %d on, %d failed: %s; the app's end: %v", n, first, failed, all, ends)
	require.Positive(t, all.Committed)
	require.Positive(t, all.Complete)
	require.Positive(t, all.Restarts)
	require.Positive(t, ends["succeeded"])
}

// TestSameSeed: a seed is one run, whatever else goes on.
func TestSameSeed(t *testing.T) {
	for seed := range uint64(20) {
		var lines [2][]string
		for i := range lines {
			cfg := Of(seed)
			cfg.Trace = func(line string) { lines[i] = append(lines[i], line) }
			_, err := Run(cfg)
			require.NoError(t, err)
		}
		require.NotEmpty(t, lines[0])
		require.Equal(t, lines[0], lines[1])
	}
}
