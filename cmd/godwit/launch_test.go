package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/sdk"
)

// launchRow is a command line and what is read from it.
type launchRow struct {
	words string
	want  *launch
}

// one is a launch of one part, of the program p unless the part says another.
func one(p part) *launch {
	if p.program == "" {
		p.program, p.args = "p", []string{}
	}
	return &launch{parts: []*part{&p}}
}

// with is the launch of p, changed.
func with(change func(*launch)) *launch {
	l := one(part{})
	change(l)
	return l
}

func launchRows() []launchRow {
	return []launchRow{
		{"p", one(part{})},
		{"-np 4 p", one(part{ranks: 4})},
		{"--np 4 p", one(part{ranks: 4})},
		{"-n 4 p -n 5", one(part{ranks: 4, program: "p", args: []string{"-n", "5"}})},
		{"--n=4 p", one(part{ranks: 4})},
		{"-c 4 -- p", one(part{ranks: 4})},
		{"--host a,b:2 -H c p", one(part{hosts: []hostRule{{"a", 0}, {"b", 2}, {"c", 0}}})},
		{"-hosts a,a p", one(part{hosts: []hostRule{{"a", 0}, {"a", 0}}})},
		{"--hostfile hosts p", one(part{hosts: []hostRule{{"a", 2}, {"b", 3}, {"c", 0}}})},
		{"-f hosts p", one(part{hosts: []hostRule{{"a", 2}, {"b", 3}, {"c", 0}}})},
		{"-machinefile hosts p", one(part{hosts: []hostRule{{"a", 2}, {"b", 3}, {"c", 0}}})},
		{"-ppn 2 p", one(part{perHost: 2})},
		{"-N 2 p", one(part{perHost: 2})},
		{"--npernode 2 p", one(part{perHost: 2})},
		{"--map-by node p", one(part{byNode: true})},
		{"--map-by core p", one(part{})},
		{"--map-by ppr:2:node p", one(part{perHost: 2})},
		{"--map-by slot:OVERSUBSCRIBE p", with(func(l *launch) { l.oversubscribe = true })},
		{"-oversubscribe p", with(func(l *launch) { l.oversubscribe = true })},
		{"-x A -x B=1 -env D=3 -envlist E,F p", one(part{env: []string{"A", "B=1", "D=3", "E", "F"}})},
		{"-genv C 2 -genvlist E,F p", with(func(l *launch) { l.env = []string{"C=2", "E", "F"} })},
		{"-genvall p", with(func(l *launch) { l.envAll = true })},
		{"-genvall -genvnone -envall p", one(part{envAll: true})},
		{"-envall -envnone p", one(part{envNone: true})},
		{"--mca btl tcp --bind-to none p", with(func(l *launch) { l.notes = []string{"--mca btl tcp", "--bind-to none"} })},
		{"--tag-output --timestamp-output p", with(func(l *launch) { l.tags.style, l.tags.timestamp = tagOutput, true })},
		{"-l p", with(func(l *launch) { l.tags.style = tagRank })},
		{"--output tag,merge p", with(func(l *launch) { l.tags.style, l.tags.merge = tagOutput, true })},
		{"-prepend-pattern %r: p", with(func(l *launch) { l.tags.pattern = "%r:" })},
		{"--output-filename d:nocopy p", with(func(l *launch) { l.files.dir, l.files.only = "d", true })},
		{"-outfile-pattern o%r -errfile-pattern e%r p", with(func(l *launch) { l.files.stdout, l.files.stderr = "o%r", "e%r" })},
		{"--timeout 5 p", with(func(l *launch) { l.timeout = 5 * time.Second })},
		{"--mem 512M p", with(func(l *launch) { l.memory = "512M" })},
		{"--mem 0 p", with(func(l *launch) { l.memory = "0" })},
		{"--stdin none p", with(func(l *launch) { l.stdin = "none" })},
		{"-print-all-exitcodes --report-bindings --do-not-launch -q -v p", with(func(l *launch) {
			l.exitCodes, l.bindings, l.dryRun, l.quiet, l.verbose = true, true, true, true, true
		})},
		{"-np 1 p x : -np 2 q : ", &launch{parts: []*part{
			{ranks: 1, program: "p", args: []string{"x"}}, {ranks: 2, program: "q", args: []string{}},
		}}},
		{"-configfile parts", &launch{parts: []*part{
			{ranks: 2, program: "p", args: []string{"x"}}, {ranks: 1, program: "p", args: []string{"x"}},
		}}},
	}
}

