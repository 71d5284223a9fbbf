// Broken shows that the tests can fail. It builds Godwit with one defect at a time, which a patch in this directory brings
// in, and runs the tests that must find it. Nothing of the tree is changed.
//
//	go run ./jepsen/broken [NAME...]
//
// NAME is a patch's, without .patch; none: all. It fails if a test passes with a defect in it, if a test fails without one,
// if a patch no longer applies, or if what it makes does not build.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const dir = "jepsen/broken"

func main() {
	fast := flag.Bool("fast", false, "leave out the tests of real processes, which take minutes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *fast, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "broken:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

// run tries the defects of these names, or all, and fails if one of them was not found.
func run(ctx context.Context, fast bool, names []string) error {
	root, err := findRoot()
	if err != nil {
		return err
	}
	defects, err := load(filepath.Join(root, dir), names)
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "godwit-broken-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch) //nolint:errcheck // a temporary directory
	var wrong []string
	sound := map[trial]error{} // what came of each test without a defect
	for _, d := range defects {
		if err := d.try(ctx, root, filepath.Join(scratch, d.name), fast, sound); err != nil {
			wrong = append(wrong, d.name)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("wrong with: %s", strings.Join(wrong, ", "))
	}
	return nil
}

// try runs the defect's tests, and prints what comes of each. sound has, or gets, what comes of them without the defect.
func (d defect) try(ctx context.Context, root, scratch string, fast bool, sound map[trial]error) error {
	fmt.Printf("%s: %s\n", d.name, d.what)
	overlay, err := d.overlay(ctx, root, scratch)
	if err != nil {
		fmt.Printf("  WRONG: %v\n", err)
		return err
	}
	var wrong error
	for _, t := range d.fails {
		if fast && t.slow() || ctx.Err() != nil {
			continue
		}
		whole := trial{pkg: t.pkg, test: t.test}
		err, known := sound[whole]
		if !known {
			err = t.pass(ctx, root)
			sound[whole] = err
		}
		began, told := time.Now(), ""
		if err == nil {
			told, err = t.fail(ctx, root, overlay)
		}
		switch {
		case errors.Is(err, errSkipped):
			fmt.Printf("  skipped: %s: %v\n", t, err)
		case err != nil:
			fmt.Printf("  WRONG: %s: %v\n", t, err)
			wrong = err
		default:
			fmt.Printf("  found by %s in %s: %s\n", t, time.Since(began).Round(time.Second), told)
		}
	}
	return wrong
}

// findRoot is the directory of the module that this is run in.
func findRoot() (string, error) {
	at, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(at, dir)); err == nil {
			return at, nil
		}
		up := filepath.Dir(at)
		if up == at {
			return "", fmt.Errorf("no %s here or above: run it in godwit's tree", dir)
		}
		at = up
	}
	return "", err
}
