package control

import (
	"context"
	"fmt"
	"time"

	"github.com/godwit-run/godwit/fsm"
)

// moduleLongest bounds the way of a module to another server: that of the largest one, moving at the floor of an upload.
const moduleLongest = fsm.MaxModuleBytes / incomingFloor * incomingWindow

// errStill is the cause of the end of what has not moved.
var errStill = fmt.Errorf("nothing of the module moved for %s", streamPatience)

// moving returns a context that lasts as long as something moves: its cause is errStill when moved was not called for streamPatience. A slow
// line is no reason to give up. It ends after moduleLongest at the latest, and with end.
func moving(ctx context.Context) (_ context.Context, moved, end func()) {
	ctx, cancel := context.WithTimeout(ctx, moduleLongest)
	ctx, still := context.WithCancelCause(ctx)
	t := time.AfterFunc(streamPatience, func() { still(errStill) })
	return ctx, func() { t.Reset(streamPatience) }, func() { t.Stop(); cancel() }
}

// stillOr is errStill if that has ended what returned err, else err.
func stillOr(ctx context.Context, err error) error {
	if err != nil && context.Cause(ctx) == errStill { //nolint:errorlint // a cause is as it was given
		return errStill
	}
	return err
}
