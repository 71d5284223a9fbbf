package worker

import (
	"context"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/transport"
)

const (
	// leaveLimit is how long an app's home is tried to be told that an executor is over.
	leaveLimit = time.Minute
	leavePause = time.Second
)

// leaveFiles has the app's home, on another host, close what an executor has open there, as soon as its process is gone: nothing that it has asked for may be done
// after that. A home that cannot be told keeps it until the app's end.
func (a *app) leaveFiles(ctx context.Context, c *child) {
	f := a.rec.App.GetFiles()
	if c == nil || f == nil || f.Stored || f.Host == a.host.cfg.Name {
		return
	}
	req := &apiv1.FilesRequest{App: a.id, Client: c.filesClient, Op: apiv1.FilesRequest_OP_LEAVE}
	data := apiv1connect.NewDataClient(transport.NewClient(a.host.http, a.rec.Addrs[f.Host]))
	a.host.tasks.Go(func() error {
		ctx, cancel := context.WithTimeout(ctx, leaveLimit)
		defer cancel()
		select {
		case <-c.exited:
		case <-ctx.Done():
			return nil
		}
		for {
			if _, err := data.Files(ctx, req); err == nil {
				return nil
			}
			select {
			case <-time.After(leavePause):
			case <-ctx.Done():
				return nil
			}
		}
	})
}