// badLaunches are command lines and what is said of them.
func badLaunches() map[string]string {
	return map[string]string{
		"":                            "no program",
		"-np 2":                       "no program",
		"-np 2 : p":                   "no program",
		"-np":                         "-np needs a value",
		"-np 0 p":                     "a number from 1 to",
		"-q=yes p":                    "-q takes no value",
		"--hots a p":                  "did you mean --hosts?",
		"-qx p":                       "unknown option -qx",
		"--in x p":                    "godwit run -n 4 --in",
		"--mount=a:/b p":              "godwit run -n 4 --mount",
		"--name x p":                  "godwit run -n 4 --name",
		"-name=x p":                   "godwit run -n 4 --name",
		"--zzzzzzzzzzzz p":            "unknown option --zzzzzzzzzzzz (see",
		"--host a:0 p":                "is not host:slots",
		"--host ,a p":                 "name is missing",
		"--hostfile nofile p":         "nofile",
		"--hostfile none p":           "names no host",
		"--hostfile bad p":            "bad:1",
		"--map-by moon p":             "use slot, node",
		"--map-by ppr:x:node p":       "no number",
		"--timeout never p":           "number of seconds",
		"--on-deadlock moon p":        "use tell or fail",
		"--mem much p":                "--mem much: give a size from 1M to 4G, such as 512M or 1.5G; 0 declares none",
		"--timeout -1 p":              "number of seconds",
		"--timeout 1e99 p":            "number of seconds",
		"--bind-to moon p":            "--bind-to moon: use one of none,",
		"--rank-by moon p":            "--rank-by moon: use one of node,",
		"--npersocket x p":            "--npersocket x: give a number",
		"--usize many p":              "give a number",
		"--map-by slot:pe=x p":        "pe=x: give a number of processors",
		"--map-by slot:moon p":        "\"moon\" is unknown behind a colon",
		"--mca btl -n 2 p":            "--mca needs a value, and -n follows, which is an option; write --mca=-n",
		"-x -n 2 p":                   "-x needs a value",
		"-x =1 p":                     "-x \"=1\": give the name of a variable",
		"-envlist , p":                "names of variables",
		"-prepend-pattern %z p":       "use %r for the rank",
		"--stdin moon p":              "give a rank, all or none",
		"--stdin 0 p : --stdin all p": "it is 0 already",
		"--mem 1M p : --mem 2M p":     "it is 1M already",
		"--output-filename :nocopy p": "give a directory",
		"--output-filename d:moon p":  "use nocopy",
		"--output dir= p":             "give a directory",
		"--timeout 0 p":               "number of seconds above 0",
		"-n 2147483648 p":             "-n 2147483648: give a number from 1 to 1048576",
		"--output shiny p":            "\"shiny\" is unknown",
		"-configfile nofile":          "nofile",
		"-wdir a p : p":               "-wdir a: the programs of a run begin in one directory",
		"-wdir a p : -wdir b p":       "-wdir b: the programs of a run begin in one directory",
	}
}

