package main

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// nameLogger is a logger whose lines name the host, as it is called when they are written: rename changes it for all that was
// made from the logger, too.
func nameLogger(log *slog.Logger, host string) (named *slog.Logger, rename func(host string)) {
	name := new(atomic.Pointer[string])
	name.Store(&host)
	return slog.New(nameHandler{log.Handler(), name}), func(host string) { name.Store(&host) }
}

type nameHandler struct {
	slog.Handler
	name *atomic.Pointer[string]
}

// Handle implements slog.Handler.
func (h nameHandler) Handle(ctx context.Context, r slog.Record) error { //nolint:gocritic // the interface's
	return h.Handler.WithAttrs([]slog.Attr{slog.String("host", *h.name.Load())}).Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h nameHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return nameHandler{h.Handler.WithAttrs(attrs), h.name}
}

// WithGroup implements slog.Handler.
func (h nameHandler) WithGroup(group string) slog.Handler {
	return nameHandler{h.Handler.WithGroup(group), h.name}
}
