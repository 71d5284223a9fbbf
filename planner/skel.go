// Package planner decides where ranks go: pure functions of a request, or of a
// view of the replicated state.
package planner

import (
	"io"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// Host is a machine as a policy sees it.
type Host struct {
	Name     string   `json:"name"`
	Slots    int      `json:"slots"`
	Used     int      `json:"used"`
	Evicting bool     `json:"evicting"`
	Tenants  []string `json:"tenants"`
}

// Request is a question to a policy, in the form of a line of a plan file.
type Request struct {
	ID            string   `json:"id"`
	Kind          string   `json:"kind"`
	Policy        string   `json:"policy"`
	Hint          string   `json:"hint"`
	MainHost      string   `json:"main_host"`
	Oversubscribe bool     `json:"oversubscribe"`
	Tenant        string   `json:"tenant"`
	Ranks         int      `json:"ranks"`
	Hosts         []Host   `json:"hosts"`
	Current       []string `json:"current"`
}

// Move takes one rank from one host to another.
type Move struct {
	Rank int    `json:"rank"`
	From string `json:"from"`
	To   string `json:"to"`
}

// Plan is a policy's answer.
type Plan struct {
	ID        string   `json:"id"`
	Outcome   string   `json:"outcome"`
	Placement []string `json:"placement"`
	Moves     []Move   `json:"moves"`
	Reason    string   `json:"reason,omitempty"`
}

// Proposal is a migration to propose to the log.
type Proposal struct {
	App       fsm.AppID
	FromEpoch uint64
	Moves     []*apiv1.Move
	Cause     string
}

// Decide answers the request. An error is an invalid request and names the field.
func Decide(req Request) (Plan, error) { return Plan{}, nil }

// RunScenarios answers one JSON request a line of r with one JSON plan a line on w.
func RunScenarios(r io.Reader, w io.Writer) error { return nil }

// Explicit places ranks as the rules say, in rank order.
func Explicit(rules []*apiv1.PlaceRule, size int, oversubscribe bool, hosts []Host) (Plan, error) {
	return Plan{}, nil
}

// NextPlacement finds the next queued app to place, and why those before it wait.
func NextPlacement(v *fsm.View) (app *apiv1.App, placement []string, waiting map[fsm.AppID]string, ok bool) {
	return nil, nil, nil, false
}

// WhyQueued says why a queued app is not placed.
func WhyQueued(v *fsm.View, app *apiv1.App) string { return "" }

// CheckMigrations plans for every app that is due.
func CheckMigrations(v *fsm.View, due func(fsm.AppID) bool) []Proposal { return nil }

// ManualMove plans to move one rank to a host.
func ManualMove(v *fsm.View, app *apiv1.App, rank int, to fsm.HostID) (Proposal, error) {
	return Proposal{}, nil
}
