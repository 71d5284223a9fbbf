package replay

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func read(text string, shape Shape) ([]*Trace, error) {
	return Read(strings.NewReader(text), "", shape)
}

const twoTraces = `{"about": "two",
"traces": {
"net": {"vms": 2, "vcpus_per_vm": 8, "sizes": [13, 2, 8]},
"my-spot": {"vms": 1, "vcpus_per_vm": 8, "sizes": [4, 15]}
}}`

func TestReadGranny(t *testing.T) {
	t.Parallel()
	traces, err := read(twoTraces, Shape{})
	require.NoError(t, err)
	require.Len(t, traces, 2)
	net, spot := traces[0], traces[1]
	require.Equal(t, "net", net.Name)
	require.True(t, net.Closed)
	require.Equal(t, []int{2, 8, 3}, []int{net.Hosts, net.Slots, len(net.Jobs)})
	require.InDelta(t, 650, net.Jobs[0].best(8), 1e-9)
	require.Equal(t, 1, spot.TooLarge, "15 ranks on one host of 8")
	require.InDelta(t, 237, spot.Jobs[0].Alone, 1e-9, "its name says what its jobs do")

	traces, err = read(twoTraces, Shape{Hosts: 3, Slots: 4, Workload: Locality})
	require.NoError(t, err)
	require.Equal(t, []int{3, 4}, []int{traces[1].Hosts, traces[1].Slots})
	require.InDelta(t, 279, traces[1].Jobs[0].Alone, 1e-9)
}

func TestReadGrannyErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"{":                                     "line 1: not JSON: unexpected EOF",
		"{\n\"colour\": 1}":                     "line 2: colour: no such field; about and traces are known",
		`{"about": "x"}`:                        "line 1: traces: there are none",
		`{"traces": {}} {}`:                     "line 1: there is more behind the end",
		`{"traces": []}`:                        "line 1: traces: [ is not the { that is wanted here",
		"{\"traces\":\n{\"a\": {\"vms\": 0}}}":  "line 2: traces.a.vms: 0 is no whole number from 1 to 1048576",
		`{"traces": {"a": {"vms": "x"}}}`:       "line 1: traces.a.vms: x is no whole number from 1 to 1048576",
		`{"traces": {"a": {"vms": 1.5}}}`:       "line 1: traces.a.vms: 1.5 is no whole number from 1 to 1048576",
		`{"traces": {"a": {"hosts": 1}}}`:       "line 1: traces.a.hosts: no such field; vms, vcpus_per_vm and sizes are known",
		`{"traces": {"a": {"sizes": 3}}}`:       "line 1: traces.a.sizes: 3 is not the [ that is wanted here",
		`{"traces": {"a": {"vms": 2}}}`:         "line 1: traces.a: slots: 0; 1 to",
		`{"traces": {"a": {"sizes": [3, 2, x`:   "line 1: traces.a.sizes[2]: not JSON",
		`{"traces": {"a": {"sizes": [3, null]}`: "line 1: traces.a.sizes[1]: <nil> is no whole number",
		"{\"traces\": {\"a\": {\"vms\": 2, \"vcpus_per_vm\": 8, \"sizes\": [\n13,\n16\n]}}}": "line 3: traces.a.sizes[1]: 16 ranks; of the workload locality the times of 2 to 15 are known",
		`{"traces": {"a": {"vms": 99999, "vcpus_per_vm": 8, "sizes": [2]}}}`:                 "traces.a: hosts: 99999; 1 to 16384 are possible (--hosts)",
		`{"traces": {"a": {"vms": 1, "vcpus_per_vm": 1, "sizes": [2]}}}`:                     "no jobs that can be replayed: 1 are too large for 1 hosts of 1 slots, 0 have no size or time",
	} {
		_, err := read(text, Shape{})
		require.ErrorContains(t, err, want, text)
	}
}

// swfJob is a line of a log.
func swfJob(number, submit, run, allocated, requested string) string {
	return fmt.Sprintf("%s %s -1 %s %s -1 -1 %s -1 -1 1 7 -1 -1 -1 -1 -1 -1\n", number, submit, run, allocated, requested)
}

func TestReadSWF(t *testing.T) {
	t.Parallel()
	log := "; Version: 2.2\n;MaxNodes: 4 (of which one is broken)\n; MaxProcs: 32\n\n" +
		swfJob("1", "1000", "60", "8", "-1") + swfJob("2", "1010", "-1", "8", "8") + swfJob("3", "1005.5", "30", "-1", "16") +
		swfJob("4", "1020", "30", "64", "64") + swfJob("5", "1020", "30", "-1", "-1")
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := z.Write([]byte(log))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	for _, text := range []string{log, packed.String()} {
		traces, err := read(text, Shape{})
		require.NoError(t, err)
		tr := traces[0]
		require.Equal(t, []int{4, 8, 1, 2, 2}, []int{tr.Hosts, tr.Slots, tr.TooLarge, tr.Unusable, len(tr.Jobs)})
		require.Equal(t, []int{8, 16}, []int{tr.Jobs[0].Ranks, tr.Jobs[1].Ranks})
		require.Equal(t, 5500*time.Millisecond, tr.Jobs[1].Submit, "from the first one on")
		require.InDelta(t, 30, tr.Jobs[1].best(8), 1e-9, "the log's time is that of the best placement")
		require.Greater(t, tr.Jobs[1].seconds(120), 30.0)
	}
	none := 0.0
	traces, err := read(log, Shape{Hosts: 2, Slots: 4, Penalty: &none})
	require.NoError(t, err)
	require.Equal(t, 2, traces[0].TooLarge)
	require.InDelta(t, 60, traces[0].Jobs[0].seconds(28), 1e-9)
}

