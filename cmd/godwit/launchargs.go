package main

import (
	"cmp"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/sdk"
)

// launch is an mpirun command line, understood.
type launch struct {
	parts []*part // one for each program between colons, at least one

	oversubscribe bool
	env           []string // for all parts
	envAll        bool     // all variables are passed to all parts
	tags          lineTags
	files         lineFiles
	timeout       time.Duration // 0: none
	onDeadlock    string        // onDeadlockFail; else it is told
	memory        string        // as --mem says

	exitCodes, bindings, dryRun   bool
	quiet, verbose, help, version bool
	stdin                         string // which ranks read it; empty: rank 0

	in      *interrupts
	private bool           // runs on a cluster of its own; not from the command line
	mounts  []*apiv1.Mount // of such a cluster
	dir     string         // in which ranks begin there

	notes []string // what was ignored: said at -v
	loud  []string // what was ignored though it may matter: said unless -q
}

// part is one program of a command line, with how many ranks of it run where.
type part struct {
	ranks   int // 0: not given
	perHost int // 0: any number
	byNode  bool
	hosts   []hostRule
	env     []string
	envAll  bool // all variables are passed to it
	envNone bool // they are not, though they are to the other parts
	dir     string
	program string
	args    []string
}

// cursor goes over the words of a command line.
type cursor struct {
	l      *launch
	p      *part
	flag   string // the option being read, as it was written
	inline *string
	rest   []string
	file   bool // a file of parts was read

	options map[string]func(*cursor) error
}

// value is the option's value: what follows "=", or the next word, unless that is an option itself.
func (c *cursor) value() (string, error) {
	if c.inline == nil && len(c.rest) > 0 && len(c.rest[0]) > 1 && c.rest[0][0] == '-' {
		if name := optionName(c.rest[0]); c.options[name] != nil {
			return "", usagef("%s needs a value, and %s follows, which is an option; write %s=%s if it is meant", c.flag, c.rest[0], c.flag, c.rest[0])
		}
	}
	return c.anyWord()
}

// optionName is a word without the dashes of an option. One or two are the same, as users of both dialects write both.
func optionName(word string) string { return strings.TrimPrefix(strings.TrimPrefix(word, "-"), "-") }

// anyWord is value, whatever the next word is.
func (c *cursor) anyWord() (string, error) {
	if c.inline != nil {
		v := *c.inline
		c.inline = nil
		return v, nil
	}
	if len(c.rest) == 0 {
		return "", usagef("%s needs a value", c.flag)
	}
	v := c.rest[0]
	c.rest = c.rest[1:]
	return v, nil
}

// maxNumber bounds what number reads.
const maxNumber = 1 << 20

// number is a value from 1 to maxNumber.
func (c *cursor) number(into *int) error {
	v, err := c.value()
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > maxNumber {
		return usagef("%s %s: give a number from 1 to %d", c.flag, v, maxNumber)
	}
	*into = n
	return nil
}

// parseLaunch understands the words behind mpirun.
func parseLaunch(words []string) (*launch, error) {
	l := &launch{}
	options := launchOptions()
	for i := 0; len(words) > 0 || i == 0; i++ {
		var section []string
		section, words = cutSection(words)
		p := &part{}
		c := &cursor{l: l, p: p, rest: section}
		if err := c.read(options); err != nil {
			return nil, err
		}
		if l.help || l.version {
			return l, nil
		}
		switch {
		case p.program != "":
			l.parts = append(l.parts, p)
		case c.file || (i > 0 && len(section) == 0): // its parts are there; behind a last colon
		default:
			return nil, errNoProgram()
		}
	}
	if len(l.parts) == 0 {
		return nil, errNoProgram()
	}
	for _, p := range l.parts {
		if first := l.parts[0].dir; p.dir != first {
			return nil, usagef("-wdir %s: the programs of a run begin in one directory: give it to each of them, or to none", cmp.Or(p.dir, first))
		}
	}
	return l, nil
}

func errNoProgram() error {
	return usagef("no program is named: mpirun -n 4 ./hello.wasm (see mpirun --help)")
}

// cutSection takes the words up to a colon.
func cutSection(words []string) (section, rest []string) {
	if i := slices.Index(words, ":"); i >= 0 {
		return words[:i], words[i+1:]
	}
	return words, nil
}

// read takes options up to the program, which takes the rest.
func (c *cursor) read(options map[string]func(*cursor) error) error {
	c.options = options
	for len(c.rest) > 0 {
		word := c.rest[0]
		c.rest = c.rest[1:]
		if word == "--" && len(c.rest) > 0 {
			word, c.rest = c.rest[0], c.rest[1:]
		} else if strings.HasPrefix(word, "-") && word != "-" {
			if err := c.option(word); err != nil {
				return err
			}
			if c.l.help || c.l.version {
				return nil
			}
			continue
		}
		c.p.program, c.p.args = word, c.rest
		return nil
	}
	return nil
}

// option takes one option.
func (c *cursor) option(word string) error {
	options, name := c.options, optionName(word)
	c.flag, c.inline = word, nil
	apply, ok := options[name]
	if key, value, found := strings.Cut(name, "="); !ok && found {
		if apply, ok = options[key]; ok {
			c.flag, c.inline = strings.TrimSuffix(word, "="+value), &value
		}
	}
	switch key, _, _ := strings.Cut(name, "="); {
	case ok:
	case key == "in" || key == "out" || key == "mount":
		return usagef("%s is an option of godwit run: godwit run -n 4 --%s ... does what it says; mpirun without a cluster has the files of the directory "+
			"where it is called", word, key)
	case key == "name":
		return usagef("%s is an option of godwit run: godwit run -n 4 --name ... does what it says; mpirun gives an app its program's name", word)
	}
	if !ok {
		hint := ""
		if near := nearest(name, slices.Sorted(maps.Keys(options))); near != "" {
			hint = "; did you mean " + dashed(near) + "?"
		}
		return usagef("unknown option %s%s (see mpirun --help)", word, hint)
	}
	if err := apply(c); err != nil {
		return err
	}
	if c.inline != nil {
		return usagef("%s takes no value", c.flag)
	}
	return nil
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// configFile reads a file of which each line is the words of one part.
func (c *cursor) configFile() error {
	path, err := c.value()
	if err != nil {
		return err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return usagef("%s: %w", c.flag, err)
	}
	options := launchOptions()
	delete(options, "configfile") // one in the other could go on for ever
	delete(options, "app")
	for _, line := range strings.Split(string(content), "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		p := &part{}
		words := sdk.SplitWords(line)
		if words[len(words)-1] == ":" {
			words = words[:len(words)-1]
		}
		if err := (&cursor{l: c.l, p: p, rest: words}).read(options); err != nil {
			return usagef("%s: %w", path, err)
		}
		if p.program == "" {
			return usagef("%s: no program is named in %q", path, line)
		}
		c.l.parts = append(c.l.parts, p)
	}
	c.file = true
	return nil
}
