package worker

import (
	"context"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
)

// HoldCheckpoint implements the Data service.
func (s dataService) HoldCheckpoint(context.Context, *apiv1.HoldCheckpointRequest) (*apiv1.HoldCheckpointResponse, error) {
	return nil, connect.NewError(connect.CodeUnimplemented, "")
}

// PushBlob implements the Data service.
func (s dataService) PushBlob(context.Context, apiv1connect.DataPushBlobServerStream) (*apiv1.PushBlobResponse, error) {
	return nil, connect.NewError(connect.CodeUnimplemented, "")
}

// FetchBlob implements the Data service.
func (s dataService) FetchBlob(context.Context, *apiv1.FetchBlobRequest, apiv1connect.DataFetchBlobServerStream) error {
	return connect.NewError(connect.CodeUnimplemented, "")
}
