package fsm

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// Names and texts as long as they may be.
func longName(i int) string { return fmt.Sprintf("h%0*d", 62, i) }

func longNames(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = longName(i)
	}
	return out
}

var (
	longID     = strings.Repeat("i", MaxIDBytes)
	longApp    = longName(1)
	longWord   = strings.Repeat("w", MaxWordBytes)
	longReason = strings.Repeat("r", MaxReasonBytes)
)

// largestSpec is a spec as large as one may be: as many arguments, variables and
// places as there can be, and then a smaller one of them.
func largestSpec() *apiv1.AppSpec {
	spec := &apiv1.AppSpec{
		Name: longName(0), ModuleDigest: longID, Size: MaxAppSize, Policy: longID, Hint: longID, MainHost: longName(0),
		Oversubscribe: true, MigrationCheckPeriod: MaxPeriodSeconds, Tenant: longName(0), Restarts: MaxRestarts,
		Env:              []string{"A=" + strings.Repeat("e", MaxEnvBytes-3)},
		CheckpointPeriod: MaxPeriodSeconds, CheckpointKeep: MaxCheckpointKeep, OnHostLoss: apiv1.OnHostLossRestart, HostLossRestarts: MaxRestarts,
		CheckpointTo: "s3://bucket/" + strings.Repeat("b", MaxPathBytes-12),
	}
	for i := range MaxAppSize {
		spec.Place = append(spec.Place, &apiv1.PlaceRule{Host: longName(i), Ranks: 1})
	}
	spec.Args = []string{strings.Repeat("a", MaxSpecBytes-proto.Size(spec)-4)}
	return spec
}

