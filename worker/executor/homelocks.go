package executor

import (
	"context"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/worker/wasm"
)

// homeLocks are a rank's locks of files, which the app's home keeps.
type homeLocks struct{ lane *homeLane }

var _ wasm.Locker = homeLocks{}

// Lock implements wasm.Locker.
func (h homeLocks) Lock(ctx context.Context, number uint64, l *apiv1.FilesLock) (*apiv1.FilesResponse, error) {
	own, cancel := context.WithCancel(h.lane.ctx)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	l.Rank = h.lane.lane
	return h.lane.ask(own, &apiv1.FilesRequest{App: h.lane.home.app, Op: apiv1.FilesRequest_OP_LOCK, Client: h.lane.home.client, Lane: h.lane.lane, Number: number, Lock: l})
}
