package files

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// between does something of another's before each request but the first.
type between struct {
	*direct

	asked int
	other func()
}

func (b *between) Ask(req *apiv1.FilesRequest) (*apiv1.FilesResponse, error) {
	if b.asked++; b.asked > 2 { // the first opened the file
		b.other()
	}
	return b.direct.Ask(req)
}

// TestWritesAreWhole: what is written at a place is there as one, whatever others write there meanwhile, as far as it is promised; all of it is there, and where nothing else is.
func TestWritesAreWhole(t *testing.T) {
	for _, size := range []int{1, PieceBytes, PieceBytes + 1, 3*PieceBytes - 5, MaxWhole, MaxWhole + 1, 2*MaxWhole + PieceBytes + 7} {
		s, _ := newServed(t)
		others, err := s.trees[0].Open("a", unix.O_RDWR|unix.O_CREAT)
		require.NoError(t, err)
		theirs := bytes.Repeat([]byte("b"), size)
		ask := &between{direct: &direct{server: s, random: rand.New(rand.NewPCG(1, 2)), client: 7}, other: func() {
			_, err := others.WriteAt(theirs, 5)
			require.NoError(t, err)
		}}
		f, err := NewRemote(ask, false).Open("a", unix.O_RDWR)
		require.NoError(t, err)
		n, err := f.WriteAt(bytes.Repeat([]byte("a"), size), 5)
		require.NoError(t, err)
		require.Equal(t, size, n)
		got := make([]byte, size+10)
		n, _ = others.ReadAt(got, 0)
		require.Equal(t, size+5, n)
		last := size
		if size > MaxWhole {
			last = (size-1)%MaxWhole + 1 // of what is written as one behind the rest
		}
		require.Equal(t, bytes.Repeat([]byte("a"), last), got[5+size-last:5+size], "of %d bytes", size)
	}
}
