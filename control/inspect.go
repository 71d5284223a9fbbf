package control

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/transport"
)

// inspectWait is how long a host may take to say what its ranks do: what its executor may take, and some more.
const inspectWait = 3 * time.Second

// maxInspected bounds how many hosts are asked at once.
const maxInspected = 32

// InspectRanks implements the Control service: what each rank does now, as its host says. A host that does not answer
// costs its ranks' lines, not the call.
func (c *Control) InspectRanks(ctx context.Context, req *apiv1.InspectRanksRequest) (*apiv1.InspectRanksResponse, error) {
	v, app, err := c.find(ctx, req.App)
	if err != nil {
		return nil, err
	}
	res := &apiv1.InspectRanksResponse{App: c.shown(v, app), Index: v.Index()}
	if len(app.Placement) == 0 || fsm.PhaseOf(app).Terminal() {
		return res, nil
	}
	transport.Yield(ctx)
	if res = c.inspect(ctx, v, res, req.Traffic); allWait(res) && !req.Traffic {
		again := c.inspect(ctx, v, &apiv1.InspectRanksResponse{App: res.App, Index: res.Index}, false)
		again.Deadlock = allWait(again) && slices.EqualFunc(res.Ranks, again.Ranks, func(a, b *apiv1.RankDoing) bool { return proto.Equal(a.Wait, b.Wait) })
		return again, nil
	}
	return res, nil
}

// allWait says whether all ranks that have not ended wait for others, and nothing is on its way between them. That it is so at one moment shows
// only when it is so again, with no rank having gone on: package mpi, Standing.
func allWait(res *apiv1.InspectRanksResponse) bool {
	sent, received, ended, waiting := uint64(0), uint64(0), int32(0), 0
	for _, r := range res.Ranks {
		if res.App.HasEnded(r.Rank) {
			ended++
		}
	}
	for _, r := range res.Ranks {
		switch {
		case res.App.HasEnded(r.Rank):
			continue
		case r.Wait == nil || r.Wait.Over != ended:
			return false
		}
		sent, received, waiting = sent+r.Wait.Sent, received+r.Wait.Received, waiting+1
	}
	return waiting > 0 && sent == received && res.App.Verdict == "" && res.App.MigrationId == ""
}

// inspect asks every host that has a live rank of the app.
func (c *Control) inspect(ctx context.Context, v *fsm.View, res *apiv1.InspectRanksResponse, traffic bool) *apiv1.InspectRanksResponse {
	app := res.App
	var hosts []string
	for rank, host := range app.Placement {
		if !app.HasEnded(int32(rank)) && !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	answers := make([]*apiv1.InspectResponse, len(hosts))
	var g errgroup.Group
	g.SetLimit(maxInspected)
	for i, host := range hosts {
		g.Go(func() error {
			answers[i] = c.inspectHost(ctx, v, host, app.Id, traffic)
			return nil
		})
	}
	_ = g.Wait() // the functions return no errors
	for rank, host := range app.Placement {
		line := &apiv1.RankDoing{Rank: int32(rank), Host: host}
		if st := app.RankState(int32(rank)); st.Ended {
			line.Doing = strings.TrimSpace(fmt.Sprintf("ended with %d %s", st.ExitCode, st.Reason))
		} else {
			say(answers[slices.Index(hosts, host)], line)
		}
		res.Ranks = append(res.Ranks, line)
	}
	return res
}

// inspectHost asks one host. What goes wrong is the reason why nothing is known of its ranks.
func (c *Control) inspectHost(ctx context.Context, v *fsm.View, name, app string, traffic bool) *apiv1.InspectResponse {
	host, ok := v.Host(fsm.HostID(name))
	if !ok || fsm.HostStateOf(host).Gone() {
		return &apiv1.InspectResponse{Reason: "its host is gone"}
	}
	asking, cancel := context.WithTimeout(ctx, inspectWait)
	defer cancel()
	client := apiv1connect.NewDataClient(transport.NewClient(c.http, host.Addr))
	res, err := client.Inspect(asking, &apiv1.InspectRequest{App: app, Traffic: traffic})
	switch {
	case err != nil && asking.Err() != nil && ctx.Err() == nil:
		return &apiv1.InspectResponse{Reason: fmt.Sprintf("the host has not answered within %v", inspectWait)}
	case err != nil:
		return &apiv1.InspectResponse{Reason: "the host does not answer: " + apierr.Message(err)}
	}
	return res
}

// say fills in what a host says of a rank.
func say(answer *apiv1.InspectResponse, line *apiv1.RankDoing) {
	for _, r := range answer.Ranks {
		if r.Rank == line.Rank {
			line.Doing, line.Wait, line.Heard, line.MemoryBytes = r.Doing, r.Wait, r.Heard, r.MemoryBytes
			return
		}
	}
	line.Doing = answer.Reason
}
