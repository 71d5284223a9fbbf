package history

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func read(t *testing.T, lines ...string) []Entry {
	t.Helper()
	log, err := ReadLog(strings.NewReader(strings.Join(lines, "\n")))
	require.NoError(t, err)
	return log
}

func entry(index, term int, key string) string {
	return fmt.Sprintf(`{"index":%d,"term":%d,"type":"command","commands":[{"key":%q,"stopApp":{"app":"a"}}],"results":[{"index":"%d"}]}`, index, term, key, index)
}

func TestAgree(t *testing.T) {
	t.Parallel()
	a := []string{entry(1, 1, "a"), entry(2, 1, "b"), entry(3, 2, "c")}
	whole := read(t, a...)
	for name, tc := range map[string]struct {
		logs [][]Entry
		last uint64
		bad  bool
	}{
		"all alike":                {logs: [][]Entry{whole, whole, whole}, last: 3},
		"one is behind":            {logs: [][]Entry{whole, whole, whole[:1]}, last: 3},
		"one has a tail":           {logs: [][]Entry{whole[:2], whole, whole[:2]}, last: 2},
		"one has another tail":     {logs: [][]Entry{whole, read(t, a[0], a[1], entry(3, 1, "x")), whole}, last: 3},
		"one begins at a snapshot": {logs: [][]Entry{whole, whole, whole[1:]}, last: 3},
		"three say three things": {bad: true, logs: [][]Entry{
			whole, read(t, a[0], entry(2, 1, "x"), a[2]), read(t, a[0], entry(2, 2, "y"), a[2]),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			logs := map[string][]Entry{}
			for i, l := range tc.logs {
				logs[fmt.Sprint("s", i)] = l
			}
			log, err := Agree(logs)
			if tc.bad {
				require.ErrorIs(t, err, errDiffer)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.last, log[len(log)-1].Index)
		})
	}
}

func TestReadLogRefusesABrokenPromise(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		`{"index":1,"term":1,"type":"command","invariant":"two hosts"}`, `{"index":1,"term":1,"type":"command","error":"corrupt"}`, `{`,
	} {
		_, err := ReadLog(strings.NewReader(line))
		require.Error(t, err)
	}
}
