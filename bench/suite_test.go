package main

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadingsOfTwoBuilds(t *testing.T) {
	all := newReadings(2)
	require.NoError(t, all.add(0, "pingpong 8 0.5 us\nstencil 64 12.5 checksum\n"))
	require.NoError(t, all.add(1, "pingpong 8 1.5 us\nstencil 64 12.5 checksum\n"))
	require.NoError(t, all.add(0, "pingpong 8 0.7 us\nstencil 64 12.5 checksum\n"))
	require.Len(t, all.list, 2)
	require.Equal(t, [][]float64{{0.5, 0.7}, {1.5}}, all.list[0].values)
	for _, bad := range []string{"", "pingpong 8 us", "pingpong eight 1 us", "pingpong 8 fast us"} {
		require.Error(t, all.add(0, bad), bad)
	}
}

func TestChecksumsAreCompared(t *testing.T) {
	for _, c := range []struct {
		name   string
		values [][]float64 // of Godwit, of its peer
		why    string
	}{
		{"equal", [][]float64{{12.5}, {12.5}}, ""},
		{"within rounding", [][]float64{{12.5}, {12.5 * (1 + 1e-12)}}, ""},
		{"another build", [][]float64{{12.5}, {12.6}}, "12.6 with Peer, 12.5 with Godwit"},
		{"another run", [][]float64{{12.5, 13}, {12.5}}, "13 with Godwit, 12.5 with Godwit"},
		{"not a number", [][]float64{{12.5}, {math.NaN()}}, "NaN with Peer"},
	} {
		s := &suite{builds: []build{{name: "Godwit"}, {name: "Peer"}}, sums: map[string]sum{}}
		err := s.compareSums(&reading{name: "stencil", size: 64, values: c.values})
		if c.why == "" {
			require.NoError(t, err, c.name)
		} else {
			require.ErrorContains(t, err, c.why, c.name)
		}
	}
}

func TestTableOfPeers(t *testing.T) {
	b := &bench{mpi: []row{
		{what: "pingpong 8 B, one host", unit: "us", godwit: 2, peers: []peerFigure{{"Open MPI", 1}, {"MPICH", math.NaN()}}},
		{what: "spmv 64 x 64, one host", unit: "Mflop/s", higher: true, godwit: 200, peers: []peerFigure{{"Open MPI", 50}, {"MPICH", 8000}}},
	}}
	var out strings.Builder
	b.print(&out)
	require.Equal(t, `| what | Godwit | Open MPI (ratio) | MPICH (ratio) |
|---|---|---|---|
| pingpong 8 B, one host | 2.00 us | 1.00 us (0.50) | failed |
| spmv 64 x 64, one host | 200 Mflop/s | 50.0 Mflop/s (4.00) | 8000 Mflop/s (0.025) |
`, out.String())
}
