package mpi

import (
	"fmt"
	"strings"
)

// Inspect says what a rank does, for humans: "MPI_Recv(source=3, tag=7)", with
// what is queued. The text may change.
func (w *World) Inspect(r Rank) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.proc(r)
	if p == nil {
		return "not here"
	}
	var b strings.Builder
	switch {
	case p.current != nil:
		b.WriteString(describe(p.current, p.currentArgs))
	case p.suspended != nil:
		b.WriteString("frozen in " + p.suspended.call)
	case p.finalized:
		b.WriteString("finalized")
	default:
		b.WriteString("computing")
	}
	unacked := 0
	for _, c := range p.channels {
		if c != nil {
			unacked += c.replay.len() + c.pending.len()
		}
	}
	fmt.Fprintf(&b, "; posted %d, unexpected %d, unacked %d", len(p.posted), len(p.unexpected), unacked)
	if !p.attached {
		b.WriteString("; detached")
	}
	return b.String()
}

// describe prints a call with its arguments.
func describe(c *Call, a args) string {
	var b strings.Builder
	for i, name := range c.params {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s=%s", name, formatArg(name, a.u32(i)))
	}
	return c.Name + "(" + b.String() + ")"
}
