package worker

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/transport"
)

// TestReasonOfAConnection: it is said that a home is not reached.
func TestReasonOfAConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // of a test
	require.NoError(t, err)
	require.NoError(t, l.Close())
	stream, err := apiv1connect.NewDataClient(transport.NewClient(transport.NewHTTPClient(), l.Addr().String())).MoveFiles(t.Context(), &apiv1.MoveFilesRequest{})
	if err == nil {
		_, err = stream.Receive()
	}
	require.Contains(t, reasonOf(err), "dial tcp "+l.Addr().String())
}

// TestFetchWatchesItsDisk: a disk that stands still is told of while it does, one that takes its time again and again is not.
func TestFetchWatchesItsDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f homeFetch
		done, stands := make(chan struct{}), make(chan time.Time, 1)
		go f.watch(done, homePatience, func() { stands <- time.Now() })
		for range 10 {
			require.NoError(t, f.onDisk(func() error { time.Sleep(homePatience - time.Second); return nil }))
		}
		require.Empty(t, stands)
		began := time.Now()
		require.NoError(t, f.onDisk(func() error {
			at := <-stands
			require.Greater(t, at.Sub(began), homePatience)
			require.LessOrEqual(t, at.Sub(began), 2*homePatience)
			return nil
		}))
		close(done)
		done = make(chan struct{})
		ended := make(chan struct{})
		go func() { f.watch(done, homePatience, func() { t.Error("nothing stands still") }); close(ended) }()
		time.Sleep(10 * homePatience)
		close(done)
		<-ended
	})
}
