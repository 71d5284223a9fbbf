package control

import "github.com/godwit-run/godwit/fsm"

const (
	// maxReasonBytes bounds a reason that enters the log: a person reads it.
	maxReasonBytes = fsm.MaxReasonBytes
	// allReasonsBytes bounds the reasons of all of an app's ranks together.
	allReasonsBytes = fsm.MaxReasonsBytes
	minReasonBytes  = 96
)

// reasonBytes is how long the reason of one of an app's ranks may be.
func reasonBytes(ranks int) int {
	return max(minReasonBytes, min(maxReasonBytes, allReasonsBytes/max(1, ranks)))
}