// largest are the largest commands of every kind, in an order in which each can
// be applied.
func largest() []*apiv1.Command {
	host := func(i int) *apiv1.Command {
		labels := map[string]string{}
		for j := range MaxLabels {
			if i > 0 {
				break // one such host will do
			}
			labels[fmt.Sprintf("%03d", j)] = strings.Repeat("v", MaxLabelsBytes/MaxLabels-3)
		}
		return &apiv1.Command{Op: &apiv1.Command_RegisterHost{RegisterHost: &apiv1.RegisterHost{Host: &apiv1.Host{
			Id: longName(i), Name: longName(i), Addr: longWord, Slots: MaxSlots, Labels: labels, NodeId: longWord, Incarnation: longWord,
			SecretHash: make([]byte, MaxDigestBytes),
		}}}}
	}
	var hosts []*apiv1.Command
	for i := range 2 * MaxAppSize {
		hosts = append(hosts, host(i))
	}
	mod := &apiv1.Module{
		Digest: longID, Size: MaxModuleBytes, Migratable: true, Reason: longReason, Name: longWord,
		Imports: slices.Repeat([]string{"i"}, MaxImportsBytes/2),
	}
	propose := &apiv1.ProposeMigration{Id: longApp, App: longApp, FromEpoch: 1, Cause: longID}
	freeze := &apiv1.FreezeMigration{Id: longApp}
	pause := &apiv1.RecordPause{Id: longApp, PauseMs: 1}
	for i := range int32(MaxAppSize) {
		propose.Moves = append(propose.Moves, &apiv1.Move{Rank: i, To: longName(MaxAppSize + int(i))})
		freeze.Ranks = append(freeze.Ranks, &apiv1.FrozenRank{Rank: i, ImageBytes: math.MaxInt64, ImageDigest: make([]byte, MaxDigestBytes), PauseBytes: math.MaxInt64, Rounds: math.MaxInt32})
		pause.More = append(pause.More, &apiv1.RankPause{Rank: i, PauseMs: math.MaxFloat64})
	}
	ops := []*apiv1.Command{
		{Op: &apiv1.Command_InitCluster{InitCluster: &apiv1.InitCluster{ClusterId: longWord}}},
		{Op: &apiv1.Command_SetClusterConfig{SetClusterConfig: &apiv1.SetClusterConfig{Config: &apiv1.ClusterConfig{LeaseMs: MaxLeaseMs}}}},
		{Op: &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: FeatureLevel}}},
		{Op: &apiv1.Command_AddModule{AddModule: &apiv1.AddModule{Module: mod}}},
		{Op: &apiv1.Command_SubmitApp{SubmitApp: &apiv1.SubmitApp{Id: longApp, Spec: largestSpec()}}},
		{Op: &apiv1.Command_PlaceApp{PlaceApp: &apiv1.PlaceApp{App: longApp, Placement: longNames(MaxAppSize)}}},
		{Op: &apiv1.Command_HostStarted{HostStarted: &apiv1.HostStarted{App: longApp, Host: longName(0), Epoch: 1}}},
	}
	for i := 1; i < MaxAppSize; i++ {
		ops = append(ops, &apiv1.Command{Op: &apiv1.Command_HostStarted{HostStarted: &apiv1.HostStarted{App: longApp, Host: longName(i), Epoch: 1}}})
	}
	ops = append(ops, largestCheckpoint()...)
	ops = append(ops,
		&apiv1.Command{Op: &apiv1.Command_SetScheduling{SetScheduling: &apiv1.SetScheduling{Scheduling: &apiv1.Scheduling{
			Policy: longID, MigrationsAtOnce: MaxMigrationsAtOnce, CoolDownMs: MaxPeriodSeconds * 1000, MinGainPercent: 100, StrictOrder: true, RankMemoryBytes: MaxRankMemory,
		}}}},
		&apiv1.Command{Op: &apiv1.Command_SetClusterConfig{SetClusterConfig: &apiv1.SetClusterConfig{Config: &apiv1.ClusterConfig{CodeKey: make([]byte, CodeKeyBytes)}}}},
		&apiv1.Command{Op: &apiv1.Command_SetTenant{SetTenant: &apiv1.SetTenant{Tenant: &apiv1.Tenant{Name: longName(0), Slots: math.MaxInt32, Shares: MaxShares}}}},
	)
	token := &apiv1.Token{
		Id: strings.Repeat("t", maxTokenIDBytes), Hash: make([]byte, maxTokenHashBytes), Role: strings.Repeat("r", maxTokenIDBytes), ExpiresMs: math.MaxInt64, Most: maxTokenUses,
		Used: maxTokenUses, MadeMs: math.MaxInt64, MadeBy: longWord, Note: longWord,
	}
	ops = append(ops,
		&apiv1.Command{Op: &apiv1.Command_SetTrust{SetTrust: &apiv1.SetTrust{Trust: &apiv1.Trust{
			Authority: make([]byte, maxAuthorityBytes), Sealed: make([]byte, maxAuthorityBytes), Tokens: slices.Repeat([]*apiv1.Token{token}, maxFirstTokens),
		}}}},
		&apiv1.Command{Op: &apiv1.Command_SetToken{SetToken: &apiv1.SetToken{Token: &apiv1.Token{Id: "b", Hash: token.Hash, Role: token.Role, MadeBy: longWord, Note: longWord}, TtlMs: maxTokenMs}}},
		&apiv1.Command{Op: &apiv1.Command_UseToken{UseToken: &apiv1.UseToken{Id: "b"}}},
	)
	digest := strings.Repeat("ab", MaxDigestBytes)
	files := &apiv1.ChangeFiles{
		App: longApp, Host: longName(0), What: apiv1.ChangeFiles_WHAT_OPENED, Reason: longReason,
		Tree: &apiv1.Tree{List: digest, Packs: slices.Repeat([]string{digest}, MaxPacks), Files: math.MaxInt64, Bytes: math.MaxInt64},
	}
	ops = append(ops,
		&apiv1.Command{Op: &apiv1.Command_ChangeFiles{ChangeFiles: files}},
		&apiv1.Command{Op: &apiv1.Command_ProposeMigration{ProposeMigration: propose}},
		&apiv1.Command{Op: &apiv1.Command_AnnounceMigration{AnnounceMigration: &apiv1.AnnounceMigration{Id: longApp, Acks: longNames(MaxAcks)}}},
		&apiv1.Command{Op: &apiv1.Command_FreezeMigration{FreezeMigration: freeze}},
		&apiv1.Command{Op: &apiv1.Command_CommitMigration{CommitMigration: &apiv1.CommitMigration{Id: longApp}}},
		&apiv1.Command{Op: &apiv1.Command_RecordPause{RecordPause: pause}},
		&apiv1.Command{Op: &apiv1.Command_SetHostWish{SetHostWish: &apiv1.SetHostWish{
			Host: longName(0), Wish: string(Evicting), Reason: longReason, Deadline: timestamppb.New(timestamppb.Now().AsTime()),
		}}},
		&apiv1.Command{Op: &apiv1.Command_SetHostUnfit{SetHostUnfit: &apiv1.SetHostUnfit{Host: longName(0), Incarnation: longWord, Reason: longReason, Unreached: longReason}}},
		&apiv1.Command{Op: &apiv1.Command_SetHostState{SetHostState: &apiv1.SetHostState{
			Host: longName(0), Incarnation: longWord, State: string(Lost), Reason: longReason,
		}}},
		&apiv1.Command{Op: &apiv1.Command_StopApp{StopApp: &apiv1.StopApp{App: longApp, Phase: string(Failed), ExitCode: -1, Reason: longReason}}},
		&apiv1.Command{Op: &apiv1.Command_ClearAlarms{ClearAlarms: &apiv1.ClearAlarms{Index: math.MaxUint64}}},
		&apiv1.Command{Op: &apiv1.Command_CheckHash{CheckHash: &apiv1.CheckHash{Index: math.MaxUint64, Hash: make([]byte, MaxDigestBytes)}}},
	)
	return append(hosts, ops...)
}

