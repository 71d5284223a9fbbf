package control

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/transport"
)

// TestRequestsThatWaitHoldUpNoOthers: more of each kind than a server works on at a time wait for what does not come: for a module of
// another server, for an app's end, for output. Others are answered meanwhile.
func TestRequestsThatWaitHoldUpNoOthers(t *testing.T) {
	b := newBench(t, nil)
	c := b.l.c
	s := stillServer{asked: make(chan struct{}, 1000), ended: make(chan struct{}, 1000)}
	c.group = groupOf{servers: []ServerInfo{{ID: "s1", Voter: true}, {ID: "s2", Addr: answersAs(t, s), Voter: true}}}
	digest := digestOf([]byte("elsewhere"))
	b.know(digest)
	b.submit("a", &apiv1.AppSpec{Size: 1})
	addr := serve(t, c)
	t.Cleanup(c.errands.end)
	client := apiv1connect.NewControlClient(transport.NewClient(transport.NewHTTPClient(), addr))
	cluster := apiv1connect.NewClusterClient(transport.NewClient(transport.NewHTTPClient(), addr))
	many := 8 * runtime.GOMAXPROCS(0)
	for name, wait := range map[string]func(ctx context.Context){
		"a look for a module": func(ctx context.Context) { _, _ = client.ListModules(ctx, &apiv1.ListModulesRequest{Digest: digest}) },
		"an app's end":        func(ctx context.Context) { _, _ = client.WaitApp(ctx, &apiv1.WaitAppRequest{App: "a"}) },
		"output": func(ctx context.Context) {
			if s, err := client.Logs(ctx, &apiv1.LogsRequest{App: "a", Follow: true}); err == nil {
				_, _ = s.Receive()
			}
		},
		"a module": func(ctx context.Context) {
			if s, err := cluster.FetchModule(ctx, &apiv1.FetchModuleRequest{Digest: digest}); err == nil {
				for err == nil {
					_, err = s.Receive()
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			var under sync.WaitGroup
			for range many {
				under.Go(func() { wait(ctx) })
			}
			for range 200 { // whether all wait by then or not
				asks, end := context.WithTimeout(t.Context(), time.Minute)
				_, err := client.ListHosts(asks, &apiv1.ListHostsRequest{})
				end()
				require.NoError(t, err)
			}
			cancel()
			under.Wait()
		})
	}
}
