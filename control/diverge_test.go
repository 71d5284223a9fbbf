package control

import (
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// TestJudgeState: the newest hash that a majority agrees on decides; those that the others have not come to do not.
func TestJudgeState(t *testing.T) {
	records := func(hashes ...string) (out []*apiv1.HashRecord) {
		for i, hash := range hashes {
			out = append(out, &apiv1.HashRecord{Index: uint64(i + 1), Hash: []byte(hash)})
		}
		return out
	}
	for _, tt := range []struct {
		name   string
		own    []*apiv1.HashRecord
		others [][]*apiv1.HashRecord
		index  uint64
		want   fsm.Verdict
	}{
		{"nothing noted", nil, [][]*apiv1.HashRecord{nil, nil}, 0, fsm.Undecided},
		{"agreed", records("a", "b"), [][]*apiv1.HashRecord{records("a", "b"), nil}, 2, fsm.WithMajority},
		{"the others lag", records("a", "b", "c"), [][]*apiv1.HashRecord{records("a"), records("a", "b")}, 2, fsm.WithMajority},
		{"parted", records("a", "x"), [][]*apiv1.HashRecord{records("a", "b"), records("a", "b")}, 2, fsm.AgainstMajority},
		{"one lags, one differs", records("a", "x"), [][]*apiv1.HashRecord{records("a", "b"), records("a")}, 1, fsm.WithMajority},
		{"nobody answers", records("a"), [][]*apiv1.HashRecord{nil, nil}, 0, fsm.Undecided},
	} {
		index, verdict := judgeState(tt.own, tt.others, 3)
		require.Equal(t, tt.want, verdict, tt.name)
		require.Equal(t, tt.index, index, tt.name)
	}
}
