package control

import (
	"context"
	"syscall"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/apierr"
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
	for _, why := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT} {
		res, err = pass(inputHost{has: 5, errno: why})
		require.NoError(t, err, "there may be room in a moment")
		require.EqualValues(t, 5, res.Taken)
		require.False(t, res.Kept)
		require.Contains(t, res.Trouble, "has no room")
	}
	_, err = pass(inputHost{has: 5, errno: syscall.EIO})
	require.ErrorContains(t, err, "could not keep its input")
}

// leavingHome is no home any more: asked says that it was asked.
type leavingHome struct {
	fakeHost
	asked chan struct{}
}

func (h leavingHome) Files(context.Context, *apiv1.FilesRequest) (*apiv1.FilesResponse, error) {
	select {
	case h.asked <- struct{}{}:
	default:
	}
	return nil, apierr.New(connect.CodeUnavailable, apierr.ReasonNotYet, "app", "not here", "")
}

// takingHome takes all.
type takingHome struct{ fakeHost }

func (takingHome) Files(_ context.Context, req *apiv1.FilesRequest) (*apiv1.FilesResponse, error) {
	return &apiv1.FilesResponse{At: req.At + int64(len(req.Data))}, nil
}

// An input goes where the home is: it is asked for anew when the one that was asked has it no more.
func TestInputFollowsTheHome(t *testing.T) {
	old := leavingHome{fakeHost{}, make(chan struct{}, 1)}
	b := newBench(t, nil)
	b.addrs = map[string]string{"h1": serveData(t, old), "h2": serveData(t, takingHome{fakeHost{}})}
	b.propose(&apiv1.Command{Op: &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: 4}}})
	b.running()
	b.report("h1", &apiv1.AppStatus{App: "a", Files: &apiv1.FilesStatus{Wanted: true}})
	b.l.takeReports(b.ctx)
	b.leftByRanks()
	type answer struct {
		res *apiv1.WriteInputResponse
		err error
	}
	got := make(chan answer, 1)
	go func() {
		res, err := b.l.c.WriteInput(b.ctx, &apiv1.WriteInputRequest{App: "a", Data: []byte("more")})
		got <- answer{res, err}
	}()
	<-old.asked
	files := func(what apiv1.ChangeFiles_What) {
		b.propose(&apiv1.Command{Op: &apiv1.Command_ChangeFiles{ChangeFiles: &apiv1.ChangeFiles{App: "a", Host: "h2", What: what, Move: 7}}})
	}
	files(apiv1.ChangeFiles_WHAT_MOVES)
	files(apiv1.ChangeFiles_WHAT_MOVED)
	a := <-got
	require.NoError(t, a.err)
	require.True(t, a.res.Kept, "not only after a time")
}
