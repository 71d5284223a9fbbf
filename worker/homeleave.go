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

// leaveFiles has the app's home, wherever that is by then, close what an executor has open there, as soon as its process is gone: nothing that it has asked for
// may be done after that. A home that cannot be told keeps it until the app's end.
func (a *app) leaveFiles(ctx context.Context, c *child) {
	rec := a.part.Record()
	if c == nil || rec.App.GetFiles() == nil {
		return
	}
	req := &apiv1.FilesRequest{App: a.id, Client: c.filesClient, Op: apiv1.FilesRequest_OP_LEAVE}
	a.host.tasks.Go(func() error {
		ctx, cancel := context.WithTimeout(ctx, leaveLimit)
		defer cancel()
		select {
		case <-c.exited:
		case <-ctx.Done():
			return nil
		}
		for {
			if now := a.host.record(a.id); now != nil { // else the app is over here
				rec = now
			}
			if a.tellHomeOf(ctx, rec, req) {
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

// tellHomeOf tells the app's home of an executor that is over, and says whether it knows, or need not.
func (a *app) tellHomeOf(ctx context.Context, rec *apiv1.AppRecord, req *apiv1.FilesRequest) bool {
	f := rec.App.GetFiles()
	if f == nil || f.Stored {
		return true
	}
	if f.Host != a.host.cfg.Name {
		_, err := apiv1connect.NewDataClient(transport.NewClient(a.host.http, rec.Addrs[f.Host])).Files(ctx, req)
		return err == nil
	}
	select {
	case <-a.done: // with its home
		return true
	default:
	}
	server := a.serving.Load()
	return server != nil && server.Try(req) != nil
}
