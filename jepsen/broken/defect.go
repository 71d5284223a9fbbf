package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// suffix ends the names of patches.
const suffix = ".patch"

// defect is a patch: what it breaks, and what must fail then. In the file these are the lines before the first diff: what
// it breaks, in words, and a line "Fails: PACKAGE TEST: TEXT" for each test, with a text that the test's failure must hold
// ("Fails: PACKAGE TEST" if any will do).
type defect struct {
	name, path, what string
	fails            []trial
	files            []string // that it changes, from the tree's root
}

// load reads the defects of these names, or all of the directory.
func load(dir string, names []string) ([]defect, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil {
		return nil, err
	}
	if len(names) > 0 {
		paths = nil
		for _, n := range names {
			paths = append(paths, filepath.Join(dir, strings.TrimSuffix(filepath.Base(n), suffix)+suffix))
		}
	}
	var out []defect
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			return nil, err
		}
		d, err := parse(strings.TrimSuffix(filepath.Base(p), suffix), string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		d.path = p
		out = append(out, d)
	}
	return out, nil
}

// parse reads a patch.
func parse(name, text string) (defect, error) {
	d := defect{name: name}
	head, diff, _ := strings.Cut(text, "\ndiff --git ")
	for line := range strings.Lines(head) {
		line = strings.TrimSpace(line)
		test, ok := strings.CutPrefix(line, "Fails: ")
		if !ok {
			d.what = strings.TrimSpace(d.what + " " + line)
			continue
		}
		test, text, _ := strings.Cut(test, ": ")
		pkg, test, ok := strings.Cut(test, " ")
		if !ok {
			return d, fmt.Errorf("%q names no package and test", line)
		}
		d.fails = append(d.fails, trial{pkg: pkg, test: test, text: text})
	}
	for line := range strings.Lines(diff) {
		if file, ok := strings.CutPrefix(strings.TrimSpace(line), "+++ b/"); ok {
			d.files = append(d.files, file)
		}
	}
	switch {
	case d.what == "":
		return d, fmt.Errorf("it does not say what it breaks")
	case len(d.fails) == 0:
		return d, fmt.Errorf("it names no test that must fail: add a line \"Fails: PACKAGE TEST: TEXT\"")
	case len(d.files) == 0:
		return d, fmt.Errorf("it changes no file")
	}
	return d, nil
}

// overlay puts broken copies of the files into a new directory, and returns the path of the list that makes go build them
// instead of those of the tree.
func (d defect) overlay(ctx context.Context, root, scratch string) (string, error) {
	replace := map[string]string{}
	for _, f := range d.files {
		text, err := os.ReadFile(filepath.Join(root, f))
		if err != nil {
			return "", fmt.Errorf("the patch no longer applies: %w", err)
		}
		to := filepath.Join(scratch, f)
		if err := os.MkdirAll(filepath.Dir(to), fs.ModePerm); err != nil {
			return "", err
		}
		if err := os.WriteFile(to, text, 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(root, f)] = to
	}
	apply := exec.CommandContext(ctx, "git", "apply", d.path)
	apply.Dir = scratch
	apply.Env = append(slices.Clone(os.Environ()), "GIT_CEILING_DIRECTORIES="+filepath.Dir(scratch))
	if out, err := apply.CombinedOutput(); err != nil {
		return "", fmt.Errorf("the patch no longer applies; make it anew from what it says that it breaks: %w\n%s", err, out)
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(scratch, "overlay.json")
	return path, os.WriteFile(path, list, 0o600)
}
