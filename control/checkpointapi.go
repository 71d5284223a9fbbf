package control

import (
	"context"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// Checkpoint implements the Control service.
func (c *Control) Checkpoint(context.Context, *apiv1.CheckpointRequest) (*apiv1.CheckpointResponse, error) {
	return nil, connect.NewError(connect.CodeUnimplemented, "")
}

// ListCheckpoints implements the Control service.
func (c *Control) ListCheckpoints(context.Context, *apiv1.ListCheckpointsRequest) (*apiv1.ListCheckpointsResponse, error) {
	return nil, connect.NewError(connect.CodeUnimplemented, "")
}

// RemoveCheckpoint implements the Control service.
func (c *Control) RemoveCheckpoint(context.Context, *apiv1.RemoveCheckpointRequest) (*apiv1.RemoveCheckpointResponse, error) {
	return nil, connect.NewError(connect.CodeUnimplemented, "")
}
