package history

import (
	"errors"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connectproto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// Kind is what a client asked for.
type Kind string

// Kinds of operations. Fault is the nemesis's: it changes no app.
const (
	Submit Kind = "submit"
	Status Kind = "status"
	Cancel Kind = "cancel"
	List   Kind = "list"
	Fault  Kind = "fault"
)

// End is what the client knows of an operation's effect.
type End string

// Ends of operations.
const (
	// OK: it was done, and this is the answer.
	OK End = "ok"
	// Fail: it was not done and never will be.
	Fail End = "fail"
	// Info: nobody knows. It may yet be done after the client has given up.
	Info End = "info"
)

// Seen is an app as an answer showed it.
type Seen struct {
	ID       string `json:"id"`
	Key      string `json:"key,omitempty"`
	Phase    string `json:"phase"`
	Verdict  string `json:"verdict,omitempty"`
	ExitCode int32  `json:"exit_code,omitempty"`
	Epoch    uint64 `json:"epoch,omitempty"`
}

// See keeps of an app what the judges need.
func See(app *apiv1.App) Seen {
	return Seen{
		ID: app.GetId(), Key: app.GetIdempotencyKey(), Phase: app.GetPhase(), Verdict: app.GetVerdict(),
		ExitCode: app.GetExitCode(), Epoch: app.GetEpoch(),
	}
}

// Op is one operation of one client.
type Op struct {
	Client int    `json:"client"`
	Server string `json:"server,omitempty"`
	Kind   Kind   `json:"kind"`
	// Key is the command's idempotency key, of a submission or a cancellation.
	Key string `json:"key,omitempty"`
	// App is the id asked about, of a status or a cancellation.
	App string `json:"app,omitempty"`
	// Call and Return bound the operation in time since the recorder began. An Info has no bound: its Return is when the client gave up.
	Call   time.Duration `json:"call"`
	Return time.Duration `json:"return"`
	End    End           `json:"end"`
	// Code and Error are the refusal's; Error of a Fault is what was done.
	Code  string `json:"code,omitempty"`
	Error string `json:"error,omitempty"`
	// Index is the log's at the answer; 0: the answer had none.
	Index uint64 `json:"index,omitempty"`
	// Apps are those that the answer showed: one, or all of a list.
	Apps []Seen `json:"apps,omitempty"`
	// Partial: the list was one page of several. It says nothing of the apps that it does not show.
	Partial bool `json:"partial,omitempty"`
}

// Refused says that the state, not a server's condition, was the reason of a failure: it tells something of the app.
func (o Op) Refused() bool {
	return o.End == Fail && (o.Code == reasonRefused || o.Code == reasonNotFound)
}

// Reasons of the API's errors that the judges know, and that mean that nothing was done.
const (
	reasonRefused   = "REFUSED"
	reasonNotFound  = "NOT_FOUND"
	reasonNotLeader = "NOT_LEADER"
	reasonNoLeader  = "NO_LEADER"
	reasonOverload  = "OVERLOADED"
	reasonInvalid   = "INVALID_ARGUMENT"
	reasonAmbiguous = "AMBIGUOUS"
)

// Classify says what an error means for the operation that got it. Only the reasons with which a server says that it has
// not passed the command on are a Fail; everything else, a broken connection first of all, is unknown.
func Classify(err error) (End, string) {
	if err == nil {
		return OK, ""
	}
	switch reason := reasonOf(err); reason {
	case reasonRefused, reasonNotFound, reasonNotLeader, reasonNoLeader, reasonOverload, reasonInvalid, reasonAmbiguous:
		return Fail, reason
	default:
		return Info, reason
	}
}

// reasonOf is the word for programs on an error of the API; empty: it has none.
func reasonOf(err error) string {
	var e *connect.Error
	if !errors.As(err, &e) {
		return ""
	}
	for _, d := range e.Details() {
		m, err := connectproto.UnmarshalErrorDetail(d)
		if info, ok := m.(*apiv1.ErrorInfo); ok && err == nil {
			return info.GetReason()
		}
	}
	return ""
}
