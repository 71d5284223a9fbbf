package files

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// resumed has another process serve what a server has served.
func resumed(t *testing.T, s *Server, dir string) *Server {
	t.Helper()
	var all []*apiv1.FilePart
	s.Seal()
	require.NoError(t, s.Quiet(t.Context()))
	require.NoError(t, s.Save(t.Context(), func(uint64) string { return "" }, func(p *apiv1.FilePart) error { all = append(all, proto.CloneOf(p)); return nil }))
	require.NoError(t, s.Close())
	to, _, err := Resume(dir, func() (*apiv1.FilePart, error) {
		p := all[0]
		all = all[1:]
		return p, nil
	})
	require.NoError(t, err)
	require.Empty(t, all)
	t.Cleanup(func() { _ = to.Close() })
	return to
}

// TestResume: what clients have open, have done last and have locked is as it was when another process serves the same directory, and the standard input goes on.
func TestResume(t *testing.T) {
	s, dir := newServed(t)
	input, err := OpenInput(dir, false)
	require.NoError(t, err)
	s.input = input
	ask := func(req *apiv1.FilesRequest) *apiv1.FilesResponse {
		req.Client, req.Lane = 7, 3
		res := s.Do(req)
		require.NotNil(t, res)
		require.Zero(t, res.Errno, "%v", req)
		return res
	}
	ask(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_MKDIR, Path: "d", Number: 1})
	ask(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_OPEN, Path: "d/f", Flags: int32(os.O_RDWR | os.O_CREATE), Handle: 5, Number: 2})
	ask(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_APPEND, Handle: 5, Data: []byte("one"), Number: 3})
	s.Do(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_INPUT_WRITE, Data: []byte("hello")})
	for range 3 {
		s = resumed(t, s, dir)
		require.EqualValues(t, 3, ask(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_APPEND, Handle: 5, Data: []byte("one"), Number: 3}).At, "it is done once")
	}
	ask(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_APPEND, Handle: 5, Data: []byte("two"), Number: 4})
	require.Equal(t, "onetwo", string(ask(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_READ, Handle: 5, Size: 10, Number: 5}).Data))
	require.Equal(t, "hello", string(ask(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_INPUT_READ, Size: 10, Number: 6}).Data))
	require.True(t, s.Do(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_INPUT_WRITE, At: 5, Size: 1}).End)
	s = resumed(t, s, dir)
	require.True(t, ask(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_INPUT_READ, At: 5, Size: 10, Number: 7}).End)

	require.NoError(t, s.trees[0].Unlink("d/f"))
	id := ask(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_FILE_STAT, Handle: 5, Number: 8}).Info.Id
	for n := range uint64(3) {
		s = resumed(t, s, dir)
		res := ask(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_READ, Handle: 5, Size: 10, Number: 9 + 2*n})
		require.Equal(t, "onetwo", string(res.Data), "it has no name")
		require.Equal(t, id, ask(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_FILE_STAT, Handle: 5, Number: 10 + 2*n}).Info.Id)
	}
}

// TestInputAfterACrash: what has come of a standard input is there, and it goes on.
func TestInputAfterACrash(t *testing.T) {
	home := t.TempDir()
	in, err := OpenInput(home, false)
	require.NoError(t, err)
	require.EqualValues(t, 5, in.do(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_INPUT_WRITE, Data: []byte("hello")}).At)
	in, err = OpenInput(home, true)
	require.NoError(t, err)
	require.EqualValues(t, 7, in.do(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_INPUT_WRITE, At: 3, Data: []byte("lo, w"), Size: 1}).At-1)
	require.Equal(t, "lo, w", string(in.do(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_INPUT_READ, At: 3, Size: 10}).Data))
	in, err = OpenInput(home, true)
	require.NoError(t, err)
	require.True(t, in.do(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_INPUT_READ, At: 8, Size: 10}).End)
	in, err = OpenInput(home, false)
	require.NoError(t, err)
	require.Zero(t, in.size)
	require.NoError(t, RemoveInput(home))
}
