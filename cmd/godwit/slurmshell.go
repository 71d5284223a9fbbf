package main

import (
	"cmp"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

// oneLaunch is what a script may have.
const oneLaunch = "Godwit runs no shell on its hosts: a script may set variables, and has one launch (srun, mpirun or PROGRAM.wasm)"

// scriptLaunch is what a script says is to run.
type scriptLaunch struct {
	job     slurmJob // with what its launch has changed
	program string
	args    []string
	env     []string // of the script's making
}

// evaluation goes over the statements of a script once, for one app.
type evaluation struct {
	s      *batchScript
	vars   *variables
	out    *scriptLaunch
	launch int // the line of the launch; 0: there was none yet
}

// evaluate finds out what the script launches, as a job and, of an array, as one app of it. passed go to the program too.
func (s *batchScript) evaluate(j slurmJob, m *memberPlace, passed []string) (*scriptLaunch, error) {
	j.notes = slices.Clone(j.notes)
	e := &evaluation{s: s, vars: newVariables(s, &j, m, passed), out: &scriptLaunch{job: j}}
	for _, st := range s.file.Stmts {
		if err := e.statement(st); err != nil {
			return nil, err
		}
	}
	if e.launch == 0 {
		return nil, usagef("%s: it launches nothing: its last line would be such as srun ./hello.wasm", s.name)
	}
	return e.out, nil
}

func lineOf(n syntax.Node) int { return int(n.Pos().Line()) } //nolint:gosec // a script has few lines

// statement takes one statement of the script.
func (e *evaluation) statement(st *syntax.Stmt) error {
	wrong := func(format string, args ...any) error { return e.s.wrong(lineOf(st), format, args...) }
	if either, ok := st.Cmd.(*syntax.BinaryCmd); ok && either.Op == syntax.OrStmt && e.goesWell(either) {
		st = either.X
	}
	call, isCall := st.Cmd.(*syntax.CallExpr)
	switch {
	case isCall && setsArguments(call) && !st.Background && len(st.Redirs) == 0:
		words, err := e.words(call.Args[2:])
		if err == nil {
			e.vars.args = words
		}
		return err
	case isCall && e.passedOver(call):
		if name := call.Args[0].Lit(); !slices.Contains(e.s.passed, name) {
			e.s.passed = append(e.s.passed, name)
		}
		return nil
	case st.Background || st.Coprocess || st.Disown:
		return wrong("nothing runs beside the launch: take the & out. %s", oneLaunch)
	case st.Negated:
		return wrong("the launch's exit code is the app's: take the ! out. %s", oneLaunch)
	case len(st.Redirs) > 0:
		return wrong("nothing is redirected: output is kept by the cluster (godwit logs APP prints it), and godwit submit --in sends files. %s", oneLaunch)
	}
	switch cmd := st.Cmd.(type) {
	case *syntax.CallExpr:
		return e.call(cmd)
	case *syntax.DeclClause:
		if cmd.Variant.Value != "export" {
			return wrong("%s is not read: use export NAME=VALUE, or NAME=VALUE. %s", cmd.Variant.Value, oneLaunch)
		}
		return e.assign(cmd.Args, true)
	default:
		return wrong("%s is not run. %s", construct(cmd), oneLaunch)
	}
}

// goesWell says of A || exit that A is something that cannot fail here.
func (e *evaluation) goesWell(either *syntax.BinaryCmd) bool {
	first, ok := either.X.Cmd.(*syntax.CallExpr)
	second, ok2 := either.Y.Cmd.(*syntax.CallExpr)
	if !ok || !ok2 || len(first.Args) == 0 || len(second.Args) == 0 {
		return false
	}
	return second.Args[0].Lit() == "exit" && (first.Args[0].Lit() == "cd" || e.passedOver(first))
}

// passedOver says of a command that it changes nothing for a program on another host.
func (e *evaluation) passedOver(c *syntax.CallExpr) bool {
	if len(c.Args) == 0 {
		return false
	}
	switch c.Args[0].Lit() {
	case "set", "ulimit", "module", "ml", "source", ".":
		return true
	default:
		return false
	}
}

// setsArguments says of a command that it is set -- A B, which gives $1 and $2 other values.
func setsArguments(c *syntax.CallExpr) bool {
	return len(c.Args) > 1 && len(c.Assigns) == 0 && c.Args[0].Lit() == "set" && c.Args[1].Lit() == "--"
}

// maxExpanded bounds a word of a script, as it is with its variables in the place of their names: nothing longer could be passed to a program.
const maxExpanded = 1 << 20

// tooLong says of a word that it could become too long: with as many variables as it names, each as long as the longest.
func (e *evaluation) tooLong(w *syntax.Word) error {
	names, longest := 0, 0
	syntax.Walk(w, func(n syntax.Node) bool {
		if p, ok := n.(*syntax.ParamExp); ok && p.Param != nil {
			names++
			longest = max(longest, len(e.vars.Get(p.Param.Value).String()))
		}
		return true
	})
	if names*longest > maxExpanded {
		return e.s.wrong(lineOf(w), "with its variables it has more than %d bytes, or nearly so: nothing so long is passed to a program", maxExpanded)
	}
	return nil
}

// construct names what a statement is.
func construct(cmd syntax.Command) string {
	switch c := cmd.(type) {
	case *syntax.BinaryCmd:
		if c.Op == syntax.Pipe || c.Op == syntax.PipeAll {
			return "a pipe"
		}
		return "a list of commands with " + c.Op.String()
	case *syntax.IfClause:
		return "an if"
	case *syntax.WhileClause, *syntax.ForClause:
		return "a loop"
	case *syntax.CaseClause:
		return "a case"
	case *syntax.FuncDecl:
		return "a function"
	case *syntax.Subshell:
		return "a subshell"
	case *syntax.Block:
		return "a block"
	case *syntax.TestClause, *syntax.ArithmCmd, *syntax.LetClause:
		return "a test"
	default:
		return "a command of the shell"
	}
}

// assign sets variables.
func (e *evaluation) assign(list []*syntax.Assign, export bool) error {
	for _, a := range list {
		if a.Name == nil || a.Array != nil || a.Index != nil {
			return e.s.wrong(lineOf(a), "no arrays and no computed names are read here: use NAME=VALUE")
		}
		name := a.Name.Value
		value := e.vars.Get(name)
		if !a.Naked {
			text, err := e.literal(a.Value)
			if err != nil {
				return err
			}
			if a.Append {
				text = value.String() + text
			}
			value = expand.Variable{Set: true, Kind: expand.String, Str: text, Exported: value.Exported}
		}
		value.Exported = value.Exported || export
		if err := e.vars.Set(name, value); err != nil {
			return err
		}
	}
	return nil
}

// config is how words are expanded: with variables, without commands, and with * as it is.
func (e *evaluation) config() *expand.Config { return &expand.Config{Env: e.vars, NoUnset: true} }

func (e *evaluation) literal(w *syntax.Word) (string, error) {
	if w == nil {
		return "", nil
	}
	if err := e.onlyWords(w); err != nil {
		return "", err
	}
	text, err := expand.Literal(e.config(), w)
	return text, e.unexpanded(w, err)
}

func (e *evaluation) words(list []*syntax.Word) ([]string, error) {
	var out []string
	for _, w := range list {
		if err := e.onlyWords(w); err != nil {
			return nil, err
		}
		fields, err := expand.Fields(e.config(), w)
		if err != nil {
			return nil, e.unexpanded(w, err)
		}
		out = append(out, fields...)
	}
	return out, nil
}

// onlyWords refuses what would have to be run to be known.
func (e *evaluation) onlyWords(w *syntax.Word) (err error) {
	if err := e.tooLong(w); err != nil {
		return err
	}
	syntax.Walk(w, func(n syntax.Node) bool {
		switch n.(type) {
		case *syntax.CmdSubst, *syntax.ProcSubst:
			if err == nil {
				err = e.s.wrong(lineOf(n), "a command in $( ) or ` ` is not run: compute the value before, and pass it by sbatch --export=NAME=VALUE, or as $1. %s", oneLaunch)
			}
		}
		return err == nil
	})
	return err
}

// unexpanded says why a word could not be expanded.
func (e *evaluation) unexpanded(w *syntax.Word, err error) error {
	var unset expand.UnsetParameterError
	if !errors.As(err, &unset) || unset.Node == nil || unset.Node.Param == nil {
		if err != nil {
			err = e.s.wrong(lineOf(w), "%w", err)
		}
		return err
	}
	line, name := lineOf(unset.Node), unset.Node.Param.Value
	switch {
	case name == "SLURM_JOB_ID" || name == "SLURM_JOBID":
		return e.s.wrong(line, "$%s: an app gets its id when it is submitted, and this is read before; in an array there is $SLURM_ARRAY_JOB_ID", name)
	case strings.HasPrefix(name, "SLURM_ARRAY_"):
		return e.s.wrong(line, "$%s: this is no array: give --array, or ${%s:-} for nothing where it is none", name, name)
	case strings.HasPrefix(name, "SLURM_"):
		return e.s.wrong(line, "$%s is not known before the app runs, or was not asked for; there are SLURM_NTASKS, SLURM_JOB_NAME, SLURM_SUBMIT_DIR, SLURM_ARRAY_TASK_ID in an array, and those of -N, -c and --ntasks-per-node if they are given", name)
	default:
		return e.s.wrong(line, "$%s is not set; ${%s:-} is nothing where it is not", name, name)
	}
}

// call takes a command: assignments alone, cd, or the launch.
func (e *evaluation) call(c *syntax.CallExpr) error {
	if len(c.Args) == 0 {
		return e.assign(c.Assigns, false)
	}
	line := lineOf(c)
	words, err := e.words(c.Args)
	if err != nil {
		return err
	}
	if len(words) == 0 {
		return e.s.wrong(line, "no command is left of it. %s", oneLaunch)
	}
	if words[0] == "cd" {
		if len(words) == 2 && sameDir(words[1]) {
			return nil
		}
		return e.s.wrong(line, "cd: the program begins in a directory of its own, and not in one of this machine: godwit submit --in sends files there. cd $SLURM_SUBMIT_DIR is read")
	}
	run, launch := words[0], false
	program, err := findProgram(&part{program: run})
	if err != nil {
		return err
	}
	switch base := filepath.Base(run); {
	case base == "srun" || isLauncher(base), strings.HasSuffix(run, ".wasm"), isModule(program):
		launch = true
	}
	switch {
	case !launch:
		return e.s.wrong(line, "%s is not run. %s", run, oneLaunch)
	case e.launch != 0:
		return e.s.wrong(line, "a second launch; the first is in line %d: submit it as an app of its own, with --dependency=afterok:ID", e.launch)
	}
	e.launch = line
	if err := e.take(words); err != nil {
		return e.s.wrong(line, "%w", err)
	}
	env := e.vars.exported()
	for _, a := range c.Assigns { // they are the program's alone
		if a.Array != nil || a.Index != nil {
			return e.s.wrong(line, "no arrays are read here: use NAME=VALUE")
		}
		text, err := e.literal(a.Value)
		if err != nil {
			return err
		}
		env = append(env, a.Name.Value+"="+text)
	}
	e.out.env = append(env, e.out.env...) // what the launch has of its own, it has added
	return nil
}

// take understands the words of a launch.
func (e *evaluation) take(words []string) error {
	out := e.out
	switch base := filepath.Base(words[0]); {
	case base == "srun":
		line := &slurmLine[*slurmJob]{program: base, options: slices.Concat(stepOptions(), stepOnlyOptions())}
		before, name := out.job.export, out.job.name
		out.job.export = nil
		rest, err := line.read(words[1:], &out.job)
		if err != nil {
			return err
		}
		if own := out.job.export; own != nil {
			out.env = own.vars
		}
		out.job.export, out.job.name = before, name // of the job
		if len(rest) == 0 {
			return usagef("srun: no program is named")
		}
		out.program, out.args = rest[0], rest[1:]
	case isLauncher(base):
		return e.mpirun(base, words[1:])
	default:
		out.program, out.args = words[0], words[1:]
	}
	return nil
}

// mpirun takes a launch by mpirun, of which the ranks, the variables and the program are read.
func (e *evaluation) mpirun(name string, words []string) error {
	l, err := parseLaunch(words)
	if err != nil {
		return err
	}
	if l.help || l.version || len(l.parts) > 1 {
		return usagef("%s: in a script it launches one program", name)
	}
	p := l.parts[0]
	if p.constrained() || p.dir != "" || l.dryRun || l.timeout > 0 || l.files.any() || l.stdin != "" || l.onDeadlock != "" || l.memory != "" {
		return usagef("%s: in a script it takes -n and -x; godwit submit has options for hosts, memory, files and the directory", name)
	}
	e.out.job.ranks = cmp.Or(p.ranks, e.out.job.ranks)
	e.out.job.oversubscribe = e.out.job.oversubscribe || l.oversubscribe
	for _, kv := range append(l.env, p.env...) {
		if !strings.Contains(kv, "=") {
			value := e.vars.Get(kv)
			if !value.IsSet() {
				return usagef("-x %s: it is not set; use -x %s=VALUE", kv, kv)
			}
			kv += "=" + value.String()
		}
		e.out.env = append(e.out.env, kv)
	}
	e.out.program, e.out.args = p.program, p.args
	return nil
}
