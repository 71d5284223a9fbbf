// Package apierr is the one form of errors of the API: a code, a reason for
// programs, and what to do.
package apierr

import (
	"errors"
	"strings"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connectproto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/text"
)

// Reasons, for programs.
const (
	ReasonInvalid         = "INVALID_ARGUMENT"
	ReasonNotFound        = "NOT_FOUND"
	ReasonAmbiguous       = "AMBIGUOUS"
	ReasonNotLeader       = "NOT_LEADER"
	ReasonNoLeader        = "NO_LEADER"
	ReasonUnknownOutcome  = "UNKNOWN_OUTCOME"
	ReasonOverloaded      = "OVERLOADED"
	ReasonRefused         = "REFUSED"
	ReasonIncarnationOver = "INCARNATION_OVER"
	ReasonNameTaken       = "NAME_TAKEN"
	ReasonCopy            = "COPY"
	ReasonForbidden       = "FORBIDDEN"
	ReasonTooMany         = "TOO_MANY"
	ReasonKeyReused       = "KEY_REUSED"
	ReasonForeignCluster  = "FOREIGN_CLUSTER"
	ReasonInternal        = "INTERNAL"
	ReasonNotYet          = "NOT_YET" // the same will be taken in a moment
)

// MaxText bounds what an error says is wrong, in bytes: it may repeat what a caller sent, and travels in a header, for which a connection keeps
// room from then on.
const MaxText = 4 << 10

// New makes an error for the API: its code, a reason of the list above, what is wrong, and what to do about it.
func New(code connect.Code, reason, field, wrong, fix string) error {
	if len(wrong) > MaxText {
		wrong = text.Cut(wrong, MaxText) + "…"
	}
	msg := wrong
	if fix != "" {
		msg += ": " + fix
	}
	e := connect.NewError(code, msg)
	d, err := connectproto.NewErrorDetail(&apiv1.ErrorInfo{Reason: reason, Field: field, Fix: fix})
	if err != nil {
		return e // the detail only repeats
	}
	return e.WithDetail(d)
}

// Info is the detail of an error of the API; nil if it has none.
func Info(err error) *apiv1.ErrorInfo {
	var e *connect.Error
	if !errors.As(err, &e) {
		return nil
	}
	for _, d := range e.Details() {
		m, err := connectproto.UnmarshalErrorDetail(d)
		if err != nil {
			continue
		}
		if info, ok := m.(*apiv1.ErrorInfo); ok {
			return info
		}
	}
	return nil
}

// Message is an error's text without the code in front.
func Message(err error) string {
	var e *connect.Error
	if errors.As(err, &e) && e.Message() != "" {
		return strings.TrimSpace(e.Message())
	}
	return err.Error()
}
