package history

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// maxTold bounds what one judge tells of one kind.
const maxTold = 10

// Witness holds a history against the log that a majority has stored, whole from its first entry.
func Witness(ops []Op, log []Entry) error {
	w := witness{applied: map[string][]uint64{}, refused: map[string]bool{}, tries: map[string]int{}}
	for _, e := range log {
		for i, cmd := range e.Commands {
			switch {
			case cmd.GetKey() == "":
			case e.applied(i):
				w.applied[cmd.GetKey()] = append(w.applied[cmd.GetKey()], e.Index)
			default:
				w.refused[cmd.GetKey()] = true
			}
		}
	}
	for _, op := range ops {
		if op.Key != "" {
			w.tries[op.Key]++
		}
	}
	for _, op := range ops {
		if op.Kind == Submit || op.Kind == Cancel {
			w.write(op)
		}
	}
	w.realTime(ops)
	return errors.Join(w.wrong...)
}

type witness struct {
	applied map[string][]uint64 // indexes at which a key's command was applied
	refused map[string]bool     // keys whose command is in the log and was not applied
	tries   map[string]int      // how many operations used a key: what one of them did not do, another may have done
	wrong   []error
}

func (w *witness) say(format string, args ...any) {
	if len(w.wrong) < maxTold {
		w.wrong = append(w.wrong, fmt.Errorf(format, args...))
	}
}

// write holds one client's write against the log.
func (w *witness) write(op Op) {
	at := w.applied[op.Key]
	switch {
	case len(at) > 1:
		w.say("%s of key %s was applied at each of %v", op.Kind, op.Key, at)
	case op.End == OK && len(at) == 0:
		w.say("%s of key %s was answered at index %d, and the log does not hold it", op.Kind, op.Key, op.Index)
	case op.End == OK && op.Index != at[0]:
		w.say("%s of key %s was applied at %d, the answer says %d", op.Kind, op.Key, at[0], op.Index)
	case op.End == Fail && len(at) > 0 && w.tries[op.Key] == 1:
		w.say("%s of key %s failed (%s), and was applied at %d", op.Kind, op.Key, op.Code, at[0])
	case op.End == Fail && !op.Refused() && w.refused[op.Key] && w.tries[op.Key] == 1:
		w.say("%s of key %s failed with %s, which means that the log never holds it, and it does", op.Kind, op.Key, op.Code)
	}
}

// realTime checks that whatever was asked after an answer saw at least the state that the answer was of.
func (w *witness) realTime(ops []Op) {
	type moment struct {
		op   int
		call bool
	}
	var moments []moment
	for i, op := range ops {
		if op.End == OK && op.Index > 0 {
			moments = append(moments, moment{i, true}, moment{i, false})
		}
	}
	when := func(m moment) int64 {
		if m.call {
			return 2 * int64(ops[m.op].Call)
		}
		return 2*int64(ops[m.op].Return) + 1 // intervals are closed: those that touch are concurrent
	}
	slices.SortStableFunc(moments, func(a, b moment) int { return cmp.Compare(when(a), when(b)) })
	var newest Op
	before := map[int]Op{} // the newest answer there was when an operation was called
	for _, m := range moments {
		op := ops[m.op]
		if m.call {
			before[m.op] = newest
			continue
		}
		if b := before[m.op]; op.Index < b.Index && w.tries[op.Key] <= 1 { // a key that was tried before answers as it did then
			w.say("%s by client %d called at %s says index %d; client %d had been told index %d at %s",
				op.Kind, op.Client, op.Call, op.Index, b.Client, b.Index, b.Return)
		}
		if op.Index > newest.Index {
			newest = op
		}
	}
}