// largestCheckpoint is a checkpoint of as many hosts as there can be, and as many second ones as a command can name.
func largestCheckpoint() []*apiv1.Command {
	begin, take, complete := &apiv1.BeginCheckpoint{Id: longApp, App: longApp, Epoch: 1, Cause: longID}, &apiv1.TakeCheckpoint{Id: longApp}, &apiv1.CompleteCheckpoint{Id: longApp}
	remove := &apiv1.RemoveCheckpoint{Ids: longNames(MaxCheckpoints)}
	for i := range MaxAppSize {
		p := &apiv1.CheckpointPart{Host: longName(i), Second: longName(MaxAppSize + i)}
		if proto.Size(begin)+proto.Size(p)+3 <= MaxPartsBytes {
			begin.Parts = append(begin.Parts, p)
		}
		take.Parts = append(take.Parts, &apiv1.CheckpointPart{Host: longName(i), PauseMs: math.MaxFloat64, Files: true})
		complete.Parts = append(complete.Parts, &apiv1.CheckpointPart{Host: longName(i), Digest: make([]byte, MaxDigestBytes), Bytes: math.MaxInt64, NewBytes: math.MaxInt64})
	}
	begin.To = "s3://bucket"
	imported := &apiv1.Checkpoint{
		Id: longName(2), App: longApp, Phase: string(CheckpointComplete), To: begin.To, Spec: &apiv1.AppSpec{ModuleDigest: longID, Size: MaxAppSize},
	}
	for i := range MaxAppSize {
		p := &apiv1.CheckpointPart{Host: longName(i), Digest: make([]byte, MaxDigestBytes), Bytes: math.MaxInt64, NewBytes: math.MaxInt64}
		if proto.Size(imported)+proto.Size(p)+100 <= MaxPartsBytes {
			imported.Parts = append(imported.Parts, p)
		}
	}
	imported.Runs = []*apiv1.PlaceRule{{Host: longName(0), Ranks: MaxAppSize}}
	vain := proto.CloneOf(begin)
	vain.Id = longName(3)
	return []*apiv1.Command{
		{Op: &apiv1.Command_BeginCheckpoint{BeginCheckpoint: vain}},
		{Op: &apiv1.Command_AbortCheckpoint{AbortCheckpoint: &apiv1.AbortCheckpoint{Id: vain.Id, Reason: longReason, Next: begin}}},
		{Op: &apiv1.Command_AnnounceCheckpoint{AnnounceCheckpoint: &apiv1.AnnounceCheckpoint{Id: longApp}}},
		{Op: &apiv1.Command_TakeCheckpoint{TakeCheckpoint: take}},
		{Op: &apiv1.Command_CompleteCheckpoint{CompleteCheckpoint: complete}},
		{Op: &apiv1.Command_StoreCheckpoint{StoreCheckpoint: &apiv1.StoreCheckpoint{Id: longApp, To: begin.To}}},
		{Op: &apiv1.Command_HoldPart{HoldPart: &apiv1.HoldPart{Id: longApp, Host: longName(0), To: longName(1), Incarnation: longWord}}},
		{Op: &apiv1.Command_ImportCheckpoint{ImportCheckpoint: &apiv1.ImportCheckpoint{Checkpoint: imported}}},
		{Op: &apiv1.Command_RemoveCheckpoint{RemoveCheckpoint: remove}},
	}
}

