package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// evaluated reads a script and finds out what it launches, as the first app of an array if the job is one.
func evaluated(t *testing.T, text string, args ...string) (*scriptLaunch, *batchScript, error) {
	t.Helper()
	s, err := readScript("job.sh", strings.NewReader(text), args)
	if err != nil {
		return nil, nil, err
	}
	j := &slurmJob{name: "job.sh"}
	if err := s.direct(j); err != nil {
		return nil, s, err
	}
	var m *memberPlace
	if j.array != "" {
		all, err := parseArray(j.array)
		require.NoError(t, err)
		m = &memberPlace{all, "arr-1", all.indexes[0]}
	}
	l, err := s.evaluate(*j, m, []string{"PASSED=1"})
	return l, s, err
}

func TestBatchScripts(t *testing.T) {
	for name, tt := range map[string]struct {
		text    string
		args    []string
		program string
		argv    []string
		env     []string
		ranks   int
	}{
		"srun": {"#!/bin/sh\nsrun ./a x y\n", nil, "./a", []string{"x", "y"}, nil, 1},
		"directives": {
			"#!/bin/bash\n#SBATCH -n 4 # four\n#SBATCH\t--job-name='a b'\n\n# text\n##SBATCH -n 9\n#SBATCH --time=5\n#SBATCHES are none\n  # more\nset -e\n#SBATCH -n 8\nsrun a \"$SLURM_JOB_NAME\" $SLURM_NTASKS\n",
			nil, "a",
			[]string{"a b", "4"},
			nil, 4,
		},
		"srun's own options":    {"#!/bin/sh\n#SBATCH -n 4\nsrun -n 2 --mpi=pmix -l -u -c1 ./a -n 3\n", nil, "./a", []string{"-n", "3"}, nil, 2},
		"mpirun":                {"#! /usr/bin/env bash\n#SBATCH -N 2 --ntasks-per-node=3\nmpirun -np $SLURM_NTASKS --mca btl self a.wasm", nil, "a.wasm", []string{}, nil, 6},
		"mpiexec without -n":    {"#!/bin/sh\n#SBATCH -n 5\n/usr/bin/mpiexec -x A=1 -x B ./a", nil, "./a", []string{}, []string{"A=1", "B=2"}, 5},
		"a module alone":        {"#!/bin/sh\n./dir/a.wasm -v", nil, "./dir/a.wasm", []string{"-v"}, nil, 1},
		"quotes":                {"#!/bin/sh\nsrun ./a 'x  $y' \"p q\" r\\ s '' \"it's\"", nil, "./a", []string{"x  $y", "p q", "r s", "", "it's"}, nil, 1},
		"a line that goes on":   {"#!/bin/sh\nsrun \\\n  ./a \\\n  x", nil, "./a", []string{"x"}, nil, 1},
		"variables":             {"#!/bin/sh\nA=1\nexport B=$A/2 C\nC=3\nD=\"x y\"\nE=$((A + 4))\nsrun ./a $D \"$D\" ${B##*/} $E ${NONE:-n} *.dat", nil, "./a", []string{"x", "y", "x y", "2", "5", "n", "*.dat"}, []string{"B=1/2", "C=3"}, 1},
		"variables of one line": {"#!/bin/sh\nA=1 srun ./a", nil, "./a", []string{}, []string{"A=1"}, 1},
		"a passed variable":     {"#!/bin/sh\nPASSED=$PASSED:2\nsrun ./a $PASSED", nil, "./a", []string{"1:2"}, []string{"PASSED=1:2"}, 1},
		"given where it is not": {"#!/bin/sh\nexport A\nsrun ./a ${A:=5} $A", nil, "./a", []string{"5", "5"}, []string{"A=5"}, 1},
		"arguments set":         {"#!/bin/sh\nset -- p \"$1 q\"\nsrun ./a $# $1 \"$2\"", []string{"x"}, "./a", []string{"2", "p", "x q"}, nil, 1},
		"no arguments":          {"#!/bin/sh\nset --\nsrun ./a $#", []string{"x"}, "./a", []string{"0"}, nil, 1},
		"joined":                {"#!/bin/bash\nA=1\nA+=2\nsrun ./a $A", nil, "./a", []string{"12"}, nil, 1},
		"arguments":             {"#!/bin/sh\nsrun ./a $# $2 \"$@\" $0", []string{"x", "y z"}, "./a", []string{"2", "y", "z", "x", "y z", "job.sh"}, nil, 1},
		"an array":              {"#!/bin/sh\n#SBATCH -a 3-9:3\nsrun ./a in.$SLURM_ARRAY_TASK_ID $SLURM_ARRAY_JOB_ID $SLURM_ARRAY_TASK_MAX $SLURM_ARRAY_TASK_COUNT", nil, "./a", []string{"in.3", "arr-1", "9", "3"}, nil, 1},
		"threads":               {"#!/bin/sh\n#SBATCH -c 2\nexport OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK\nsrun ./a", nil, "./a", []string{}, []string{"OMP_NUM_THREADS=2"}, 1},
		"passed over":           {"#!/bin/bash -l\nset -euo pipefail\nulimit -s unlimited\nmodule load a 2>/dev/null\nsource ./x || exit 1\n. ./y\ncd \"$SLURM_SUBMIT_DIR\" || exit 1\ncd .\nsrun ./a", nil, "./a", []string{}, nil, 1},
		"exported to the step":  {"#!/bin/sh\nsrun --export=ALL,A=5 ./a", nil, "./a", []string{}, []string{"A=5"}, 1},
		"the launch has a path": {"#!/bin/sh\n/opt/slurm/bin/srun ./a", nil, "./a", []string{}, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("B", "2")
			t.Setenv("SLURM_JOB_ID", "of the outer job")
			l, _, err := evaluated(t, tt.text, tt.args...)
			require.NoError(t, err)
			require.Equal(t, tt.program, l.program)
			require.Equal(t, tt.argv, l.args)
			require.ElementsMatch(t, tt.env, l.env)
			require.Equal(t, tt.ranks, l.job.size())
		})
	}
}

