package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// readJob reads a command line of sbatch or srun.
func readJob(options []jobOption, words ...string) (*slurmJob, []string, error) {
	j := &slurmJob{}
	rest, err := (&slurmLine[*slurmJob]{program: "sbatch", options: options}).read(words, j)
	return j, rest, err
}

func TestSlurmJobOptions(t *testing.T) {
	for _, tt := range []struct {
		words string
		want  slurmJob
	}{
		{"-n4 x -n 5", slurmJob{ranks: 4}},
		{"-n 4 x", slurmJob{ranks: 4}},
		{"--ntasks=4 x", slurmJob{ranks: 4}},
		{"--ntasks 4 x", slurmJob{ranks: 4}},
		{"-n 4 -n 5 -- x", slurmJob{ranks: 5}},
		{"-N2 --ntasks-per-node=3 x", slurmJob{nodes: 2, perNode: 3}},
		{"--nodes 2-4 x", slurmJob{nodes: 2}},
		{"-J heat --job-name=heat2 x", slurmJob{name: "heat2"}},
		{"-t 1-0 x", slurmJob{limit: 24 * time.Hour}},
		{"-t5 --time=0 x", slurmJob{}},
		{"-a 0-7%2 x", slurmJob{array: "0-7%2"}},
		{"-d afterok:app-1:arr-2,afterany:app-3 x", slurmJob{depends: []string{"app-1:success", "arr-2:success", "app-3:end"}}},
		{"-d afterok:a -d afterany:b x", slurmJob{depends: []string{"b:end"}}},
		{"-A physics x", slurmJob{tenant: "physics"}},
		{"--nice x", slurmJob{nice: 100}},
		{"--nice=-5 --priority=20 x", slurmJob{nice: -5, priority: 20}},
		{"--priority TOP x", slurmJob{priority: fsm.MaxPriority}},
		{"--export=NONE x", slurmJob{export: &slurmExport{}}},
		{"--export=ALL,A=1,B= x", slurmJob{export: &slurmExport{all: true, vars: []string{"A=1", "B="}}}},
		{"--export GODWIT_TEST_GIVEN x", slurmJob{export: &slurmExport{vars: []string{"GODWIT_TEST_GIVEN=yes"}}}},
		{"--requeue x", slurmJob{onHostLoss: apiv1.OnHostLossRestart}},
		{"--requeue --no-requeue x", slurmJob{onHostLoss: apiv1.OnHostLossFail}},
		{"-WQ --parsable x", slurmJob{wait: true, quiet: true, parsable: true}},
		{"-WOn3 x", slurmJob{wait: true, oversubscribe: true, ranks: 3}},
		{"--wrap hostname", slurmJob{wrap: "hostname"}},
		{"-h", slurmJob{slurmAsks: slurmAsks{help: true}}},
		{"--cpu-bind=cores --comment c -m block -v x", slurmJob{}},
	} {
		t.Run(tt.words, func(t *testing.T) {
			t.Setenv("GODWIT_TEST_GIVEN", "yes")
			j, rest, err := readJob(batchOptions(), strings.Fields(tt.words)...)
			require.NoError(t, err)
			require.Equal(t, &tt.want, j)
			if strings.HasSuffix(tt.words, " x") {
				require.Equal(t, []string{"x"}, rest)
			}
		})
	}
	_, rest, err := readJob(batchOptions(), "-n", "4", "x", "-n", "5")
	require.NoError(t, err)
	require.Equal(t, []string{"x", "-n", "5"}, rest, "what follows the script is the script's")
	j, rest, err := readJob(runOptions(), "-K", "-lu", "--mpi", "pmix", "x")
	require.NoError(t, err)
	require.Equal(t, []string{"x"}, rest, "a value that may be left out is no word of its own")
	require.Equal(t, &slurmJob{label: true}, j)
}

