package transport

import (
	"log"
	"log/slog"
	"strings"
	"time"

	"github.com/godwit-run/godwit/internal/text"
)

// Callers can cause a line of the HTTP library with each connection: so many of a kind are passed on within floodFor.
const (
	floodFor  = time.Minute
	floodMost = 10
)

// newErrorLog returns a logger for the HTTP library that passes its lines on as warnings, so many of a kind; the rest is counted, and the
// count is logged with the first line after that.
func newErrorLog(to *slog.Logger) *log.Logger {
	return log.New(errorWriter{to, &text.Flood{For: floodFor, Most: floodMost}}, "", 0)
}

type errorWriter struct {
	log   *slog.Logger
	flood *text.Flood
}

// Write takes one line, or that of a panic with its stack.
func (w errorWriter) Write(line []byte) (int, error) {
	w.flood.Log(w.log, slog.LevelWarn, "net/http", strings.TrimSpace(string(line)), time.Now())
	return len(line), nil
}
