package control

import (
	"context"
	"fmt"
	"syscall"
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
	// inputPause is between two tries to give it to a home that makes its directory, or leaves it.
	inputPause = 20 * time.Millisecond
	// maxInput bounds a part of an input, in bytes.
	maxInput = 128 << 10
)

// WriteInput implements the Control service. The input is with the app's home, once there is one, wherever that is by then: a rank that reads asks for it.
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
		case ok && fsm.PhaseOf(app).Terminal() || app.GetVerdict() != "" && !again(app):
			return &apiv1.WriteInputResponse{Taken: req.At, Over: true}, nil
		}
		later := make(<-chan time.Time) // never
		if home, known := v.Host(fsm.HostID(app.GetFiles().GetHost())); known {
			res, err := c.passInput(ctx, home.Addr, req)
			if res != nil || err != nil {
				return res, err
			}
			later = time.After(inputPause)
		}
		select {
		case <-sub.C():
		case <-later:
		case <-ctx.Done():
			if ok {
				return &apiv1.WriteInputResponse{Taken: req.At}, nil
			}
		}
	}
}

// again says whether an app whose ranks are being stopped goes on from a checkpoint.
func again(app *apiv1.App) bool {
	return app.GetVerdict() == apiv1.AppQueued || app.GetVerdict() == apiv1.AppFrozen
}

// passInput gives a part of an input to the app's home. What it does not take now it may take later; nil: it may be no home, yet or any more.
func (c *Control) passInput(ctx context.Context, addr string, req *apiv1.WriteInputRequest) (*apiv1.WriteInputResponse, error) {
	op := &apiv1.FilesRequest{App: req.App, Op: apiv1.FilesRequest_OP_INPUT_WRITE, At: req.At, Data: req.Data}
	if req.End {
		op.Size = 1
	}
	res, err := apiv1connect.NewDataClient(transport.NewClient(c.http, addr)).Files(ctx, op)
	switch why := syscall.Errno(res.GetErrno()); {
	case err != nil && apierr.Info(err).GetReason() == apierr.ReasonNotYet:
		return nil, nil
	case err != nil:
		return &apiv1.WriteInputResponse{Taken: req.At, Trouble: "the host with the app's directory does not answer"}, nil //nolint:nilerr // the log says what becomes of the host
	case why != 0 && res.At < req.At: // it does not have what comes before
		return &apiv1.WriteInputResponse{Taken: res.At}, nil
	case why == syscall.ENOSPC || why == syscall.EDQUOT:
		return &apiv1.WriteInputResponse{Taken: res.At, Trouble: "the disk of the app's home has no room for it"}, nil
	case why != 0:
		return nil, apierr.New(connect.CodeInternal, apierr.ReasonInternal, "", fmt.Sprintf("the app's home could not keep its input: %v", why), "")
	}
	return &apiv1.WriteInputResponse{Taken: res.At, Kept: res.At >= req.At+int64(len(req.Data)) && res.End == req.End}, nil
}
