package main

import (
	"fmt"
	"math"
	"testing"
	"time"

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

func TestPeerThatTakesTooLong(t *testing.T) {
	at := place{&network{}, 1}
	echo := func(line string) build { // sh takes what follows for $0, $1 and so on
		return build{name: line, launch: func(place, int) (env, argv []string) { return nil, []string{"sh", "-c", line} }}
	}
	s := &suite{
		bench: &bench{repeats: 2}, builds: []build{echo("echo x 8 1 us; echo x 16 2 us"), echo("echo x 8 3 us; exec sleep 60"), echo("exit 3")},
		bins: map[string][]string{"x": {"a", "b", "c"}}, limit: 2 * time.Second, overtime: map[overtime]int{},
	}
	for _, ranks := range []int{2, 4} {
		require.NoError(t, s.measure(t.Context(), nil, trial{program{name: "x", sized: inBytes}, ranks, at}))
	}
	var cells []string
	for _, r := range s.rows {
		require.Len(t, r.godwit, 2, "in every round")
		for _, p := range r.peers {
			cells = append(cells, fmt.Sprint(r.what, ", ", r.where, ": ", p.values, p.missing))
		}
	}
	require.Equal(t, []string{
		"x 8 B, 2 ranks on one host: [3]", "x 8 B, 2 ranks on one host: []failed",
		"x 16 B, 2 ranks on one host: []failed", "x 16 B, 2 ranks on one host: []failed",
		"x 8 B, 4 ranks on one host: []-", "x 8 B, 4 ranks on one host: []failed",
		"x 16 B, 4 ranks on one host: []-", "x 16 B, 4 ranks on one host: []failed",
	}, cells)
}

func TestPlaceByBlock(t *testing.T) {
	at := place{&network{noun: "machines", addrs: []string{"a", "b", "c"}}, 2}
	require.Equal(t, "a:4,b:4", at.blocks(at.network.addrs, 8))
	require.Equal(t, "8 ranks between 2 machines", trial{ranks: 8, at: at}.String())
	require.Equal(t, "8 ranks on one host", trial{ranks: 8, at: place{at.network, 1}}.String())
}
