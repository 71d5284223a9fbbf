package wasm

import (
	"bytes"

	"github.com/klauspost/compress/zstd"
)

// A sample of a memory: enough to tell numbers from noise, little enough to take about a millisecond.
const (
	samplePages = 64
	// worthRatio is the most that compressed data may take of the original to be worth the time: compressing is about as
	// fast as a slow link, and several times slower than a fast one.
	worthRatio = 0.9
)

// worthCompressing compresses a sample of the pages that are not zero, taken evenly over the memory.
func worthCompressing(memory []byte) bool {
	zero := make([]byte, imagePage)
	var sample []byte
	pages := len(memory) / imagePage
	step := max(1, pages/(4*samplePages)) // many pages are zero: look at more than are wanted
	for i := 0; i < pages && len(sample) < samplePages*imagePage; i += step {
		if page := memory[i*imagePage : (i+1)*imagePage]; !bytes.Equal(page, zero) {
			sample = append(sample, page...)
		}
	}
	if len(sample) == 0 {
		return true
	}
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return true
	}
	small := len(z.EncodeAll(sample, nil))
	return float64(small) < worthRatio*float64(len(sample))
}
