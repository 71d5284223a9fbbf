package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/godwit-run/godwit/fsm"
)

// An option that means nothing here is ignored; a value that no MPI would take is a mistake all the same, and is said.

// oneOf is a check of values that are one of some words, in whatever case, with a number, a list or modifiers behind a colon.
func oneOf(words string) func(c *cursor, v string) error {
	known := strings.Fields(words)
	return func(c *cursor, v string) error {
		if word, _, _ := strings.Cut(strings.ToLower(v), ":"); !slices.Contains(known, word) {
			return usagef("%s %s: use one of %s", c.flag, v, strings.Join(known, ", "))
		}
		return nil
	}
}

// aCount is a check of values that are numbers.
func aCount(c *cursor, v string) error {
	if n, err := strconv.Atoi(v); err != nil || n < 0 {
		return usagef("%s %s: give a number", c.flag, v)
	}
	return nil
}

// anyValue is a check of values that are names, lists or paths.
func anyValue(*cursor, string) error { return nil }

// universe is a check of MPICH's -usize.
func universe(c *cursor, v string) error {
	if v == "INFINITE" || v == "SYSTEM" {
		return nil
	}
	return aCount(c, v)
}

const (
	// machineParts are what Open MPI and MPICH map, rank and bind to inside a machine.
	machineParts = "slot core hwthread socket package numa l1cache l2cache l3cache l1 l2 l3 board"
	bindings     = "none node machine user rr map cpu-list " + machineParts
	rankings     = "node fill span " + machineParts
)

// maxTimeout bounds --timeout: what is longer is a slip.
const maxTimeout = 10 * 365 * 24 * time.Hour

func parseTimeout(flag, v string) (time.Duration, error) {
	if n, err := strconv.ParseFloat(v, 64); err == nil && n > 0 && n <= maxTimeout.Seconds() {
		return time.Duration(n * float64(time.Second)), nil
	}
	if d, err := time.ParseDuration(v); err == nil && d > 0 && d <= maxTimeout {
		return d, nil
	}
	return 0, usagef("%s %s: give a number of seconds above 0, at most %.0f", flag, v, maxTimeout.Seconds())
}

// variable is a value that names a variable: VAR or VAR=VALUE.
func (c *cursor) variable() (string, error) {
	v, err := c.value()
	if err != nil {
		return "", err
	}
	return v, c.checkVariable(v)
}

func (c *cursor) checkVariable(v string) error {
	if name, _, _ := strings.Cut(v, "="); name == "" || strings.HasPrefix(name, "-") || strings.ContainsRune(name, ' ') {
		return usagef("%s %q: give the name of a variable, VAR or VAR=VALUE", c.flag, v)
	}
	return nil
}

// variables is a value that lists names of variables.
func (c *cursor) variables() ([]string, error) {
	v, err := c.value()
	if err != nil {
		return nil, err
	}
	list := strings.FieldsFunc(v, func(r rune) bool { return r == ',' })
	if len(list) == 0 {
		return nil, usagef("%s %q: give names of variables, with commas between", c.flag, v)
	}
	for _, name := range list {
		if err := c.checkVariable(name); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// mapModifier takes what may stand behind a mapping's colon.
func (c *cursor) mapModifier(v, m string) error {
	switch key, value, _ := strings.Cut(m, "="); key {
	case "oversubscribe":
		c.l.oversubscribe = true
		return nil
	case "display":
		c.l.bindings = true
		return nil
	case "pe":
		if n, err := strconv.Atoi(value); err != nil || n < 1 {
			return usagef("%s %s: %s: give a number of processors above 0", c.flag, v, m)
		}
	case "nooversubscribe", "nolocal", "span", "inherit", "noinherit", "hwtcpus", "corecpus", "ordered", "displaydevel", "donotlaunch", "pe-list", "qfile", "file":
	default:
		return usagef("%s %s: %q is unknown behind a colon; use OVERSUBSCRIBE or DISPLAY", c.flag, v, m)
	}
	c.l.notes = append(c.l.notes, c.flag+" :"+m)
	return nil
}

var unknownPattern = regexp.MustCompile(`%([^%rhgp]|$)`)

// pattern is one of MPICH's patterns.
func (c *cursor) pattern() (string, error) {
	v, err := c.value()
	if err != nil {
		return "", err
	}
	if bad := unknownPattern.FindString(strings.ReplaceAll(v, "%%", "")); bad != "" || v == "" {
		return "", usagef("%s %q: use %%r for the rank, %%h for the host, %%%% for a percent sign", c.flag, v)
	}
	return v, nil
}

// outputDir takes DIR or DIR:nocopy.
func (c *cursor) outputDir(v string) error {
	dir, modifiers, _ := strings.Cut(v, ":")
	if dir == "" {
		return usagef("%s %q: give a directory", c.flag, v)
	}
	c.l.files.dir = dir
	for _, m := range strings.FieldsFunc(strings.ToLower(modifiers), func(r rune) bool { return r == ',' || r == ':' }) {
		switch m {
		case "nocopy":
			c.l.files.only = true
		case "nojobid", "copy", "pattern", "raw":
			c.l.notes = append(c.l.notes, c.flag+" :"+m)
		default:
			return usagef("%s %s: %q is unknown behind a colon; use nocopy", c.flag, v, m)
		}
	}
	return nil
}

// stdin takes who reads standard input.
func (c *cursor) stdin() error {
	v, err := c.value()
	if err != nil {
		return err
	}
	if n, err := strconv.Atoi(v); v != "none" && v != "all" && (err != nil || n < 0) {
		return usagef("%s %s: give a rank, all or none", c.flag, v)
	}
	if c.l.stdin != "" && c.l.stdin != v {
		return usagef("%s %s: it is %s already; all parts have one standard input: say it once", c.flag, v, c.l.stdin)
	}
	c.l.stdin = v
	return nil
}

// checkRun checks what can be wrong with a command line as a whole, before a cluster is looked for.
func (l *launch) checkRun() error {
	ranks := 0
	for _, p := range l.parts {
		ranks += p.ranks
	}
	if ranks > fsm.MaxAppSize {
		return usagef("%d ranks: a run has at most %d", ranks, fsm.MaxAppSize)
	}
	if err := l.checkEnvironment(); err != nil || l.dryRun {
		return err
	}
	for flag, path := range map[string]string{"--output-filename": l.files.dir, "-outfile-pattern": l.files.stdout, "-errfile-pattern": l.files.stderr} {
		if err := writable(flag, path); err != nil {
			return err
		}
	}
	return nil
}

// writable makes the directory that files are to be in, as far as its name is known, and says why that cannot be.
func writable(flag, path string) error {
	if path == "" {
		return nil
	}
	dir := path
	if flag != "--output-filename" {
		known, _, _ := strings.Cut(path, "%")
		dir = filepath.Dir(known + "x")
	}
	err := os.MkdirAll(dir, 0o755)
	if err == nil {
		err = unix.Access(dir, unix.W_OK|unix.X_OK)
	}
	if err != nil {
		return usagef("%s %s: no files can be made there: %w", flag, path, err)
	}
	return nil
}
