package fsm

import (
	"encoding/hex"
	"fmt"
	"math"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/name"
)

// InvalidError is returned for a command with a text, list or number that may
// not enter the log.
type InvalidError struct {
	// Field is the field's path in the command's operation.
	Field string
	// Wrong is what is wrong with it, and what would be right.
	Wrong string
}

func (e *InvalidError) Error() string { return e.Field + ": " + e.Wrong }

// Check tells whether a command keeps the bounds of the log, whatever the state.
// Apply refuses one that does not; doors ask before they propose. The error is
// an *InvalidError. Reasons never fail: Apply cleans them.
func Check(cmd *apiv1.Command) error {
	var c checker
	c.text("key", cmd.GetKey(), MaxKeyBytes)
	c.text("principal", cmd.GetPrincipal(), MaxPrincipalBytes)
	switch op := cmd.GetOp().(type) {
	case *apiv1.Command_InitCluster:
		c.word("cluster_id", op.InitCluster.GetClusterId(), MaxWordBytes)
	case *apiv1.Command_RegisterHost:
		c.host(op.RegisterHost.GetHost())
		c.optionalWord("instead_of", op.RegisterHost.GetInsteadOf(), MaxWordBytes)
	case *apiv1.Command_SetHostState:
		c.name("host", op.SetHostState.GetHost())
		c.optionalWord("incarnation", op.SetHostState.GetIncarnation(), MaxWordBytes)
	case *apiv1.Command_SetHostUnfit:
		c.name("host", op.SetHostUnfit.GetHost())
		c.optionalWord("incarnation", op.SetHostUnfit.GetIncarnation(), MaxWordBytes)
	case *apiv1.Command_SetHostWish:
		c.name("host", op.SetHostWish.GetHost())
	case *apiv1.Command_AddModule:
		c.module(op.AddModule.GetModule())
	case *apiv1.Command_SubmitApp:
		c.name("id", op.SubmitApp.GetId())
		c.spec(op.SubmitApp.GetSpec())
	case *apiv1.Command_PlaceApp:
		c.placement(op.PlaceApp)
	case *apiv1.Command_HostStarted:
		c.name("host", op.HostStarted.GetHost())
	case *apiv1.Command_RanksEnded:
		c.count("ranks", len(op.RanksEnded.GetRanks()), MaxAppSize)
	case *apiv1.Command_ProposeMigration:
		c.proposal(op.ProposeMigration)
	case *apiv1.Command_AnnounceMigration:
		c.count("acks", len(op.AnnounceMigration.GetAcks()), MaxAcks)
		for _, host := range op.AnnounceMigration.GetAcks() {
			c.name("acks", host)
		}
	case *apiv1.Command_FreezeMigration:
		c.frozen(op.FreezeMigration)
	case *apiv1.Command_ChangeFiles:
		c.name("host", op.ChangeFiles.GetHost())
		c.tree("tree", op.ChangeFiles.GetTree())
	case *apiv1.Command_BeginCheckpoint:
		c.beginning(op.BeginCheckpoint)
	case *apiv1.Command_AbortCheckpoint:
		if next := op.AbortCheckpoint.GetNext(); next != nil {
			c.beginning(next)
		}
	case *apiv1.Command_TakeCheckpoint:
		c.count("parts", len(op.TakeCheckpoint.GetParts()), MaxAppSize)
	case *apiv1.Command_CompleteCheckpoint:
		c.count("parts", len(op.CompleteCheckpoint.GetParts()), MaxAppSize)
	case *apiv1.Command_RemoveCheckpoint:
		c.count("ids", len(op.RemoveCheckpoint.GetIds()), MaxCheckpoints)
	case *apiv1.Command_ImportCheckpoint:
		c.imported(op.ImportCheckpoint.GetCheckpoint())
	case *apiv1.Command_SetScheduling:
		c.scheduling(op.SetScheduling.GetScheduling())
		c.count("fields", len(op.SetScheduling.GetFields()), maxSchedulingFields)
	case *apiv1.Command_SetTenant:
		c.tenant(op.SetTenant.GetTenant())
		c.count("fields", len(op.SetTenant.GetFields()), maxSchedulingFields)
	case *apiv1.Command_RecordPause:
		c.count("more", len(op.RecordPause.GetMore()), MaxAppSize)
	default:
		c.trusting(cmd)
	}
	if c.err != nil {
		return c.err
	}
	return nil
}

