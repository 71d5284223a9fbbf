package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// row is one line of a table. Its figures are readings.
type row struct {
	what, where string // what was measured; with which ranks, on which hosts
	godwit      []float64
	unit        string
	higher      bool // a higher figure is better
	peers       []peerFigure
}

// peerFigure is what a peer reached.
type peerFigure struct {
	peer    string
	values  []float64
	missing string // what a cell says that has no figure; empty: it has
}

// ratio says how Godwit compares, by medians: above 1 is better than the peer.
func (r row) ratio(peer []float64) string {
	v := median(peer) / median(r.godwit)
	if r.higher {
		v = 1 / v
	}
	return figure(v)
}

// cell is the median of some readings and, if there is more than one, the least and the most.
func (r row) cell(values []float64) string {
	text := figure(median(values)) + " " + r.unit
	if len(values) > 1 {
		text += fmt.Sprintf(" [%s..%s]", figure(slices.Min(values)), figure(slices.Max(values)))
	}
	return text
}

// grouped brings rows of the same thing together, in the order of the first of each.
func grouped(rows []row) []row {
	first := map[string]int{}
	for i, r := range rows {
		if _, seen := first[r.what]; !seen {
			first[r.what] = i
		}
	}
	return slices.SortedStableFunc(slices.Values(rows), func(a, b row) int { return first[a.what] - first[b.what] })
}

// print writes the machine, and the tables that have rows.
func (b *bench) print(w io.Writer) {
	fmt.Fprintln(w, machine())
	if len(b.core) > 0 {
		fmt.Fprintln(w)
		printCore(w, b.core)
	}
	for _, rows := range b.mpi {
		if len(rows) > 0 {
			fmt.Fprintln(w)
			printMPI(w, grouped(rows))
		}
	}
}

// printCore writes rows that have one peer or none, not the same for all.
func printCore(w io.Writer, rows []row) {
	fmt.Fprintln(w, "| what | Godwit | peer | ratio (above 1: better than the peer) |")
	fmt.Fprintln(w, "|---|---|---|---|")
	for _, r := range rows {
		peer, ratio := "-", "-"
		for _, p := range r.peers {
			peer, ratio = p.peer+": "+r.cell(p.values), r.ratio(p.values)
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s |\n", r.what, r.cell(r.godwit), peer, ratio)
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
		line := fmt.Sprintf("| %s, %s | %s |", r.what, r.where, r.cell(r.godwit))
		for _, p := range r.peers {
			if p.missing != "" {
				line += fmt.Sprintf(" %s |", p.missing)
				continue
			}
			line += fmt.Sprintf(" %s (%s) |", r.cell(p.values), r.ratio(p.values))
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
