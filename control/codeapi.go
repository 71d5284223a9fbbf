package control

import (
	"context"
	"fmt"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
)

// CompileModule implements the Control service: it says how it stands, and waits for nothing.
func (c *Control) CompileModule(ctx context.Context, req *apiv1.CompileModuleRequest) (*apiv1.CompileModuleResponse, error) {
	if err := apierr.CheckDigest("digest", req.Digest); err != nil {
		return nil, err
	}
	v, err := c.read(ctx)
	if err != nil {
		return nil, err
	}
	mod, ok := v.Module(fsm.Digest(req.Digest))
	if !ok {
		return nil, apierr.New(connect.CodeNotFound, apierr.ReasonNotFound, "digest", fmt.Sprintf("no module %.12s", req.Digest), "godwit module push stores one, godwit module ls lists those that are")
	}
	l := c.current()
	if l == nil {
		addr, _ := c.log.Leader()
		return nil, errNotLeading(addr)
	}
	return &apiv1.CompileModuleResponse{Module: mod, Code: l.codes.standing(req.Digest, !req.Look)}, nil
}
