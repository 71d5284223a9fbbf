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

// outcome is what an operation did: the object it made or touched, or the code
// and reason of its refusal. fault is a promise of the state that does not hold.
type outcome struct {
	id     string
	code   Code
	reason string
	fault  error
}

func applied(id string) outcome { return outcome{id: id} }

func refuse(code Code, format string, args ...any) outcome {
	return outcome{code: code, reason: fmt.Sprintf(format, args...)}
}

// appliedUnless is applied(id), or the fault where there is one.
func appliedUnless(fault error, id string) outcome { return outcome{id: id, fault: fault} }

// apply applies one command. A client's command (term 0) whose key was seen
// before answers as it did then. Only applied commands are remembered: a refusal
// changed nothing, so that trying it again is harmless and may by now succeed.
func (t *tx) apply(cmd *apiv1.Command) (*apiv1.Result, error) {
	remember := cmd.GetKey() != "" && cmd.GetTerm() == 0
	if remember {
		if before, ok := t.keys.get(cmd.GetKey()); ok {
			return clone(before), nil
		}
	}
	before := t.View
	t.at, t.touched = cmd.GetAt(), touched{}
	out := t.operate(cmd)
	if out.fault != nil {
		return nil, out.fault
	}
	if out.code != CodeApplied {
		t.View = before
		return &apiv1.Result{Index: t.entryIndex, Code: string(out.code), Reason: out.reason}, nil
	}
	t.forgetOldest()
	if err := t.checkTouched(&before); err != nil {
		return nil, err
	}
	result := &apiv1.Result{Index: t.entryIndex, Id: out.id}
	if remember {
		t.keys = t.keys.put(cmd.GetKey(), clone(result))
	}
	return result, nil
}

func (t *tx) operate(cmd *apiv1.Command) outcome {
	switch op := cmd.GetOp().(type) {
	case *apiv1.Command_InitCluster:
		return t.initCluster(op.InitCluster)
	case *apiv1.Command_RegisterHost:
		return t.registerHost(op.RegisterHost.GetHost())
	case *apiv1.Command_SetHostState:
		return t.setHostState(op.SetHostState)
	case *apiv1.Command_AddModule:
		return t.addModule(op.AddModule.GetModule())
	case *apiv1.Command_SubmitApp:
		return t.submitApp(cmd.GetKey(), op.SubmitApp)
	case *apiv1.Command_PlaceApp:
		return t.placeApp(op.PlaceApp)
	case *apiv1.Command_HostStarted:
		return t.hostStarted(op.HostStarted)
	case *apiv1.Command_RanksEnded:
		return t.ranksEnded(op.RanksEnded)
	case *apiv1.Command_StopApp:
		return t.stopApp(op.StopApp)
	case *apiv1.Command_ProposeMigration:
		return t.proposeMigration(op.ProposeMigration)
	case *apiv1.Command_AnnounceMigration:
		return t.announceMigration(op.AnnounceMigration)
	case *apiv1.Command_FreezeMigration:
		return t.freezeMigration(op.FreezeMigration)
	case *apiv1.Command_CommitMigration:
		return t.commitMigration(op.CommitMigration)
	case *apiv1.Command_AbortMigration:
		return t.abortMigration(op.AbortMigration)
	case *apiv1.Command_RecordPause:
		return t.recordPause(op.RecordPause)
	case *apiv1.Command_SetClusterConfig:
		return t.setClusterConfig(op.SetClusterConfig.GetConfig())
	case *apiv1.Command_CheckHash:
		return t.checkHash(op.CheckHash)
	}
	return outcome{fault: ErrUnknownCommand}
}

// clone copies a message of the state, so that the copy may be changed.
func clone[T proto.Message](msg T) T {
	return proto.CloneOf(msg)
}
