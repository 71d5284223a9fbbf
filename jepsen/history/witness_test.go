package history

import (
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// logged is an entry with one command; code is its result's, "memory" an answer from a key that was seen before.
func logged(index uint64, key, code string) Entry {
	res := &apiv1.Result{Index: index, Code: code}
	if code == "memory" {
		res = &apiv1.Result{Index: index - 1}
	}
	return Entry{Index: index, Commands: []*apiv1.Command{{Key: key}}, Results: []*apiv1.Result{res}}
}

func TestWitness(t *testing.T) {
	t.Parallel()
	write := func(key string, end End, code string, index uint64, call, ret int) Op {
		return at(Op{Kind: Submit, Key: key, End: end, Code: code, Index: index}, call, ret)
	}
	look := func(index uint64, call, ret int) Op { return at(Op{Kind: List, End: OK, Index: index}, call, ret) }
	for name, tc := range map[string]struct {
		ops   []Op
		log   []Entry
		wrong string
	}{
		"done and logged":      {ops: []Op{write("a", OK, "", 5, 0, 1)}, log: []Entry{logged(5, "a", "")}},
		"done and not logged":  {ops: []Op{write("a", OK, "", 5, 0, 1)}, wrong: "does not hold it"},
		"done and refused":     {ops: []Op{write("a", OK, "", 5, 0, 1)}, log: []Entry{logged(5, "a", "invalid")}, wrong: "does not hold it"},
		"done twice":           {ops: []Op{write("a", OK, "", 5, 0, 1)}, log: []Entry{logged(5, "a", ""), logged(6, "a", "")}, wrong: "each of [5 6]"},
		"answered from memory": {ops: []Op{write("a", OK, "", 5, 0, 1)}, log: []Entry{logged(5, "a", ""), logged(6, "a", "memory")}},
		"another index":        {ops: []Op{write("a", OK, "", 5, 0, 1)}, log: []Entry{logged(6, "a", "")}, wrong: "applied at 6"},
		"failed and absent":    {ops: []Op{write("a", Fail, reasonNotLeader, 0, 0, 1)}},
		"failed and applied":   {ops: []Op{write("a", Fail, reasonNotLeader, 0, 0, 1)}, log: []Entry{logged(5, "a", "")}, wrong: "was applied at 5"},
		"refused and applied":  {ops: []Op{write("a", Fail, reasonRefused, 0, 0, 1)}, log: []Entry{logged(5, "a", "")}, wrong: "was applied at 5"},
		"refused and logged":   {ops: []Op{write("a", Fail, reasonRefused, 0, 0, 1)}, log: []Entry{logged(5, "a", "terminal")}},
		"no leader and logged": {ops: []Op{write("a", Fail, reasonNoLeader, 0, 0, 1)}, log: []Entry{logged(5, "a", "terminal")}, wrong: "never holds it"},
		"unknown and applied":  {ops: []Op{write("a", Info, "", 0, 0, 1)}, log: []Entry{logged(5, "a", "")}},
		"unknown and absent":   {ops: []Op{write("a", Info, "", 0, 0, 1)}},
		"unknown, done twice":  {ops: []Op{write("a", Info, "", 0, 0, 1)}, log: []Entry{logged(5, "a", ""), logged(6, "a", "")}, wrong: "each of"},
		"unknown, then failed": {ops: []Op{write("a", Info, "", 0, 0, 1), write("a", Fail, reasonNoLeader, 0, 2, 3)}, log: []Entry{logged(5, "a", "")}},
		"unknown, then done": {ops: []Op{
			write("a", Info, "", 0, 0, 1), look(9, 2, 3), write("a", OK, "", 5, 4, 5),
		}, log: []Entry{logged(5, "a", "")}},
		"a stale read":          {ops: []Op{look(9, 0, 1), look(8, 2, 3)}, wrong: "says index 8"},
		"a read in between":     {ops: []Op{look(9, 0, 2), look(8, 1, 3)}},
		"touching intervals":    {ops: []Op{look(9, 0, 2), look(8, 2, 3)}},
		"a read misses a write": {ops: []Op{write("a", OK, "", 5, 0, 1), look(4, 2, 3)}, log: []Entry{logged(5, "a", "")}, wrong: "says index 4"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := Witness(tc.ops, tc.log)
			if tc.wrong == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tc.wrong)
			}
		})
	}
}