// checker keeps the first thing that is wrong.
type checker struct{ err *InvalidError }

func (c *checker) wrong(field, format string, args ...any) {
	if c.err == nil {
		c.err = &InvalidError{Field: field, Wrong: fmt.Sprintf(format, args...)}
	}
}

// count bounds a list.
func (c *checker) count(field string, n, most int) {
	if n > most {
		c.wrong(field, "%d of them; at most %d are possible", n, most)
	}
}

// name wants the name of a host or an app, or an id that may become a part of a path.
func (c *checker) name(field, s string) {
	if !name.Valid(s) {
		c.wrong(field, "%.80q is no name; %s", s, name.Rule)
	}
}

func (c *checker) optionalName(field, s string) {
	if s != "" {
		c.name(field, s)
	}
}

// word wants a word that a program made: printable ASCII without spaces.
func (c *checker) word(field, s string, most int) {
	if s == "" {
		c.wrong(field, "it is empty")
	}
	c.optionalWord(field, s, most)
}

func (c *checker) optionalWord(field, s string, most int) {
	if len(s) > most {
		c.wrong(field, "%d bytes; at most %d are possible", len(s), most)
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			c.wrong(field, "%.80q has characters other than printable ASCII without spaces", s)
			return
		}
	}
}

// text wants a text that a terminal can show.
func (c *checker) text(field, s string, most int) {
	if s != CleanText(s, most) {
		c.wrong(field, "%.80q is longer than %d bytes, or has characters that change what a terminal shows", s, most)
	}
}

// bytesOf wants a list of strings without 0 bytes, of a bounded size in all.
func (c *checker) bytesOf(field string, list []string, most int) {
	n := 0
	for _, s := range list {
		n += len(s) + 1
		if strings.ContainsRune(s, 0) {
			c.wrong(field, "one holds a NUL byte")
		}
	}
	if n > most {
		c.wrong(field, "%d bytes; at most %d are possible", n, most)
	}
}

func (c *checker) host(h *apiv1.Host) {
	c.name("host.id", h.GetId())
	c.word("host.node_id", h.GetNodeId(), MaxWordBytes)
	c.word("host.incarnation", h.GetIncarnation(), MaxWordBytes)
	c.optionalWord("host.addr", h.GetAddr(), MaxWordBytes)
	c.declares(h)
	c.count("host.labels", len(h.GetLabels()), MaxLabels)
	c.count("host.volumes", len(h.GetVolumes()), MaxVolumes)
	for _, v := range h.GetVolumes() {
		c.name("host.volumes", v.GetName())
	}
	n := 0
	for k, v := range h.GetLabels() { // a sum, and one error for all: no order shows
		n += len(k) + len(v)
		if badWord(k) || v != CleanText(v, MaxWordBytes) {
			c.wrong("host.labels", "a label is not a printable word of at most %d bytes and a text of as many", MaxWordBytes)
		}
	}
	if n > MaxLabelsBytes && c.err == nil {
		c.wrong("host.labels", "%d bytes; at most %d are possible", n, MaxLabelsBytes)
	}
}

func badWord(s string) bool {
	var c checker
	c.word("", s, MaxWordBytes)
	return c.err != nil
}

func (c *checker) module(m *apiv1.Module) {
	c.word("module.digest", m.GetDigest(), MaxIDBytes)
	c.text("module.name", m.GetName(), MaxWordBytes)
	if m.GetSize() < 0 || m.GetSize() > MaxModuleBytes {
		c.wrong("module.size", "%d bytes; at most %d are possible", m.GetSize(), MaxModuleBytes)
	}
	c.bytesOf("module.imports", m.GetImports(), MaxImportsBytes)
	for _, s := range m.GetImports() {
		c.text("module.imports", s, MaxImportsBytes)
	}
}

