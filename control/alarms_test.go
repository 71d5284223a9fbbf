package control

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// TestAlarmsAreShownUntilCleared: in the list of servers and where health is asked, which stays good.
func TestAlarmsAreShownUntilCleared(t *testing.T) {
	const index = 7
	cfg := DefaultConfig()
	cfg.Addr, cfg.DataDir = "127.0.0.1:1", t.TempDir()
	cfg.Inspect = func([]byte) (*apiv1.Module, error) { return nil, nil }
	long := "the books are wrong\n" + strings.Repeat("x", 9*maxAlarmShown)
	m := fsm.NewAlarmed(&apiv1.Alarm{Index: index, What: long, At: timestamppb.Now()})
	c, err := New(cfg, m, &memoryLog{machine: m, index: m.View().Index()}, noGroup{}, noPeers{}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	ready := func() string {
		w := httptest.NewRecorder()
		c.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil))
		require.Equal(t, http.StatusOK, w.Code)
		return w.Body.String()
	}
	list := func() []*apiv1.Alarm {
		res, err := c.ListServers(t.Context(), &apiv1.ListServersRequest{})
		require.NoError(t, err)
		return res.Alarms
	}
	said := ready()
	require.Equal(t, map[string]string{"": "SERVING", AlarmService: "NOT_SERVING"}, healthOf(t, c, said))
	require.Contains(t, said, "alarm: entry 7 was refused")
	require.Equal(t, 1, strings.Count(said, "\n"))
	require.Less(t, len(said), 2*maxAlarmShown)
	alarms := list()
	require.Len(t, alarms, 1)
	require.EqualValues(t, index, alarms[0].Index)

	_, err = c.ClearAlarms(t.Context(), &apiv1.ClearAlarmsRequest{})
	require.ErrorContains(t, err, "index")
	_, err = c.ClearAlarms(t.Context(), &apiv1.ClearAlarmsRequest{Index: index - 1})
	require.NoError(t, err)
	require.Len(t, list(), 1, "nobody has seen it")
	for range 2 { // again, as a client does that got no answer
		_, err = c.ClearAlarms(t.Context(), &apiv1.ClearAlarmsRequest{IdempotencyKey: "k", Index: index})
		require.NoError(t, err)
	}
	require.Empty(t, ready())
	require.Empty(t, list())
	require.Equal(t, map[string]string{"": "SERVING", AlarmService: "SERVING"}, healthOf(t, c, ""))
}

// healthOf is what grpc.health.v1 says, by Check and by List: of the server, and of alarms, which it names as /readyz does.
func healthOf(t *testing.T, c *Control, alarms string) map[string]string {
	t.Helper()
	srv := httptest.NewUnstartedServer(c.Handler())
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Start()
	defer srv.Close()
	conn, err := grpc.NewClient(srv.Listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close() //nolint:errcheck // only read from
	health := grpc_health_v1.NewHealthClient(conn)
	list, err := health.List(t.Context(), &grpc_health_v1.HealthListRequest{})
	require.NoError(t, err)
	out := map[string]string{}
	for _, service := range []string{"", AlarmService} {
		var header metadata.MD
		res, err := health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: service}, grpc.Header(&header))
		require.NoError(t, err)
		require.Equal(t, res.Status, list.Statuses[service].Status)
		require.Equal(t, strings.ReplaceAll(strings.TrimSpace(alarms), "…", "?"), strings.Join(header.Get("godwit-alarm"), "\n"))
		out[service] = res.Status.String()
	}
	_, err = health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "nosuch"})
	require.Equal(t, "NotFound", status.Code(err).String())
	return out
}

