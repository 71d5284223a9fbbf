package fsm

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// tx is the state while an entry is applied: a copy of the View whose trees are
// replaced as commands change them. It is thrown away on error.
type tx struct {
	View
	entryIndex uint64

	// Of the command being applied.
	at      *timestamppb.Timestamp
	touched touched
}

// refusal is a command's answer that changes nothing.
type refusal struct {
	code   Code
	reason string
}

func refuse(code Code, format string, args ...any) *refusal {
	return &refusal{code: code, reason: fmt.Sprintf(format, args...)}
}

// outcome is what an operation did: the object it made or touched, or why it
// was refused. fault is an invariant that does not hold.
type outcome struct {
	id      string
	refused *refusal
	fault   error
}

func applied(id string) outcome     { return outcome{id: id} }
func refusedAs(r *refusal) outcome  { return outcome{refused: r} }
func faulty(err error) outcome      { return outcome{fault: err} }

// apply applies one command. A command whose key was seen before answers as it
// did then. Only applied commands are remembered: a refusal changed nothing, so
// that trying it again is harmless and may by now succeed.
func (t *tx) apply(cmd *apiv1.Command) (*apiv1.Result, error) {
	remember := cmd.GetKey() != "" && cmd.GetTerm() == 0
	if remember {
		if before, ok := t.keys.get(cmd.GetKey()); ok {
			return proto.Clone(before).(*apiv1.Result), nil
		}
	}
	saved := t.View
	t.at, t.touched = cmd.GetAt(), touched{}
	out := t.operate(cmd)
	if out.fault != nil {
		return nil, out.fault
	}
	if out.refused != nil {
		t.View = saved
		return &apiv1.Result{Index: t.entryIndex, Code: string(out.refused.code), Reason: out.refused.reason}, nil
	}
	if err := t.checkTouched(&saved); err != nil {
		return nil, err
	}
	result := &apiv1.Result{Index: t.entryIndex, Id: out.id}
	if remember {
		t.keys = t.keys.put(cmd.GetKey(), proto.Clone(result).(*apiv1.Result))
	}
	return result, nil
}