func (c *checker) spec(s *apiv1.AppSpec) {
	if s == nil {
		c.wrong("spec", "it is missing")
		return
	}
	c.optionalName("spec.name", s.GetName())
	if s.GetSize() < 1 || s.GetSize() > MaxAppSize {
		c.wrong("spec.size", "%d ranks; 1 to %d are possible", s.GetSize(), MaxAppSize)
	}
	c.programs(s)
	c.optionalWord("spec.policy", s.GetPolicy(), MaxIDBytes)
	c.optionalWord("spec.hint", s.GetHint(), MaxIDBytes)
	c.optionalName("spec.main_host", s.GetMainHost())
	c.optionalName("spec.tenant", s.GetTenant())
	if p := s.GetMigrationCheckPeriod(); math.IsNaN(p) || p < 0 || p > MaxPeriodSeconds {
		c.wrong("spec.migration_check_period", "%v s; 0 (never) to %d are possible", p, MaxPeriodSeconds)
	}
	if s.GetRestarts() < 0 || s.GetRestarts() > MaxRestarts {
		c.wrong("spec.restarts", "%d; 0 to %d are possible", s.GetRestarts(), MaxRestarts)
	}
	if ms := s.GetOwnerLeaseMs(); ms != 0 && (ms < MinOwnerMs || ms > MaxOwnerMs) {
		c.wrong("spec.owner_lease_ms", "%d; 0 (no owner), or %d to %d are possible", ms, MinOwnerMs, MaxOwnerMs)
	}
	c.checkpoints(s)
	c.queueing(s)
	c.rankMemory(s)
	c.place(s)
	c.mounts(s)
	c.tree("spec.inputs", s.GetInputs())
	if n := proto.Size(s); n > MaxSpecBytes {
		c.wrong("spec", "%d bytes; at most %d are possible", n, MaxSpecBytes)
	}
}

// checkpoints checks what has to do with them.
func (c *checker) checkpoints(s *apiv1.AppSpec) {
	if p := s.GetCheckpointPeriod(); math.IsNaN(p) || p != 0 && (p < 1 || p > MaxPeriodSeconds) {
		c.wrong("spec.checkpoint_period", "%v s; 0 (never), or 1 to %d are possible", p, MaxPeriodSeconds)
	}
	if n := s.GetCheckpointKeep(); n < 0 || n > MaxCheckpointKeep {
		c.wrong("spec.checkpoint_keep", "%d; 0 to %d are possible", n, MaxCheckpointKeep)
	}
	if what := s.GetOnHostLoss(); what != "" && what != apiv1.OnHostLossRestart && what != apiv1.OnHostLossFail {
		c.wrong("spec.on_host_loss", "%.80q is neither %s nor %s", what, apiv1.OnHostLossRestart, apiv1.OnHostLossFail)
	}
	if n := s.GetHostLossRestarts(); n < 0 || n > MaxRestarts {
		c.wrong("spec.host_loss_restarts", "%d; 0 to %d are possible", n, MaxRestarts)
	}
	c.optionalName("spec.restore", s.GetRestore())
	c.store("spec.checkpoint_to", s.GetCheckpointTo())
}

// store wants the URL of an object store, or nothing.
func (c *checker) store(field, url string) {
	c.text(field, url, MaxPathBytes)
	if _, err := apiv1.ParseStore(url); url != "" && err != nil {
		c.wrong(field, "%v", err)
	}
}

// beginning checks where the parts of a checkpoint are to be held.
func (c *checker) beginning(op *apiv1.BeginCheckpoint) {
	c.name("id", op.GetId())
	c.text("cause", op.GetCause(), MaxIDBytes)
	c.store("to", op.GetTo())
	c.count("parts", len(op.GetParts()), MaxAppSize)
	for _, p := range op.GetParts() {
		c.name("parts.host", p.GetHost())
		c.optionalName("parts.second", p.GetSecond())
	}
	if n := proto.Size(op); n > MaxPartsBytes {
		c.wrong("parts", "%d bytes; at most %d are possible: name fewer second hosts", n, MaxPartsBytes)
	}
}

