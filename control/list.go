package control

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/planner"
)

const (
	// recent is how long an app that has ended is listed without being asked for.
	recent = 10 * time.Minute
	// maxShownMigrations bounds the migrations that GetApp answers with.
	maxShownMigrations = 100
)

// ListApps implements the Control service: in order of submission.
func (c *Control) ListApps(ctx context.Context, req *apiv1.ListAppsRequest) (*apiv1.ListAppsResponse, error) {
	p, err := newPager(req.PageSize, req.PageToken)
	if err != nil {
		return nil, err
	}
	v, err := c.read(ctx)
	if err != nil {
		return nil, err
	}
	var apps []*apiv1.App
	for app := range v.Apps() {
		if !p.wants(appKey(app)) {
			continue
		}
		if phase := fsm.PhaseOf(app); req.All || !phase.Terminal() || time.Since(app.EndedAt.AsTime()) < recent {
			apps = append(apps, app)
		}
	}
	slices.SortFunc(apps, func(a, b *apiv1.App) int {
		return cmp.Or(cmp.Compare(a.SubmitIndex, b.SubmitIndex), strings.Compare(a.Id, b.Id))
	})
	res := &apiv1.ListAppsResponse{Index: v.Index()}
	var why map[fsm.AppID]string
	for _, app := range apps {
		if fsm.PhaseOf(app) == fsm.Queued {
			if why == nil {
				why = planner.WhyAllQueued(v)
			}
			app = waiting(app, why[fsm.AppID(app.Id)])
		}
		if !p.add(appKey(app), app) {
			break
		}
		res.Apps = append(res.Apps, app)
	}
	res.NextPageToken = p.next()
	return res, nil
}

func appKey(app *apiv1.App) string { return orderKey(app.SubmitIndex, app.Id) }

// ListHosts implements the Control service: in order of name.
func (c *Control) ListHosts(ctx context.Context, req *apiv1.ListHostsRequest) (*apiv1.ListHostsResponse, error) {
	p, err := newPager(req.PageSize, req.PageToken)
	if err != nil {
		return nil, err
	}
	v, err := c.read(ctx)
	if err != nil {
		return nil, err
	}
	res := &apiv1.ListHostsResponse{Index: v.Index()}
	for h := range v.Hosts() {
		if !p.wants(h.Id) {
			continue
		}
		if !p.add(h.Id, h) {
			break
		}
		res.Hosts = append(res.Hosts, h)
	}
	res.NextPageToken = p.next()
	return res, nil
}

// ListMigrations implements the Control service: in order of proposal.
func (c *Control) ListMigrations(ctx context.Context, req *apiv1.ListMigrationsRequest) (*apiv1.ListMigrationsResponse, error) {
	p, err := newPager(req.PageSize, req.PageToken)
	if err != nil {
		return nil, err
	}
	v, err := c.read(ctx)
	if err != nil {
		return nil, err
	}
	id := ""
	if req.App != "" {
		app, err := v.FindApp(req.App)
		if err != nil {
			return nil, findError(req.App, err)
		}
		id = app.Id
	}
	res := &apiv1.ListMigrationsResponse{Index: v.Index()}
	for _, m := range migrationsOf(v, id) {
		key := orderKey(m.ProposeIndex, m.Id)
		if !p.wants(key) {
			continue
		}
		if !p.add(key, m) {
			break
		}
		res.Migrations = append(res.Migrations, m)
	}
	res.NextPageToken = p.next()
	return res, nil
}

// migrationsOf are the migrations of an app, or of all for "", in order of proposal.
func migrationsOf(v *fsm.View, app string) []*apiv1.Migration {
	var out []*apiv1.Migration
	if app != "" {
		return slices.Collect(v.MigrationsOf(fsm.AppID(app)))
	}
	out = slices.Collect(v.Migrations())
	slices.SortFunc(out, func(a, b *apiv1.Migration) int {
		return cmp.Or(cmp.Compare(a.ProposeIndex, b.ProposeIndex), strings.Compare(a.Id, b.Id))
	})
	return out
}

// lastMigrations are the app's last ones, as many as an answer should hold.
func lastMigrations(v *fsm.View, app string) []*apiv1.Migration {
	all := migrationsOf(v, app)
	all = all[max(0, len(all)-maxShownMigrations):]
	p := &pager{left: len(all)}
	for i := len(all) - 1; i >= 0; i-- {
		if !p.add(all[i].Id, all[i]) {
			return all[i+1:]
		}
	}
	return all
}

// ListModules implements the Control service: in order of digest.
func (c *Control) ListModules(ctx context.Context, req *apiv1.ListModulesRequest) (*apiv1.ListModulesResponse, error) {
	p, err := newPager(req.PageSize, req.PageToken)
	if err != nil {
		return nil, err
	}
	v, err := c.read(ctx)
	if err != nil {
		return nil, err
	}
	res := &apiv1.ListModulesResponse{Index: v.Index()}
	if req.Digest != "" {
		if err := checkDigest("digest", req.Digest); err != nil {
			return nil, err
		}
		if m, ok := v.Module(fsm.Digest(req.Digest)); ok && c.fetched(ctx, m.Digest) == nil {
			res.Modules = append(res.Modules, m)
		}
		return res, nil
	}
	for m := range v.Modules() {
		if !p.wants(m.Digest) {
			continue
		}
		if !p.add(m.Digest, m) {
			break
		}
		res.Modules = append(res.Modules, m)
	}
	res.NextPageToken = p.next()
	return res, nil
}
