package control

import (
	"errors"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/transport"
)

// keepModule puts bytes into a server's store.
func (m *member) keepModule(t *testing.T, code []byte) {
	t.Helper()
	in, err := m.control.modules.begin(digestOf(code))
	require.NoError(t, err)
	defer in.drop()
	require.NoError(t, in.add(code))
	require.NoError(t, in.keep())
}

// TestDamagedModule: a copy that does not hold what its name says is found out, whether it was damaged before this process first
// read it or later, and comes anew from another server; where all are damaged the module is not there, and can be uploaded again.
func TestDamagedModule(t *testing.T) {
	t.Parallel()
	code := make([]byte, 3*transport.ChunkBytes)
	copy(code, "module")
	digest := digestOf(code)
	for name, spoil := range map[string]func(path string) error{
		"empty":   func(path string) error { return os.Truncate(path, 0) },
		"cut":     func(path string) error { return os.Truncate(path, 10) },
		"flipped": func(path string) error { return os.WriteFile(path, append([]byte("Module"), code[6:]...), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := newTrio(t, nil)
			var clients []apiv1connect.ClusterClient
			for i, m := range tr.servers {
				m.keepModule(t, code)
				clients = append(clients, apiv1connect.NewClusterClient(transport.NewClient(transport.NewHTTPClient(), tr.infos[i].Addr)))
			}
			fetch := func(i int) (got []byte, err error) {
				stream, err := clients[i].FetchModule(t.Context(), &apiv1.FetchModuleRequest{Digest: digest})
				require.NoError(t, err)
				for {
					m, err := stream.Receive()
					if errors.Is(err, io.EOF) {
						return got, nil
					}
					if err != nil {
						return got, err
					}
					got = append(got, m.Chunk...)
				}
			}
			path := func(i int) string { return tr.servers[i].control.modules.path(digest) }
			require.NoError(t, spoil(path(0)))
			got, err := fetch(0)
			require.NoError(t, err)
			require.Equal(t, code, got, "from another server")
			for i := range tr.servers {
				require.True(t, tr.servers[i].control.modules.has(digest))
				require.NoError(t, spoil(path(i)))
			}
			for i := range tr.servers {
				if _, err := fetch(i); err == nil {
					t.Fatal("a damaged module was sent as whole")
				}
			}
			for i := range tr.servers {
				require.NoFileExists(t, path(i))
				_, err = fetch(i)
				require.ErrorContains(t, err, "no server has module")
			}
			tr.servers[1].keepModule(t, code)
			got, err = fetch(2)
			require.NoError(t, err)
			require.Equal(t, code, got)
		})
	}
}

// TestPushModule: a server gives a module to another one, through the handler of that, once and again.
func TestPushModule(t *testing.T) {
	t.Parallel()
	tr := newTrio(t, nil)
	code := make([]byte, 3*transport.ChunkBytes)
	copy(code, "pushed")
	tr.servers[0].keepModule(t, code)
	for range 2 {
		require.NoError(t, tr.servers[0].control.push(t.Context(), tr.infos[1].Addr, digestOf(code)))
	}
	got, err := os.ReadFile(tr.servers[1].control.modules.path(digestOf(code)))
	require.NoError(t, err)
	require.Equal(t, code, got)
}
