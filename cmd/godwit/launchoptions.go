package main

import (
	"cmp"
	"fmt"
	"os"
	"strconv"
	"strings"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// launchOptions are the options of mpirun by name, without dashes: Open MPI's and MPICH's together.
func launchOptions() map[string]func(*cursor) error {
	options := map[string]func(*cursor) error{}
	add := func(names string, apply func(*cursor) error) {
		for _, name := range strings.Fields(names) {
			options[name] = apply
		}
	}
	addPlacement(add)
	addEnvironment(add)
	addOutput(add)
	add("configfile app", (*cursor).configFile)
	add("q quiet", func(c *cursor) error { c.l.quiet = true; return nil })
	add("v verbose", func(c *cursor) error { c.l.verbose = true; return nil })
	add("V version", func(c *cursor) error { c.l.version = true; return nil })
	add("h help", func(c *cursor) error { c.l.help = true; return nil })
	add("timeout", func(c *cursor) error {
		v, err := c.value()
		if err == nil {
			c.l.timeout, err = parseTimeout(c.flag, v)
		}
		return err
	})
	add("mem", func(c *cursor) error {
		v, err := c.value()
		if err == nil && v == "" {
			err = usagef("%s: give a size, such as 512M, or 0 for none", c.flag)
		}
		if err == nil && c.l.memory != "" && c.l.memory != v {
			err = usagef("%s %s: it is %s already; it is of each rank of all parts: say it once", c.flag, v, c.l.memory)
		}
		c.l.memory = v
		return cmp.Or(err, declareMemory(&apiv1.AppSpec{}, v))
	})
	add("on-deadlock", func(c *cursor) error {
		v, err := c.value()
		c.l.onDeadlock = v
		return cmp.Or(err, checkOnDeadlock(c.flag, v))
	})
	add("do-not-launch", func(c *cursor) error { c.l.dryRun = true; return nil })
	add("print-all-exitcodes", func(c *cursor) error { c.l.exitCodes = true; return nil })
	for names, check := range map[string]func(*cursor, string) error{
		"bind-to": oneOf(bindings), "rank-by": oneOf(rankings), "usize": universe,
		"cpus-per-proc cpus-per-rank npersocket max-restarts":                                         aCount,
		"prefix launcher launcher-exec bootstrap bootstrap-exec iface rmk ranktbl am tune":            anyValue,
		"cpu-set cpu-list localhost tmpdir personality display topolib demux binding runtime-options": anyValue,
	} {
		add(names, func(c *cursor) error { return c.ignore(1, check) })
	}
	add("mca gmca prtemca pmixmca omca", func(c *cursor) error { return c.ignore(2, anyValue) })
	for _, names := range []string{
		"allow-run-as-root use-hwthread-cpus hetero nooversubscribe no-oversubscribe bind-to-core bind-to-socket byslot bycore nolocal",
		"enable-recovery disable-recovery disable-auto-cleanup preload-binary tag-output-to-stderr",
		"display-allocation leave-session-attached disable-hostname-propagation enable-x disable-x",
	} {
		add(names, func(c *cursor) error { return c.ignore(0, anyValue) })
	}
	return options
}

// ignore notes an option that means nothing here.
func (c *cursor) ignore(values int, check func(*cursor, string) error) error {
	note := c.flag
	for range values {
		v, err := c.value()
		if err == nil {
			err = check(c, v)
		}
		if err != nil {
			return err
		}
		note += " " + v
	}
	c.l.notes = append(c.l.notes, note)
	return nil
}

type adder func(names string, apply func(*cursor) error)

func addPlacement(add adder) {
	add("n np c", func(c *cursor) error { return c.number(&c.p.ranks) })
	add("N ppn perhost npernode", func(c *cursor) error { return c.number(&c.p.perHost) })
	add("pernode", func(c *cursor) error { c.p.perHost = 1; return nil })
	add("rr bynode", func(c *cursor) error { c.p.byNode = true; return nil })
	add("map-by", func(c *cursor) error {
		v, err := c.value()
		if err != nil {
			return err
		}
		return c.mapBy(v)
	})
	add("host H hosts", func(c *cursor) error {
		v, err := c.value()
		if err != nil {
			return err
		}
		rules, err := parseHosts(c.flag, v)
		c.p.hosts = append(c.p.hosts, rules...)
		return err
	})
	add("hostfile f machinefile default-hostfile", func(c *cursor) error {
		path, err := c.value()
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return usagef("%s: %w", c.flag, err)
		}
		rules, err := parseHostFile(path, string(content))
		c.p.hosts = append(c.p.hosts, rules...)
		return err
	})
	add("oversubscribe", func(c *cursor) error { c.l.oversubscribe = true; return nil })
	add("report-bindings display-map print-rank-map", func(c *cursor) error { c.l.bindings = true; return nil })
}