func TestDiffersAt(t *testing.T) {
	at := func(index uint64, hash string) *apiv1.HashRecord {
		return &apiv1.HashRecord{Index: index, Hash: []byte(hash)}
	}
	own := []*apiv1.HashRecord{at(1, "a"), at(2, "b"), at(3, "c")}
	require.Zero(t, differsAt(own, own))
	require.Zero(t, differsAt(own, nil))
	require.Zero(t, differsAt(own, own[:2]), "it lags")
	require.EqualValues(t, 3, differsAt(own, []*apiv1.HashRecord{at(2, "b"), at(3, "x")}))
	require.EqualValues(t, 2, differsAt(own, []*apiv1.HashRecord{at(2, "x"), at(9, "y")}))
	require.Zero(t, differsAt(own, []*apiv1.HashRecord{at(2, "x"), at(3, "c")}), "it was built anew")
}

// withPast has found a server of the cluster that was.
type withPast struct{ noPeers }

func (withPast) Past() []Peer { return []Peer{{ID: "s2", Addr: "a2:1", ClusterID: "before"}} }

// TestPastServersAreShown: in the list of servers and where health is asked, which stays good.
func TestPastServersAreShown(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Addr, cfg.DataDir = "127.0.0.1:1", t.TempDir()
	cfg.Inspect = func([]byte) (*apiv1.Module, error) { return nil, nil }
	m := fsm.New()
	c, err := New(cfg, m, &memoryLog{machine: m}, noGroup{}, withPast{}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	res, err := c.ListServers(t.Context(), &apiv1.ListServersRequest{})
	require.NoError(t, err)
	require.Len(t, res.PastServers, 1)
	require.Equal(t, "a2:1", res.PastServers[0].Addr)
	require.Equal(t, map[string]string{"": "SERVING", AlarmService: "NOT_SERVING"}, healthOf(t, c, "alarm: "+res.PastServers[0].What))
	for _, want := range []string{"server s2 at a2:1", "cluster before", "does not know", "goes by itself"} {
		require.Contains(t, res.PastServers[0].What, want)
	}

	// Where the workers are decides which cluster goes.
	b := newBench(t, nil)
	b.l.c.peers = withPast{}
	b.host("h1", 1)
	unknown := func() {
		t.Helper()
		what := b.l.c.pastServers()[0].What
		require.Contains(t, what, "which of them has the workers this server does not know")
		require.NotContains(t, what, "data director")
	}
	unknown() // it does not lead
	b.l.sessions = newSessions()
	b.l.c.setLeader(b.l)
	defer b.l.c.setLeader(nil)
	h, ok := b.l.c.state.View().Host("h1")
	require.True(t, ok)
	b.l.expect(h, time.Now())
	unknown() // a host that the log calls ready may be of before a recovery
	s := newSession("h1", "i-h1", func() {})
	require.True(t, b.l.sessions.add(s))
	b.l.sessions.remove(s) // it may come again
	what := b.l.c.pastServers()[0].What
	require.Contains(t, what, "stop that server")
	require.Contains(t, what, "has accepted since the recovery, apps for one, is lost with it")
	require.NotContains(t, what, "stop this cluster")
	b.l.sessions.endOf("h1", "i-h1")
	for _, want := range []string{"This cluster has no worker", "start them with empty ones", "what this cluster has accepted since it was recovered, apps for one, is lost"} {
		require.Contains(t, b.l.c.pastServers()[0].What, want)
	}
}

// TestRecoveredApartIsShown: of two clusters that were recovered from one each says that there is the other, and what to do.
func TestRecoveredApartIsShown(t *testing.T) {
	for here, which := range map[workersHere]string{
		someWorkers: "this cluster has workers: keep it", noWorkers: "this cluster has no worker: keep the other", workersUnknown: "this server does not know. Once its cluster has a leader godwit servers says it, at the latest when the leases of the workers that were there are over: stop nothing before",
	} {
		said := pastText(Peer{ID: "s2", Addr: "a2:1", ClusterID: "other", Apart: true}, here)
		for _, want := range []string{"s2 at a2:1", "cluster other", "recovered from the same cluster", which, "goes by itself"} {
			require.Contains(t, said, want)
		}
	}
}
