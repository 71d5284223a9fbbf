package fsm

import (
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestHashCheck: a CheckHash notes the hash, and says so when the leader noted
// another; it stops nobody.
func TestHashCheck(t *testing.T) {
	m := New()
	mustApply(t, m, "init c1")
	before := m.View().Hash()
	mustApply(t, m, "hash 0")
	last := m.View().LastHash()
	require.EqualValues(t, 2, last.GetIndex())
	require.Equal(t, before, last.GetHash())

	check := func(index uint64, hash []byte) {
		cmd := &apiv1.Command{Op: &apiv1.Command_CheckHash{CheckHash: &apiv1.CheckHash{Index: index, Hash: hash}}}
		results, err := applyEntry(m, m.View().Index()+1, &apiv1.Entry{Commands: []*apiv1.Command{cmd}})
		require.NoError(t, err)
		require.Empty(t, results[0].GetCode())
	}
	check(2, last.GetHash())
	require.Nil(t, m.View().Diverged())
	before = m.View().Hash()
	sub := m.Feed().Subscribe(TheCluster)
	defer sub.Close()
	check(2, []byte("another"))
	require.True(t, woken(sub))
	require.Equal(t, &Divergence{Index: 2, Own: last.GetHash(), Leader: []byte("another")}, m.View().Diverged())
	require.Equal(t, before, m.View().LastHash().GetHash(), "it is noted all the same")
	check(99, []byte("of an index unknown"))
	require.NotNil(t, m.View().Diverged(), "what compares nothing proves nothing")
	check(3, m.View().Hashes()[1].GetHash())
	require.Nil(t, m.View().Diverged(), "the two agree")

	for range hashRecords {
		mustApply(t, m, "hash 0")
	}
	require.Len(t, m.View().Hashes(), hashRecords)
	_, ok := m.View().HashAt(2)
	require.False(t, ok, "records are bounded")
}

// TestHashInTheMiddleOfAnEntry: it is of what the commands before it have made.
func TestHashInTheMiddleOfAnEntry(t *testing.T) {
	m, n := New(), New()
	mustApply(t, m, "init c1", "module m", "host h1 4 n1 i1")
	mustApply(t, n, "init c1", "module m", "host h1 4 n1 i1")
	mustApply(t, m, "submit a m 1 key=k", "hash 0", "submit b m 1", "hash 0", "stop b cancelled 0")
	require.Equal(t, m.View().Hash(), m.View().seal(m.ledger.settle(m.View())))
	mustApply(t, n, "submit a m 1 key=k", "hash 0")
	require.Equal(t, n.View().LastHash().GetHash(), m.View().Hashes()[0].GetHash())
	require.NotEqual(t, m.View().Hashes()[0].GetHash(), m.View().Hashes()[1].GetHash())
}

func TestJudge(t *testing.T) {
	const a, b, c = "a", "b", "c"
	record := func(index uint64, hash string) []*apiv1.HashRecord {
		return []*apiv1.HashRecord{{Index: index - 1, Hash: []byte("older")}, {Index: index, Hash: []byte(hash)}}
	}
	for _, tt := range []struct {
		name     string
		others   []string // empty: no answer of that index
		voters   int
		want     Verdict
		nonvoter bool
	}{
		{"alone in its cluster", nil, 1, WithMajority, false},
		{"all agree", []string{a, a}, 3, WithMajority, false},
		{"one other differs", []string{a, b}, 3, WithMajority, false},
		{"one agrees, one is silent", []string{a, ""}, 3, WithMajority, false},
		{"both others agree on another", []string{b, b}, 3, AgainstMajority, false},
		{"all differ", []string{b, c}, 3, Undecided, false},
		{"nobody answers", []string{"", ""}, 3, Undecided, false},
		{"one differs, one is silent", []string{b, ""}, 3, Undecided, false},
		{"one of two differs", []string{b}, 2, Undecided, false},
		{"three of five differ", []string{b, b, b, a}, 5, AgainstMajority, false},
		{"two of five differ, two agree", []string{b, b, a, a}, 5, WithMajority, false},
		{"no voter, beside one that differs", []string{b}, 1, AgainstMajority, true},
		{"no voter, beside one that agrees", []string{a}, 1, WithMajority, true},
		{"no voter, one of three agrees, one differs", []string{a, b, ""}, 3, Undecided, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var others [][]*apiv1.HashRecord
			for _, hash := range tt.others {
				if hash == "" {
					others = append(others, record(7, hash))
					continue
				}
				others = append(others, record(9, hash))
			}
			require.Equal(t, tt.want, Judge(&apiv1.HashRecord{Index: 9, Hash: []byte(a)}, !tt.nonvoter, others, tt.voters))
		})
	}
}
