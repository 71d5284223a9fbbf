package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/transport"
)

const (
	// homeWait is how long it is looked for a home that can be read: it may be on its way to another host.
	homeWait = 10 * time.Second
	// homePause is between two looks.
	homePause = 50 * time.Millisecond
)

// ReadFiles implements the Control service: it passes on what the app's home says.
func (c *Control) ReadFiles(ctx context.Context, req *apiv1.ReadFilesRequest, stream apiv1connect.ControlReadFilesServerStream) error {
	transport.Yield(ctx) // it waits for another host
	begun := false
	send := func(m *apiv1.ReadFilesResponse) error {
		begun = true
		return stream.Send(m)
	}
	for until := time.Now().Add(homeWait); ; {
		host, err := c.homeOf(req.App)
		if err != nil {
			return err
		}
		err = c.passFiles(ctx, host, req, send)
		if err == nil || begun || ctx.Err() != nil || connect.CodeOf(err) != connect.CodeUnavailable || time.Now().After(until) {
			return err
		}
		if err := await(ctx, nil, homePause); err != nil {
			return err
		}
	}
}

// homeOf is the host with a running app's files.
func (c *Control) homeOf(id string) (*apiv1.Host, error) {
	v := c.state.View()
	app, ok := v.App(fsm.AppID(id))
	if !ok {
		return nil, apierr.New(connect.CodeNotFound, apierr.ReasonNotFound, "app", fmt.Sprintf("no app %.80s", id), "")
	}
	files := app.GetFiles()
	host, known := v.Host(fsm.HostID(files.GetHost()))
	switch {
	case files == nil && app.GetRestore() != "" && !fsm.PhaseOf(app).Placed():
		return nil, apierr.New(connect.CodeFailedPrecondition, apierr.ReasonRefused, "app", fmt.Sprintf("the files of app %s are in checkpoint %s, if it had any", id, app.Restore),
			"thaw it, or begin another app from the checkpoint: godwit restore "+app.Restore)
	case files == nil:
		return nil, apierr.New(connect.CodeFailedPrecondition, apierr.ReasonRefused, "app", fmt.Sprintf("app %s has no files: none of its ranks has used its directory", id), "")
	case files.Stored || !fsm.PhaseOf(app).Placed():
		return nil, apierr.New(connect.CodeFailedPrecondition, apierr.ReasonRefused, "app", fmt.Sprintf("the files of app %s are on no host any more", id), "ask again: it has ended")
	case !known:
		return nil, apierr.New(connect.CodeUnavailable, apierr.ReasonNotYet, "app", fmt.Sprintf("the files of app %s are on host %s, which is not known", id, files.Host), "")
	}
	return host, nil
}

// passFiles passes on what one host says. A host that hangs ends it: there are signs of one that works.
func (c *Control) passFiles(ctx context.Context, host *apiv1.Host, req *apiv1.ReadFilesRequest, send func(*apiv1.ReadFilesResponse) error) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	mute := apierr.New(connect.CodeDeadlineExceeded, apierr.ReasonRefused, "app", fmt.Sprintf("host %s, which has the files of app %s, says nothing of them", host.Id, req.App), "look at it: godwit hosts")
	silent := time.AfterFunc(homeSilence, func() { cancel(mute) })
	defer silent.Stop()
	defer func() {
		if err != nil && errors.Is(context.Cause(ctx), mute) {
			err = mute
		}
	}()
	stream, err := apiv1connect.NewDataClient(transport.NewClient(c.http, host.Addr)).ReadFiles(ctx, req)
	if err != nil {
		return err
	}
	for {
		silent.Reset(homeSilence)
		m, err := stream.Receive()
		silent.Stop() // the caller may take its time
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := send(m); err != nil {
			return err
		}
	}
}
