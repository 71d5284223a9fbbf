package control

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/transport"
)

// TestFieldsOfNewerClients: what a client asks for that this build does not know is refused before it comes to the log, which nobody could apply.
func TestFieldsOfNewerClients(t *testing.T) {
	b := newBench(t, nil)
	b.l.c.setLeader(b.l)
	addr := serve(t, b.l.c)
	before := b.log.index
	client := apiv1connect.NewControlClient(transport.NewClient(transport.NewHTTPClient(), addr))
	req := &apiv1.SubmitRequest{IdempotencyKey: "00000000-0000-4000-8000-000000000000", Spec: &apiv1.AppSpec{Name: "a", Size: 1, ModuleDigest: testDigest}}
	req.Spec.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 999, protowire.VarintType), 1))
	_, err := client.Submit(t.Context(), req)
	require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(err), "%v", err)
	require.ErrorContains(t, err, "a field of AppSpec that this server does not know: use a godwit of the servers' version")

	post, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+apiv1connect.ControlSubmitProcedure, bytes.NewReader([]byte(`{"spec":{"name":"a","nonsense":5}}`)))
	require.NoError(t, err)
	post.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(post)
	require.NoError(t, err)
	defer res.Body.Close() //nolint:errcheck // only read from
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Contains(t, string(body), `unknown field \"nonsense\"`)
	require.Equal(t, before, b.log.index, "nothing of it is in the log")
}
