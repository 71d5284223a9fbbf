package history

import (
	"fmt"
	"math"
	"time"

	"github.com/anishathalye/porcupine"
)

// input is an operation as one app sees it.
type input struct {
	kind Kind
	end  End
	op   *Op
	// seen is what the answer said of this app; nil: that there is none.
	seen *Seen
	part part
}

// part is what of an operation is looked at.
type part int

const (
	whole  part = iota
	effect      // what it did
	answer      // what it said of the app, once it was done
)

// Linearizable fails unless each app's operations fit into one order that respects time and in which every answer is true.
// A search that is not over within limit has failed as well: it has shown nothing.
func Linearizable(ops []Op, limit time.Duration) error {
	deadline := time.Now().Add(limit)
	keys, byApp := subjects(ops)
	shown := make([]map[string]*Seen, len(ops)) // by operation, then by key and by id
	for i := range ops {
		shown[i] = map[string]*Seen{}
		for j := range ops[i].Apps {
			s := &ops[i].Apps[j]
			shown[i][s.Key], shown[i][s.ID] = s, s
		}
	}
	for _, key := range keys {
		view := appView(ops, shown, key, byApp[key])
		switch porcupine.CheckOperationsTimeout(model(), view, max(time.Until(deadline), time.Millisecond)) {
		case porcupine.Ok:
		case porcupine.Unknown:
			return fmt.Errorf("app %s of key %s: no verdict on %d operations within %s", byApp[key], key, len(view), limit)
		default:
			return fmt.Errorf("app %s of key %s: no order of its %d operations is true:%s", byApp[key], key, len(view), tell(view))
		}
	}
	return nil
}

// subjects are the keys of all submissions, in order, and the app of each; an app is empty if no answer named it.
func subjects(ops []Op) (keys []string, byApp map[string]string) {
	byApp = map[string]string{}
	for _, op := range ops {
		if op.Kind != Submit {
			continue
		}
		if _, ok := byApp[op.Key]; !ok {
			keys = append(keys, op.Key)
			byApp[op.Key] = ""
		}
		if op.End == OK && len(op.Apps) > 0 && byApp[op.Key] == "" {
			byApp[op.Key] = op.Apps[0].ID
		}
	}
	for _, op := range ops {
		for _, s := range op.Apps {
			if id, ok := byApp[s.Key]; ok && id == "" {
				byApp[s.Key] = s.ID
			}
		}
	}
	return keys, byApp
}

// appView are the operations that tell something of the app submitted under key.
func appView(ops []Op, shown []map[string]*Seen, key, id string) []porcupine.Operation {
	var out []porcupine.Operation
	first := time.Duration(math.MaxInt64)
	for _, op := range ops {
		if op.Kind == Submit && op.Key == key {
			first = min(first, op.Call)
		}
	}
	for i := range ops {
		op := &ops[i]
		in := input{kind: op.Kind, end: op.End, op: op, seen: shown[i][key]}
		if in.seen == nil && id != "" {
			in.seen = shown[i][id]
		}
		about := op.Kind == Submit && op.Key == key ||
			(op.Kind == Status || op.Kind == Cancel) && id != "" && op.App == id ||
			op.Kind == List && op.End == OK
		silent := op.End == Fail && !op.Refused() || op.End == Info && (op.Kind == Status || op.Kind == List)
		early := in.seen == nil && op.End == OK && op.Return < first // a list before there was anything to list
		other := in.seen == nil && op.Partial
		if !about || silent || early || other {
			continue
		}
		to := int64(op.Return)
		if op.End == Info {
			to = math.MaxInt64
		}
		for _, part := range in.parts() {
			out = append(out, porcupine.Operation{ClientId: op.Client, Input: part, Call: int64(op.Call), Return: to})
		}
	}
	return out
}

// parts are what an operation does, each at a moment of its own between its call and its return: one that changes an app
// takes effect first, and then looks at the app for its answer.
func (in input) parts() []input {
	if in.end != OK || in.seen == nil || in.kind == Status || in.kind == List {
		return []input{in}
	}
	done, said := in, in
	done.part, said.part = effect, answer
	return []input{done, said}
}

func tell(view []porcupine.Operation) string {
	out := ""
	for _, o := range view[:min(len(view), 40)] {
		op := o.Input.(input).op
		out += fmt.Sprintf("\n  client %d %s %s..%s %s index %d", op.Client, op.Kind, op.Call, op.Return, op.End, op.Index)
		if s := o.Input.(input).seen; s != nil {
			out += fmt.Sprintf(" shows %+v", *s)
		} else if op.Kind == List {
			out += " does not show it"
		}
		if op.Error != "" {
			out += " " + op.Error
		}
	}
	return out
}

// model is one app's life for the search. An operation of unknown end leads to both states: it was done, and it was not.
func model() porcupine.Model {
	m := porcupine.NondeterministicModel{
		Init: func() []any { return []any{life{}} },
		Step: func(state, in, _ any) []any { return states(state.(life).step(in.(input))) },
	}
	return m.ToModel()
}

func states(lives []life) []any {
	out := make([]any, 0, len(lives))
	for _, l := range lives {
		out = append(out, l)
	}
	return out
}

// step is what the app may be after an operation; nothing: the operation cannot have ended so.
func (l life) step(in input) []life {
	switch {
	case in.end == Info && in.kind == Submit:
		return []life{l, l.submitted()}
	case in.end == Info:
		return []life{l, l.cancelled()}
	case in.end == Fail && in.kind == Submit:
		return []life{l}
	case in.end == Fail && in.op.Code == reasonNotFound:
		return only(l, l.level == absent)
	case in.end == Fail: // a cancellation that came too late
		late, ok := l.over()
		return only(late, ok)
	case in.part == effect && in.kind == Submit:
		return []life{l.submitted()}
	case in.part == effect:
		return l.stopped()
	case in.kind == Submit && in.part == whole, in.kind == Cancel && (in.part == whole || !in.seen.stopped()):
		return nil // it shows no app, or one that goes on
	}
	if in.seen == nil {
		return only(l, l.level == absent)
	}
	next, ok := l.see(*in.seen)
	return only(next, ok)
}

func only(l life, ok bool) []life {
	if !ok {
		return nil
	}
	return []life{l}
}
