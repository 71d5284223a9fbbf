package control

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/name"
	"github.com/godwit-run/godwit/internal/text"
	"github.com/godwit-run/godwit/planner"
)

// invalid is the error for a field that is wrong.
func invalid(field, wrong, fix string) error {
	return apierr.New(connect.CodeInvalidArgument, apierr.ReasonInvalid, field, field+": "+wrong, fix)
}

// checkText checks a text for people: empty is allowed.
func checkText(field, s string, limit int) error {
	switch {
	case len(s) > limit:
		return invalid(field, fmt.Sprintf("%d bytes", len(s)), fmt.Sprintf("at most %d are allowed", limit))
	case text.Bad(s):
		return invalid(field, "it holds control characters", "leave them out")
	}
	return nil
}

// checkLog checks that a request, as the command that it leads to, keeps the log's bounds. They are all in fsm: what passes
// here is not refused there for its form.
func checkLog(cmd *apiv1.Command) error {
	err := fsm.Check(cmd)
	var wrong *fsm.InvalidError
	if errors.As(err, &wrong) {
		return invalid(wrong.Field, wrong.Wrong, "")
	}
	return err
}

// checkModule checks what is to be known of a module.
func checkModule(m *apiv1.Module) error {
	m.Reason = text.Clean(m.Reason, fsm.MaxReasonBytes)
	for i, name := range m.Imports {
		m.Imports[i] = text.Line(name, fsm.MaxWordBytes)
	}
	return checkLog(&apiv1.Command{Op: &apiv1.Command_AddModule{AddModule: &apiv1.AddModule{Module: m}}})
}

// checkKey checks an idempotency key; empty is allowed, and means that the server makes one.
func checkKey(key string) error {
	if fsm.Check(&apiv1.Command{Key: key}) != nil {
		return invalid("idempotency_key", fmt.Sprintf("longer than %d bytes, or no text", fsm.MaxKeyBytes), "use a UUID")
	}
	return nil
}

// checkSpec checks all that can be wrong with a submission without looking at the state.
func checkSpec(s *apiv1.AppSpec) error {
	if s == nil {
		return invalid("spec", "missing", "")
	}
	if !name.Valid(s.Name) {
		return invalid("spec.name", fmt.Sprintf("%q is no name", s.Name), name.Rule)
	}
	if strings.HasPrefix(s.Name, apiv1.ArrayPrefix) {
		return invalid("spec.name", fmt.Sprintf("%q begins as the ids of arrays do", s.Name), "give another name")
	}
	if s.Spread != "" && (len(s.Place) > 0 || s.Hint != "" && s.Hint != planner.HintNone || s.Policy == planner.MainFirst) {
		return invalid("spec.spread", "it says where ranks go, and so do place, hint and main_first", "give one of them")
	}
	if len(s.Parts) == 0 {
		if err := apierr.CheckDigest("spec.module_digest", s.ModuleDigest); err != nil {
			return err
		}
	}
	for _, p := range s.Parts {
		if err := apierr.CheckDigest("spec.parts.module_digest", p.ModuleDigest); err != nil {
			return err
		}
	}
	if s.Policy != planner.MainFirst && !planner.KnownDefault(s.Policy) {
		return invalid("spec.policy", fmt.Sprintf("%.80q is unknown", s.Policy), "use bin_pack, main_first, compact, spot, empty_hosts or traffic")
	}
	if !slices.Contains([]string{"", "none", "underfull", "never_alone", "force_local"}, s.Hint) {
		return invalid("spec.hint", fmt.Sprintf("%.80q is unknown", s.Hint), "use none, underfull, never_alone or force_local")
	}
	return checkLog(&apiv1.Command{Op: &apiv1.Command_SubmitApp{SubmitApp: &apiv1.SubmitApp{Id: s.Name, Spec: s}}})
}
