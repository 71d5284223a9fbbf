package fsm

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// tx is the state while an entry is applied: a copy of the View whose trees are
// replaced as commands change them. It is thrown away on error.
type tx struct {
	View
	entryIndex, entryTerm uint64
	ledger                *ledger
	// change gathers what the applied commands of the entry have touched.
	change Change

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

// apply applies one command. A leader's command (term not 0) is of the entry's
// term, or it comes from a leader that has been deposed. A client's command whose
// key was seen before answers as it did then. Only applied commands are
// remembered: a refusal changed nothing, so that trying it again is harmless and
// may by now succeed.
func (t *tx) apply(cmd *apiv1.Command) (*apiv1.Result, error) {
	if term := cmd.GetTerm(); term != 0 && term != t.entryTerm {
		return t.refusal(refuse(CodeStaleTerm, "the leader of term %d is not that of term %d any more", term, t.entryTerm)), nil
	}
	if out, before, ok := t.answer(cmd); ok {
		if before != nil {
			return clone(before), nil
		}
		return t.refusal(out), nil
	}
	if err := Check(cmd); err != nil {
		return t.refusal(refuse(CodeInvalid, "%s", err.Error())), nil
	}
	before := t.View
	t.at, t.touched = cmd.GetAt(), touched{}
	out := t.operate(cmd)
	if out.fault == nil && out.code == CodeApplied {
		t.noteDrained()
		t.forgetOldest(&before)
		out.fault = t.checkTouched(&before)
	}
	if out.fault != nil || out.code != CodeApplied {
		t.View = before
	}
	if out.fault != nil {
		return t.fault(out.fault)
	}
	if out.code != CodeApplied {
		return t.refusal(out), nil
	}
	result := &apiv1.Result{Index: t.entryIndex, Id: out.id}
	if cmd.GetKey() != "" && cmd.GetTerm() == 0 {
		t.remember(cmd, result)
	}
	t.gather()
	return result, nil
}

func (t *tx) refusal(out outcome) *apiv1.Result {
	return &apiv1.Result{Index: t.entryIndex, Code: string(out.code), Reason: out.reason}
}

// fault answers for a command that could not be applied, whose changes are
// undone. A broken promise is a refusal and an alarm: every replica has the same
// state and the same command, so all refuse, and none dies of it.
func (t *tx) fault(err error) (*apiv1.Result, error) {
	var broken *InvariantError
	if !errors.As(err, &broken) {
		return nil, err
	}
	t.raise(broken)
	return t.refusal(refuse(CodeBroken, "%s; this is a defect of godwit: please report it", broken.Error())), nil
}

// gather notes what the command has changed, for the feed and the hash.
func (t *tx) gather() {
	c := &t.change
	c.Apps = append(c.Apps, t.touched.apps...)
	c.Hosts = append(c.Hosts, t.touched.hosts...)
	c.Migrations = append(c.Migrations, t.touched.migrations...)
	c.Checkpoints = append(c.Checkpoints, t.touched.checkpoints...)
	c.Modules = append(c.Modules, t.touched.modules...)
	c.Cluster = c.Cluster || t.touched.cluster
	t.ledger.note(&t.touched)
}

func (t *tx) operate(cmd *apiv1.Command) outcome {
	switch op := cmd.GetOp().(type) {
	case *apiv1.Command_InitCluster:
		return t.initCluster(op.InitCluster)
	case *apiv1.Command_RegisterHost:
		return t.registerHost(op.RegisterHost)
	case *apiv1.Command_SetHostState:
		return t.setHostState(op.SetHostState)
	case *apiv1.Command_SetHostWish:
		return t.setHostWish(op.SetHostWish)
	case *apiv1.Command_SetHostUnfit:
		return t.setHostUnfit(op.SetHostUnfit)
	case *apiv1.Command_AddModule:
		return t.addModule(op.AddModule.GetModule())
	case *apiv1.Command_RemoveModule:
		return t.removeModule(op.RemoveModule)
	case *apiv1.Command_RestartApp:
		return t.restartApp(op.RestartApp)
	case *apiv1.Command_SubmitApp:
		return t.submitApp(cmd.GetKey(), cmd.GetPrincipal(), op.SubmitApp)
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
		return t.setClusterConfig(op.SetClusterConfig)
	case *apiv1.Command_ChangeFiles:
		return t.changeFiles(op.ChangeFiles)
	case *apiv1.Command_SetFeatureLevel:
		return t.setFeatureLevel(op.SetFeatureLevel)
	case *apiv1.Command_ClearAlarms:
		return t.clearAlarms(op.ClearAlarms)
	case *apiv1.Command_CheckHash:
		return t.checkHash(op.CheckHash)
	default:
		return t.operateCheckpoint(cmd)
	}
}

// operateCheckpoint applies what is about checkpoints.
func (t *tx) operateCheckpoint(cmd *apiv1.Command) outcome {
	switch op := cmd.GetOp().(type) {
	case *apiv1.Command_BeginCheckpoint:
		return t.beginCheckpoint(op.BeginCheckpoint)
	case *apiv1.Command_AnnounceCheckpoint:
		return t.announceCheckpoint(op.AnnounceCheckpoint)
	case *apiv1.Command_TakeCheckpoint:
		return t.takeCheckpoint(op.TakeCheckpoint)
	case *apiv1.Command_CompleteCheckpoint:
		return t.completeCheckpoint(op.CompleteCheckpoint)
	case *apiv1.Command_AbortCheckpoint:
		return t.abortCheckpoint(op.AbortCheckpoint)
	case *apiv1.Command_ThawApp:
		return t.thawApp(op.ThawApp)
	case *apiv1.Command_RemoveCheckpoint:
		return t.removeCheckpoints(op.RemoveCheckpoint)
	case *apiv1.Command_StoreCheckpoint:
		return t.storeCheckpoint(op.StoreCheckpoint)
	case *apiv1.Command_HoldPart:
		return t.holdPart(op.HoldPart)
	case *apiv1.Command_ImportCheckpoint:
		return t.importCheckpoint(op.ImportCheckpoint.GetCheckpoint())
	default:
		return t.operateRules(cmd)
	}
}

// operateRules applies what changes the rules of the cluster.
func (t *tx) operateRules(cmd *apiv1.Command) outcome {
	switch op := cmd.GetOp().(type) {
	case *apiv1.Command_SetScheduling:
		return t.setScheduling(op.SetScheduling)
	case *apiv1.Command_SetTenant:
		return t.setTenant(op.SetTenant)
	case *apiv1.Command_SetTrust:
		return t.setTrust(op.SetTrust.GetTrust())
	case *apiv1.Command_SetToken:
		return t.setToken(op.SetToken, cmd.GetAt().AsTime().UnixMilli())
	case *apiv1.Command_UseToken:
		return t.useToken(op.UseToken.GetId(), cmd.GetAt().AsTime().UnixMilli())
	}
	return outcome{fault: ErrUnknownCommand}
}

// clone copies a message of the state, so that the copy may be changed.
func clone[T proto.Message](msg T) T {
	return proto.CloneOf(msg)
}