func TestSlurmJobMistakes(t *testing.T) {
	for words, want := range map[string]string{
		"-n":                       "-n needs a value",
		"--ntasks":                 "--ntasks needs a value",
		"-n x":                     "-n x: give a number from 1",
		"-n 0":                     "-n 0: give a number from 1",
		"--ntasks=-1":              "--ntasks -1: give a number",
		"-N 4-2":                   "the most is less than the least",
		"--ntaks 4":                "unknown option --ntaks; did you mean --ntasks?",
		"-Z":                       "unknown option -Z (see sbatch --help)",
		"-WZ":                      "unknown option -Z",
		"--n 4":                    "unknown option --n",
		"--wait=5":                 "--wait takes no value",
		"-t 1x":                    "-t 1x: give minutes",
		"-d afterok":               "name an app behind afterok:",
		"-d afterok:1::2":          "name an app behind afterok:",
		"-d app-1":                 "use afterok:ID or afterany:ID",
		"-d afterok:1?afterok:2":   "for all that it depends on",
		"-d afternotok:1":          "cannot wait for another to fail: use afterany",
		"--dependency=singleton":   "does not wait for those of its name",
		"-d after:1+5":             "use afterok or afterany",
		"-d aftercorr:1":           "use afterok",
		"--priority 2000":          "give a number from -1000 to 1000, or TOP",
		"--nice=much":              "give a number by which",
		"--export=A=1,2":           `"2" is no variable`,
		"--export=NO_SUCH_IN_TEST": "this shell has no variable NO_SUCH_IN_TEST",
		"-w node1":                 "-w: hosts are named, with how many ranks each gets, by godwit submit --place",
		"--exclude=node1":          "--exclude: no hosts can be excluded",
		"-H":                       "-H: no app is held",
		"-C gpu":                   "-C: features of hosts are labels here",
		"--begin=16:00":            "--begin: no app waits for a time",
		"--gres=gpu:1":             "--gres: programs see no GPUs",
		"-c none":                  "-c none: give a number",
		"-J ":                      "-J needs a value",
	} {
		_, _, err := readJob(batchOptions(), strings.SplitN(words, " ", 2)...)
		require.ErrorContains(t, err, want, words)
		require.Equal(t, exitUsage, exitCode(err), words)
	}
	_, _, err := readJob(directiveOptions(), "--wrap", "x")
	require.ErrorContains(t, err, "unknown option --wrap")
}

// Every option that is taken or refused is named once, or the first of two would hide the other.
func TestSlurmOptionsAreNamedOnce(t *testing.T) {
	for command, options := range map[string][]jobOption{"sbatch": batchOptions(), "srun": runOptions()} {
		seen := map[string]bool{}
		for _, o := range options {
			require.NotEmpty(t, strings.Fields(o.names))
			for _, name := range strings.Fields(o.names) {
				require.False(t, seen[name], "%s has two options %s", command, name)
				seen[name] = true
			}
		}
	}
}

// What is done instead is said once, whichever of two options asks for it.
func TestSlurmNotesAreSaidOnce(t *testing.T) {
	j, _, err := readJob(batchOptions(), "-o", "a", "--error=b", "-p", "short", "--exclusive", "--exclusive", "--mail-type=END", "--mail-user=me", "x")
	require.NoError(t, err)
	require.Len(t, j.notes, 4)
	require.Contains(t, j.notes[0], "godwit logs")
}

func TestSlurmJobFillsTheFlags(t *testing.T) {
	for _, tt := range []struct {
		job    slurmJob
		ranks  int
		before int32 // the priority
	}{
		{slurmJob{}, 1, 0},
		{slurmJob{ranks: 7, nodes: 2, perNode: 2}, 7, 0},
		{slurmJob{nodes: 2, perNode: 3}, 6, 0},
		{slurmJob{nodes: 3}, 3, 0},
		{slurmJob{perNode: 3, nice: 100}, 3, -100},
		{slurmJob{priority: 50, nice: 20}, 1, 30},
		{slurmJob{nice: 1 << 30}, 1, -fsm.MaxPriority},
		{slurmJob{nice: -(1 << 30)}, 1, fsm.MaxPriority},
	} {
		f := newSlurmFlags()
		tt.job.name = "a"
		require.NoError(t, tt.job.fill(f, nothingSaid))
		require.Equal(t, tt.ranks, f.size)
		require.Equal(t, tt.before, f.spec.Priority)
	}
	said := func(flag string) bool { return flag == "tenant" || flag == "time-limit" }
	f := newSlurmFlags()
	f.spec.Tenant, f.queue.limit = "mine", time.Hour
	j := slurmJob{name: "Heat 2D", tenant: "theirs", limit: time.Minute, depends: []string{"a:end"}}
	require.NoError(t, j.fill(f, said))
	require.Equal(t, "mine", f.spec.Tenant, "the command line counts before the script")
	require.Equal(t, time.Hour, f.queue.limit)
	require.Equal(t, []string{"a:end"}, f.queue.dependsOn)
	require.Equal(t, "heat-2d", f.spec.Name)
	require.Equal(t, slurmNotes{`the app of job "Heat 2D" is named heat-2d`}, j.notes)
}

func TestSlurmPassedVariables(t *testing.T) {
	t.Setenv("GRID", "fine")
	t.Setenv("SLURM_JOB_ID", "7")
	t.Setenv("HOME", "/home/me")
	all, err := (&slurmJob{}).passed(true)
	require.NoError(t, err)
	require.Contains(t, all, "GRID=fine")
	require.NotContains(t, all, "SLURM_JOB_ID=7")
	require.NotContains(t, all, "HOME=/home/me")
	none, err := (&slurmJob{}).passed(false)
	require.NoError(t, err)
	require.Empty(t, none)
	some, err := (&slurmJob{export: &slurmExport{vars: []string{"A=1"}}}).passed(true)
	require.NoError(t, err)
	require.Equal(t, []string{"A=1"}, some)
	t.Setenv("LARGE", strings.Repeat("x", fsm.MaxEnvBytes))
	_, err = (&slurmJob{}).passed(true)
	require.ErrorContains(t, err, "--export=A,B in place of ALL")
}
