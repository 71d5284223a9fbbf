package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestShare: 99 of a hundred readings are not above the share of 99 %.
func TestShare(t *testing.T) {
	var values []float64
	for i := range 200 {
		values = append(values, float64((i*7919)%200))
	}
	require.InDelta(t, 197, share(values, 0.99), 0)
	require.InDelta(t, 199, share(values, 1), 0)
	require.InDelta(t, 3, share([]float64{3}, 0.99), 0)
}
