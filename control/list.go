package control

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/transport"
)

const (
	// recent is how long an app that has ended is listed without being asked for, to the minute.
	recent = 10 * time.Minute
	// maxShownMigrations bounds the migrations that GetApp answers with.
	maxShownMigrations = 100
)

// ListApps implements the Control service: in order of submission.
func (c *Control) ListApps(ctx context.Context, req *apiv1.ListAppsRequest) (*apiv1.ListAppsResponse, error) {
	p, err := newPager("apps", req.PageSize, req.PageToken)
	if err != nil {
		return nil, err
	}
	v, err := c.read(ctx)
	if err != nil {
		return nil, err
	}
	return c.pageOfApps(ctx, v, p, req.All)
}

func (c *Control) pageOfApps(ctx context.Context, v *fsm.View, p *pager, all bool) (*apiv1.ListAppsResponse, error) {
	from, err := p.place()
	if err != nil {
		return nil, err
	}
	listed := v.AppsAfter(from)
	if !all {
		listed = v.LatelyAfter(from, timestamppb.New(time.Now().Add(-recent)))
	}
	var reasons *queueReasons
	apps := func(yield func(*apiv1.App) bool) {
		for app := range visit(p, listed) {
			if ctx.Err() != nil { // plans may take long
				return
			}
			switch {
			case fsm.PhaseOf(app) == fsm.Queued:
				if reasons == nil {
					reasons = c.queueReasons(v)
				}
				app = waiting(app, reasons.of(app))
			case waitsForHosts(app):
				app = waiting(app, c.awaited(v, app))
			case app.GetFiles().GetTo() != "" && !apiv1.AppOver(app.Phase):
				app = waiting(app, c.movingText(app))
			}
			if !yield(app) {
				return
			}
		}
	}
	res := &apiv1.ListAppsResponse{Index: v.Index(), Apps: pageOf(p, apps, appKey)}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	res.NextPageToken = p.next()
	return res, nil
}

func appKey(app *apiv1.App) string { return placeKey(fsm.SubmissionOf(app)) }

// ListHosts implements the Control service: in order of name.
func (c *Control) ListHosts(ctx context.Context, req *apiv1.ListHostsRequest) (*apiv1.ListHostsResponse, error) {
	p, err := newPager("hosts", req.PageSize, req.PageToken)
	if err != nil {
		return nil, err
	}
	v, err := c.read(ctx)
	if err != nil {
		return nil, err
	}
	res := &apiv1.ListHostsResponse{Index: v.Index(), Hosts: pageOf(p, visit(p, v.HostsAfter(fsm.HostID(p.after))), (*apiv1.Host).GetId)}
	var alone map[fsm.HostID][]fsm.HeldAlone // costs all live apps
	if slices.ContainsFunc(res.Hosts, fsm.ToBeLeft) {
		alone = v.HeldAlone()
	}
	for i, h := range res.Hosts {
		res.Hosts[i] = c.withLeaving(v, withoutSecret(h), alone[fsm.HostID(h.Id)])
	}
	if l := c.current(); l != nil {
		res.LastContact, res.Architectures, res.Toolchains = l.lastContact(res.Hosts, time.Now()), l.architectures(res.Hosts), l.toolchains(res.Hosts)
	}
	res.NextPageToken = p.next()
	return res, nil
}

// withoutSecret is a host without what is between its worker and the servers.
func withoutSecret(h *apiv1.Host) *apiv1.Host {
	if len(h.SecretHash) > 0 {
		h = proto.CloneOf(h)
		h.SecretHash = nil
	}
	return h
}

// GetHost implements the Control service: one host, as ListHosts has it, and whether anything is on it.
func (c *Control) GetHost(ctx context.Context, req *apiv1.GetHostRequest) (*apiv1.GetHostResponse, error) {
	v, err := c.read(ctx)
	if err != nil {
		return nil, err
	}
	h, ok := v.Host(fsm.HostID(req.Host))
	if !ok {
		return nil, findError(req.Host, fsm.ErrNotFound)
	}
	return &apiv1.GetHostResponse{Host: c.shownHost(v, h), Index: v.Index()}, nil
}

// shownHost is a host as who asks for it alone is told of it.
func (c *Control) shownHost(v *fsm.View, h *apiv1.Host) *apiv1.Host {
	var alone []fsm.HeldAlone
	if fsm.ToBeLeft(h) {
		alone = v.HeldAloneBy(fsm.HostID(h.Id))
	}
	h = proto.CloneOf(c.withLeaving(v, withoutSecret(h), alone))
	h.InUse = v.InUse(fsm.HostID(h.Id)) || len(alone) > 0
	return h
}