func TestReadSWFErrors(t *testing.T) {
	t.Parallel()
	good := "; MaxNodes: 2\n; MaxProcs: 4\n"
	for text, want := range map[string]string{
		good + "1 2 3\n": "line 3: 3 fields; a job has 18",
		good + swfJob("1", "0", "60", "8", "-1") + swfJob("2", "x", "60", "2", "2"): `line 4: field 2 (submit time): "x" is no number`,
		good + swfJob("1", "0", "NaN", "2", "2"):                                    "line 3: field 4 (run time): NaN; -1 to",
		good + swfJob("1", "0", "1e300", "2", "2"):                                  "line 3: field 4 (run time): 1e300; -1 to",
		good + swfJob("1", "0", "1", "-2", "2"):                                     "line 3: field 5 (allocated processors): -2; -1 to",
		good + swfJob("1", "0", "1", "2", "2.5"):                                    "line 3: field 8 (requested processors): 2.5 is no whole number",
		"; MaxNodes: many\n":                                                        `line 1: MaxNodes: "many" is no whole number from 1 on`,
		swfJob("1", "0", "1", "2", "2"):                                             "line 1: the log has no MaxNodes: give --hosts, and --slots of each",
		"":                                                                          "line 0: the log has no MaxNodes",
		good:                                                                        "line 2: no jobs that can be replayed",
		"; MaxNodes: 163840\n" + swfJob("1", "0", "1", "2", "2"): "hosts: 163840; 1 to 16384 are possible (--hosts)",
		good + strings.Repeat("1 ", maxLineBytes):                "line 3: bufio.Scanner: token too long",
		"\x1f\x8bnothing": "not what gzip has packed",
	} {
		_, err := read(text, Shape{})
		require.ErrorContains(t, err, want)
	}
	_, err := read(swfJob("1", "0", "1", "2", "2"), Shape{Hosts: 2})
	require.ErrorContains(t, err, "give --slots")
	_, err = Read(strings.NewReader("{}"), "xml", Shape{})
	require.ErrorContains(t, err, `format "xml" is not one of granny, swf`)
	_, err = Read(strings.NewReader("{}"), FormatSWF, Shape{})
	require.ErrorContains(t, err, "line 1: 1 fields; a job has 18")
}

func TestGenerate(t *testing.T) {
	t.Parallel()
	g, err := ParseGenerator("hosts=50,jobs=4000,load=0.5,mean=100,ranks=16")
	require.NoError(t, err)
	tr, err := g.Trace(1, Shape{})
	require.NoError(t, err)
	again, err := g.Trace(1, Shape{})
	require.NoError(t, err)
	other, err := g.Trace(2, Shape{})
	require.NoError(t, err)
	require.Equal(t, tr, again)
	require.NotEqual(t, tr.Jobs, other.Jobs)
	work, small, largest := 0.0, 0, 0
	for i, j := range tr.Jobs {
		work += float64(j.Ranks) * j.best(tr.Slots)
		largest = max(largest, j.Ranks)
		if j.Ranks <= 4 {
			small++
		}
		require.True(t, i == 0 || j.Submit >= tr.Jobs[i-1].Submit)
	}
	require.Equal(t, 16, largest)
	require.Greater(t, small, len(tr.Jobs)/2)
	require.InEpsilon(t, 0.5, work/(400*tr.Jobs[len(tr.Jobs)-1].Submit.Seconds()), 0.1)

	tr, err = Generator{Hosts: 1, Slots: 2, Jobs: 100, Ranks: 8, Load: 1, Mean: 1}.Trace(1, Shape{})
	require.NoError(t, err)
	require.Equal(t, 100, len(tr.Jobs)+tr.TooLarge)
	require.Positive(t, tr.TooLarge)
	for bad, want := range map[string]string{
		"":           `"" is not one of hosts, slots, jobs, ranks, load and mean`,
		"hosts=0":    `hosts: "0" is no whole number from 1 to 16384`,
		"jobs":       `jobs: "" is no whole number`,
		"load=-1":    `load: "-1" is no number above 0`,
		"load=NaN":   `load: "NaN" is no number above 0`,
		"colour=red": `"colour=red" is not one of`,
	} {
		_, err := ParseGenerator(bad)
		require.ErrorContains(t, err, want)
	}
}