// TestLargestCommands: the largest command of every kind keeps the bounds, fits
// an entry with the longest key and principal, and is applied.
func TestLargestCommands(t *testing.T) {
	m := New()
	kinds := map[string]bool{}
	for i, cmd := range largest() {
		cmd.Key, cmd.Principal = fmt.Sprintf("%0*d", MaxKeyBytes, i), strings.Repeat("p", MaxPrincipalBytes)
		cmd.At = &timestamppb.Timestamp{Seconds: math.MaxInt32, Nanos: 999_999_999}
		require.NoError(t, Check(cmd))
		data, err := Encode(&apiv1.Entry{Commands: []*apiv1.Command{cmd}})
		require.NoError(t, err, "%T", cmd.GetOp())
		results, err := m.Apply(m.View().Index()+1, 1, data)
		require.NoError(t, err)
		require.Empty(t, results[0].GetCode(), "%T: %s", cmd.GetOp(), results[0].GetReason())
		kinds[fmt.Sprintf("%T", cmd.GetOp())] = true
	}
	// Ranks end with the longest reasons, in as many commands as that takes.
	report := &apiv1.RanksEnded{App: longApp, Host: longName(MaxAppSize)}
	for range MaxAppSize {
		report.Ranks = append(report.Ranks, &apiv1.EndedRank{Epoch: 2, ExitCode: -1, Reason: strings.Repeat("x\x1b", MaxReasonBytes)})
	}
	parts := SplitRanksEnded(report)
	require.Greater(t, len(parts), 4)
	ranks := 0
	for _, part := range parts {
		cmd := &apiv1.Command{Op: &apiv1.Command_RanksEnded{RanksEnded: part}}
		_, err := Encode(&apiv1.Entry{Commands: []*apiv1.Command{cmd}})
		require.NoError(t, err)
		require.NoError(t, Check(cmd))
		ranks += len(part.GetRanks())
	}
	require.Equal(t, MaxAppSize, ranks)
	results, err := applyEntry(m, m.View().Index()+1, &apiv1.Entry{Commands: []*apiv1.Command{{Op: &apiv1.Command_RanksEnded{RanksEnded: parts[0]}}}})
	require.NoError(t, err)
	require.Empty(t, results[0].GetCode(), results[0].GetReason())
	requireSound(t, m)
	for _, kind := range []string{"AbortMigration", "RestartApp", "ThawApp", "RemoveModule", "RanksEnded"} { // of ids and one reason
		delete(kinds, "*apiv1.Command_"+kind)
	}
	require.Len(t, kinds, (*apiv1.Command)(nil).ProtoReflect().Descriptor().Oneofs().ByName("op").Fields().Len()-5)
}

// TestReasonsOfRanksAreBounded: a large app whose ranks all end with a long word
// keeps some of the words, and every code.
func TestReasonsOfRanksAreBounded(t *testing.T) {
	m := New()
	mustHold(t, m, "module m", fmt.Sprintf("host h1 %d n i", MaxSlots), fmt.Sprintf("submit a m %d", MaxAppSize))
	placement := slices.Repeat([]string{"h1"}, MaxAppSize)
	mustHold(t, m, "place a "+strings.Join(placement, " "), "started a h1 1")
	report := &apiv1.RanksEnded{App: "a", Host: "h1"}
	for r := range int32(MaxAppSize - 1) {
		report.Ranks = append(report.Ranks, &apiv1.EndedRank{Rank: r, Epoch: 1, ExitCode: r + 1, Reason: longReason})
	}
	for _, part := range SplitRanksEnded(report) {
		results, err := applyEntry(m, m.View().Index()+1, &apiv1.Entry{Commands: []*apiv1.Command{{Op: &apiv1.Command_RanksEnded{RanksEnded: part}}}})
		require.NoError(t, err)
		require.Empty(t, results[0].GetCode(), results[0].GetReason())
	}
	app, _ := m.View().App("a")
	require.Equal(t, 1, LiveRanks(app))
	require.Less(t, proto.Size(app), 4*MaxReasonsBytes+16*MaxAppSize)
	require.Equal(t, longReason, app.RankState(0).GetReason())
	require.Empty(t, app.RankState(MaxAppSize-2).GetReason())
	require.EqualValues(t, MaxAppSize-1, app.RankState(MaxAppSize-2).GetExitCode())
}

