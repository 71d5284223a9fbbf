package main

import (
	"slices"
	"strings"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// jobState is what Slurm calls the state of a job: its code and its name.
type jobState struct{ code, name string }

// slurmStates are the states of jobs that Slurm knows. Apps have those of slurmState.
func slurmStates() []jobState {
	return []jobState{
		{"PD", "PENDING"},
		{"CF", "CONFIGURING"},
		{"R", "RUNNING"},
		{"CG", "COMPLETING"},
		{"S", "SUSPENDED"},
		{"CD", "COMPLETED"},
		{"F", "FAILED"},
		{"TO", "TIMEOUT"},
		{"CA", "CANCELLED"},
		{"BF", "BOOT_FAIL"},
		{"DL", "DEADLINE"},
		{"NF", "NODE_FAIL"},
		{"OOM", "OUT_OF_MEMORY"},
		{"PR", "PREEMPTED"},
		{"RD", "RESV_DEL_HOLD"},
		{"RF", "REQUEUE_FED"},
		{"RH", "REQUEUE_HOLD"},
		{"RQ", "REQUEUED"},
		{"RS", "RESIZING"},
		{"RV", "REVOKED"},
		{"SE", "SPECIAL_EXIT"},
		{"SI", "SIGNALING"},
		{"SO", "STAGE_OUT"},
		{"ST", "STOPPED"},
	}
}

// slurmState is the code of the state that an app is in.
func slurmState(a *apiv1.App) string {
	switch {
	case a.Phase == apiv1.AppSucceeded:
		return "CD"
	case a.Phase == apiv1.AppCancelled:
		return "CA"
	case a.Phase == apiv1.AppFailed && a.ExitCode == fsm.ExitTimeLimit:
		return "TO"
	case a.Phase == apiv1.AppFailed:
		return "F"
	case apiv1.AppOver(a.Verdict):
		return "CG"
	case a.Phase == apiv1.AppQueued:
		return "PD"
	case a.Phase == apiv1.AppStarting:
		return "CF"
	case a.Phase == apiv1.AppFrozen:
		return "S"
	default:
		return "R"
	}
}

// allStates are what -t ALL means.
const allStates = "ALL"

// parseSlurmStates reads codes and names of states, with commas between.
func parseSlurmStates(flag, v string) ([]string, error) {
	var out []string
	for word := range strings.SplitSeq(strings.ToUpper(v), ",") {
		known := slurmStates()
		i := slices.IndexFunc(known, func(s jobState) bool { return word == s.code || word == s.name })
		switch {
		case word == allStates:
			out = append(out, allStates)
		case i < 0:
			return nil, usagef("%s %s: %q is no state: give PENDING, RUNNING, SUSPENDED, COMPLETING, COMPLETED, FAILED, TIMEOUT, CANCELLED or ALL, or PD, R, S, CG, CD, F, TO, CA", flag, v, word)
		default:
			out = append(out, known[i].code)
		}
	}
	return out, nil
}

// inStates says whether an app is in one of the states; where none is named, whether it has not ended.
func inStates(states []string, a *apiv1.App) bool {
	if len(states) == 0 {
		return !apiv1.AppOver(a.Phase)
	}
	return slices.Contains(states, allStates) || slices.Contains(states, slurmState(a))
}