func TestScriptsThatAreWrong(t *testing.T) {
	const begin = "#!/bin/sh\n#SBATCH -n 2\n\n" // the next line is the fourth
	for name, tt := range map[string]struct{ text, want string }{
		"no script":             {"srun ./a\n", "job.sh: it is no batch script"},
		"empty":                 {"", "job.sh: it is no batch script"},
		"python":                {"#!/usr/bin/env python3\nprint(1)\n", "job.sh:1: it is for python3"},
		"csh":                   {"#!/bin/csh\nsrun ./a\n", "job.sh:1: it is for csh"},
		"of Windows":            {"#!/bin/sh\r\nsrun ./a\r\n", "carriage returns"},
		"no launch":             {begin + "A=1\n", "job.sh: it launches nothing"},
		"an unknown directive":  {"#!/bin/sh\n#SBATCH -n 2\n#SBATCH --ntaks=2\n", "job.sh:3: unknown option --ntaks; did you mean --ntasks?"},
		"a refused directive":   {"#!/bin/sh\n#SBATCH --begin=now+1hour\nsrun ./a", "job.sh:2: --begin: no app waits"},
		"a word in a directive": {"#!/bin/sh\n#SBATCH -n 2 four\nsrun ./a", `job.sh:2: #SBATCH takes options, and "four" is none`},
		"an open quote":         {"#!/bin/sh\n#SBATCH -J 'a\nsrun ./a", "job.sh:2: #SBATCH: a quote is not closed"},
		"a wrap in a directive": {"#!/bin/sh\n#SBATCH --wrap=x\nsrun ./a", "job.sh:2: unknown option --wrap"},
		"a second launch":       {begin + "srun ./a\nsrun ./b\n", "job.sh:5: a second launch; the first is in line 4: submit it as an app of its own, with --dependency=afterok:ID"},
		"echo":                  {begin + "echo begins\nsrun ./a\n", "job.sh:4: echo is not run. Godwit runs no shell on its hosts"},
		"a pipe":                {begin + "srun ./a | tee log\n", "job.sh:4: a pipe is not run."},
		"a list":                {begin + "srun ./a && srun ./b\n", "job.sh:4: a list of commands with && is not run."},
		"or":                    {begin + "srun ./a || exit 1\n", "job.sh:4: a list of commands with ||"},
		"or something else":     {begin + "cd . || echo no\nsrun ./a\n", "job.sh:4: a list of commands with ||"},
		"a loop":                {begin + "for i in 1 2; do\n  srun ./a $i\ndone\n", "job.sh:4: a loop is not run."},
		"an if":                 {begin + "if true; then srun ./a; fi\n", "job.sh:4: an if is not run."},
		"a function":            {begin + "f() { srun ./a; }\nf\n", "job.sh:4: a function is not run."},
		"a subshell":            {begin + "(srun ./a)\n", "job.sh:4: a subshell is not run."},
		"in the background":     {begin + "srun ./a &\nwait\n", "job.sh:4: nothing runs beside the launch: take the & out"},
		"not":                   {begin + "! srun ./a\n", "job.sh:4: the launch's exit code"},
		"redirected":            {begin + "A=1\nsrun ./a > out\n", "job.sh:5: nothing is redirected: output is kept by the cluster"},
		"a substitution":        {begin + "srun ./a \\\n  $(hostname)\n", "job.sh:5: a command in $( ) or ` ` is not run"},
		"one in a value":        {begin + "A=\"x `date`\"\nsrun ./a\n", "job.sh:4: a command in $( )"},
		"one in a default":      {begin + "srun ./a ${A:-$(date)}\n", "job.sh:4: a command in $( )"},
		"a process":             {begin + "srun ./a <(date)\n", "job.sh:4: a command in $( )"},
		"not set":               {begin + "srun ./a $NO_SUCH_IN_TEST\n", "job.sh:4: $NO_SUCH_IN_TEST is not set; ${NO_SUCH_IN_TEST:-} is nothing"},
		"no argument":           {begin + "srun ./a $1\n", "job.sh:4: $1 is not set"},
		"the job's id":          {begin + "srun ./a $SLURM_JOB_ID\n", "job.sh:4: $SLURM_JOB_ID: an app gets its id when it is submitted"},
		"no array":              {begin + "srun ./a $SLURM_ARRAY_TASK_ID\n", "job.sh:4: $SLURM_ARRAY_TASK_ID: this is no array"},
		"the hosts":             {begin + "srun ./a $SLURM_JOB_NODELIST\n", "job.sh:4: $SLURM_JOB_NODELIST is not known before the app runs"},
		"another directory":     {begin + "cd /\nsrun ./a\n", "job.sh:4: cd: the program begins in a directory of its own"},
		"home":                  {begin + "cd\nsrun ./a\n", "job.sh:4: cd: "},
		"declared":              {begin + "declare -i A=1\nsrun ./a\n", "job.sh:4: declare is not read"},
		"an array of the shell": {begin + "A=(1 2)\nsrun ./a\n", "job.sh:4: no arrays"},
		"srun of nothing":       {begin + "srun -n 2\n", "job.sh:4: srun: no program is named"},
		"srun's wrong option":   {begin + "srun --ntaks 2 ./a\n", "job.sh:4: unknown option --ntaks; did you mean --ntasks? (see srun --help)"},
		"an array in srun":      {begin + "srun -a 1-2 ./a\n", "job.sh:4: unknown option -a"},
		"mpirun on hosts":       {begin + "mpirun -host a ./a\n", "job.sh:4: mpirun: in a script it takes -n and -x"},
		"mpirun of several":     {begin + "mpirun -n 1 ./a : -n 1 ./b\n", "job.sh:4: mpirun: in a script it launches one program"},
		"mpirun of nothing":     {begin + "mpirun -n 1\n", "job.sh:4: no program is named"},
		"mpirun's -x":           {begin + "mpirun -x NO_SUCH_IN_TEST ./a\n", "job.sh:4: -x NO_SUCH_IN_TEST: it is not set"},
		"an open if":            {begin + "if true\n", "job.sh:4:"},
		"an open string":        {begin + "A=1\nsrun './a\n", "job.sh:5:"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("SLURM_JOB_ID", "of the outer job")
			_, _, err := evaluated(t, tt.text)
			require.ErrorContains(t, err, tt.want)
			require.Equal(t, exitUsage, exitCode(err))
		})
	}
}

