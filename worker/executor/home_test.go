package executor

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/files"
	"github.com/godwit-run/godwit/internal/transport"
)

// homeService is another host, which is the app's home.
type homeService struct {
	apiv1connect.UnimplementedDataHandler

	server *files.Server
}

func (s homeService) Files(_ context.Context, req *apiv1.FilesRequest) (*apiv1.FilesResponse, error) {
	return s.server.Do(req), nil
}

// TestRankComesAgain: what a rank asks of the home on a host where it has been before is new, whatever it asked there then.
func TestRankComesAgain(t *testing.T) {
	tree, err := files.OpenLocal(t.TempDir(), false)
	require.NoError(t, err)
	input, err := files.NewInput(t.TempDir())
	require.NoError(t, err)
	server := files.NewServer(tree, tree, input)
	defer server.Close()                       //nolint:errcheck // of a test
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
	require.NoError(t, err)
	s := connect.NewServer()
	apiv1connect.RegisterDataHandler(s, homeService{server: server})
	mux := http.NewServeMux()
	transport.Mount(mux, s)
	served := make(chan error, 1)
	go func() { served <- transport.Serve(t.Context(), l, mux) }()
	t.Cleanup(func() { require.NoError(t, <-served) })

	e := &Executor{home: newHome("a", 1, func() {}, slog.New(slog.DiscardHandler))}
	require.NoError(t, e.home.set(&apiv1.ExecHome{Host: "other", Addr: l.Addr().String()}))
	for _, name := range []string{"one", "two", "three"} { // stays of the rank
		tree := e.rankMounts(t.Context(), 1)[0].Tree
		for _, end := range []string{"a", "b"} {
			_, err := tree.Open(name+end, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY)
			require.NoError(t, err, name)
		}
	}
}

// TestHomeComesHere: what a rank asks for is on this host's disk once the home is here, and on another host again when it has left.
func TestHomeComesHere(t *testing.T) {
	h := newHome("a", 0, func() {}, slog.New(slog.DiscardHandler))
	homes := [2]string{t.TempDir(), t.TempDir()}
	for _, dir := range homes {
		for _, part := range []string{apiv1.HomeKept, apiv1.HomeScratch} {
			require.NoError(t, os.Mkdir(filepath.Join(dir, part), 0o700))
		}
		require.NoError(t, h.set(&apiv1.ExecHome{Host: "other", Addr: "127.0.0.1:1"}))
		tree := &homeTree{&homeLane{home: h, ctx: t.Context()}, nil, 0}
		now, err := tree.tree()
		require.NoError(t, err)
		require.IsType(t, (*files.Remote)(nil), now)
		require.NoError(t, h.set(&apiv1.ExecHome{Host: "here", Addr: "127.0.0.1:1", Dir: dir}))
		require.NoError(t, tree.Mkdir("d"))
		require.DirExists(t, filepath.Join(dir, apiv1.HomeKept, "d"))
	}
}
