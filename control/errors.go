package control

import (
	"context"
	"errors"

	"connectrpc.com/connect/v2"

	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
)

// apiError maps an error of the log to the API's.
func apiError(err error) error {
	switch {
	case errors.Is(err, ErrNotLeader):
		return apierr.New(connect.CodeUnavailable, apierr.ReasonNotLeader, "", "this server does not lead any more", "try again")
	case errors.Is(err, ErrOverloaded):
		return apierr.New(connect.CodeResourceExhausted, apierr.ReasonOverloaded, "", "too many requests wait", "try again in a moment")
	case errors.Is(err, ErrUnknownOutcome):
		return apierr.New(connect.CodeUnavailable, apierr.ReasonUnknownOutcome, "",
			"the leader changed before it could say whether this was done", "try again with the same idempotency_key")
	case errors.Is(err, context.DeadlineExceeded):
		return apierr.New(connect.CodeDeadlineExceeded, apierr.ReasonUnknownOutcome, "",
			"the deadline passed before the command was committed", "try again with the same idempotency_key")
	case errors.Is(err, context.Canceled):
		return connect.NewError(connect.CodeCanceled, "cancelled")
	default:
		return apierr.New(connect.CodeInternal, apierr.ReasonInternal, "", err.Error(), "see the server's log")
	}
}

// refusal maps a refused command to the API's error.
func refusal(code, reason string) error {
	if reason == "" {
		reason = code
	}
	switch fsm.Code(code) {
	case fsm.CodeNotFound:
		return apierr.New(connect.CodeNotFound, apierr.ReasonNotFound, "", reason, "")
	case fsm.CodeAlreadyExists, fsm.CodeNameTaken:
		return apierr.New(connect.CodeAlreadyExists, apierr.ReasonRefused, "", reason, "")
	case fsm.CodeInvalid:
		return apierr.New(connect.CodeInvalidArgument, apierr.ReasonInvalid, "", reason, "")
	default:
		return apierr.New(connect.CodeFailedPrecondition, apierr.ReasonRefused, "", reason, "")
	}
}

// findError maps a failed look-up of an app.
func findError(ref string, err error) error {
	switch {
	case errors.Is(err, fsm.ErrAmbiguous):
		return apierr.New(connect.CodeInvalidArgument, apierr.ReasonAmbiguous, "app", err.Error(), "give more of the id; godwit ps -a lists them")
	case errors.Is(err, fsm.ErrNotFound):
		return apierr.New(connect.CodeNotFound, apierr.ReasonNotFound, "app", "no app "+ref, "godwit ps -a lists them")
	default:
		return apiError(err)
	}
}