func TestScriptNotes(t *testing.T) {
	_, s, err := evaluated(t, "#!/bin/bash\nset -e\nmodule load a\nmodule load b\n#SBATCH -n 2\nsrun ./a\n")
	require.NoError(t, err)
	require.Equal(t, slurmNotes{
		"job.sh: #SBATCH lines behind the first command are not read",
		"job.sh: passed over, for nothing of a script is run: set, module",
	}, s.said())
}

// A directory that a link leads to is the same one; a program that is a module needs no name that says so.
func TestScriptOfThisDirectory(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	require.NoError(t, os.Symlink(dir, filepath.Join(dir, "link")))
	require.NoError(t, os.WriteFile("a", []byte("\x00asm\x01\x00\x00\x00"), 0o600))
	l, _, err := evaluated(t, "#!/bin/sh\ncd link\ncd $PWD\n./a x\n")
	require.NoError(t, err)
	require.Equal(t, "./a", l.program)
	require.False(t, isScript("a"))
	require.False(t, isModule("none"))
	require.NoError(t, os.WriteFile("b", []byte("#!"), 0o600))
	require.True(t, isScript("b"))
}

func TestSplitMember(t *testing.T) {
	_, twice, ok := splitMember("arr-x_[4-5,5]")
	require.True(t, ok, "who names one twice means it once")
	require.Equal(t, []int32{4, 5}, twice)
	for ref, want := range map[string][]int32{"arr-1_12": {12}, "arr-1_[3]": {3}, "arr-1_[1-3,7]": {1, 2, 3, 7}, "arr-1_[0-4:2]": {0, 2, 4}} {
		array, indexes, ok := splitMember(ref)
		require.True(t, ok, ref)
		require.Equal(t, "arr-1", array)
		require.Equal(t, want, indexes)
	}
	for _, ref := range []string{"arr-1", "arr-1_", "arr-1_x", "app_1", "arr-1_-1", "arr-1_2147483648", "arr-1_1-2", "arr-1_1,2", "arr-1_[1-2", "arr-1_[]", "arr-1_[1%2]", "arr-1_1]"} {
		_, _, ok := splitMember(ref)
		require.False(t, ok, ref)
	}
}

