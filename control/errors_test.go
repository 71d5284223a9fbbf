package control

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/planner"
)

// codes are all codes of results, as the source of package fsm lists them.
func codes(t *testing.T) []fsm.Code {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "../fsm/code.go", nil, 0)
	require.NoError(t, err)
	var out []fsm.Code
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for _, v := range spec.Values {
			lit, ok := v.(*ast.BasicLit)
			require.True(t, ok)
			s, err := strconv.Unquote(lit.Value)
			require.NoError(t, err)
			if s != "" {
				out = append(out, fsm.Code(s))
			}
		}
		return true
	})
	return out
}

// TestEveryRefusalHasAnAnswer: the table knows every code of the log, and no refusal is said to be a server's fault but one.
func TestEveryRefusalHasAnAnswer(t *testing.T) {
	all := codes(t)
	require.Greater(t, len(all), 20)
	want := map[fsm.Code]connect.Code{
		fsm.CodeInvalid: connect.CodeInvalidArgument, fsm.CodeNotFound: connect.CodeNotFound, fsm.CodeAlreadyExists: connect.CodeAlreadyExists,
		fsm.CodeNameTaken: connect.CodeAlreadyExists, fsm.CodeForbidden: connect.CodePermissionDenied, fsm.CodeTooMany: connect.CodeResourceExhausted,
		fsm.CodeKeyReused: connect.CodeInvalidArgument, fsm.CodeStaleEpoch: connect.CodeAborted, fsm.CodeStale: connect.CodeAborted,
		fsm.CodeStaleTerm: connect.CodeUnavailable, fsm.CodeBroken: connect.CodeInternal,
	}
	for _, code := range all {
		a, ok := answerTo(code)
		require.True(t, ok, "%s is not in the table", code)
		require.NotEmpty(t, a.reason, code)
		expect, special := want[code]
		if !special {
			expect = connect.CodeFailedPrecondition
		}
		require.Equal(t, expect, a.code, code)
		err := refusal(string(code), "why")
		require.Equal(t, expect, connect.CodeOf(err))
		require.Equal(t, a.reason, apierr.Info(err).GetReason())
		require.ErrorContains(t, err, "why")
	}
	_, ok := answerTo("nonsense")
	require.False(t, ok)
	require.Equal(t, connect.CodeInternal, connect.CodeOf(refusal("nonsense", "")))
}

func TestErrorsOfTheLog(t *testing.T) {
	for _, tt := range []struct {
		err    error
		code   connect.Code
		reason string
	}{
		{ErrNotLeader, connect.CodeUnavailable, apierr.ReasonNotLeader},
		{ErrOverloaded, connect.CodeResourceExhausted, apierr.ReasonOverloaded},
		{ErrTooLarge, connect.CodeInvalidArgument, apierr.ReasonInvalid},
		{ErrUnknownOutcome, connect.CodeUnavailable, apierr.ReasonUnknownOutcome},
		{context.DeadlineExceeded, connect.CodeDeadlineExceeded, apierr.ReasonUnknownOutcome},
		{&planner.RefusedError{Code: fsm.CodeNotFound, Reason: "no host"}, connect.CodeNotFound, apierr.ReasonNotFound},
		{&planner.RefusedError{Code: fsm.CodeInvalid, Reason: "no rank"}, connect.CodeInvalidArgument, apierr.ReasonInvalid},
		{errors.New("disk on fire"), connect.CodeInternal, apierr.ReasonInternal},
	} {
		err := apiError(fmt.Errorf("wrapped: %w", tt.err))
		require.Equal(t, tt.code, connect.CodeOf(err), "%v", tt.err)
		require.Equal(t, tt.reason, apierr.Info(err).GetReason(), "%v", tt.err)
	}
	require.Equal(t, connect.CodeCanceled, connect.CodeOf(apiError(context.Canceled)))
}
