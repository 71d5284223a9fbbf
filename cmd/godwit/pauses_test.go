package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestPauses: no line is in the midst of another one, whoever pauses in it: a terminal shows each part at once, anything else a line when it is whole, or when nothing comes any
// more.
func TestPauses(t *testing.T) {
	part := func(rank int32, text string) *apiv1.LogLine {
		return &apiv1.LogLine{Rank: rank, Stream: 1, Text: []byte(text), Partial: true, Paused: true}
	}
	line := func(rank int32, text string) *apiv1.LogLine {
		return &apiv1.LogLine{Rank: rank, Stream: 1, Text: []byte(text)}
	}
	asks := part(2, "? ")
	asks.Paused = false
	lost := &apiv1.LogLine{Rank: 3, Stream: 1, Text: []byte("lost"), Lost: 5}
	lines := []*apiv1.LogLine{part(0, "a"), line(1, "x"), part(0, "b"), part(1, "y"), line(0, "c"), line(1, "z"), asks, line(2, "!"), part(3, "u"), lost, part(3, "v"), part(0, "w")}
	for _, terminal := range []bool{false, true} {
		var shown bytes.Buffer
		p := newPauses(func(int32) bool { return terminal }, lineWriter(&shown, &shown, false))
		for _, l := range lines {
			require.NoError(t, p.line(&apiv1.LogLine{Rank: l.Rank, Stream: l.Stream, Text: bytes.Clone(l.Text), Partial: l.Partial, Paused: l.Paused, Lost: l.Lost}))
		}
		require.Equal(t, map[bool]string{
			false: "x\nabc\nyz\n? !\nulost\n",
			true:  "a\nx\nb\ny\nc\nz\n? !\nulost\nv\nw",
		}[terminal], shown.String())
		require.NoError(t, p.rest())
		if !terminal {
			require.True(t, strings.HasSuffix(shown.String(), "lost\nwv"), shown.String())
		}
	}
}

// TestPausesAreBounded: what is held back is.
func TestPausesAreBounded(t *testing.T) {
	shown := 0
	p := newPauses(nil, func(l *apiv1.LogLine) error { shown += len(l.Text); return nil })
	const each = 64 << 10
	for i := range int32(2 * maxHeld / each) {
		require.NoError(t, p.line(&apiv1.LogLine{Rank: i, Stream: 1, Text: make([]byte, each), Partial: true, Paused: true}))
		require.LessOrEqual(t, p.bytes, maxHeld)
	}
	require.Equal(t, maxHeld, shown)
	require.NoError(t, p.rest())
	require.Equal(t, 2*maxHeld, shown)
}
