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
	// ends is the whole log, of a server that has the state of this hash after it.
	ends := func(hash string) []Entry {
		return read(t, a[0], a[1], strings.TrimSuffix(a[2], "}")+`,"hash":"`+hash+`"}`)
	}
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
		"two begin at snapshots":   {logs: [][]Entry{whole, whole[1:], whole[2:]}, last: 3},
		"nobody knows":             {bad: true, logs: [][]Entry{whole, read(t, a[0], entry(2, 2, "x"), a[2]), whole[2:]}},
		"one answers otherwise": {bad: true, logs: [][]Entry{
			read(t, a[0], strings.Replace(a[1], `"results":[{"index":"2"}]`, `"results":[{"index":"2","code":"terminal"}]`, 1), a[2]), whole, whole[:1],
		}},
		"one has another command": {bad: true, logs: [][]Entry{
			read(t, a[0], strings.Replace(a[1], `"app":"a"`, `"app":"b"`, 1), a[2]), whole, whole[:1],
		}},
		"one has another term":   {bad: true, logs: [][]Entry{read(t, a[0], entry(2, 2, "b"), a[2]), whole, whole[:1]}},
		"they lead to one state": {logs: [][]Entry{ends("11"), ends("11"), ends("11")}, last: 3},
		"one answers its last otherwise": {bad: true, logs: [][]Entry{
			whole, whole, read(t, a[0], a[1], strings.Replace(a[2], `"results":[{"index":"3"}]`, `"results":[{"index":"3","code":"terminal"}]`, 1)),
		}},
		"one leads elsewhere": {logs: [][]Entry{ends("11"), ends("11"), ends("12")}, bad: true},
		"one has another entry before agreed ones": {bad: true, logs: [][]Entry{
			whole, whole, read(t, a[0], entry(2, 2, "x"), a[2]),
		}},
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
			require.EqualValues(t, 1, log[0].Index)
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