// excess is a command that goes one step beyond a bound, of a field.
type excess struct {
	field string
	cmd   *apiv1.Command
}

// TestCheck: one step beyond a bound is refused, by Check and by Apply alike.
func TestCheck(t *testing.T) {
	for _, tt := range slices.Concat(excessOfApps(t), excessOfHosts(), excessOfRanks(t)) {
		t.Run(tt.field, func(t *testing.T) {
			if tt.cmd.GetOp() == nil {
				tt.cmd.Op = command(t, "init c1").GetOp()
			}
			var invalid *InvalidError
			require.ErrorAs(t, Check(tt.cmd), &invalid)
			require.Equal(t, tt.field, invalid.Field)
			require.Less(t, len(invalid.Error()), 600)
			results, err := applyEntry(New(), 1, &apiv1.Entry{Commands: []*apiv1.Command{tt.cmd}})
			require.NoError(t, err)
			require.Equal(t, string(CodeInvalid), results[0].GetCode())
		})
	}
}

func excessOfApps(t *testing.T) []excess {
	submit := func(change func(*apiv1.AppSpec)) *apiv1.Command {
		spec := &apiv1.AppSpec{ModuleDigest: "m", Size: 2}
		change(spec)
		return &apiv1.Command{Op: &apiv1.Command_SubmitApp{SubmitApp: &apiv1.SubmitApp{Id: "a", Spec: spec}}}
	}
	return []excess{
		{"key", &apiv1.Command{Key: strings.Repeat("k", MaxKeyBytes+1)}},
		{"key", &apiv1.Command{Key: "bell\a"}},
		{"principal", &apiv1.Command{Principal: strings.Repeat("k", MaxPrincipalBytes+1)}},
		{"principal", &apiv1.Command{Principal: "right\u202eleft"}},
		{"cluster_id", command(t, "init")},
		{"spec", &apiv1.Command{Op: &apiv1.Command_SubmitApp{SubmitApp: &apiv1.SubmitApp{Id: "a"}}}},
		{"id", command(t, "submit a/../b m 1 ")},
		{"spec.size", submit(func(s *apiv1.AppSpec) { s.Size = 0 })},
		{"spec.size", submit(func(s *apiv1.AppSpec) { s.Size = MaxAppSize + 1 })},
		{"spec.name", submit(func(s *apiv1.AppSpec) { s.Name = "../up" })},
		{"spec.tenant", submit(func(s *apiv1.AppSpec) { s.Tenant = "a b" })},
		{"spec.main_host", submit(func(s *apiv1.AppSpec) { s.MainHost = "\x00" })},
		{"spec.args", submit(func(s *apiv1.AppSpec) { s.Args = []string{strings.Repeat("a", MaxArgsBytes)} })},
		{"spec.args", submit(func(s *apiv1.AppSpec) { s.Args = []string{"a\x00b"} })},
		{"spec.env", submit(func(s *apiv1.AppSpec) { s.Env = []string{"A=" + strings.Repeat("a", MaxEnvBytes)} })},
		{"spec.env", submit(func(s *apiv1.AppSpec) { s.Env = []string{"novalue"} })},
		{"spec.owner_lease_ms", submit(func(s *apiv1.AppSpec) { s.OwnerLeaseMs = 999 })},
		{"spec.owner_lease_ms", submit(func(s *apiv1.AppSpec) { s.OwnerLeaseMs = -1 })},
		{"spec.parts", submit(func(s *apiv1.AppSpec) { s.Parts = []*apiv1.AppPart{{ModuleDigest: "m", Ranks: 2}} })},
		{"spec.parts", submit(func(s *apiv1.AppSpec) { s.ModuleDigest, s.Parts = "", []*apiv1.AppPart{{ModuleDigest: "m", Ranks: 1}} })},
		{"spec.parts", submit(func(s *apiv1.AppSpec) { s.ModuleDigest, s.Parts = "", make([]*apiv1.AppPart, MaxParts+1) })},
		{"spec.parts.ranks", submit(func(s *apiv1.AppSpec) {
			s.ModuleDigest, s.Parts = "", []*apiv1.AppPart{{ModuleDigest: "m", Ranks: 3}, {ModuleDigest: "m", Ranks: -1}}
		})},
		{"spec.parts.module_digest", submit(func(s *apiv1.AppSpec) { s.ModuleDigest, s.Parts = "", []*apiv1.AppPart{{Ranks: 2}} })},
		{"spec.parts.name", submit(func(s *apiv1.AppSpec) {
			s.ModuleDigest, s.Parts = "", []*apiv1.AppPart{{ModuleDigest: "m", Name: "../x", Ranks: 2}}
		})},
		{"spec.parts.env", submit(func(s *apiv1.AppSpec) {
			s.ModuleDigest, s.Parts = "", []*apiv1.AppPart{{ModuleDigest: "m", Env: []string{"novalue"}, Ranks: 2}}
		})},
		{"spec.parts.args", submit(func(s *apiv1.AppSpec) {
			half := []string{strings.Repeat("a", MaxArgsBytes/2)}
			s.ModuleDigest, s.Parts = "", []*apiv1.AppPart{{ModuleDigest: "m", Args: half, Ranks: 1}, {ModuleDigest: "m", Args: half, Ranks: 1}}
		})},
		{"spec.migration_check_period", submit(func(s *apiv1.AppSpec) { s.MigrationCheckPeriod = math.NaN() })},
		{"spec.checkpoint_period", submit(func(s *apiv1.AppSpec) { s.CheckpointPeriod = math.NaN() })},
		{"spec.checkpoint_period", submit(func(s *apiv1.AppSpec) { s.CheckpointPeriod = 0.5 })},
		{"spec.checkpoint_period", submit(func(s *apiv1.AppSpec) { s.CheckpointPeriod = -1 })},
		{"spec.checkpoint_period", submit(func(s *apiv1.AppSpec) { s.CheckpointPeriod = math.Inf(1) })},
		{"spec.checkpoint_keep", submit(func(s *apiv1.AppSpec) { s.CheckpointKeep = MaxCheckpointKeep + 1 })},
		{"spec.checkpoint_keep", submit(func(s *apiv1.AppSpec) { s.CheckpointKeep = -1 })},
		{"spec.on_host_loss", submit(func(s *apiv1.AppSpec) { s.OnHostLoss = "wait" })},
		{"spec.host_loss_restarts", submit(func(s *apiv1.AppSpec) { s.HostLossRestarts = -1 })},
		{"spec.host_loss_restarts", submit(func(s *apiv1.AppSpec) { s.HostLossRestarts = MaxRestarts + 1 })},
		{"spec.restore", submit(func(s *apiv1.AppSpec) { s.Restore = "../c" })},
		{"spec.checkpoint_to", submit(func(s *apiv1.AppSpec) { s.CheckpointTo = "/backup" })},
		{"spec.checkpoint_to", submit(func(s *apiv1.AppSpec) { s.CheckpointTo = "file://" + strings.Repeat("a", MaxPathBytes) })},
		{"spec.restarts", submit(func(s *apiv1.AppSpec) { s.Restarts = -1 })},
		{"spec.place", submit(func(s *apiv1.AppSpec) { s.Place = []*apiv1.PlaceRule{{Host: "h", Ranks: 1}} })},
		{"spec.place", submit(func(s *apiv1.AppSpec) { s.Place = []*apiv1.PlaceRule{{Host: "h", Ranks: 3}, {Host: "h", Ranks: -1}} })},
		{"spec", submit(func(s *apiv1.AppSpec) { proto.Merge(s, largestSpec()); s.Size = MaxAppSize; s.Args[0] += "a" })},
	}
}