// withLeaving is a host that is to be left with what is on it still, and why, by what the leader knows; another server knows less of it. One that is drained, and alone holds images that are wanted, is
// shown as draining still.
func (c *Control) withLeaving(v *fsm.View, h *apiv1.Host, alone []fsm.HeldAlone) *apiv1.Host {
	if !fsm.ToBeLeft(h) {
		return h
	}
	var said []string
	for _, w := range h.Besides {
		what := w.Wish
		if what == string(fsm.Draining) && len(alone) == 0 && !v.InUse(fsm.HostID(h.Id)) {
			what = string(fsm.Drained)
		}
		words := "besides it is " + what
		if w.Reason != "" {
			words += ": " + w.Reason
		}
		said = append(said, words)
	}
	if l := c.current(); l != nil && v.InUse(fsm.HostID(h.Id)) { // it may not have looked since
		said = append(said, l.leaving.said(fsm.HostID(h.Id)))
	}
	if by := fsm.LeftBy(h); by != nil {
		until := fmt.Sprintf("until %s", by.AsTime().UTC().Format(time.DateTime+" UTC"))
		if fsm.WishOf(h) == fsm.Evicting && by.AsTime().Before(time.Now()) {
			until += ", which is over: godwit uncordon takes it back"
		}
		said = append(said, until)
	}
	said = slices.DeleteFunc(append(said, homesText(v, h), aloneText(alone)), func(s string) bool { return s == "" })
	if len(said) > 0 {
		h = proto.CloneOf(h)
		h.Leaving = strings.Join(said, "; ")
	}
	if len(alone) > 0 && fsm.WishOf(h) == fsm.Drained {
		h.Wish = string(fsm.Draining)
	}
	return h
}

// aloneText says what a host that is to be left holds, and no host that stays, and what becomes of that; empty: nothing.
func aloneText(alone []fsm.HeldAlone) string {
	if len(alone) == 0 {
		return ""
	}
	app, next := alone[0].App, "it is copied to another host, as soon as there is one that has room"
	switch fsm.PhaseOf(app) {
	case fsm.Frozen:
		next += "; or godwit thaw " + app.Id + " has it go on"
	case fsm.Queued, fsm.Starting:
		next += "; it is to go on from that"
	default:
	}
	text := fmt.Sprintf("no host that stays has what host %s made of checkpoint %s, the last one of app %s: %s", alone[0].Part.Host, alone[0].Checkpoint.Id, app.Id, next)
	if n := len(alone) - 1; n > 0 {
		text += fmt.Sprintf("; and so of %d apps more", n)
	}
	return text
}

// lastContact is how long ago the hosts that are not gone were heard.
func (l *leader) lastContact(hosts []*apiv1.Host, now time.Time) map[string]*durationpb.Duration {
	out := make(map[string]*durationpb.Duration, len(hosts))
	for _, h := range hosts {
		if at, ok := l.sessions.lastHeard(fsm.HostID(h.Id)); ok && !fsm.HostStateOf(h).Gone() {
			out[h.Id] = durationpb.New(max(0, now.Sub(at)))
		}
	}
	return out
}

// toolchains are what hosts make machine code with, as their workers have said.
func (l *leader) toolchains(hosts []*apiv1.Host) map[string]*apiv1.CodeToolchain {
	out := map[string]*apiv1.CodeToolchain{}
	for _, h := range hosts {
		if s := l.sessions.of(fsm.HostID(h.Id)); s != nil && s.maker != nil {
			out[h.Id] = &apiv1.CodeToolchain{Level: s.maker.Level, Compiler: s.maker.Compiler, Lacks: s.maker.Lacks}
		}
	}
	return out
}

// architectures are what the workers of hosts have said at the begin of their sessions.
func (l *leader) architectures(hosts []*apiv1.Host) map[string]string {
	out := make(map[string]string, len(hosts))
	for _, h := range hosts {
		if s := l.sessions.of(fsm.HostID(h.Id)); s != nil && s.arch != "" {
			out[h.Id] = s.arch
		}
	}
	return out
}

// ListMigrations implements the Control service: in order of proposal.
func (c *Control) ListMigrations(ctx context.Context, req *apiv1.ListMigrationsRequest) (*apiv1.ListMigrationsResponse, error) {
	p, err := newPager("migrations", req.PageSize, req.PageToken)
	if err != nil {
		return nil, err
	}
	v, err := c.read(ctx)
	if err != nil {
		return nil, err
	}
	from, err := p.place()
	if err != nil {
		return nil, err
	}
	all := v.MigrationsAfter(from)
	if req.App != "" {
		app, err := v.FindApp(req.App)
		if err != nil {
			return nil, findError(req.App, err)
		}
		all = v.MigrationsOfAfter(fsm.AppID(app.Id), from)
	}
	res := &apiv1.ListMigrationsResponse{Index: v.Index(), Migrations: pageOf(p, visit(p, all), migrationKey)}
	res.NextPageToken = p.next()
	return res, nil
}

func migrationKey(m *apiv1.Migration) string { return placeKey(fsm.ProposalOf(m)) }

// lastMigrations are the app's last ones, as many as an answer should hold.
func lastMigrations(v *fsm.View, app string) []*apiv1.Migration {
	all := slices.Collect(v.MigrationsOf(fsm.AppID(app)))
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
	p, err := newPager("modules", req.PageSize, req.PageToken)
	if err != nil {
		return nil, err
	}
	v, err := c.read(ctx)
	if err != nil {
		return nil, err
	}
	res := &apiv1.ListModulesResponse{Index: v.Index()}
	if req.Digest != "" {
		if err := apierr.CheckDigest("digest", req.Digest); err != nil {
			return nil, err
		}
		transport.Yield(ctx) // it may have to come from another server
		if m, ok := v.Module(fsm.Digest(req.Digest)); ok {
			switch err := c.fetched(ctx, m.Digest); {
			case err == nil:
				res.Modules = append(res.Modules, m)
			case ownDisk(err): // which refuses an upload too
				return nil, err
			}
		}
		return res, nil
	}
	res.Modules = pageOf(p, visit(p, v.ModulesAfter(fsm.Digest(p.after))), (*apiv1.Module).GetDigest)
	res.NextPageToken = p.next()
	return res, nil
}
