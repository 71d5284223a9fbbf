package layout

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
)

// randomType is a type of types of types. Those that ascend have their blocks one behind the other.
func randomType(t *testing.T, rnd *rand.Rand, depth int) *Type {
	if depth == 0 {
		return Predefined()[[]uint32{typeByte, 0x208, 0x209, 0x214}[rnd.IntN(4)]]
	}
	old := randomType(t, rnd, depth-1)
	var made Contents
	switch rnd.IntN(4) {
	case 0:
		made = Contents{Combiner: abi.CombinerVector, Ints: []int64{1 + rnd.Int64N(4), 1 + rnd.Int64N(3), 1 + rnd.Int64N(6)}}
	case 1:
		made = Contents{Combiner: abi.CombinerContiguous, Ints: []int64{1 + rnd.Int64N(4)}}
	case 2:
		made = Contents{Combiner: abi.CombinerResized, Addrs: []int64{0, old.Extent() + rnd.Int64N(9)}}
	default:
		n := 1 + rnd.Int64N(4)
		made = Contents{Combiner: abi.CombinerIndexed, Ints: []int64{n}}
		at := int64(0)
		var places []int64
		for range n {
			length := rnd.Int64N(3)
			made.Ints = append(made.Ints, length)
			at += rnd.Int64N(3)
			places = append(places, at)
			at += length
			if rnd.IntN(12) == 0 {
				at = 0
			}
		}
		made.Ints = append(made.Ints, places...)
	}
	made.Types = []*Type{old}
	typ, err := Build(made)
	require.NoError(t, err)
	return typ
}

// places are those of the data's bytes, one after the other, as packing finds them.
func places(typ *Type, n int) []int64 {
	size := 64 << 10
	low, high := make([]byte, size), make([]byte, size)
	for i := range size {
		low[i], high[i] = byte(i), byte(i>>8)
	}
	a, b := make([]byte, n), make([]byte, n)
	typ.PackAt(a, low, 100)
	typ.PackAt(b, high, 100)
	out := make([]int64, n)
	for i := range out {
		out[i] = int64(a[i]) + int64(b[i])<<8 - 100
	}
	return out
}

// Runs are where packing finds the data, and Before counts it.
func TestRuns(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	ascending := 0
	for range 3000 {
		typ := randomType(t, rnd, rnd.IntN(4))
		if typ.Size == 0 || typ.Size > 2000 || typ.Extent() > 10000 {
			continue
		}
		all := places(typ, int(3*typ.Size))
		skip := rnd.IntN(len(all))
		n := 1 + rnd.IntN(len(all)-skip)
		var got []int64
		last := int64(-1 << 40)
		typ.Runs(0, int64(skip), int64(n), func(at, n int64) bool {
			require.NotEqual(t, last, at, "two runs that touch")
			last = at + n
			for i := range n {
				got = append(got, at+i)
			}
			return true
		})
		require.Equal(t, all[skip:skip+n], got)
		stops := 0
		typ.Runs(0, 0, typ.Size, func(int64, int64) bool { stops++; return false })
		require.Equal(t, 1, stops)
		one := all[:typ.Size]
		rises := true
		for i := 1; i < len(one); i++ {
			rises = rises && one[i] > one[i-1]
		}
		require.Equal(t, rises, typ.Ascending(), "%v", one)
		if !rises {
			continue
		}
		ascending++
		for at := typ.TrueLB - 2; at <= typ.TrueUB+2; at++ {
			want := int64(0)
			for _, p := range one {
				want += int64(truth(p < at))
			}
			require.Equal(t, want, typ.Before(at), "before %d of %v", at, one)
		}
	}
	require.Greater(t, ascending, 500)
}

// A type in a file has other elements, and the displacements that were given in bytes.
func TestResized(t *testing.T) {
	aint, short := Predefined()[0x201], Predefined()[0x208]
	made, err := Build(Contents{Combiner: abi.CombinerStruct, Ints: []int64{2, 2, 1}, Addrs: []int64{0, 40}, Types: []*Type{aint, short}})
	require.NoError(t, err)
	external := func(basic *Type) (int64, error) { return basic.External, nil }
	inFile, err := made.Resized(external)
	require.NoError(t, err)
	require.EqualValues(t, 18, inFile.Size)
	require.EqualValues(t, made.External, inFile.Size)
	require.EqualValues(t, 42, inFile.TrueUB)
	same, err := short.Resized(external)
	require.NoError(t, err)
	require.Same(t, short, same)
}
