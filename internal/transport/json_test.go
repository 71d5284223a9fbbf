package transport

import (
	"strings"
	"testing"

	"connectrpc.com/connect/v2/connectproto"
	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/apierr"
)

// TestShortJSONErrors: what is wrong with a caller's JSON is said without all of it.
func TestShortJSONErrors(t *testing.T) {
	c := shortJSON{connectproto.NewJSONCodec()}
	err := c.UnmarshalRead(t.Context(), strings.NewReader(`{"from":[{"rank":"`+strings.Repeat("x", 1<<20)+`"}]}`), new(apiv1.ReadLogsRequest))
	require.ErrorContains(t, err, "invalid value for int32 field rank")
	require.LessOrEqual(t, len(err.Error()), apierr.MaxText+8)
	require.NoError(t, c.UnmarshalRead(t.Context(), strings.NewReader(`{"app":"a"}`), new(apiv1.ReadLogsRequest)))
}
