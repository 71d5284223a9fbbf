package control

import (
	"context"
	"crypto/rand"
	"fmt"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
)

// RenewCodeKey implements the Control service.
func (c *Control) RenewCodeKey(ctx context.Context, req *apiv1.RenewCodeKeyRequest) (*apiv1.RenewCodeKeyResponse, error) {
	if err := checkKey(req.IdempotencyKey); err != nil {
		return nil, err
	}
	if v := c.state.View(); !v.SealsCode() {
		return nil, apierr.New(connect.CodeUnavailable, apierr.ReasonNotYet, "", fmt.Sprintf("this needs a higher feature level than the cluster's, which is %d", v.FeatureLevel()),
			"try again in a moment; if that stays, some server has an older godwit (see godwit servers)")
	}
	cmd := c.command(req.IdempotencyKey)
	cmd.Op = &apiv1.Command_SetClusterConfig{SetClusterConfig: &apiv1.SetClusterConfig{Config: &apiv1.ClusterConfig{CodeKey: newCodeKey()}, RenewCodeKey: true}}
	if _, err := c.mutate(ctx, cmd); err != nil {
		return nil, err
	}
	return &apiv1.RenewCodeKeyResponse{Index: c.state.View().Index()}, nil
}

// newCodeKey makes a key of machine code.
func newCodeKey() []byte {
	key := make([]byte, fsm.CodeKeyBytes)
	_, _ = rand.Read(key) // it never fails
	return key
}

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