func excessOfHosts() []excess {
	register := func(change func(*apiv1.Host)) *apiv1.Command {
		host := &apiv1.Host{Id: "h", NodeId: "n", Incarnation: "i", Slots: 1}
		change(host)
		return &apiv1.Command{Op: &apiv1.Command_RegisterHost{RegisterHost: &apiv1.RegisterHost{Host: host}}}
	}
	module := func(change func(*apiv1.Module)) *apiv1.Command {
		mod := &apiv1.Module{Digest: "d"}
		change(mod)
		return &apiv1.Command{Op: &apiv1.Command_AddModule{AddModule: &apiv1.AddModule{Module: mod}}}
	}
	return []excess{
		{"host.id", register(func(h *apiv1.Host) { h.Id = "" })},
		{"host.id", register(func(h *apiv1.Host) { h.Id = "a/b" })},
		{"host.node_id", register(func(h *apiv1.Host) { h.NodeId = "" })},
		{"host.incarnation", register(func(h *apiv1.Host) { h.Incarnation = "a\nb" })},
		{"host.addr", register(func(h *apiv1.Host) { h.Addr = longWord + "w" })},
		{"host.labels", register(func(h *apiv1.Host) { h.Labels = map[string]string{"k": "\x1b[31m"} })},
		{"host.labels", register(func(h *apiv1.Host) { h.Labels = map[string]string{"": "v"} })},
		{"module.digest", module(func(m *apiv1.Module) { m.Digest = "" })},
		{"module.size", module(func(m *apiv1.Module) { m.Size = MaxModuleBytes + 1 })},
		{"module.name", module(func(m *apiv1.Module) { m.Name = longWord + "w" })},
		{"module.imports", module(func(m *apiv1.Module) { m.Imports = slices.Repeat([]string{"ii"}, MaxImportsBytes/3+1) })},
	}
}