// TestScriptsAreBounded: a variable that grows without bound, and a script that nests as deep as it may, are errors.
func TestScriptsAreBounded(t *testing.T) {
	read := func(body string) error {
		b, err := readScript("s.sh", strings.NewReader("#!/bin/sh\n"+body), nil)
		if err == nil {
			_, err = b.evaluate(slurmJob{}, nil, nil)
		}
		return err
	}
	require.Error(t, read("A=xxxxxxxx\n"+strings.Repeat("A=$A$A\n", 30)+"srun a.wasm $A\n"))
	require.Error(t, read(strings.Repeat("(", maxScript-100)))
	require.Error(t, read("srun a.wasm "+strings.Repeat("${A:-", (maxScript-100)/5)))
}

// TestExpandedWordsAreBounded: a variable that is made of itself again and again ends in an error, and not without memory.
func TestExpandedWordsAreBounded(t *testing.T) {
	_, _, err := evaluated(t, "#!/bin/sh\nA=0123456789\n"+strings.Repeat("A=$A$A\n", 60)+"srun ./a $A\n")
	require.ErrorContains(t, err, "bytes; at most 131072 are possible")
	_, _, err = evaluated(t, "#!/bin/sh\nA="+strings.Repeat("x", 30000)+"\nsrun ./a "+strings.Repeat("$A", 1000)+"\n")
	require.ErrorContains(t, err, "more than 1048576 bytes")
}
