package control

import (
	"context"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// inputHost is a home that has so much of an input.
type inputHost struct {
	fakeHost
	has   int64
	errno syscall.Errno
}

func (h inputHost) Files(_ context.Context, req *apiv1.FilesRequest) (*apiv1.FilesResponse, error) {
	if req.At > h.has {
		return &apiv1.FilesResponse{Errno: int32(syscall.EINVAL), At: h.has}, nil
	}
	return &apiv1.FilesResponse{Errno: int32(h.errno), At: h.has}, nil
}

// Who sends an input hears how much of it the home has, also where that is less than was sent: it is told that a part is lost, and nothing of a full disk.
func TestInputIsAhead(t *testing.T) {
	b := newBench(t, nil)
	pass := func(h inputHost) (*apiv1.WriteInputResponse, error) {
		h.fakeHost = fakeHost{}
		return b.l.c.passInput(b.ctx, serveData(t, h), &apiv1.WriteInputRequest{App: "a", At: 5, Data: []byte("more")})
	}
	res, err := pass(inputHost{has: 3})
	require.NoError(t, err)
	require.EqualValues(t, 3, res.Taken)
	require.False(t, res.Kept)
	_, err = pass(inputHost{has: 5, errno: syscall.ENOSPC})
	require.ErrorContains(t, err, "no room on its disk")
}
