package layout

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
)

// TestColumns: elements that are runs farther apart than the elements are, a matrix by columns, are moved as their type map says, whole and in parts.
func TestColumns(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 0))
	received := 0
	for range 2000 {
		run := []int64{1, 4, 8, 16}[rnd.IntN(4)]
		rows, columns := int64(1+rnd.IntN(20)), int64(1+rnd.IntN(40))
		stride, pitch := run*int64(1+rnd.IntN(3)), run*int64(1+rnd.IntN(200))
		if rnd.IntN(4) == 0 {
			pitch = -pitch
		}
		if rnd.IntN(4) == 0 {
			stride = -stride
		}
		byteType := Predefined()[0x247]
		element, err := Build(Contents{Combiner: abi.CombinerContiguous, Ints: []int64{run}, Types: []*Type{byteType}})
		require.NoError(t, err)
		column, err := Build(Contents{Combiner: abi.CombinerHvector, Ints: []int64{rows, 1}, Addrs: []int64{pitch}, Types: []*Type{element}})
		require.NoError(t, err)
		next, err := Build(Contents{Combiner: abi.CombinerResized, Addrs: []int64{0, stride}, Types: []*Type{column}})
		require.NoError(t, err)
		all, err := Build(Contents{Combiner: abi.CombinerContiguous, Ints: []int64{columns}, Types: []*Type{next}})
		require.NoError(t, err)

		base := max(0, -all.TrueLB) + int64(rnd.IntN(8))
		mem := make([]byte, base+all.TrueUB+int64(rnd.IntN(8)))
		for i := range mem {
			mem[i] = byte(rnd.Uint32())
		}
		var at []int64 // of each byte
		for j := range columns {
			for i := range rows {
				for k := range run {
					at = append(at, base+j*stride+i*pitch+k)
				}
			}
		}
		skip := rnd.IntN(len(at))
		buf := make([]byte, rnd.IntN(len(at)-skip+1))
		typ, one := all, next
		if rnd.IntN(2) == 0 { // as elements of the call
			typ = one
		}
		m := mover{mem: mem, buf: buf, skip: int64(skip)}
		m.elements(typ, base)
		for i := range buf {
			require.Equal(t, mem[at[skip+i]], buf[i])
		}
		for _, beyond := range []mover{{mem: mem[:len(mem)/2]}, {mem: mem}} { // as a damaged state may say
			beyond.buf, beyond.skip = make([]byte, len(buf)), int64(skip)
			beyond.elements(typ, base-all.Extent()/2)
		}
		seen := map[int64]bool{}
		for _, a := range at {
			seen[a] = true
		}
		if len(seen) < len(at) { // what receives must not overlap (MPI 5.0 section 3.2.4)
			continue
		}
		received++
		want := append([]byte(nil), mem...)
		for i := range buf {
			buf[i] = byte(rnd.Uint32())
			want[at[skip+i]] = buf[i]
		}
		m = mover{mem: mem, buf: buf, skip: int64(skip), in: true}
		m.elements(typ, base)
		require.Equal(t, want, mem)
	}
	require.Greater(t, received, 500)
}

// TestBlocksFitTheType: a copy between two layouts goes in parts that are long beside what it takes to find where they begin, and whole columns of a matrix.
func TestBlocksFitTheType(t *testing.T) {
	double := Predefined()[0x214]
	made := func(c Contents) *Type {
		x, err := Build(c)
		require.NoError(t, err)
		return x
	}
	span := func(x *Type) Span { return Span{Type: x, Len: 1 << 30} }
	const limit = 480 << 10
	column := func(rows int64) *Type {
		c := made(Contents{Combiner: abi.CombinerVector, Ints: []int64{rows, 1, 5000}, Types: []*Type{double}})
		next := made(Contents{Combiner: abi.CombinerResized, Addrs: []int64{0, 8}, Types: []*Type{c}})
		return made(Contents{Combiner: abi.CombinerContiguous, Ints: []int64{100}, Types: []*Type{next}})
	}
	irregular := func(n int64) *Type {
		c := Contents{Combiner: abi.CombinerIdxBlock, Ints: []int64{n, 1}, Types: []*Type{double}}
		for i := range n {
			c.Ints = append(c.Ints, i*i%97+200*i)
		}
		return made(c)
	}
	few, many := column(10), irregular(5000)
	require.Equal(t, leastBlock, Block(span(few), span(few), limit))
	require.Equal(t, 8*8*4000, Block(span(few), span(column(4000)), limit))
	require.Equal(t, limit, Block(span(column(100_000)), span(few), limit))
	require.Equal(t, 64*5000, Block(span(many), span(few), limit))
	require.Equal(t, 64*5001, Block(span(made(Contents{Combiner: abi.CombinerContiguous, Ints: []int64{3}, Types: []*Type{many}})), span(few), limit))
	require.Equal(t, 100, Block(Span{Type: few, Len: 100}, span(many), limit))
	require.Zero(t, Block(span(few), Span{Len: 1 << 20}, limit))
}
