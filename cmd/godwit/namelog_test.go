package main

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNameLogger: loggers made before the host took another name write the new one, too.
func TestNameLogger(t *testing.T) {
	var out bytes.Buffer
	log, rename := nameLogger(slog.New(slog.NewTextHandler(&out, nil)), "vm")
	child := log.With("app", "a1")
	child.Info("before")
	rename("vm-5b66")
	child.Info("after")
	log.Info("too")
	require.Regexp(t, `msg=before app=a1 host=vm\n.*msg=after app=a1 host=vm-5b66\n.*msg=too host=vm-5b66\n`, out.String())
}
