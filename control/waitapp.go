package control

import (
	"context"
	"fmt"
	"time"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/transport"
)

// appWait is somebody who waits for what WaitApp answers.
type appWait struct {
	c     *Control
	req   *apiv1.WaitAppRequest
	id    fsm.AppID
	began string     // its phase when the wait began; empty: it has ended since
	app   *apiv1.App // as it was last known to be; nil: it has ended since
	sub   *fsm.Subscription
}

// WaitApp implements the Control service. Who asks by the app's id gets an end that comes after the question, however many
// other apps end before this server looks; by a name, once the app has been found. Of a migration or a checkpoint that is named, its end is heard as well.
func (c *Control) WaitApp(ctx context.Context, req *apiv1.WaitAppRequest) (*apiv1.WaitAppResponse, error) {
	w := &appWait{c: c, req: req, id: fsm.AppID(req.App)}
	w.sub = c.state.Feed().Subscribe(fsm.OfApp(w.id)) // wakes for this app only
	defer func() { w.sub.Close() }()
	v, app, err := c.find(ctx, req.App)
	switch {
	case w.sub.Ended(w.id) != nil:
	case err != nil:
		return nil, err
	case fsm.PhaseOf(app).Terminal():
		return w.answer(v, app), nil
	case app.Id != req.App:
		w.sub.Close()
		w.id = fsm.AppID(app.Id)
		w.sub = c.state.Feed().Subscribe(fsm.OfApp(w.id))
	}
	wait := waitDefault
	if req.Timeout > 0 {
		wait = time.Duration(min(req.Timeout, waitMax.Seconds()) * float64(time.Second))
	}
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	transport.Yield(ctx)
	w.app, w.began = app, app.GetPhase()
	return w.await(ctx, deadline.C)
}

// await waits for what WaitApp answers; at the deadline that is the app as it goes on.
func (w *appWait) await(ctx context.Context, deadline <-chan time.Time) (*apiv1.WaitAppResponse, error) {
	for {
		if res, err := w.over(); res != nil || err != nil {
			return res, err
		}
		select {
		case <-w.sub.C():
		case <-deadline:
			v, err := w.c.read(ctx) // what is said of an app that goes on is true now too
			if err != nil {
				return nil, err
			}
			if res, err := w.over(); res != nil || err != nil {
				return res, err
			}
			if now, ok := v.App(w.id); ok {
				w.app = now
			}
			return w.answer(v, w.app), nil
		case <-ctx.Done():
			return nil, apiError(ctx.Err())
		}
	}
}

// over is the answer once the app is terminal, or has no ranks any more and had some when the wait began, or what was named of it is not under way: an end
// that came since the wait began is known, though the state may have forgotten it.
func (w *appWait) over() (*apiv1.WaitAppResponse, error) {
	v := w.c.state.View()
	app, ok := v.App(w.id)
	if end := w.sub.Ended(w.id); end != nil {
		app, ok = end, true
	}
	switch {
	case !ok:
		return nil, apierr.New(connect.CodeNotFound, apierr.ReasonNotFound, "app",
			fmt.Sprintf("app %s has ended, and so many others have since that its end is forgotten", w.id), "godwit ps -a lists those that are remembered")
	case fsm.PhaseOf(app).Terminal(), app.Phase != w.began && (fsm.PhaseOf(app) == fsm.Frozen || fsm.PhaseOf(app) == fsm.Queued),
		w.req.Migration != "" && app.MigrationId != w.req.Migration, w.req.Checkpoint != "" && app.CheckpointId != w.req.Checkpoint:
		return w.answer(v, app), nil
	}
	return nil, nil //nolint:nilnil // not yet
}

// answer is what is said of the app, and of the migration that was named.
func (w *appWait) answer(v *fsm.View, app *apiv1.App) *apiv1.WaitAppResponse {
	res := &apiv1.WaitAppResponse{App: w.c.shown(v, app), Index: v.Index()}
	if mig, ok := v.Migration(fsm.MigrationID(w.req.Migration)); ok && mig.App == app.Id {
		res.Migration = mig
	}
	return res
}