func excessOfRanks(t *testing.T) []excess {
	moves := &apiv1.ProposeMigration{Id: "g", App: "a"}
	for i := range int32(MaxAppSize + 1) {
		moves.Moves = append(moves.Moves, &apiv1.Move{Rank: i, To: "h"})
	}
	begin := &apiv1.BeginCheckpoint{Id: "c", App: "a"}
	for i := range MaxAppSize {
		begin.Parts = append(begin.Parts, &apiv1.CheckpointPart{Host: longName(i), Second: longName(i + 1)})
	}
	return []excess{
		{"parts", &apiv1.Command{Op: &apiv1.Command_BeginCheckpoint{BeginCheckpoint: begin}}},
		{"parts", command(t, "checkpoint c a 1"+strings.Repeat(" h", MaxAppSize+1))},
		{"parts.host", command(t, "checkpoint c a 1 >h")},
		{"parts.second", command(t, "checkpoint c a 1 h>H")},
		{"id", command(t, "checkpoint ../c a 1")},
		{"id", command(t, "abort-checkpoint c next=../c,a,1")},
		{"parts", command(t, "take c"+strings.Repeat(" h=1", MaxAppSize+1))},
		{"parts", command(t, "complete c"+strings.Repeat(" h", MaxAppSize+1))},
		{"ids", command(t, "remove-checkpoint"+strings.Repeat(" c", MaxCheckpoints+1))},
		{"placement", command(t, "place a"+strings.Repeat(" h", MaxAppSize+1))},
		{"placement", command(t, "place a H")},
		{"moves", &apiv1.Command{Op: &apiv1.Command_ProposeMigration{ProposeMigration: moves}}},
		{"moves.to", command(t, "propose g a 1 0:h1>")},
		{"acks", command(t, "announce g"+strings.Repeat(" h", MaxAcks+1))},
		{"ranks", &apiv1.Command{Op: &apiv1.Command_FreezeMigration{FreezeMigration: &apiv1.FreezeMigration{
			Ranks: []*apiv1.FrozenRank{{ImageDigest: make([]byte, MaxDigestBytes+1)}},
		}}}},
	}
}

func TestCleanText(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{"as it is\n\tand on", "as it is\n\tand on"},
		{"\x1b[31mred\x07", "?[31mred?"},
		{"bad\xffutf", "bad?utf"},
		{"right\u202eleft\u2066", "right?left?"},
		{"ähnlich, 同じ", "ähnlich, 同じ"},
		{strings.Repeat("a", 33), strings.Repeat("a", 29) + "…"},
		{strings.Repeat("a", 28) + "ä" + strings.Repeat("b", 9), strings.Repeat("a", 28) + "…"},
	} {
		require.Equal(t, tt.want, CleanText(tt.in, 32), "%q", tt.in)
	}
	rapid.Check(t, func(t *rapid.T) {
		in, most := string(rapid.SliceOf(rapid.Byte()).Draw(t, "text")), rapid.IntRange(4, 40).Draw(t, "most")
		out := CleanText(in, most)
		require.LessOrEqual(t, len(out), most)
		require.True(t, utf8.ValidString(out))
		require.Equal(t, out, CleanText(out, most), "what is clean stays")
	})
}
