package fleet

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/google/uuid"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/client"
)

// patience is how long a call is tried while no server answers.
const patience = time.Minute

// callLimit bounds one call.
const callLimit = 2 * time.Minute

// api is the cluster as its users see it.
type api struct{ *client.Client }

func newAPI(addrs []string) (api, error) {
	c, err := client.New(strings.Join(addrs, ","), patience)
	return api{c}, err
}

func call[Req, Res any](ctx context.Context, a api, method func(apiv1connect.ControlClient, context.Context, *Req) (*Res, error), req *Req) (res *Res, err error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	err = a.Do(ctx, func(ctx context.Context, c apiv1connect.ControlClient) error {
		res, err = method(c, ctx, req)
		return err
	})
	return res, err
}

// leader is the leader's address, and the log's index.
func (a api) leader(ctx context.Context) (addr string, index uint64, err error) {
	res, err := call(ctx, a, apiv1connect.ControlClient.ListServers, &apiv1.ListServersRequest{})
	if err != nil {
		return "", 0, err
	}
	for _, s := range res.Servers {
		if s.Role == "leader" {
			return s.Addr, res.Index, nil
		}
	}
	return "", 0, fmt.Errorf("fleet: no leader among %d servers", len(res.Servers))
}

// submit returns the app's id once it is accepted.
func (a api) submit(ctx context.Context, spec *apiv1.AppSpec) (string, error) {
	res, err := call(ctx, a, apiv1connect.ControlClient.Submit, &apiv1.SubmitRequest{IdempotencyKey: uuid.NewString(), Spec: spec})
	if err != nil {
		return "", err
	}
	return res.App.Id, nil
}

// ready is how many hosts can take ranks.
func (a api) ready(ctx context.Context) (int, error) {
	n, token := 0, ""
	for {
		res, err := call(ctx, a, apiv1connect.ControlClient.ListHosts, &apiv1.ListHostsRequest{PageToken: token})
		if err != nil {
			return 0, err
		}
		for _, h := range res.Hosts {
			if h.State == "ready" && h.Unreached == "" && h.Unfit == "" {
				n++
			}
		}
		if token = res.NextPageToken; token == "" {
			return n, nil
		}
	}
}

// wish says what is wished of a host.
func (a api) wish(ctx context.Context, host, wish string) error {
	_, err := call(ctx, a, apiv1connect.ControlClient.SetHostWish, &apiv1.SetHostWishRequest{IdempotencyKey: uuid.NewString(), Host: host, Wish: wish, Reason: "bench"})
	return err
}

// inUse says whether anything is on a host.
func (a api) inUse(ctx context.Context, host string) (bool, error) {
	res, err := call(ctx, a, apiv1connect.ControlClient.GetHost, &apiv1.GetHostRequest{Host: host})
	if err != nil {
		return false, err
	}
	return res.Host.InUse, nil
}

// phases are how the servers say that apps have ended, or not, by id.
func (a api) phases(ctx context.Context) (map[string]string, error) {
	out, token := map[string]string{}, ""
	for {
		res, err := call(ctx, a, apiv1connect.ControlClient.ListApps, &apiv1.ListAppsRequest{All: true, PageToken: token})
		if err != nil {
			return nil, err
		}
		for _, app := range res.Apps {
			out[app.Id] = app.Phase
		}
		if token = res.NextPageToken; token == "" {
			return out, nil
		}
	}
}

// push gives the servers the module, as soon as there is a leader, and returns its digest.
func push(ctx context.Context, godwit, module string, addrs []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, godwit, "module", "push", module) //nolint:gosec // the binary that is measured
	cmd.Env = append(cmd.Environ(), "GODWIT_ADDR="+strings.Join(addrs, ","))
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("fleet: godwit module push: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}
