package control

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/name"
	"github.com/godwit-run/godwit/internal/text"
)

// Limits of requests.
const (
	maxArgsBytes   = 128 << 10
	maxEnvBytes    = 32 << 10
	maxPeriod      = 7 * 24 * 3600 // seconds
	maxKeyBytes    = 128
	maxModuleBytes = 64 << 20
	maxLabels      = 64
	maxTenantBytes = 128
	maxPlaceRules  = fsm.MaxAppSize
	// Names that a module imports; MPI has some 600.
	maxImports     = 4096
	maxImportBytes = 128 << 10
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

// checkModule checks what is to be known of a module.
func checkModule(m *apiv1.Module) error {
	n := 0
	for _, name := range m.Imports {
		n += len(name) + 8
	}
	if len(m.Imports) > maxImports || n > maxImportBytes {
		return invalid("chunk", fmt.Sprintf("the module imports %d functions, in %d bytes of names", len(m.Imports), n),
			fmt.Sprintf("at most %d in %d bytes are possible", maxImports, maxImportBytes))
	}
	m.Reason = text.Clean(m.Reason, maxReasonBytes)
	for i, name := range m.Imports {
		m.Imports[i] = text.Line(name, text.MaxWord)
	}
	return nil
}

// checkLabels checks what a worker says of its host.
func checkLabels(labels map[string]string) error {
	if len(labels) > maxLabels {
		return invalid("host.labels", fmt.Sprintf("%d labels", len(labels)), fmt.Sprintf("at most %d are possible", maxLabels))
	}
	for k, v := range labels {
		if !text.Word(k) || len(v) > text.MaxWord || v != text.Clean(v, text.MaxWord) {
			return invalid("host.labels", fmt.Sprintf("%.80q", k), fmt.Sprintf("give printable words of at most %d bytes", text.MaxWord))
		}
	}
	return nil
}

// checkKey checks an idempotency key; empty is allowed, and means that the server makes one.
func checkKey(key string) error {
	if len(key) > maxKeyBytes || !utf8.ValidString(key) {
		return invalid("idempotency_key", "too long, or not UTF-8", "use a UUID")
	}
	return nil
}

func checkDigest(field, d string) error {
	if b, err := hex.DecodeString(d); err != nil || len(b) != 32 || d != strings.ToLower(d) {
		return invalid(field, fmt.Sprintf("%q is no digest", d), "give the SHA-256 in 64 lower-case hex digits")
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
	if err := checkDigest("spec.module_digest", s.ModuleDigest); err != nil {
		return err
	}
	if s.Size < 1 || s.Size > fsm.MaxAppSize {
		return invalid("spec.size", fmt.Sprintf("%d ranks", s.Size), fmt.Sprintf("give 1 to %d", fsm.MaxAppSize))
	}
	if err := errors.Join(checkStrings(s), checkText("spec.tenant", s.Tenant, maxTenantBytes)); err != nil {
		return err
	}
	if !slices.Contains([]string{"", "bin_pack", "main_first"}, s.Policy) {
		return invalid("spec.policy", fmt.Sprintf("%q is unknown", s.Policy), "use bin_pack or main_first")
	}
	if !slices.Contains([]string{"", "none", "underfull", "never_alone", "force_local"}, s.Hint) {
		return invalid("spec.hint", fmt.Sprintf("%q is unknown", s.Hint), "use none, underfull, never_alone or force_local")
	}
	if s.MainHost != "" && !name.Valid(s.MainHost) {
		return invalid("spec.main_host", fmt.Sprintf("%q is no host", s.MainHost), name.Rule)
	}
	if !(s.MigrationCheckPeriod >= 0 && s.MigrationCheckPeriod <= maxPeriod) {
		return invalid("spec.migration_check_period", fmt.Sprintf("%v s", s.MigrationCheckPeriod), "give 0 (never) to 604800 seconds")
	}
	if s.Restarts != 0 { // workers do not tell attempts apart yet
		return invalid("spec.restarts", "an app cannot run again yet", "leave it out")
	}
	return checkPlace(s)
}

func checkStrings(s *apiv1.AppSpec) error {
	n := 0
	for _, a := range s.Args {
		n += len(a) + 1
		if strings.ContainsRune(a, 0) {
			return invalid("spec.args", "an argument holds a NUL byte", "")
		}
	}
	if n > maxArgsBytes {
		return invalid("spec.args", fmt.Sprintf("%d bytes", n), fmt.Sprintf("at most %d are allowed", maxArgsBytes))
	}
	n = 0
	for _, kv := range s.Env {
		n += len(kv) + 1
		if k, _, ok := strings.Cut(kv, "="); !ok || k == "" || strings.ContainsRune(kv, 0) {
			return invalid("spec.env", fmt.Sprintf("%q", kv), "use KEY=VALUE")
		}
	}
	if n > maxEnvBytes {
		return invalid("spec.env", fmt.Sprintf("%d bytes", n), fmt.Sprintf("at most %d are allowed", maxEnvBytes))
	}
	return nil
}

func checkPlace(s *apiv1.AppSpec) error {
	if len(s.Place) == 0 {
		return nil
	}
	if len(s.Place) > maxPlaceRules {
		return invalid("spec.place", fmt.Sprintf("%d hosts", len(s.Place)), fmt.Sprintf("at most %d are possible", maxPlaceRules))
	}
	sum := int64(0)
	for _, r := range s.Place {
		if !name.Valid(r.Host) {
			return invalid("spec.place", fmt.Sprintf("%q is no host", r.Host), name.Rule)
		}
		if r.Ranks < 1 {
			return invalid("spec.place", fmt.Sprintf("%d ranks on %s", r.Ranks, r.Host), "give at least 1")
		}
		sum += int64(r.Ranks)
	}
	if sum != int64(s.Size) {
		return invalid("spec.place", fmt.Sprintf("places %d ranks, the app has %d", sum, s.Size), "make the two agree")
	}
	return nil
}
