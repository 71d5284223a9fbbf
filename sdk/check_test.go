package sdk

import (
	"os"
	"testing"
)

// inCheck leaves a test that builds many programs to make check.
func inCheck(t *testing.T) {
	t.Helper()
	if os.Getenv("GODWIT_CHECK") == "" {
		t.Skip("make check runs it: set GODWIT_CHECK")
	}
}
