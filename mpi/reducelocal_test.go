package mpi

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/godwit-run/godwit/mpi/abi"
)

// TestReduceLocalWithGaps: elements with gaps between them are combined like others, and the gaps stay as they are.
func TestReduceLocalWithGaps(t *testing.T) {
	for name, c := range map[string]struct {
		typ, size, index int
		put              func(b []byte, v int)
	}{
		"MPI_DOUBLE_INT": {0x229, 16, 8, func(b []byte, v int) { binary.LittleEndian.PutUint64(b, math.Float64bits(float64(v))) }},
		"MPI_SHORT_INT":  {0x22c, 8, 4, func(b []byte, v int) { binary.LittleEndian.PutUint16(b, uint16(v)) }},
		"MPI_2INT":       {0x22b, 8, 4, func(b []byte, v int) { binary.LittleEndian.PutUint32(b, uint32(v)) }},
	} {
		t.Run(name, func(t *testing.T) {
			run1(t, 1, func(g *guest) {
				elements := func(at int, pairs ...[2]int) []byte {
					b := g.mem[at : at+len(pairs)*c.size]
					for i := range b {
						b[i] = 0xaa
					}
					for i, p := range pairs {
						c.put(b[i*c.size:], p[0])
						g.setInts(at+i*c.size+c.index, p[1])
					}
					return b
				}
				want := append([]byte(nil), elements(rbuf, [2]int{2, 20}, [2]int{5, 11}, [2]int{9, 22})...)
				elements(sbuf, [2]int{1, 10}, [2]int{5, 11}, [2]int{3, 12})
				got := elements(rbuf, [2]int{2, 20}, [2]int{4, 21}, [2]int{9, 22})
				g.call("MPI_Reduce_local", sbuf, rbuf, 3, c.typ, abi.OpMaxloc)
				require.Equal(t, want, got)
			})
		})
	}
}

// TestMoveIsAlone: a copy between layouts, of any length, uses none of the memory that the rank's lock guards: it may be made without the lock.
func TestMoveIsAlone(t *testing.T) {
	for _, n := range []int{200, 1000} { // within one piece, and beyond
		run1(t, 1, func(g *guest) {
			g.call("MPI_Type_vector", n, 1, 2, tInt, 64)
			g.call("MPI_Type_commit", 64)
			for i := range n {
				g.setInts(sbuf+8*i, i)
			}
			p := g.p
			p.bounce = bytes.Repeat([]byte{7}, 1024) // somebody else's, who has the lock
			src, err := p.elements(sbuf, 1, p.types.get(uint32(g.int(64))))
			require.NoError(t, err)
			dst := src
			dst.Off = rbuf + 4
			p.move(dst, src)
			require.Equal(t, bytes.Repeat([]byte{7}, 1024), p.bounce)
			for i := range n {
				require.Equal(t, i, g.int(rbuf+4+8*i))
			}
		})
	}
}
