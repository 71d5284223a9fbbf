package replay

import (
	"fmt"
	"strings"
)

// Title says what was replayed.
func (r *Report) Title() string {
	s := fmt.Sprintf("%s: %d jobs on %d hosts of %d slots", r.Trace, r.Jobs, r.Hosts, r.Slots)
	if r.Spot {
		s += fmt.Sprintf(", a quarter of which fails each minute (seed %d)", r.Seed)
	}
	if r.TooLarge > 0 {
		s += fmt.Sprintf("; %d jobs are larger than the cluster and left out", r.TooLarge)
	}
	if r.Unusable > 0 {
		s += fmt.Sprintf("; %d jobs have no size or time and are left out", r.Unusable)
	}
	return s
}

// Table is the report for people: the words of a header, and a row a scheduler. Times are in seconds.
func (r *Report) Table() (header string, rows [][]string) {
	known := false
	for _, row := range r.Rows {
		known = known || row.Published != nil
	}
	header = "SCHEDULER MAKESPAN IDLE% LINKS /SLURM /BATCH WAIT WAIT95 SLOWDOWN SLOWDOWN95 MIGRATIONS MOVES"
	if r.Spot {
		header += " FREEZES RESTARTS FAILED WITHOUT-FAULTS FAULTS/WITHOUT"
	}
	if known {
		header += " PUBLISHED"
	}
	for i := range r.Rows {
		row := &r.Rows[i]
		cells := []string{
			row.Scheduler, fmt.Sprintf("%.0f", row.Makespan), fmt.Sprintf("%.1f", row.Idle), fmt.Sprintf("%.1f", row.MeanLinks),
			ratio(row.LinksToSlurm), ratio(row.LinksToBatch),
			fmt.Sprintf("%.0f", row.Wait.Mean), fmt.Sprintf("%.0f", row.Wait.P95),
			fmt.Sprintf("%.2f", row.Slowdown.Mean), fmt.Sprintf("%.2f", row.Slowdown.P95),
			fmt.Sprint(row.Migrations), fmt.Sprint(row.Moves),
		}
		if s := row.Spot; s != nil {
			cells = append(cells, fmt.Sprint(row.Freezes), fmt.Sprint(row.Restarts), fmt.Sprint(row.Failed), fmt.Sprintf("%.0f", s.Without), s.String())
		}
		if known {
			cells = append(cells, row.Published.String())
		}
		rows = append(rows, cells)
	}
	return header, rows
}

// Notes are what is to be said below the table.
func (r *Report) Notes() []string {
	var notes []string
	held := 0
	for _, row := range r.Rows {
		if held = max(held, row.Held); row.Scheduler == Slurm && row.LinkSeconds > 0 {
			notes = append(notes, fmt.Sprintf("/SLURM cannot be below %.2f: that is every job at its best placement all the time.", r.LeastLinkSeconds/row.LinkSeconds))
		}
	}
	if held > 0 {
		notes = append(notes, fmt.Sprintf("Up to %d jobs were submitted late, for the state takes no more at a time; their wait counts from when they would have been.", held))
	}
	return notes
}

func ratio(x *float64) string {
	if x == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f", *x)
}

// String is the mean, with the range where there are several.
func (s *SpotSlowdown) String() string {
	if s.Runs == 1 {
		return fmt.Sprintf("%.2f", s.Mean)
	}
	return fmt.Sprintf("%.2f [%.2f..%.2f]", s.Mean, s.Least, s.Most)
}

// String says what is known.
func (p *Published) String() string {
	if p == nil {
		return "-"
	}
	var words []string
	if p.Makespan > 0 {
		words = append(words, fmt.Sprintf("makespan %.0f, idle %.1f, /batch %.2f", p.Makespan, p.Idle, p.LinksToBatch))
	}
	if p.SpotSlowdown > 0 {
		words = append(words, fmt.Sprintf("faults/without %.2f", p.SpotSlowdown))
	}
	return strings.Join(words, ", ")
}
