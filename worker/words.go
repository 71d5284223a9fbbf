package worker

import "github.com/godwit-run/godwit/internal/text"

// Bounds of what one app's reasons may take in a status.
const (
	maxReasonBytes  = 1 << 10   // of one
	maxReasonsBytes = 256 << 10 // of all; the ranks after those that fill it have none
)

// clean makes a text that came from a program, or from a request, fit to be shown and stored.
func clean(s string) string { return text.Escape(s, maxReasonBytes) }
