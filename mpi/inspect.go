package mpi

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// shownPeers is how many ranks are named that messages are on their way to.
const shownPeers = 8

// Inspect says what a rank does, for humans: "MPI_Recv(source=3, tag=7), waiting for 2.3s", with
// what is queued. The text may change.
func (w *World) Inspect(r Rank) string {
	p := w.proc(r)
	if p == nil {
		return "not here"
	}
	p.lock()
	defer p.release()
	var b strings.Builder
	switch {
	case p.running.call != nil:
		b.WriteString(describe(p.running.call, p.running.args))
		if p.since > 0 {
			fmt.Fprintf(&b, ", waiting for %.1fs", (w.now() - p.since).Round(100*time.Millisecond).Seconds())
		}
	case p.suspended != nil:
		b.WriteString("frozen in " + p.suspended.call)
	case p.ended:
		b.WriteString("the program has ended; what it sent is not received yet")
		if p.since > 0 {
			fmt.Fprintf(&b, ", for %.1fs", (w.now() - p.since).Round(100*time.Millisecond).Seconds())
		}
	case p.finalized:
		b.WriteString("finalized")
	case !p.initialized:
		b.WriteString("computing before MPI_Init")
	default:
		b.WriteString("computing")
	}
	unacked, waiting := 0, 0
	var peers []string
	for _, c := range p.pairs {
		if c == nil || c.Unacked()+c.pending.Len()+c.data.Len() == 0 {
			continue
		}
		unacked += c.Unacked()
		waiting += c.pending.Len() + c.data.Len()
		peers = append(peers, strconv.Itoa(int(c.peer)))
	}
	fmt.Fprintf(&b, "; posted %d, unexpected %d, unacked %d", len(p.posted), len(p.unexpected), unacked)
	if waiting > 0 {
		fmt.Fprintf(&b, ", not sent %d", waiting)
	}
	if len(peers) > 0 {
		fmt.Fprintf(&b, " (to %s)", strings.Join(peers[:min(len(peers), shownPeers)], " "))
	}
	if len(p.filing) > 0 {
		fmt.Fprintf(&b, ", accesses to files %d", len(p.filing))
	}
	if len(p.active) > 0 {
		fmt.Fprintf(&b, ", collectives %d", len(p.active))
	}
	if !p.attached.Load() {
		b.WriteString("; detached")
	}
	return b.String()
}
