package replay

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestReport(t *testing.T) {
	t.Parallel()
	tr := &Trace{Name: "mpi-spot_25", Hosts: 4, Slots: 2, TooLarge: 1, Unusable: 2, Jobs: []Job{{Ranks: 2, Alone: 100}, {Ranks: 4, Alone: 100}}}
	r, err := Compare(tr, everyRule(t, true), Config{Seed: 3, Spot: true, StepCost: time.Second}, 2)
	require.NoError(t, err)
	require.Equal(t, "mpi-spot_25: 2 jobs on 4 hosts of 2 slots, a quarter of which fails each minute (seed 3); 1 jobs are larger than the cluster and left out; 2 jobs have no size or time and are left out", r.Title())
	header, rows := r.Table()
	require.Len(t, rows, 6)
	for _, row := range rows {
		require.Len(t, row, len(strings.Fields(header)))
	}
	require.Equal(t, "faults/without 2.15", rows[1][len(rows[1])-1])
	require.Regexp(t, `^\d\.\d\d \[\d\.\d\d\.\.\d\.\d\d\]$`, rows[1][len(rows[1])-2])
	require.InDelta(t, 4*100, r.LeastLinkSeconds, 1e-6, "the second job as 2+2 has 4 links for 100 s")
	require.Equal(t, "1.00", rows[1][4])

	r, err = Compare(tr, everyRule(t, false)[3:4], Config{StepCost: time.Second}, 1)
	require.NoError(t, err)
	_, rows = r.Table()
	require.Equal(t, "-", rows[0][4], "without slurm nothing is beside it")
	require.Empty(t, r.Notes())
}

// wellFormed requires that a text is XML, and counts the elements of each name.
func wellFormed(t *testing.T, text []byte) map[string]int {
	t.Helper()
	seen := map[string]int{}
	for d := xml.NewDecoder(bytes.NewReader(text)); ; {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return seen
		}
		require.NoError(t, err)
		if start, ok := tok.(xml.StartElement); ok {
			seen[start.Name.Local]++
		}
	}
}

func TestChartIsXML(t *testing.T) {
	t.Parallel()
	g := Generator{Hosts: 6, Slots: 4, Jobs: 1000, Ranks: 6, Load: 0.8, Mean: 10}
	tr, err := g.Trace(1, Shape{})
	require.NoError(t, err)
	few := *tr
	tr.Name, few.Name, few.Jobs = `<a & "b">`, "few", tr.Jobs[:5]
	for _, tr := range []*Trace{tr, &few} {
		r, err := Compare(tr, everyRule(t, false)[:2], Config{}, 1)
		require.NoError(t, err)
		var b bytes.Buffer
		require.NoError(t, r.WriteSVG(&b))
		require.Equal(t, 4, wellFormed(t, b.Bytes())["path"], "two lines in two panels")
	}
}

// TestMeans: what is drawn of many points has the same integral.
func TestMeans(t *testing.T) {
	t.Parallel()
	points := []point{{at: 0, used: 4}, {at: 10 * time.Second, used: 1}, {at: 1000 * time.Second, used: 7}, {at: 1500 * time.Second}}
	means := means(points, func(p point) float64 { return float64(p.used) })
	sum := 0.0
	for _, m := range means {
		sum += m
	}
	require.InDelta(t, 4*10+990+7*500, sum*1500/maxPoints, 1e-6)
	require.InDelta(t, 4, means[3], 1e-9)
	require.InDelta(t, 7, means[maxPoints-1], 1e-9)
}