// mounts wants each mount at a path of its own, in none of the directories that every rank sees.
func (c *checker) mounts(s *apiv1.AppSpec) {
	c.count("spec.mounts", len(s.GetMounts()), MaxMounts)
	if n, err := strconv.ParseInt(s.GetStdin(), 10, 32); s.GetStdin() != "" && s.GetStdin() != "all" && (err != nil || n < 0 || n >= int64(s.GetSize())) {
		c.wrong("spec.stdin", "%.80q is neither all nor one of the ranks 0 to %d", s.GetStdin(), s.GetSize()-1)
	}
	if s.GetDir() != "" {
		c.path("spec.dir", s.GetDir())
	}
	at := map[string]bool{}
	for _, m := range s.GetMounts() {
		c.name("spec.mounts.volume", m.GetVolume())
		c.path("spec.mounts.path", m.GetPath())
		if m.GetReadOnly() && m.GetWritable() {
			c.wrong("spec.mounts.writable", "the mount at %.80q is to be read-only as well (spec.mounts.read_only); say one of them", m.GetPath())
		}
		switch p := m.GetPath(); {
		case p == "/" || p == "/dev" || strings.HasPrefix(p, "/dev/"):
			c.wrong("spec.mounts.path", "nothing can be mounted at %s", p)
		case at[p]:
			c.wrong("spec.mounts.path", "two mounts are at %.80q", p)
		}
		at[m.GetPath()] = true
	}
}

// tree wants the names of blobs that may be.
func (c *checker) tree(field string, tree *apiv1.Tree) {
	if tree == nil {
		return
	}
	c.count(field+".packs", len(tree.GetPacks()), MaxPacks)
	for _, digest := range append([]string{tree.GetList()}, tree.GetPacks()...) {
		c.digest(field, digest)
	}
	if tree.GetFiles() < 0 || tree.GetBytes() < 0 {
		c.wrong(field, "%d files of %d bytes", tree.GetFiles(), tree.GetBytes())
	}
}

// digest wants the hex SHA-256 of something: it may become a part of a path.
func (c *checker) digest(field, s string) {
	if b, err := hex.DecodeString(s); err != nil || len(b) != MaxDigestBytes || strings.ToLower(s) != s {
		c.wrong(field, "%.80q is no SHA-256 in hexadecimal digits", s)
	}
}

// path wants an absolute path without detours.
func (c *checker) path(field, p string) {
	if len(p) > MaxPathBytes {
		c.wrong(field, "%d bytes; at most %d are possible", len(p), MaxPathBytes)
	}
	if !path.IsAbs(p) || path.Clean(p) != p || strings.ContainsRune(p, 0) {
		c.wrong(field, "%.80q is no absolute path, or one with detours", p)
	}
}

// argv is a program's arguments with what it is called, if that is said.
func argv(program string, args []string) []string {
	if program == "" {
		return args
	}
	return append([]string{program}, args...)
}

// programs checks what is to run: one program, or parts in its place.
func (c *checker) programs(s *apiv1.AppSpec) {
	if len(s.GetParts()) == 0 {
		c.word("spec.module_digest", s.GetModuleDigest(), MaxIDBytes)
		c.bytesOf("spec.args", argv(s.GetProgram(), s.GetArgs()), MaxArgsBytes)
		c.environment("spec.env", s.GetEnv())
		return
	}
	if s.GetModuleDigest() != "" || len(s.GetArgs()) > 0 || len(s.GetEnv()) > 0 || s.GetProgram() != "" {
		c.wrong("spec.parts", "the module, its name, arguments and environment of each part stand in it; those of the spec must be empty")
	}
	c.count("spec.parts", len(s.GetParts()), MaxParts)
	ranks, args, env := int64(0), []string(nil), []string(nil)
	for _, p := range s.GetParts() {
		c.optionalName("spec.parts.name", p.GetName())
		c.word("spec.parts.module_digest", p.GetModuleDigest(), MaxIDBytes)
		if p.GetRanks() < 1 {
			c.wrong("spec.parts.ranks", "%d; at least 1 is needed", p.GetRanks())
		}
		ranks, args, env = ranks+int64(p.GetRanks()), append(args, argv(p.GetProgram(), p.GetArgs())...), append(env, p.GetEnv()...)
	}
	if ranks != int64(s.GetSize()) {
		c.wrong("spec.parts", "they have %d ranks, the app has %d", ranks, s.GetSize())
	}
	c.bytesOf("spec.parts.args", args, MaxArgsBytes)
	c.environment("spec.parts.env", env)
}

