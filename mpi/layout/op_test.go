package layout

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
)

// TestReductionsAreTheSameEverywhere: the bits of a reduction are no matter of the processor. arm64 multiplies and adds without rounding between, and makes another NaN than amd64.
func TestReductionsAreTheSameEverywhere(t *testing.T) {
	inf, one, other := math.Inf(1), math.Float64frombits(0x7ff8000000000011), math.Float64frombits(0xfff8000000000022)
	made := math.Float64frombits(0xfff8000000000000)
	for i, tt := range []struct {
		op                uint32
		left, right, want []float64
	}{
		{abi.OpSum, []float64{inf, 1, one, 2, one, other}, []float64{-inf, 2, 1, other, other, one}, []float64{made, 3, one, other, one, other}},
		{abi.OpProd, []float64{inf, 1, one, 2, one, other}, []float64{0, 2, 1, other, other, one}, []float64{made, 2, one, other, one, other}},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			got := make([]float64, len(tt.want))
			Combine(tt.op, &Type{Base: &Type{Class: FloatType, Size: 8}}, raw(got), raw(tt.left), raw(tt.right))
			for i := range got {
				require.Equal(t, fmt.Sprintf("%x", math.Float64bits(tt.want[i])), fmt.Sprintf("%x", math.Float64bits(got[i])), i)
			}
			f := make([]float32, 1)
			Combine(tt.op, &Type{Base: &Type{Class: FloatType, Size: 4}}, raw(f), raw([]float32{float32(inf)}), raw([]float32{float32(tt.right[0])}))
			require.Equal(t, uint32(0xffc00000), math.Float32bits(f[0]))
		})
	}
}

// TestComplexProducts: each product is rounded, then their sum; so the real part of (x+xi)(y+yi) is 0.
func TestComplexProducts(t *testing.T) {
	got := make([]float64, 8)
	Combine(abi.OpProd, &Type{Base: &Type{Class: ComplexType, Size: 16}}, raw(got), raw([]float64{1.1, 1.1, 1, 2, 0.1, 0.2, math.Inf(1), 0}), raw([]float64{1.7, 1.7, 3, 4, 0.3, -0.7, 0, 1}))
	require.Equal(t, []float64{0, 2 * float64(1.1*one(1.7))}, got[:2])
	require.Equal(t, []float64{-5, 10}, got[2:4])
	require.Equal(t, uint64(0xfff8<<48), math.Float64bits(got[6]))
	require.True(t, math.IsInf(got[7], 1))
	small := make([]float32, 4)
	Combine(abi.OpProd, &Type{Base: &Type{Class: ComplexType, Size: 8}}, raw(small), raw([]float32{1.1, 1.1, 1, 2}), raw([]float32{1.7, 1.7, 3, 4}))
	require.Zero(t, small[0])
	require.Equal(t, []float32{-5, 10}, small[2:])
	sums := make([]float64, 2)
	Combine(abi.OpSum, &Type{Base: &Type{Class: ComplexType, Size: 16}}, raw(sums), raw([]float64{1, 2}), raw([]float64{3, 5}))
	require.Equal(t, []float64{4, 7}, sums)
}

// one is no constant for the compiler.
//
//go:noinline
func one(x float64) float64 { return x }

func BenchmarkCombine(b *testing.B) {
	l, r, d := make([]float64, 8192), make([]float64, 8192), make([]float64, 8192)
	for _, tt := range []struct {
		name string
		t    *Type
		op   uint32
	}{{"sum", &Type{Class: FloatType, Size: 8}, abi.OpSum}, {"product", &Type{Class: FloatType, Size: 8}, abi.OpProd}, {"complex", &Type{Class: ComplexType, Size: 16}, abi.OpProd}} {
		b.Run(tt.name, func(b *testing.B) {
			b.SetBytes(int64(len(l) * 8))
			for b.Loop() {
				Combine(tt.op, &Type{Base: tt.t}, raw(d), raw(l), raw(r))
			}
		})
	}
}
