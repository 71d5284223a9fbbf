package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTables(t *testing.T) {
	b := &bench{
		core: []row{
			{what: "alone", unit: "ms", godwit: []float64{3}},
			{what: "submissions", unit: "/s", higher: true, godwit: []float64{200}, peers: []peerFigure{{peer: "etcd", values: []float64{100}}}},
		},
		mpi: [][]row{nil, {
			{
				what: "pingpong 8 B", where: "2 ranks on one host", unit: "us", godwit: []float64{4, 2, 1.5},
				peers: []peerFigure{{"Open MPI", []float64{0.9, 1, 1.1}, ""}, {"MPICH", []float64{5}, "failed"}},
			},
			{
				what: "msgrate 8 B", where: "2 ranks on one host", unit: "Mmsg/s", higher: true, godwit: []float64{200},
				peers: []peerFigure{{"Open MPI", []float64{50}, ""}, {"MPICH", []float64{8000}, ""}},
			},
			{
				what: "pingpong 8 B", where: "4 ranks on one host", unit: "us", godwit: []float64{3},
				peers: []peerFigure{{"Open MPI", []float64{6}, ""}, {"MPICH", nil, "-"}},
			},
		}},
	}
	var out strings.Builder
	b.print(&out)
	require.Equal(t, machine()+`

| what | Godwit | peer | ratio (above 1: better than the peer) |
|---|---|---|---|
| alone | 3.00 ms | - | - |
| submissions | 200 /s | etcd: 100 /s | 2.00 |

| what | Godwit | Open MPI (ratio) | MPICH (ratio) |
|---|---|---|---|
| pingpong 8 B, 2 ranks on one host | 2.00 us [1.50..4.00] | 1.00 us [0.90..1.10] (0.50) | failed |
| pingpong 8 B, 4 ranks on one host | 3.00 us | 6.00 us (2.00) | - |
| msgrate 8 B, 2 ranks on one host | 200 Mmsg/s | 50.0 Mmsg/s (4.00) | 8000 Mmsg/s (0.025) |
`, out.String())
}

func TestMachine(t *testing.T) {
	require.Regexp(t, `^.+, [0-9]+ cores, [a-z]+`, machine())
}
