package jepsen

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
)

// TestAnyServer checks that a follower does all that the leader does, in each of the API's languages.
func TestAnyServer(t *testing.T) {
	t.Parallel()
	c := newCluster(t, shape{servers: 3, workers: 2})
	want := c.unmoved("4", steadyModule, "5", "10")
	follower := c.follower().addr

	run := startCommand(t, follower, "run", "-q", "-l", "-n", "4", "--place", "w1:2,w2:2", steadyModule, "5", "10")
	c.same(want, run)

	status, body := post(t, follower, "ListHosts", `{}`)
	require.Equal(t, http.StatusOK, status)
	var hosts struct {
		Hosts []struct {
			Name, State string
			Slots       int
		}
	}
	require.NoError(t, json.Unmarshal(body, &hosts))
	require.Len(t, hosts.Hosts, 2)
	require.Equal(t, "ready", hosts.Hosts[0].State)
	require.Equal(t, 4, hosts.Hosts[0].Slots)

	conn, err := grpc.NewClient(follower, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close() //nolint:errcheck // only read from
	health, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	require.NoError(t, err)
	require.Equal(t, grpc_health_v1.HealthCheckResponse_SERVING, health.Status)

	t.Run("errors", func(t *testing.T) { errorsAreClear(t, follower) })
	t.Run("keys", func(t *testing.T) { keysAreKept(t, c) })
}

// post calls the Control service by JSON over HTTP/1.1.
func post(t *testing.T, addr, method, body string) (status int, answer []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+"/godwit.v1.Control/"+method, bytes.NewBufferString(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close() //nolint:errcheck // read to its end
	answer, err = io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, answer
}

func errorsAreClear(t *testing.T, addr string) {
	for _, tc := range []struct {
		method, body         string
		status               int
		code, reason, detail string
	}{
		{"GetApp", `{"app":"nosuch"}`, http.StatusNotFound, "not_found", "NOT_FOUND", "nosuch"},
		{"Submit", `{"spec":{"name":"No Good"}}`, http.StatusBadRequest, "invalid_argument", "INVALID_ARGUMENT", "spec.name"},
		{"Submit", `{}`, http.StatusBadRequest, "invalid_argument", "INVALID_ARGUMENT", "spec"},
		{"Migrate", `{"app":"nosuch","to":"w1"}`, http.StatusNotFound, "not_found", "NOT_FOUND", "nosuch"},
	} {
		t.Run(tc.method+" "+tc.body, func(t *testing.T) {
			status, body := post(t, addr, tc.method, tc.body)
			require.Equal(t, tc.status, status, "%s", body)
			var e struct {
				Code, Message string
				Details       []struct {
					Type  string
					Debug struct{ Reason, Field, Fix string }
				}
			}
			require.NoError(t, json.Unmarshal(body, &e))
			require.Equal(t, tc.code, e.Code)
			require.Contains(t, e.Message, tc.detail)
			require.NotEmpty(t, e.Details)
			require.Equal(t, tc.reason, e.Details[0].Debug.Reason, "%s", body)
		})
	}
}

// keysAreKept checks that a repeated submission is the same app.
func keysAreKept(t *testing.T, c *cluster) {
	digest := string(bytes.TrimSpace([]byte(c.must("module", "push", helloModule))))
	key := uuid.NewString()
	submit := func(key string) (id string) {
		c.ask(func(ctx context.Context, control apiv1connect.ControlClient) error {
			res, err := control.Submit(ctx, &apiv1.SubmitRequest{
				IdempotencyKey: key, Spec: &apiv1.AppSpec{Name: "twice", ModuleDigest: digest, Size: 2},
			})
			id = res.GetApp().GetId()
			return err
		})
		return id
	}
	first := submit(key)
	require.Equal(t, first, submit(key))
	require.NotEqual(t, first, submit(uuid.NewString()))
	c.phase(first, "succeeded")
	require.Equal(t, first, submit(key), "also when the app has ended")
}
