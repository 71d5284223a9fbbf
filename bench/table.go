package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// row is one line of a table.
type row struct {
	what   string
	godwit float64
	unit   string
	higher bool // a higher figure is better
	peers  []peerFigure
}

// peerFigure is what a peer reached; NaN: it failed.
type peerFigure struct {
	peer  string
	value float64
}

// ratio says how Godwit compares: above 1 is better than the peer.
func (r row) ratio(peer float64) float64 {
	if r.higher {
		return r.godwit / peer
	}
	return peer / r.godwit
}

// print writes the tables that have rows.
func (b *bench) print(w io.Writer) {
	if len(b.core) > 0 {
		printCore(w, b.core)
	}
	if len(b.core) > 0 && len(b.mpi) > 0 {
		fmt.Fprintln(w)
	}
	if len(b.mpi) > 0 {
		printMPI(w, b.mpi)
	}
}

// printCore writes rows that have one peer or none, not the same for all.
func printCore(w io.Writer, rows []row) {
	fmt.Fprintln(w, "| what | Godwit | peer | ratio (above 1: better than the peer) |")
	fmt.Fprintln(w, "|---|---|---|---|")
	for _, r := range rows {
		peer, ratio := "-", "-"
		for _, p := range r.peers {
			peer, ratio = fmt.Sprintf("%s: %s %s", p.peer, figure(p.value), r.unit), figure(r.ratio(p.value))
		}
		fmt.Fprintf(w, "| %s | %s %s | %s | %s |\n", r.what, figure(r.godwit), r.unit, peer, ratio)
	}
}

// printMPI writes rows that have the same peers, with a column for each.
func printMPI(w io.Writer, rows []row) {
	header := "| what | Godwit |"
	for _, p := range rows[0].peers {
		header += fmt.Sprintf(" %s (ratio) |", p.peer)
	}
	fmt.Fprintln(w, header)
	fmt.Fprintln(w, "|"+strings.Repeat("---|", 2+len(rows[0].peers)))
	for _, r := range rows {
		line := fmt.Sprintf("| %s | %s %s |", r.what, figure(r.godwit), r.unit)
		for _, p := range r.peers {
			if math.IsNaN(p.value) {
				line += " failed |"
				continue
			}
			line += fmt.Sprintf(" %s %s (%s) |", figure(p.value), r.unit, figure(r.ratio(p.value)))
		}
		fmt.Fprintln(w, line)
	}
}

// figure shows three digits, or two of a small number.
func figure(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 0.1:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.2g", v)
	}
}

// median of some values: the lower of the middle two if their number is even; NaN of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)-1)/2]
}