func TestParseLaunch(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, content := range map[string]string{
		"hosts": "# comment\na slots=2 max_slots=4\nb:3\n\nc\n", "none": "\n", "bad": "a slots=x\n", "parts": "-n 2 p x\n# c\n-n 1 p x :\n",
	} {
		require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
	}
	for _, tt := range launchRows() {
		t.Run(tt.words, func(t *testing.T) {
			got, err := parseLaunch(sdk.SplitWords(tt.words))
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
	for words, says := range badLaunches() {
		t.Run(words, func(t *testing.T) {
			_, err := parseLaunch(sdk.SplitWords(words))
			require.ErrorContains(t, err, says)
			require.Equal(t, exitUsage, exitCode(err))
		})
	}
}

func TestNearest(t *testing.T) {
	words := []string{"hostfile", "host", "np", "n"}
	require.Equal(t, "hostfile", nearest("hostflie", words))
	require.Equal(t, "np", nearest("nph", words))
	require.Equal(t, "np", nearest("npp", []string{"app", "np"}))
	require.Equal(t, "run", nearest("rnu", []string{"ps", "run", "show"}))
	require.Empty(t, nearest("xyzzy", words))
	require.Equal(t, 3, editDistance("kitten", "sitting"))
}

func TestLaunchPlacement(t *testing.T) {
	addrs := map[string]string{"w1": "192.0.2.1:7403", "w2": "[2001:db8::2]:7403", "w3": "192.0.2.3:7403"}
	host := func(name string, slots, used int32, state string) *apiv1.Host {
		return &apiv1.Host{Id: name + "-id", Name: name, Slots: slots, Used: used, State: state, Addr: addrs[name]}
	}
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("hosts", []byte("192.0.2.1:7403 slots=1\n2001:db8::2 slots=2\n"), 0o600))
	hosts := []*apiv1.Host{host("w2", 4, 0, "ready"), host("w1", 4, 2, "ready"), host("w3", 8, 0, "lost")}
	for _, tt := range []struct{ words, want string }{
		{"p", ""},
		{"-n 6 p", ""},
		{"-n 8 p", ""}, // it will wait
		{"-n 3 --host w2 p", "w2:3"},
		{"-n 3 --host w1,w2 p", "w1:2 w2:1"},
		{"-n 4 --host w1 p", "w1:4"}, // it will wait
		{"-n 3 --host w2:1,w1 p", "w2:1 w1:2"},
		{"-n 4 --map-by node p", "w1:1 w2:1 w1:1 w2:1"},
		{"-n 5 --map-by node p", "w1:1 w2:1 w1:1 w2:2"},
		{"-N 1 p", "w1:1 w2:1"},
		{"-n 2 -N 1 --host w2,w1 p", "w2:1 w1:1"},
		{"-n 6 --host w2 -oversubscribe p", "w2:6"},
		{"-n 4 --host w2 p : -n 2 p", "w2:4 w1:2"},
		{"-n 9 p", "not enough slots for 9 ranks: there are 8 (w1 2 of 4 free, w2 4 of 4 free); -n 8 fits; --oversubscribe"},
		{"-n 3 --host w2:2 p", "there are 2 (w2 2 of 2 free); -n 2 fits"},
		{"-n 3 -N 1 p", "with at most 1 ranks on a host; -n 2 fits, a larger -N"},
		{"-n 3 --host 192.0.2.1 p", "w1:3"},
		{"-n 3 --host 192.0.2.1:7403,w2 p", "w1:2 w2:1"},
		{"-n 3 --host 192.0.2.1:1,w2 p", "w1:1 w2:2"},
		{"-n 3 --host 192.0.2.1:7403:1,w2 p", "w1:1 w2:2"},
		{"-n 3 --host [2001:db8::2]:7403 p", "w2:3"},
		{"-n 3 --host 2001:db8:0::2 p", "w2:3"},
		{"-n 2 --host [2001:db8::2]:1,w1 p", "w2:1 w1:1"},
		{"-n 2 --host w1-id p", "w1:2"},
		{"-n 2 --host w1,w1 p", "w1:2"},
		{"-n 3 --hostfile hosts p", "w1:1 w2:2"},
		{"-n 1 --host w3 p", "no host w3 takes ranks (w3 is lost); name one by its name or address, there is: w1 (192.0.2.1:7403), w2 ([2001:db8::2]:7403) (see godwit hosts)"},
		{"-n 1 --host 192.0.2.3 p", "no host 192.0.2.3 takes ranks (w3 is lost)"},
		{"-n 1 --host 192.0.2.9 p", "no host 192.0.2.9 takes ranks; name one"},
		{"-n 5 --host w2 p : -n 1 p", "not enough slots for 5"},
		{"-n 5 p : -n 4 p", "not enough slots for 9 ranks (5 + 4): there are 8 (w1 2 of 4 free, w2 4 of 4 free); --oversubscribe"},
	} {
		t.Run(tt.words, func(t *testing.T) {
			l, err := parseLaunch(strings.Fields(tt.words))
			require.NoError(t, err)
			placement, sizes, err := l.placement(hosts)
			if err != nil {
				require.Contains(t, err.Error(), tt.want)
				require.Equal(t, exitFailed, exitCode(err))
				return
			}
			var got []string
			for _, r := range rulesOf(placement) {
				got = append(got, r.Host+":"+string('0'+rune(r.Ranks)))
			}
			require.Equal(t, tt.want, strings.Join(got, " "))
			if len(placement) > 0 {
				n := 0
				for _, size := range sizes {
					n += size
				}
				require.Len(t, placement, n)
				require.Len(t, sizes, len(l.parts))
			}
		})
	}
}

// TestNoHost: where none takes ranks it is said of each why.
func TestNoHost(t *testing.T) {
	l, err := parseLaunch([]string{"-n", "2", "p"})
	require.NoError(t, err)
	many := make([]*apiv1.Host, 100)
	for i := range many {
		many[i] = &apiv1.Host{Name: fmt.Sprintf("w%d", i), State: "lost"}
	}
	for want, hosts := range map[string][]*apiv1.Host{
		"no host takes ranks: there is none; godwit worker adds one": nil,
		"no host takes ranks: w1 is unfit: it is not reached at h:1; w2 is lost (": {
			{Name: "w1", Slots: 4, State: "ready", Unreached: "it is not reached at h:1"}, {Name: "w2", Slots: 4, State: "lost"},
		},
		"; and 84 more (": many,
	} {
		_, _, err := l.placement(hosts)
		require.ErrorContains(t, err, want)
		require.Equal(t, exitFailed, exitCode(err))
	}
}

// TestEnoughUp: a private cluster is ready when so many workers as it has started are up and reached; another that is not is nothing to wait for.
func TestEnoughUp(t *testing.T) {
	up, unreached := &apiv1.Host{Name: "w1", State: "ready"}, &apiv1.Host{Name: "w2", State: "ready", Unreached: "no answer"}
	lost, unfit := &apiv1.Host{Name: "w3", State: "lost"}, &apiv1.Host{Name: "w4", State: "ready", Unfit: "the disk is full"}
	require.NoError(t, enoughUp([]*apiv1.Host{up, lost, unreached}, 1))
	require.NoError(t, enoughUp([]*apiv1.Host{up, unfit}, 2))
	require.EqualError(t, enoughUp([]*apiv1.Host{up, lost, unreached}, 2), "1 of 2 workers are up; w2: no answer")
	require.EqualError(t, enoughUp([]*apiv1.Host{lost}, 1), "0 of 1 workers are up")
}

func TestLineTags(t *testing.T) {
	out := &apiv1.LogLine{Rank: 3, Stream: 1, Text: []byte("x"), AtMs: 0}
	partial := &apiv1.LogLine{Rank: 3, Stream: 2, Text: []byte("y"), Partial: true}
	for _, tt := range []struct {
		name           string
		tags           lineTags
		stdout, stderr string
	}{
		{"none", lineTags{}, "x\n", "y"},
		{"rank", lineTags{style: tagRank}, "[3] x\n", "[3] y\n"},
		{"Open MPI's", lineTags{style: tagOutput}, "[1,3]<stdout>:x\n", "[1,3]<stderr>:y\n"},
		{"merged", lineTags{style: tagOutput, merge: true}, "[1,3]<stdout>:x\n[1,3]<stderr>:y\n", ""},
		{"pattern", lineTags{pattern: "%%%r@%h ", hostOf: func(int32) string { return "w1" }}, "%3@w1 x\n", "%3@w1 y\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			write := tt.tags.writer(&stdout, &stderr)
			require.NoError(t, write(out))
			require.NoError(t, write(partial))
			require.Equal(t, tt.stdout, stdout.String())
			require.Equal(t, tt.stderr, stderr.String())
		})
	}
	require.Regexp(t, `^\w{3} \w{3} .*(1970|1969)<stdout>:$`, lineTags{timestamp: true}.tag(out))
}

func TestLineFiles(t *testing.T) {
	dir := t.TempDir()
	f := lineFiles{dir: filepath.Join(dir, "out"), stderr: filepath.Join(dir, "e%r"), ranks: 12}
	var shown []string
	write := f.writer(func(l *apiv1.LogLine) error { shown = append(shown, string(l.Text)); return nil })
	require.NoError(t, write(&apiv1.LogLine{Rank: 3, Stream: 1, Text: []byte("x")}))
	require.NoError(t, write(&apiv1.LogLine{Rank: 3, Stream: 2, Text: []byte("y"), Partial: true}))
	require.NoError(t, f.close())
	require.Equal(t, []string{"x"}, shown)
	for path, want := range map[string]string{"out/1/rank.03/stdout": "x\n", "out/1/rank.03/stderr": "y", "e3": "y"} {
		content, err := os.ReadFile(filepath.Join(dir, path))
		require.NoError(t, err)
		require.Equal(t, want, string(content))
	}
}

// TestCheckRun: what is wrong with a command line as a whole is said before a cluster is looked for.
func TestCheckRun(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("file", nil, 0o600))
	for words, want := range map[string]string{
		"-n 3000 p : -n 3000 p":          "6000 ranks: a run has at most 4096",
		"--output-filename file/x p":     "--output-filename file/x: no files can be made there",
		"-outfile-pattern file/r%r.x p":  "-outfile-pattern file/r%r.x: no files can be made there",
		"-errfile-pattern new/%r/out p":  "",
		"--output-filename deep/er p":    "",
		"--do-not-launch -n 2 -l p x -z": "",
	} {
		l, err := parseLaunch(strings.Fields(words))
		require.NoError(t, err)
		if err = l.checkRun(); want == "" {
			require.NoError(t, err, words)
			continue
		}
		require.ErrorContains(t, err, want)
		require.Equal(t, exitUsage, exitCode(err))
	}
	require.DirExists(t, "new")
	require.DirExists(t, "deep/er")
}

// A colon that sticks to a program's name is seen.
func TestColonWithoutBlanks(t *testing.T) {
	t.Chdir(t.TempDir())
	l, err := parseLaunch([]string{"-n", "1", "a:", "-n", "3", "b"})
	require.NoError(t, err)
	_, err = l.programs()
	require.ErrorContains(t, err, "put blanks around the colon")
}

// TestMissesNoFile: who is told that files are elsewhere may have missed one.
func TestMissesNoFile(t *testing.T) {
	for reason, want := range map[string]bool{
		"rank 0 on w1 exited 7":                                 false,
		"rank 0 on w1 ended without MPI_Finalize (exit code 0)": false,
		"rank 0 on w1 exited 134 (fgets was called with a FILE that is NULL: an fopen before it failed (in.txt: No such file or directory))": false,
		"rank 0 on w1 exited 9 (MPI_Abort was called)":                                       false,
		"rank 0 on w1 exited 134 (abort was called: at main)":                                false,
		"rank 0 on w1 exited 134 (an exception that nobody took: std::out_of_range: vector)": true,
		"rank 0 on w1 exited 139 (call through a null function pointer: at main)":            true,
	} {
		require.Equal(t, want, missesNoFile(reason), reason)
	}
}