func (c *checker) environment(field string, env []string) {
	c.bytesOf(field, env, MaxEnvBytes)
	for _, kv := range env {
		if k, _, ok := strings.Cut(kv, "="); !ok || k == "" {
			c.wrong(field, "%.80q is not KEY=VALUE", kv)
		}
	}
}

func (c *checker) place(s *apiv1.AppSpec) {
	if len(s.GetPlace()) == 0 {
		return
	}
	sum := int64(0)
	for _, r := range s.GetPlace() {
		c.name("spec.place", r.GetHost())
		if r.GetRanks() < 1 {
			c.wrong("spec.place", "%d ranks on %s; at least 1 is needed", r.GetRanks(), r.GetHost())
		}
		sum += int64(r.GetRanks())
	}
	if sum != int64(s.GetSize()) {
		c.wrong("spec.place", "places %d ranks, the app has %d", sum, s.GetSize())
	}
}

func (c *checker) proposal(op *apiv1.ProposeMigration) {
	c.name("id", op.GetId())
	c.text("cause", op.GetCause(), MaxIDBytes)
	c.count("moves", len(op.GetMoves()), MaxAppSize)
	for _, m := range op.GetMoves() {
		c.optionalName("moves.from", m.GetFrom())
		c.name("moves.to", m.GetTo())
	}
}

func (c *checker) frozen(op *apiv1.FreezeMigration) {
	c.count("ranks", len(op.GetRanks()), MaxAppSize)
	for _, f := range op.GetRanks() {
		if n := len(f.GetImageDigest()); n > MaxDigestBytes || f.GetImageBytes() < 0 {
			c.wrong("ranks", "rank %d has a digest of %d bytes, an image of %d", f.GetRank(), n, f.GetImageBytes())
		}
		if f.GetPauseBytes() < 0 || f.GetRounds() < 0 {
			c.wrong("ranks", "rank %d was sent in %d rounds, and %d bytes of it in its pause", f.GetRank(), f.GetRounds(), f.GetPauseBytes())
		}
	}
}

// CleanText makes a text fit for the log and for a terminal: UTF-8 of a bounded
// length; line ends and tabs stay, other characters that change what a terminal
// shows become question marks.
func CleanText(s string, most int) string {
	const more = "…"
	cut := len(s) > most
	if cut {
		s = s[:max(0, most-len(more))]
		for len(s) > 0 && !utf8.RuneStart(s[len(s)-1]) {
			s = s[:len(s)-1]
		}
		if r, n := utf8.DecodeLastRuneInString(s); r == utf8.RuneError && n == 1 {
			s = s[:len(s)-1] // the first byte of a character that is cut in two
		}
	}
	s = strings.Map(func(r rune) rune {
		if (r != '\n' && r != '\t' && badRune(r)) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
	if cut && most >= len(more) {
		s += more
	}
	return s
}

// badRune tells whether a character may change what a terminal shows of others.
// The list is written out: tables of the library grow, and replicas must agree.
func badRune(r rune) bool {
	switch {
	case r < ' ' || (r >= 0x7f && r < 0xa0): // C0, delete, C1
		return true
	case r == 0x061c || r == 0x200e || r == 0x200f || (r >= 0x2028 && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069): // directions, lines
		return true
	}
	return false
}

// cleanReason bounds a reason that somebody gives.
func cleanReason(s string) string { return CleanText(s, MaxReasonBytes) }

// SplitRanksEnded parts a report of ended ranks into commands of which each is
// far below an entry's bound, however many ranks and whatever reasons it has: one
// app's long reasons do not hold up others.
func SplitRanksEnded(op *apiv1.RanksEnded) []*apiv1.RanksEnded {
	const room = 64 << 10
	var out []*apiv1.RanksEnded
	size := 0
	for _, e := range op.GetRanks() {
		if len(e.GetReason()) > MaxReasonBytes {
			e = proto.CloneOf(e)
			e.Reason = cleanReason(e.GetReason())
		}
		n := proto.Size(e) + 4
		if len(out) == 0 || size+n > room {
			out = append(out, &apiv1.RanksEnded{App: op.GetApp(), Host: op.GetHost()})
			size = 0
		}
		out[0].StartedEpoch = op.GetStartedEpoch() // that is said once
		last := out[len(out)-1]
		last.Ranks = append(last.Ranks, e)
		size += n
	}
	return out
}
