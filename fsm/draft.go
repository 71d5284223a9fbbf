package fsm

import (
	"slices"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// A draft is a copy of a stored object that a command may change: its fields are
// its own, what they point to is still the stored object's and must be replaced,
// not changed. So a command costs what it changes, not what the object holds.

// draftHost copies a host, but for what is said of it and is not of the state.
func draftHost(h *apiv1.Host) *apiv1.Host {
	return &apiv1.Host{
		Id: h.GetId(), Name: h.GetName(), Addr: h.GetAddr(), Slots: h.GetSlots(), Used: h.GetUsed(), State: h.GetState(),
		Incarnation: h.GetIncarnation(), Labels: h.GetLabels(), NodeId: h.GetNodeId(), Reason: h.GetReason(),
		ChangedAt: h.GetChangedAt(), SecretHash: h.GetSecretHash(), Wish: h.GetWish(), WishReason: h.GetWishReason(),
		WishedAt: h.GetWishedAt(), Deadline: h.GetDeadline(), Force: h.GetForce(), Unfit: h.GetUnfit(), Unreached: h.GetUnreached(),
		Volumes: h.GetVolumes(), MemoryBytes: h.GetMemoryBytes(), MemoryUsed: h.GetMemoryUsed(), RankMemoryBytes: h.GetRankMemoryBytes(), Speed: h.GetSpeed(), OwnWish: h.GetOwnWish(), Besides: h.GetBesides(),
	}
}

// draftApp copies an app. What its ranks have come to, Ended and Ends, may be
// changed in the copy: both are small for an app that does well.
func draftApp(a *apiv1.App) *apiv1.App {
	return &apiv1.App{
		Id: a.GetId(), Name: a.GetName(), Spec: a.GetSpec(), Phase: a.GetPhase(), Size: a.GetSize(), Epoch: a.GetEpoch(),
		Placement: a.GetPlacement(), ExitCode: a.GetExitCode(), Reason: a.GetReason(), Migratable: a.GetMigratable(),
		Ranks: a.GetRanks(), StartedHosts: a.GetStartedHosts(), Verdict: a.GetVerdict(), SubmittedAt: a.GetSubmittedAt(),
		StartedAt: a.GetStartedAt(), EndedAt: a.GetEndedAt(), SubmitIndex: a.GetSubmitIndex(), IdempotencyKey: a.GetIdempotencyKey(),
		MigrationId: a.GetMigrationId(), Migrations: a.GetMigrations(), Attempt: a.GetAttempt(), EndedIndex: a.GetEndedIndex(),
		Ended: slices.Clone(a.GetEnded()), Ends: slices.Clone(a.GetEnds()), Epochs: a.GetEpochs(), Principal: a.GetPrincipal(),
		Files: a.GetFiles(), CheckpointId: a.GetCheckpointId(), LastCheckpoint: a.GetLastCheckpoint(), Restore: a.GetRestore(),
		FirstEpoch: a.GetFirstEpoch(), Restored: a.GetRestored(), RestoredInVain: a.GetRestoredInVain(), Restoring: a.GetRestoring(), Left: a.GetLeft(),
		WaitsFor: a.GetWaitsFor(), Held: a.GetHeld(), LastAttempt: a.GetLastAttempt(), RanMs: a.GetRanMs(), MemoryByDefault: a.GetMemoryByDefault(), GraceMs: a.GetGraceMs(),
	}
}

// draftMigration copies a migration.
func draftMigration(m *apiv1.Migration) *apiv1.Migration {
	return &apiv1.Migration{
		Id: m.GetId(), App: m.GetApp(), FromEpoch: m.GetFromEpoch(), Phase: m.GetPhase(), Reason: m.GetReason(), Moves: m.GetMoves(),
		Acks: m.GetAcks(), Cause: m.GetCause(), ProposedAt: m.GetProposedAt(), EndedAt: m.GetEndedAt(),
		ProposeIndex: m.GetProposeIndex(), EndedIndex: m.GetEndedIndex(),
	}
}

// draftMove copies a move.
func draftMove(m *apiv1.Move) *apiv1.Move {
	return &apiv1.Move{
		Rank: m.GetRank(), From: m.GetFrom(), To: m.GetTo(), ImageBytes: m.GetImageBytes(), PauseMs: m.GetPauseMs(),
		ImageDigest: m.GetImageDigest(), PauseBytes: m.GetPauseBytes(), Rounds: m.GetRounds(),
	}
}

// draftCheckpoint copies a checkpoint, but for its progress, which is not of the state.
func draftCheckpoint(c *apiv1.Checkpoint) *apiv1.Checkpoint {
	return &apiv1.Checkpoint{
		Id: c.GetId(), App: c.GetApp(), Attempt: c.GetAttempt(), Epoch: c.GetEpoch(), Phase: c.GetPhase(), Reason: c.GetReason(), Cause: c.GetCause(),
		BegunAt: c.GetBegunAt(), TakenAt: c.GetTakenAt(), EndedAt: c.GetEndedAt(), BeginIndex: c.GetBeginIndex(), Parts: c.GetParts(),
		Runs: c.GetRuns(), Ended: c.GetEnded(), Ends: c.GetEnds(), Name: c.GetName(), Spec: c.GetSpec(), Still: c.GetStill(), Then: c.GetThen(),
		To: c.GetTo(), StoredAt: c.GetStoredAt(), Imported: c.GetImported(), Lost: c.GetLost(), DoubtedBy: c.GetDoubtedBy(), DoubtedApp: c.GetDoubtedApp(),
		Next: c.GetNext(), Tries: c.GetTries(),
	}
}

// draftPart copies a part of a checkpoint.
func draftPart(p *apiv1.CheckpointPart) *apiv1.CheckpointPart {
	return &apiv1.CheckpointPart{
		Host: p.GetHost(), Second: p.GetSecond(), Digest: p.GetDigest(), Bytes: p.GetBytes(), NewBytes: p.GetNewBytes(), PauseMs: p.GetPauseMs(),
		Files: p.GetFiles(), HostNode: p.GetHostNode(), SecondNode: p.GetSecondNode(), HostGone: p.GetHostGone(),
		Third: p.GetThird(), ThirdNode: p.GetThirdNode(),
	}
}

// draftModule copies a module.
func draftModule(m *apiv1.Module) *apiv1.Module {
	return &apiv1.Module{
		Digest: m.GetDigest(), Size: m.GetSize(), Migratable: m.GetMigratable(), Reason: m.GetReason(), Imports: m.GetImports(),
		Name: m.GetName(), UsedIndex: m.GetUsedIndex(), UsedAt: m.GetUsedAt(),
	}
}
