package worker

import "github.com/godwit-run/godwit/worker/part"

// clean makes a text that came from a program, or from a request, fit to be shown and stored.
func clean(s string) string { return part.Clean(s) }
