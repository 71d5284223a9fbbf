// Bench measures Godwit side by side with a peer, in one run on one machine, and
// prints a table of ratios. Peers that are not installed are left out. Run it by
// make bench; the machine should be otherwise idle.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"
)

// row is one line of the table.
type row struct {
	what   string
	godwit float64
	unit   string
	peer   string // empty: none
	value  float64
	higher bool // a higher figure is better
}

// ratio says how Godwit compares: above 1 is better than the peer.
func (r row) ratio() string {
	if r.peer == "" {
		return "-"
	}
	q := r.value / r.godwit
	if r.higher {
		q = 1 / q
	}
	return fmt.Sprintf("%.2f", q)
}

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: bench GODWIT (run in the repository's top directory)")
		return 2
	}
	godwit, err := filepath.Abs(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	b := &bench{godwit: godwit}
	if err := b.all(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	b.print()
	return 0
}

// bench collects rows.
type bench struct {
	godwit string
	dir    string
	rows   []row
}

func (b *bench) all(ctx context.Context) (err error) {
	if b.dir, err = os.MkdirTemp("", "godwit-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	for _, part := range []struct {
		name string
		f    func(context.Context) error
	}{
		{"API", b.api}, {"programs", b.programs}, {"submissions", b.submissions},
	} {
		fmt.Fprintln(os.Stderr, "bench:", part.name)
		if err := part.f(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}

func (b *bench) print() {
	fmt.Println("| what | Godwit | peer | ratio (above 1: better than the peer) |")
	fmt.Println("|---|---|---|---|")
	for _, r := range b.rows {
		peer := "-"
		if r.peer != "" {
			peer = fmt.Sprintf("%s: %s %s", r.peer, figure(r.value), r.unit)
		}
		fmt.Printf("| %s | %s %s | %s | %s |\n", r.what, figure(r.godwit), r.unit, peer, r.ratio())
	}
}

// figure shows three digits.
func figure(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}
