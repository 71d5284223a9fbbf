package worker

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestArrivalsAreBoundedAndSummed: what comes with a rank has a bound each, and an image is what its source has sent, or nothing.
func TestArrivalsAreBoundedAndSummed(t *testing.T) {
	arrives := func() *arrival {
		return &arrival{
			header: &apiv1.TransferHeader{Rank: 1}, maxSize: 10, sum: sha256.New(),
			imageW: bufio.NewWriter(io.Discard), logW: bufio.NewWriter(io.Discard),
		}
	}
	image := func(s string) *apiv1.TransferRequest {
		return &apiv1.TransferRequest{Msg: &apiv1.TransferRequest_Image{Image: []byte(s)}}
	}
	end := func(digest string) *apiv1.TransferRequest {
		return &apiv1.TransferRequest{Msg: &apiv1.TransferRequest_End{End: &apiv1.TransferEnd{Digest: digest}}}
	}
	sum := sha256.Sum256([]byte("0123456789"))
	digest := hex.EncodeToString(sum[:])

	a := arrives()
	require.NoError(t, a.add(image("0123456789")))
	require.NoError(t, a.add(end(digest)))
	require.Equal(t, digest, a.digest)
	require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(a.add(image("x"))), "over its bound")

	a = arrives()
	require.NoError(t, a.add(image("0123456780")))
	require.Equal(t, connect.CodeDataLoss, connect.CodeOf(a.add(end(digest))))

	a = arrives()
	a.logSize = maxLogFile - 1
	log := &apiv1.TransferRequest{Msg: &apiv1.TransferRequest_Log{Log: []byte("x")}}
	require.NoError(t, a.add(log))
	require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(a.add(log)))
}
