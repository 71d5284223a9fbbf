package wasm

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOnlyWhatCompressesIsCompressed(t *testing.T) {
	noise := make([]byte, 4<<20)
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(rnd.Uint32())
	}
	numbers := make([]byte, 4<<20)
	for i := range numbers {
		numbers[i] = byte(i / 1000)
	}
	require.False(t, worthCompressing(noise))
	require.True(t, worthCompressing(numbers))
	require.True(t, worthCompressing(make([]byte, 4<<20)), "zeros")
	require.True(t, worthCompressing(nil))
	require.False(t, worthCompressing(append(make([]byte, 4<<20), noise...)), "half zeros: the rest decides")
}
