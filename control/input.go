package control

import (
	"context"
	"fmt"
	"time"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/transport"
)

const (
	// inputWait is how long a part of an input waits for somebody who reads.
	inputWait = 10 * time.Second
	// maxInput bounds a part of an input, in bytes.
	maxInput = 128 << 10
)

// WriteInput implements the Control service. The input is with the app's home, once there is one: a rank that reads asks for it.
func (c *Control) WriteInput(ctx context.Context, req *apiv1.WriteInputRequest) (*apiv1.WriteInputResponse, error) {
	if len(req.Data) > maxInput || req.At < 0 {
		return nil, invalid("data", fmt.Sprintf("%d bytes at %d", len(req.Data), req.At), fmt.Sprintf("send at most %d", maxInput))
	}
	transport.Yield(ctx) // it may wait
	ctx, cancel := context.WithTimeout(ctx, inputWait)
	defer cancel()
	sub := c.state.Feed().Subscribe(fsm.OfApp(fsm.AppID(req.App)))
	defer sub.Close()
	for {
		v := c.state.View()
		app, ok := v.App(fsm.AppID(req.App))
		switch {
		case !ok && ctx.Err() != nil:
			return nil, apierr.New(connect.CodeNotFound, apierr.ReasonNotFound, "app", fmt.Sprintf("no app %.80s", req.App), "")
		case ok && fsm.PhaseOf(app).Terminal() || app.GetVerdict() != "":
			return &apiv1.WriteInputResponse{Taken: req.At, Over: true}, nil
		}
		if home, ok := v.Host(fsm.HostID(app.GetFiles().GetHost())); ok {
			return c.passInput(ctx, home.Addr, req)
		}
		select {
		case <-sub.C():
		case <-ctx.Done():
			if ok {
				return &apiv1.WriteInputResponse{Taken: req.At}, nil
			}
		}
	}
}

// passInput gives a part of an input to the app's home. What it does not take now it may take later.
func (c *Control) passInput(ctx context.Context, addr string, req *apiv1.WriteInputRequest) (*apiv1.WriteInputResponse, error) {
	op := &apiv1.FilesRequest{App: req.App, Op: apiv1.FilesRequest_OP_INPUT_WRITE, At: req.At, Data: req.Data}
	if req.End {
		op.Size = 1
	}
	for {
		res, err := apiv1connect.NewDataClient(transport.NewClient(c.http, addr)).Files(ctx, op)
		switch {
		case err == nil && res.Errno != 0 && res.At < req.At: // it does not have what comes before
			return &apiv1.WriteInputResponse{Taken: res.At}, nil
		case err == nil && res.Errno != 0:
			return nil, apierr.New(connect.CodeInternal, apierr.ReasonInternal, "", "the app's home could not keep its input (it may have no room on its disk)", "")
		case err == nil:
			return &apiv1.WriteInputResponse{Taken: res.At, Kept: res.At >= req.At+int64(len(req.Data)) && res.End == req.End}, nil
		case apierr.Info(err).GetReason() != apierr.ReasonNotYet:
			return &apiv1.WriteInputResponse{Taken: req.At}, nil //nolint:nilerr // the log says what becomes of the host
		}
		select {
		case <-time.After(20 * time.Millisecond): // it makes the directory
		case <-ctx.Done():
			return &apiv1.WriteInputResponse{Taken: req.At}, nil
		}
	}
}
