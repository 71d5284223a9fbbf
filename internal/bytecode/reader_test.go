package bytecode

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNumbers(t *testing.T) {
	for _, tt := range []struct {
		name string
		data string
		read func(r *Reader) int64
		want int64
		fail error
	}{
		{"u32, one byte", "\x7f", unsigned, 127, nil},
		{"u32, most", "\xff\xff\xff\xff\x0f", unsigned, math.MaxUint32, nil},
		{"u32, of 33 bits", "\xff\xff\xff\xff\x1f", unsigned, 0, errLong},
		{"u32, of 6 bytes", "\x80\x80\x80\x80\x80\x00", unsigned, 0, errLong},
		{"u32, cut short", "\x80", unsigned, 0, ErrTruncated},
		{"i32, least", "\x80\x80\x80\x80\x78", signed(32), math.MinInt32, nil},
		{"i32, -1", "\x7f", signed(32), -1, nil},
		{"i64, least", "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x7f", signed(64), math.MinInt64, nil},
		{"i64, of 11 bytes", "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", signed(64), 0, errLong},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &Reader{Data: []byte(tt.data)}
			require.Equal(t, tt.want, tt.read(r))
			require.ErrorIs(t, r.Err, tt.fail)
			require.Empty(t, r.Data)
		})
	}
}

func unsigned(r *Reader) int64 { return int64(r.U32()) }

func signed(bits int) func(r *Reader) int64 {
	return func(r *Reader) int64 { return r.Signed(bits) }
}

func TestNamesAndVectors(t *testing.T) {
	r := &Reader{Data: []byte("\x02ab\x02\x01\x02\x01\xff")}
	require.Equal(t, "ab", r.Name())
	var got []byte
	r.Vector(func() { got = append(got, r.Byte()) })
	require.Equal(t, []byte{1, 2}, got)
	require.Empty(t, r.Name())
	require.ErrorContains(t, r.Err, "not UTF-8")
	first := r.Err
	require.Zero(t, r.Byte())
	require.Equal(t, first, r.Err, "the first error sticks")

	r = &Reader{Data: []byte("\xff\xff\xff\xff\x0f\x00")}
	r.Vector(func() { t.Fatal("it has more elements than bytes") })
	require.ErrorIs(t, r.Err, ErrTruncated)

	r = &Reader{Data: []byte("\x01\x07\x09")}
	part := r.Sized()
	require.Equal(t, byte(7), part.Byte())
	require.Equal(t, byte(9), r.Byte())
}
