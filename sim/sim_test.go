package sim

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSeeds(t *testing.T) {
	n := 200
	if v := os.Getenv("SEEDS"); v != "" {
		var err error
		n, err = strconv.Atoi(v)
		require.NoError(t, err)
	}
	first := 0
	if v := os.Getenv("SEED"); v != "" {
		var err error
		first, err = strconv.Atoi(v)
		require.NoError(t, err)
		cfg := Of(uint64(first))
		cfg.Trace = func(line string) { fmt.Println(line) }
		st, err := Run(cfg)
		t.Logf("%+v", st)
		require.NoError(t, err)
		return
	}
	var all Stats
	phases, failed := map[string]int{}, 0
	for seed := range n {
		st, err := Run(Of(uint64(seed)))
		all.Add(st)
		phases[st.Phase]++
		for why, n := range st.Aborts {
			phases[why] += n
		}
		if err != nil {
			failed++
			if text := fmt.Sprint(err); failed <= 12 {
				t.Errorf("%.700s", text)
			}
		}
	}
	t.Logf("%d seeds, %d failed: %+v", n, failed, all)
	for _, p := range sortedKeys(phases) {
		t.Logf("%6d %s", phases[p], p)
	}
}
