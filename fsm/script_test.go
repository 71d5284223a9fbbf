package fsm

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestScripts runs testdata/*.txt. Directives:
//
//	apply    one log entry of term 1, a command a line (see parseCommand); prints the results
//	unused   prints the modules that no app in flight runs, the least recently used first
//	state    prints hosts, live apps, ended apps, migrations and checkpoints
//	find     prints what each reference finds
//
// After every entry the invariants are checked, and a snapshot taken and
// restored must give the same state.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		if !strings.HasSuffix(path, ".txt") {
			return
		}
		m, index := New(), uint64(0)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "apply":
				index++
				return applyScript(t, m, index, d.Input)
			case "state":
				return describe(m.View())
			case "unused":
				var out strings.Builder
				for mod := range m.View().UnusedModules() {
					fmt.Fprintln(&out, mod.GetDigest())
				}
				return out.String()
			case "find":
				var out strings.Builder
				for ref := range strings.FieldsSeq(d.Input) {
					app, err := m.View().FindApp(ref)
					if err != nil {
						fmt.Fprintln(&out, err)
						continue
					}
					fmt.Fprintf(&out, "%s: %s\n", ref, app.GetId())
				}
				return out.String()
			}
			d.Fatalf(t, "unknown directive %s", d.Cmd)
			return ""
		})
	})
}

func applyScript(t *testing.T, m *Machine, index uint64, input string) string {
	entry := new(apiv1.Entry)
	for line := range strings.Lines(input) {
		cmd, err := parseCommand(strings.Fields(line))
		require.NoError(t, err, line)
		cmd.At = &timestamppb.Timestamp{Seconds: int64(index)}
		entry.Commands = append(entry.Commands, cmd)
	}
	results, err := applyEntry(m, index, entry)
	if err != nil {
		return err.Error() + "\n"
	}
	requireSound(t, m)
	var out strings.Builder
	for _, r := range results {
		switch {
		case r.GetCode() != "":
			fmt.Fprintf(&out, "%s: %s\n", r.GetCode(), r.GetReason())
		case r.GetIndex() != index:
			fmt.Fprintf(&out, "ok %s (as at %d)\n", r.GetId(), r.GetIndex())
		default:
			fmt.Fprintln(&out, strings.TrimSpace("ok "+r.GetId()))
		}
	}
	return out.String()
}

func applyEntry(m *Machine, index uint64, entry *apiv1.Entry) ([]*apiv1.Result, error) {
	data, err := seal(entry)
	if err != nil {
		return nil, err
	}
	results, err := m.Apply(index, 1, data)
	for _, r := range results {
		if r.GetCode() == string(CodeBroken) {
			return nil, errors.New(r.GetReason())
		}
	}
	return results, err
}

// requireSound checks the invariants, and that a snapshot loses nothing.
func requireSound(t require.TestingT, m *Machine) {
	v := m.View()
	require.NoError(t, CheckInvariants(v))
	var queue []*apiv1.App
	for app := range v.appsOf(v.live) {
		if PhaseOf(app) == Queued && MayPlace(app) {
			queue = append(queue, app)
		}
	}
	slices.SortStableFunc(queue, func(a, b *apiv1.App) int { return cmp.Compare(b.GetSpec().GetPriority(), a.GetSpec().GetPriority()) })
	require.Equal(t, idsOf(slices.Values(queue)), idsOf(v.Queue()))
	var buf bytes.Buffer
	_, err := v.WriteTo(&buf)
	require.NoError(t, err)
	again := New()
	require.NoError(t, again.Restore(bytes.NewReader(buf.Bytes())))
	require.Equal(t, v.Hash(), again.View().Hash())
	require.Equal(t, v.LastHash().GetIndex(), again.View().LastHash().GetIndex())
	require.Equal(t, v.Hash(), v.seal(m.ledger.settle(v)), "the sum kept is not the sum made anew")
}

// parseCommand reads the command language. Words after the positional ones are
// options key=value (any command: key=K, term=T, principal=P), flags, or a reason in the end.
//
//	init CLUSTER
//	lease MS / level N
//	host NAME SLOTS NODE INCARNATION [SECRET]
//	wish NAME WISH [by=SECOND] REASON...
//	state NAME INCARNATION STATE REASON...
//	module DIGEST [migratable]
//	unmodule DIGEST
//	policy NAME [strict] / tenant NAME SLOTS SHARES [remove]
//	submit ID MODULE SIZE (options of the queue: queueOption) [name=N] [restarts=N] [oversubscribe] [every=S] [keep=N] [onloss=WHAT] [lossrestarts=N] [restore=ID] [to=URL]
//	place APP HOST... | HOST*N
//	started APP HOST EPOCH
//	ended APP HOST RANK@EPOCH=CODE[:REASON]...
//	stop APP PHASE CODE REASON...
//	restart APP ATTEMPT REASON...
//	files APP HOST opened|moves|moved|stays|stored|lost [DIGEST|move=N|attempt=N] REASON...
//	propose ID APP EPOCH RANK:FROM>TO...
//	announce ID ACK... / freeze ID RANK... / commit ID / abort ID REASON...
//	pause ID RANK MS
//	checkpoint ID APP EPOCH [HOST>SECOND...] [then=freeze|queue] / thaw APP
//	announce-checkpoint ID / take ID [HOST=MS[+files]...] / complete ID [HOST[=DIGESTBYTES,BYTES,NEW]...]
//	abort-checkpoint ID [next=NEXT,APP,EPOCH[,HOST>SECOND]...] REASON... / remove-checkpoint ID...
//	hash INDEX HEX
func parseCommand(words []string) (*apiv1.Command, error) {
	cmd := new(apiv1.Command)
	words = slices.DeleteFunc(words, func(word string) bool { return envelopeOption(cmd, word) })
	l := line(words)
	switch l.word(0) {
	case "init":
		cmd.Op = &apiv1.Command_InitCluster{InitCluster: &apiv1.InitCluster{ClusterId: l.word(1)}}
	case "level":
		cmd.Op = &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: uint32(l.number(1))}}
	case "lease":
		cmd.Op = &apiv1.Command_SetClusterConfig{SetClusterConfig: &apiv1.SetClusterConfig{
			Config: &apiv1.ClusterConfig{LeaseMs: l.number(1)},
		}}
	case "code-key":
		cmd.Op = &apiv1.Command_SetClusterConfig{SetClusterConfig: &apiv1.SetClusterConfig{Config: &apiv1.ClusterConfig{CodeKey: bytes.Repeat([]byte(l.word(1)), int(l.number(2)))}, RenewCodeKey: slices.Contains(l, "renew")}}
	case "policy":
		cmd.Op = &apiv1.Command_SetScheduling{SetScheduling: &apiv1.SetScheduling{Scheduling: &apiv1.Scheduling{Policy: l.word(1), StrictOrder: slices.Contains(l, "strict")}}}
		for _, word := range l {
			if n, ok := strings.CutPrefix(word, "mem="); ok {
				mib, _ := strconv.ParseInt(n, 10, 64)
				cmd.GetSetScheduling().GetScheduling().RankMemoryBytes = mib << 20
			}
		}
	case "tenant":
		cmd.Op = &apiv1.Command_SetTenant{SetTenant: &apiv1.SetTenant{
			Tenant: &apiv1.Tenant{Name: l.word(1), Slots: int32(l.number(2)), Shares: int32(l.number(3))}, Remove: slices.Contains(l, "remove"),
		}}
	case "trust":
		cmd.Op = &apiv1.Command_SetTrust{SetTrust: &apiv1.SetTrust{Trust: &apiv1.Trust{Authority: []byte(l.word(1)), Sealed: []byte("sealed")}}}
	case "token":
		cmd.Op = &apiv1.Command_SetToken{SetToken: &apiv1.SetToken{
			Token: &apiv1.Token{Id: l.word(1), Hash: make([]byte, 32), Role: l.word(2), ExpiresMs: l.number(3), Most: int32(l.number(4))}, Remove: slices.Contains(l, "remove"),
		}}
	case "use":
		cmd.Op = &apiv1.Command_UseToken{UseToken: &apiv1.UseToken{Id: l.word(1)}}
	case "module":
		cmd.Op = &apiv1.Command_AddModule{AddModule: &apiv1.AddModule{Module: &apiv1.Module{
			Digest: l.word(1), Migratable: slices.Contains(l, "migratable"),
		}}}
	case "unalarm":
		cmd.Op = &apiv1.Command_ClearAlarms{ClearAlarms: &apiv1.ClearAlarms{Index: uint64(l.number(1))}}
	case "unmodule":
		cmd.Op = &apiv1.Command_RemoveModule{RemoveModule: &apiv1.RemoveModule{Digest: l.word(1)}}
	case "host", "state", "unfit", "unreached", "wish":
		parseHost(cmd, l)
	case "propose", "announce", "freeze", "freeze+commit", "commit", "abort", "pause", "hash":
		return cmd, parseMigration(cmd, l)
	case "checkpoint", "announce-checkpoint", "take", "complete", "abort-checkpoint", "remove-checkpoint", "hold-part", "thaw":
		return cmd, parseCheckpoint(cmd, l)
	default:
		return cmd, parseApp(cmd, l)
	}
	return cmd, nil
}

// line is the words of a command. What is not there is empty, or 0.
type line []string

func (l line) word(i int) string {
	if i < len(l) {
		return l[i]
	}
	return ""
}

func (l line) number(i int) int64 { v, _ := strconv.ParseInt(l.word(i), 10, 64); return v }

func (l line) rest(i int) []string { return l[min(i, len(l)):] }

func (l line) reason(i int) string { return strings.Join(l.rest(i), " ") }

func parseHost(cmd *apiv1.Command, l line) {
	switch l.word(0) {
	case "host":
		op := &apiv1.RegisterHost{}
		if last, ok := strings.CutPrefix(l[len(l)-1], "instead="); ok {
			op.InsteadOf, l = &last, l[:len(l)-1]
		}
		declared := &apiv1.Host{}
		l = slices.DeleteFunc(slices.Clone(l), func(word string) bool { return declares(declared, word) })
		op.Host = &apiv1.Host{
			MemoryBytes: declared.GetMemoryBytes(), RankMemoryBytes: declared.GetRankMemoryBytes(), Speed: declared.GetSpeed(),
			Id: l.word(1), Name: l.word(1), Addr: l.word(1) + ":7403", Slots: int32(l.number(2)), NodeId: l.word(3), Incarnation: l.word(4), SecretHash: secret(l.word(5)),
			Unreached: l.reason(6),
		}
		cmd.Op = &apiv1.Command_RegisterHost{RegisterHost: op}
	case "state":
		cmd.Op = &apiv1.Command_SetHostState{SetHostState: &apiv1.SetHostState{
			Host: l.word(1), Incarnation: l.word(2), State: l.word(3), Reason: l.reason(4),
		}}
	case "unfit":
		cmd.Op = &apiv1.Command_SetHostUnfit{SetHostUnfit: &apiv1.SetHostUnfit{Host: l.word(1), Incarnation: l.word(2), Reason: l.reason(3)}}
	case "unreached":
		cmd.Op = &apiv1.Command_SetHostUnfit{SetHostUnfit: &apiv1.SetHostUnfit{Host: l.word(1), Incarnation: l.word(2), Unreached: l.reason(3)}}
	case "wish":
		op := &apiv1.SetHostWish{Host: l.word(1), Wish: l.word(2)}
		for _, word := range l.rest(3) {
			if second, ok := strings.CutPrefix(word, "by="); ok {
				n, _ := strconv.Atoi(second)
				op.Deadline = &timestamppb.Timestamp{Seconds: int64(n)}
				continue
			}
			if word == "own" {
				op.Own = true
				continue
			}
			op.Reason = strings.TrimSpace(op.Reason + " " + word)
		}
		cmd.Op = &apiv1.Command_SetHostWish{SetHostWish: op}
	}
}

func parseApp(cmd *apiv1.Command, l line) error {
	switch l.word(0) {
	case "submit":
		spec := &apiv1.AppSpec{ModuleDigest: l.word(2), Size: int32(l.number(3)), Oversubscribe: slices.Contains(l, "oversubscribe")}
		for _, word := range l {
			checkpointOption(spec, word)
			queueOption(spec, word)
			if name, ok := strings.CutPrefix(word, "name="); ok {
				spec.Name = name
			}
			if times, ok := strings.CutPrefix(word, "restarts="); ok {
				n, _ := strconv.Atoi(times)
				spec.Restarts = int32(n)
			}
			if ms, ok := strings.CutPrefix(word, "owner="); ok {
				spec.OwnerLeaseMs, _ = strconv.ParseInt(ms, 10, 64)
			}
			if part, ok := strings.CutPrefix(word, "part="); ok { // its name, module, number of ranks, and arguments
				f := strings.Split(part, ",")
				n, _ := strconv.Atoi(f[2])
				spec.ModuleDigest, spec.Parts = "", append(spec.Parts, &apiv1.AppPart{Name: f[0], ModuleDigest: f[1], Ranks: int32(n), Args: f[3:]})
			}
		}
		cmd.Op = &apiv1.Command_SubmitApp{SubmitApp: &apiv1.SubmitApp{Id: l.word(1), Spec: spec}}
	case "restart":
		cmd.Op = &apiv1.Command_RestartApp{RestartApp: &apiv1.RestartApp{App: l.word(1), Attempt: uint32(l.number(2)), Reason: l.reason(3)}}
	case "restart-from-checkpoint":
		cmd.Op = &apiv1.Command_RestartApp{RestartApp: &apiv1.RestartApp{App: l.word(1), Attempt: uint32(l.number(2)), Reason: l.reason(3), FromCheckpoint: true, InVain: l.word(3) == "in-vain"}}
	case "place":
		op := &apiv1.PlaceApp{App: l.word(1), Placement: l.rest(2)}
		if host, n, ok := strings.Cut(l.word(2), "*"); ok {
			ranks, err := strconv.Atoi(n)
			if err != nil {
				return err
			}
			op = &apiv1.PlaceApp{App: l.word(1), Runs: []*apiv1.PlaceRule{{Host: host, Ranks: int32(ranks)}}}
		}
		cmd.Op = &apiv1.Command_PlaceApp{PlaceApp: op}
	case "started":
		cmd.Op = &apiv1.Command_HostStarted{HostStarted: &apiv1.HostStarted{App: l.word(1), Host: l.word(2), Epoch: uint64(l.number(3))}}
	case "ended":
		op := &apiv1.RanksEnded{App: l.word(1), Host: l.word(2)}
		for _, word := range l.rest(3) {
			if epoch, ok := strings.CutPrefix(word, "started@"); ok {
				n, err := strconv.ParseUint(epoch, 10, 64)
				if err != nil {
					return err
				}
				op.StartedEpoch = n
				continue
			}
			e := new(apiv1.EndedRank)
			if word, e.Reason, e.ToldByReason = strings.Cut(word, "!"); !e.ToldByReason {
				word, e.Reason, _ = strings.Cut(word, ":")
			}
			e.Reason = strings.ReplaceAll(e.Reason, "_", " ")
			if _, err := fmt.Sscanf(word, "%d@%d=%d", &e.Rank, &e.Epoch, &e.ExitCode); err != nil {
				return err
			}
			op.Ranks = append(op.Ranks, e)
		}
		cmd.Op = &apiv1.Command_RanksEnded{RanksEnded: op}
	case "files":
		what := apiv1.ChangeFiles_What(apiv1.ChangeFiles_What_value["WHAT_"+strings.ToUpper(l.word(3))])
		op := &apiv1.ChangeFiles{App: l.word(1), Host: l.word(2), What: what, Reason: l.reason(4)}
		if strings.HasPrefix(l.word(4), "tree") {
			sum := sha256.Sum256([]byte(l.word(4)))
			op.Tree, op.Reason = &apiv1.Tree{List: hex.EncodeToString(sum[:]), Files: 1, Bytes: 2}, l.reason(5)
		}
		if name, value, _ := strings.Cut(l.word(4), "="); name == "move" {
			op.Move, _ = strconv.ParseUint(value, 10, 64)
			op.Reason = l.reason(5)
		} else if name == "attempt" {
			attempt, _ := strconv.ParseUint(value, 10, 32)
			op.Attempt, op.Reason = uint32(attempt), l.reason(5)
		}
		cmd.Op = &apiv1.Command_ChangeFiles{ChangeFiles: op}
	case "stop":
		cmd.Op = &apiv1.Command_StopApp{StopApp: &apiv1.StopApp{
			App: l.word(1), Phase: l.word(2), ExitCode: int32(l.number(3)), Reason: l.reason(4), Final: l.word(4) == "final",
		}}
	default:
		return fmt.Errorf("unknown command %q", l.word(0))
	}
	return nil
}

// envelopeOption takes an option of any command.
func envelopeOption(cmd *apiv1.Command, word string) bool {
	name, value, _ := strings.Cut(word, "=")
	switch name {
	case "key":
		cmd.Key = value
	case "term":
		cmd.Term, _ = strconv.ParseUint(value, 10, 64)
	case "principal":
		cmd.Principal = value
	default:
		return false
	}
	return true
}

func parseMigration(cmd *apiv1.Command, l line) error {
	switch l.word(0) {
	case "propose":
		moves, err := parseMoves(l.rest(4))
		if err != nil {
			return err
		}
		cmd.Op = &apiv1.Command_ProposeMigration{ProposeMigration: &apiv1.ProposeMigration{
			Id: l.word(1), App: l.word(2), FromEpoch: uint64(l.number(3)), Moves: moves, Cause: "manual",
		}}
	case "announce":
		cmd.Op = &apiv1.Command_AnnounceMigration{AnnounceMigration: &apiv1.AnnounceMigration{Id: l.word(1), Acks: l.rest(2)}}
	case "freeze", "freeze+commit":
		op := &apiv1.FreezeMigration{Id: l.word(1), Commit: l.word(0) == "freeze+commit"}
		for _, word := range l.rest(2) {
			rank, err := strconv.Atoi(word)
			if err != nil {
				return err
			}
			op.Ranks = append(op.Ranks, &apiv1.FrozenRank{Rank: int32(rank), ImageBytes: 4096, ImageDigest: []byte{0xd0, byte(rank)}, PauseBytes: 512, Rounds: 2})
		}
		cmd.Op = &apiv1.Command_FreezeMigration{FreezeMigration: op}
	case "commit":
		cmd.Op = &apiv1.Command_CommitMigration{CommitMigration: &apiv1.CommitMigration{Id: l.word(1)}}
	case "abort":
		cmd.Op = &apiv1.Command_AbortMigration{AbortMigration: &apiv1.AbortMigration{Id: l.word(1), Reason: l.reason(2)}}
	case "pause":
		ms, err := strconv.ParseFloat(l.word(3), 64)
		if err != nil {
			return err
		}
		cmd.Op = &apiv1.Command_RecordPause{RecordPause: &apiv1.RecordPause{Id: l.word(1), Rank: int32(l.number(2)), PauseMs: ms}}
	case "hash":
		cmd.Op = &apiv1.Command_CheckHash{CheckHash: &apiv1.CheckHash{Index: uint64(l.number(1)), Hash: []byte(l.word(2))}}
	default:
		return fmt.Errorf("unknown command %q", l.word(0))
	}
	return nil
}

// checkpointOption takes an option of a submission that is about checkpoints.
func checkpointOption(spec *apiv1.AppSpec, word string) {
	name, value, _ := strings.Cut(word, "=")
	n, _ := strconv.Atoi(value)
	switch name {
	case "every":
		spec.CheckpointPeriod, _ = strconv.ParseFloat(value, 64)
	case "keep":
		spec.CheckpointKeep = int32(n)
	case "onloss":
		spec.OnHostLoss = value
	case "lossrestarts":
		spec.HostLossRestarts = int32(n)
	case "restore":
		spec.Restore = value
	case "to":
		spec.CheckpointTo = value
	}
}

// queueOption reads an option of submit that bears on the queue: prio=N, after=APP (its success), afterany=APP, limit=MS, array=ID,INDEX,ATONCE, tenant=NAME.
func queueOption(spec *apiv1.AppSpec, word string) {
	name, value, _ := strings.Cut(word, "=")
	n, _ := strconv.Atoi(value)
	switch name {
	case "prio":
		spec.Priority = int32(n)
	case "after", "afterany":
		spec.DependsOn = append(spec.DependsOn, &apiv1.Dependency{App: value, AnyEnd: name == "afterany"})
	case "afterarray", "afteranyarray":
		spec.DependsOn = append(spec.DependsOn, &apiv1.Dependency{Array: value, AnyEnd: name == "afteranyarray"})
	case "limit":
		spec.TimeLimitMs = int64(n)
	case "array":
		f := strings.Split(value, ",")
		index, _ := strconv.Atoi(f[1])
		most, _ := strconv.Atoi(f[2])
		spec.Array = &apiv1.ArrayPlace{Id: f[0], Index: int32(index), AtOnce: int32(most)}
	case "tenant":
		spec.Tenant = value
	case "mem":
		spec.MemoryBytes = int64(n) << 20
	}
}

// declares takes an option of a host's.
func declares(host *apiv1.Host, word string) bool {
	name, value, _ := strings.Cut(word, "=")
	switch name {
	case "mem":
		n, _ := strconv.ParseInt(value, 10, 64)
		host.MemoryBytes = n << 20
	case "rankmem":
		n, _ := strconv.ParseInt(value, 10, 64)
		host.RankMemoryBytes = n << 20
	case "speed":
		host.Speed, _ = strconv.ParseFloat(value, 64)
	default:
		return false
	}
	return true
}

func parseCheckpoint(cmd *apiv1.Command, l line) error {
	switch l.word(0) {
	case "checkpoint":
		op := &apiv1.BeginCheckpoint{Id: l.word(1), App: l.word(2), Epoch: uint64(l.number(3)), Cause: "manual"}
		for _, word := range l.rest(4) {
			if then, ok := strings.CutPrefix(word, "then="); ok {
				op.Then = map[string]apiv1.AfterCheckpoint{"freeze": apiv1.AfterCheckpoint_AFTER_CHECKPOINT_FREEZE, "queue": apiv1.AfterCheckpoint_AFTER_CHECKPOINT_QUEUE}[then]
				continue
			}
			host, second, _ := strings.Cut(word, ">")
			op.Parts = append(op.Parts, &apiv1.CheckpointPart{Host: host, Second: second})
		}
		cmd.Op = &apiv1.Command_BeginCheckpoint{BeginCheckpoint: op}
	case "announce-checkpoint":
		cmd.Op = &apiv1.Command_AnnounceCheckpoint{AnnounceCheckpoint: &apiv1.AnnounceCheckpoint{Id: l.word(1)}}
	case "take":
		op := &apiv1.TakeCheckpoint{Id: l.word(1)}
		for _, word := range l.rest(2) {
			host, said, _ := strings.Cut(word, "=")
			ms, files := strings.CutSuffix(said, "+files")
			pause, err := strconv.ParseFloat(ms, 64)
			if err != nil {
				return err
			}
			op.Parts = append(op.Parts, &apiv1.CheckpointPart{Host: host, PauseMs: pause, Files: files})
		}
		cmd.Op = &apiv1.Command_TakeCheckpoint{TakeCheckpoint: op}
	case "complete":
		op := &apiv1.CompleteCheckpoint{Id: l.word(1)}
		for _, word := range l.rest(2) {
			host, said, has := strings.Cut(word, "=")
			sum := sha256.Sum256([]byte(l.word(1) + host))
			part, digest := &apiv1.CheckpointPart{Host: host, Bytes: 4096, NewBytes: 512}, len(sum)
			if has {
				if _, err := fmt.Sscanf(said, "%d,%d,%d", &digest, &part.Bytes, &part.NewBytes); err != nil {
					return err
				}
			}
			part.Digest = sum[:digest]
			op.Parts = append(op.Parts, part)
		}
		cmd.Op = &apiv1.Command_CompleteCheckpoint{CompleteCheckpoint: op}
	case "abort-checkpoint":
		op := &apiv1.AbortCheckpoint{Id: l.word(1), Reason: l.reason(2)}
		if next, ok := strings.CutPrefix(l.word(2), "next="); ok { // NEXT,APP,EPOCH[,HOST>SECOND]...
			words := append(line{"checkpoint"}, strings.Split(next, ",")...)
			var begin apiv1.Command
			if err := parseCheckpoint(&begin, words); err != nil {
				return err
			}
			op.Next, op.Reason = begin.GetBeginCheckpoint(), l.reason(3)
		}
		cmd.Op = &apiv1.Command_AbortCheckpoint{AbortCheckpoint: op}
	case "hold-part":
		cmd.Op = &apiv1.Command_HoldPart{HoldPart: &apiv1.HoldPart{Id: l.word(1), Host: l.word(2), To: l.word(3), Incarnation: l.word(4)}}
	case "thaw":
		cmd.Op = &apiv1.Command_ThawApp{ThawApp: &apiv1.ThawApp{App: l.word(1)}}
	case "remove-checkpoint":
		cmd.Op = &apiv1.Command_RemoveCheckpoint{RemoveCheckpoint: &apiv1.RemoveCheckpoint{Ids: l.rest(1)}}
	}
	return nil
}

func secret(word string) []byte {
	if word == "" {
		return nil
	}
	hash := sha256.Sum256([]byte(word))
	return hash[:]
}

func parseMoves(words []string) ([]*apiv1.Move, error) {
	var out []*apiv1.Move
	for _, word := range words {
		rank, way, ok := strings.Cut(word, ":")
		from, to, ok2 := strings.Cut(way, ">")
		n, err := strconv.Atoi(rank)
		if !ok || !ok2 || err != nil {
			return nil, fmt.Errorf("move %q is not RANK:FROM>TO", word)
		}
		out = append(out, &apiv1.Move{Rank: int32(n), From: from, To: to})
	}
	return out, nil
}

func describe(v *View) string {
	const describedRanks = 16
	var out strings.Builder
	for h := range v.Hosts() {
		fmt.Fprintf(&out, "host %s %d/%d %s %s", h.GetId(), h.GetUsed(), h.GetSlots(), h.GetIncarnation(), h.GetState())
		fmt.Fprint(&out, paren(h.GetReason()))
		if h.GetMemoryBytes() > 0 || h.GetMemoryUsed() > 0 {
			fmt.Fprintf(&out, " mem=%d/%d", h.GetMemoryUsed()>>20, h.GetMemoryBytes()>>20)
		}
		if h.GetRankMemoryBytes() > 0 {
			fmt.Fprintf(&out, " rankmem=%d", h.GetRankMemoryBytes()>>20)
		}
		if h.GetSpeed() != 0 {
			fmt.Fprintf(&out, " speed=%g", h.GetSpeed())
		}
		if h.GetWish() != "" {
			fmt.Fprintf(&out, " wish=%s%s", h.GetWish(), paren(h.GetWishReason()))
		}
		for _, w := range h.GetBesides() {
			fmt.Fprintf(&out, " besides=%s%s", w.GetWish(), paren(w.GetReason()))
		}
		if h.GetUnfit() != "" {
			fmt.Fprintf(&out, " unfit%s", paren(h.GetUnfit()))
		}
		if h.GetUnreached() != "" {
			fmt.Fprintf(&out, " unreached%s", paren(h.GetUnreached()))
		}
		if h.GetDeadline() != nil {
			fmt.Fprintf(&out, " by=%d", h.GetDeadline().GetSeconds())
		}
		fmt.Fprintln(&out)
	}
	for a := range v.Apps() {
		fmt.Fprintf(&out, "app %s %s epoch=%d", a.GetId(), a.GetPhase(), a.GetEpoch())
		if a.GetAttempt() > 1 {
			fmt.Fprintf(&out, " attempt=%d", a.GetAttempt())
		}
		if a.GetVerdict() != "" {
			fmt.Fprintf(&out, " verdict=%s", a.GetVerdict())
		}
		fmt.Fprint(&out, describeCheckpointsOf(a))
		if !MayPlace(a) {
			fmt.Fprintf(&out, " waits=%s held=%t", strings.Join(a.GetWaitsFor(), ","), a.GetHeld())
		}
		if a.GetRanMs() > 0 {
			fmt.Fprintf(&out, " ran=%dms", a.GetRanMs())
		}
		for r, host := range a.GetPlacement() {
			if r == describedRanks {
				fmt.Fprintf(&out, " and %d more", len(a.GetPlacement())-r)
				break
			}
			rank := a.RankState(int32(r))
			fmt.Fprintf(&out, " %s@%d", host, rank.GetEpoch())
			if rank.GetEnded() {
				fmt.Fprintf(&out, "=%d", rank.GetExitCode())
			}
		}
		if PhaseOf(a).Terminal() {
			fmt.Fprintf(&out, " exit=%d at=%d", a.GetExitCode(), a.GetEndedAt().GetSeconds())
		}
		fmt.Fprintln(&out, paren(a.GetReason()))
	}
	for m := range v.Migrations() {
		fmt.Fprintf(&out, "migration %s of %s %s", m.GetId(), m.GetApp(), m.GetPhase())
		for _, move := range m.GetMoves() {
			fmt.Fprintf(&out, " %d:%s>%s", move.GetRank(), move.GetFrom(), move.GetTo())
			if move.GetImageBytes() != 0 {
				fmt.Fprintf(&out, "[%d %s %gms]", move.GetImageBytes(), move.GetImageDigest(), move.GetPauseMs())
			}
		}
		fmt.Fprintln(&out, paren(m.GetReason()))
	}
	for c := range v.CheckpointsAfter(Place{}) {
		fmt.Fprintf(&out, "checkpoint %s of %s %s attempt=%d epoch=%d", c.GetId(), c.GetApp(), c.GetPhase(), c.GetAttempt(), c.GetEpoch())
		for _, run := range c.GetRuns() {
			fmt.Fprintf(&out, " %s*%d", run.GetHost(), run.GetRanks())
		}
		if len(c.GetEnded()) > 0 {
			fmt.Fprintf(&out, " ended=%x", c.GetEnded())
		}
		for _, p := range c.GetParts() {
			fmt.Fprintf(&out, " [%s>%s", p.GetHost(), p.GetSecond())
			if p.GetThird() != "" {
				fmt.Fprintf(&out, ">%s", p.GetThird())
			}
			if CheckpointPhaseOf(c) == CheckpointTaken || CheckpointPhaseOf(c) == CheckpointComplete {
				fmt.Fprintf(&out, " %gms", p.GetPauseMs())
			}
			if CheckpointPhaseOf(c) == CheckpointComplete {
				fmt.Fprintf(&out, " %x %d %d", p.GetDigest()[:2], p.GetBytes(), p.GetNewBytes())
			}
			if p.GetFiles() {
				fmt.Fprint(&out, " files")
			}
			fmt.Fprint(&out, "]")
		}
		fmt.Fprintln(&out, paren(c.GetReason()))
	}
	return out.String()
}

// describeCheckpointsOf is what an app has to do with checkpoints.
func describeCheckpointsOf(a *apiv1.App) string {
	var out strings.Builder
	if a.GetCheckpointId() != "" {
		fmt.Fprintf(&out, " checkpoint=%s", a.GetCheckpointId())
	}
	if a.GetLastCheckpoint() != "" {
		fmt.Fprintf(&out, " last=%s", a.GetLastCheckpoint())
	}
	if a.GetRestore() != "" {
		fmt.Fprintf(&out, " restore=%s first=%d", a.GetRestore(), a.GetFirstEpoch())
	}
	if a.GetRestored() > 0 {
		fmt.Fprintf(&out, " restored=%d/%d", a.GetRestoredInVain(), a.GetRestored())
	}
	return out.String()
}

func paren(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}