// mapBy takes Open MPI's mapping: slot, node, or ppr:K:node, with modifiers behind colons. What is inside a machine is all
// the same here.
func (c *cursor) mapBy(v string) error {
	words := strings.Split(strings.ToLower(v), ":")
	kind, modifiers := words[0], words[1:]
	if kind == "ppr" {
		if len(words) < 3 {
			return usagef("%s %s: use ppr:K:node", c.flag, v)
		}
		k, err := strconv.Atoi(words[1])
		if err != nil || k < 1 {
			return usagef("%s %s: %q is no number of ranks", c.flag, v, words[1])
		}
		c.p.perHost, modifiers = k, words[3:]
		if kind = words[2]; kind != "node" && kind != "host" {
			c.l.notes = append(c.l.notes, fmt.Sprintf("%s %s (counted for each host)", c.flag, v))
		}
	}
	switch kind {
	case "node", "host":
		c.p.byNode = c.p.byNode || words[0] != "ppr"
	case "slot", "core", "hwthread", "socket", "package", "numa", "l1cache", "l2cache", "l3cache", "board", "seq", "dist", "":
	default:
		return usagef("%s %s: use slot, node or ppr:K:node", c.flag, v)
	}
	for _, m := range modifiers {
		if err := c.mapModifier(v, m); err != nil {
			return err
		}
	}
	return nil
}

func addEnvironment(add adder) {
	add("x", func(c *cursor) error {
		v, err := c.variable()
		c.p.env = append(c.p.env, v)
		return err
	})
	setting := func(c *cursor, into *[]string) error {
		name, err := c.variable()
		if err != nil {
			return err
		}
		if !strings.Contains(name, "=") {
			v, err := c.anyWord()
			if err != nil {
				return err
			}
			name += "=" + v
		}
		*into = append(*into, name)
		return nil
	}
	list := func(c *cursor, into *[]string) error {
		names, err := c.variables()
		*into = append(*into, names...)
		return err
	}
	add("env", func(c *cursor) error { return setting(c, &c.p.env) })
	add("genv", func(c *cursor) error { return setting(c, &c.l.env) })
	add("envlist", func(c *cursor) error { return list(c, &c.p.env) })
	add("genvlist", func(c *cursor) error { return list(c, &c.l.env) })
	add("genvall", func(c *cursor) error { c.l.envAll = true; return nil })
	add("genvnone", func(c *cursor) error { c.l.envAll = false; return nil })
	add("envall", func(c *cursor) error { c.p.envAll, c.p.envNone = true, false; return nil })
	add("envnone", func(c *cursor) error { c.p.envAll, c.p.envNone = false, true; return nil })
	add("wdir wd working-directory", func(c *cursor) error {
		v, err := c.value()
		c.p.dir = v
		return err
	})
	add("stdin s", (*cursor).stdin)
}

func addOutput(add adder) {
	text := func(into func(*launch) *string) func(*cursor) error {
		return func(c *cursor) error {
			v, err := c.pattern()
			*into(c.l) = v
			return err
		}
	}
	add("l prepend-rank label", func(c *cursor) error { c.l.tags.style = tagRank; return nil })
	add("tag-output", func(c *cursor) error { c.l.tags.style = tagOutput; return nil })
	add("prepend-pattern", text(func(l *launch) *string { return &l.tags.pattern }))
	add("timestamp-output", func(c *cursor) error { c.l.tags.timestamp = true; return nil })
	add("merge-stderr-to-stdout", func(c *cursor) error { c.l.tags.merge = true; return nil })
	add("outfile-pattern", text(func(l *launch) *string { return &l.files.stdout }))
	add("errfile-pattern", text(func(l *launch) *string { return &l.files.stderr }))
	add("output-filename", func(c *cursor) error {
		v, err := c.value()
		if err != nil {
			return err
		}
		return c.outputDir(v)
	})
	add("output", func(c *cursor) error { // Open MPI 5: a list of the older options
		v, err := c.value()
		if err != nil {
			return err
		}
		return c.output(v)
	})
}

// output takes Open MPI 5's --output.
func (c *cursor) output(list string) error {
	for _, word := range strings.Split(list, ",") {
		key, value, _ := strings.Cut(word, "=")
		switch strings.ToLower(key) {
		case "tag", "tag-detailed", "tag-fullname":
			c.l.tags.style = tagOutput
		case "rank":
			c.l.tags.style = tagRank
		case "timestamp":
			c.l.tags.timestamp = true
		case "merge-stderr-to-stdout", "merge":
			c.l.tags.merge = true
		case "dir", "directory", "file", "filename":
			if err := c.outputDir(value); err != nil {
				return err
			}
		default:
			return usagef("%s %s: %q is unknown; use tag, rank, timestamp, merge or dir=DIR", c.flag, list, word)
		}
	}
	return nil
}
