package control

import (
	"context"
	"fmt"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/gate"
	"github.com/godwit-run/godwit/internal/transport"
)

// Files that apps begin with, or have left, are blobs in the servers' stores, beside the modules: they come, are passed on to a majority, are kept while the
// state names them, and are collected as those are.

// FindBlobs implements the Control service.
func (c *Control) FindBlobs(ctx context.Context, req *apiv1.FindBlobsRequest) (*apiv1.FindBlobsResponse, error) {
	if len(req.Digests) > fsm.MaxPacks+1 {
		return nil, invalid("digests", fmt.Sprintf("%d of them", len(req.Digests)), fmt.Sprintf("ask for at most %d at a time", fsm.MaxPacks+1))
	}
	for _, digest := range req.Digests {
		if err := apierr.CheckDigest("digests", digest); err != nil {
			return nil, err
		}
	}
	transport.Yield(ctx) // what follows is the disk's
	res := &apiv1.FindBlobsResponse{}
	named := holds(c.state.View()) // what the state names is on a majority; of what else is here nobody knows where it is besides
	for _, digest := range req.Digests {
		if !named(digest) || !c.modules.renew(digest) {
			res.Lacking = append(res.Lacking, digest)
		}
	}
	return res, nil
}

// UploadBlob implements the Control service.
func (c *Control) UploadBlob(ctx context.Context, stream apiv1connect.ControlUploadBlobServerStream) (*apiv1.UploadBlobResponse, error) {
	select {
	case c.uploads <- struct{}{}:
		defer func() { <-c.uploads }()
	default:
		return nil, placeError(gate.ErrFull, "uploads")
	}
	in, err := take(ctx, c.modules, c.incoming, "uploads", stream.Receive, checkDigest, keepWhole)
	if err != nil {
		return nil, err
	}
	defer in.drop()
	if err := c.replicate(ctx, in.digest); err != nil {
		return nil, err
	}
	return &apiv1.UploadBlobResponse{Size: in.size}, nil
}

// DownloadBlob implements the Control service.
func (c *Control) DownloadBlob(ctx context.Context, req *apiv1.DownloadBlobRequest, stream apiv1connect.ControlDownloadBlobServerStream) error {
	return c.give(ctx, req.Digest, c.strangers, func(chunk []byte) error { return stream.Send(&apiv1.DownloadBlobResponse{Chunk: chunk}) })
}
