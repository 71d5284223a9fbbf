package control

import (
	"context"
	"errors"
	"strings"

	"connectrpc.com/connect/v2"

	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/planner"
)

// answer is what the API says of an error: the code, the reason for programs, and what to do.
type answer struct {
	code        connect.Code
	reason, fix string
}

// bornAgain is what becomes of a worker whose incarnation is over: nobody has anything to do.
const bornAgain = "the worker registers again by itself, as a new incarnation"

// answerTo is the one table from the log's refusals to the API's errors. ok is false for a code that is not in it.
func answerTo(code fsm.Code) (a answer, ok bool) {
	switch code {
	case fsm.CodeApplied: // no refusal
	case fsm.CodeInvalid:
		return answer{connect.CodeInvalidArgument, apierr.ReasonInvalid, ""}, true
	case fsm.CodeNotFound:
		return answer{connect.CodeNotFound, apierr.ReasonNotFound, ""}, true
	case fsm.CodeAlreadyExists:
		return answer{connect.CodeAlreadyExists, apierr.ReasonRefused, ""}, true
	case fsm.CodeNameTaken:
		return answer{connect.CodeAlreadyExists, apierr.ReasonNameTaken, "give this worker another --name"}, true
	case fsm.CodeForbidden:
		return answer{connect.CodePermissionDenied, apierr.ReasonForbidden, ""}, true
	case fsm.CodeTooMany:
		return answer{connect.CodeResourceExhausted, apierr.ReasonTooMany, ""}, true
	case fsm.CodeKeyReused:
		return answer{connect.CodeInvalidArgument, apierr.ReasonKeyReused, ""}, true
	case fsm.CodeIncarnationOver, fsm.CodeStaleIncarnation:
		return answer{connect.CodeFailedPrecondition, apierr.ReasonIncarnationOver, bornAgain}, true
	case fsm.CodeStaleEpoch, fsm.CodeStale:
		return answer{connect.CodeAborted, apierr.ReasonRefused, "look again, and try again"}, true
	case fsm.CodeStaleTerm:
		return answer{connect.CodeUnavailable, apierr.ReasonNotLeader, "try again"}, true
	case fsm.CodeBroken:
		return answer{connect.CodeInternal, apierr.ReasonInternal, "see the servers' logs"}, true
	case fsm.CodeHostNotReady, fsm.CodeNotEnoughSlots, fsm.CodeNotEnoughMemory, fsm.CodeWrongPhase, fsm.CodeTerminal, fsm.CodeStopping, fsm.CodeMigrationPending,
		fsm.CodeMigrationEnded, fsm.CodeCheckpointPending, fsm.CodeCheckpointEnded, fsm.CodeNotPlaced, fsm.CodeRankEnded, fsm.CodeNotMigratable, fsm.CodeInUse:
		return answer{connect.CodeFailedPrecondition, apierr.ReasonRefused, ""}, true
	}
	return answer{connect.CodeInternal, apierr.ReasonInternal, "see the servers' logs"}, false
}

// refusal maps a refused command to the API's error.
func refusal(code, reason string) error {
	if reason == "" {
		reason = code
	}
	a, _ := answerTo(fsm.Code(code))
	field := ""
	if fsm.Code(code) == fsm.CodeKeyReused {
		field = "idempotency_key"
	}
	return apierr.New(a.code, a.reason, field, reason, a.fix)
}

// apiError maps an error of the log, of a plan or of a context to the API's; none stays none.
func apiError(err error) error {
	var refused *planner.RefusedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return refusal(string(refused.Code), refused.Reason)
	case errors.Is(err, ErrNotLeader):
		return apierr.New(connect.CodeUnavailable, apierr.ReasonNotLeader, "", "this server does not lead any more", "try again")
	case errors.Is(err, ErrOverloaded):
		return apierr.New(connect.CodeResourceExhausted, apierr.ReasonOverloaded, "", "too many requests wait", "try again in a moment")
	case errors.Is(err, ErrTooLarge):
		return apierr.New(connect.CodeInvalidArgument, apierr.ReasonInvalid, "", "the request is larger than an entry of the log may be",
			"ask for less at a time: fewer ranks, shorter arguments")
	case errors.Is(err, fsm.ErrVersion):
		return unknownToUs(err.Error())
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

// unknownToUs is for what a client or a worker of a newer build sends: were a part of it left out, something else would be done than was asked for.
func unknownToUs(wrong string) error {
	return apierr.New(connect.CodeInvalidArgument, apierr.ReasonInvalid, "", wrong, "use a godwit of the servers' version (see godwit servers)")
}

// wasThere is said of an id that may be of an app which the cluster has forgotten: it remembers the last that have ended, as many as there is room for.
func wasThere(ref string) string {
	if strings.HasPrefix(ref, fsm.AppIDPrefix) {
		return ": there was none, or the cluster has forgotten it, as it does with those that ended long ago; its output is gone with it"
	}
	return ""
}

// findError maps a failed look-up of an app.
func findError(ref string, err error) error {
	switch {
	case errors.Is(err, fsm.ErrAmbiguous):
		return apierr.New(connect.CodeInvalidArgument, apierr.ReasonAmbiguous, "app", err.Error(), "godwit ps -a lists them")
	case errors.Is(err, fsm.ErrNotFound):
		return apierr.New(connect.CodeNotFound, apierr.ReasonNotFound, "app", "no app "+ref+wasThere(ref), "godwit ps -a lists them")
	default:
		return apiError(err)
	}
}
