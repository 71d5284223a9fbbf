package channel

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Frames of version 0x6f keep their layout.
func TestFrameLayout(t *testing.T) {
	f := Frame{
		Packet: Packet{
			Kind: Data, Seq: 11, Context: 1<<32 | 3, Tag: 4, Size: 5, Req: 6, PeerReq: 7, Off: 8, Length: 2, Payload: []byte{0xaa, 0xbb},
		},
		Src: 1, Dst: 2, Epoch: 10, Acked: Numbers{12, 14}, Consumed: 13,
	}
	b := make([]byte, HeaderBytes)
	f.Header(b)
	b = append(b, f.Payload...)
	require.Equal(t, []byte{
		0x6f, 4, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0, 7, 0, 0, 0, 8, 0, 0, 0, 2, 0, 0, 0,
		10, 0, 0, 0, 0, 0, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 13, 0, 0, 0, 0, 0, 0, 0,
		14, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0xaa, 0xbb,
	}, b)
	var got Frame
	require.True(t, got.Decode(b))
	require.Equal(t, f, got)
	require.False(t, got.Decode(b[:len(b)-1]))
	require.True(t, got.DecodeHead(b[:HeaderBytes]))
	for _, kind := range []byte{0, byte(Offer), 255} {
		b[1] = kind
		require.False(t, got.Decode(b), "kind %d", kind)
	}
}
