package jepsen

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
)

// pollEach is how often a condition is looked at.
const pollEach = 20 * time.Millisecond

// eventually waits until f returns nil, and fails the test after limit.
func (c *cluster) eventually(limit time.Duration, what string, f func() error) {
	c.t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			require.FailNow(c.t, "not in time", "%s, within %s: %v", what, limit, err)
		}
		<-time.After(pollEach)
	}
}

// ask calls the API, whichever server answers.
func (c *cluster) ask(f func(context.Context, apiv1connect.ControlClient) error) {
	c.t.Helper()
	require.NoError(c.t, c.api.do(f))
}

// hosts are the cluster's hosts by name.
func (c *cluster) hosts() map[string]*apiv1.Host {
	c.t.Helper()
	out := map[string]*apiv1.Host{}
	c.ask(func(ctx context.Context, control apiv1connect.ControlClient) error {
		res, err := control.ListHosts(ctx, &apiv1.ListHostsRequest{})
		for _, h := range res.GetHosts() {
			out[h.Name] = h
		}
		return err
	})
	return out
}

// app is an app as it is now.
func (c *cluster) app(id string) *apiv1.App {
	c.t.Helper()
	var app *apiv1.App
	c.ask(func(ctx context.Context, control apiv1connect.ControlClient) error {
		res, err := control.GetApp(ctx, &apiv1.GetAppRequest{App: id})
		app = res.GetApp()
		return err
	})
	return app
}

// apps are all apps, in order of their ids.
func (c *cluster) apps() []*apiv1.App {
	c.t.Helper()
	var apps []*apiv1.App
	for page, last := "", false; !last; {
		c.ask(func(ctx context.Context, control apiv1connect.ControlClient) error {
			res, err := control.ListApps(ctx, &apiv1.ListAppsRequest{All: true, PageToken: page})
			if err == nil {
				apps, page = append(apps, res.GetApps()...), res.GetNextPageToken()
				last = page == ""
			}
			return err
		})
	}
	return apps
}

// named waits for the newest app of a name, and returns its id.
func (c *cluster) named(name string) string {
	c.t.Helper()
	id := ""
	c.eventually(patience, "app "+name+" is there", func() error {
		var newest *apiv1.App
		for _, a := range c.apps() {
			if a.Name == name && (newest == nil || a.SubmitIndex > newest.SubmitIndex) {
				newest = a
			}
		}
		if newest == nil {
			return fmt.Errorf("no app %s", name)
		}
		id = newest.Id
		return nil
	})
	return id
}

// migrations are the migrations of an app, oldest first.
func (c *cluster) migrations(app string) []*apiv1.Migration {
	c.t.Helper()
	var list []*apiv1.Migration
	c.ask(func(ctx context.Context, control apiv1connect.ControlClient) error {
		res, err := control.ListMigrations(ctx, &apiv1.ListMigrationsRequest{App: app})
		list = res.GetMigrations()
		return err
	})
	slices.SortFunc(list, func(a, b *apiv1.Migration) int { return int(a.ProposeIndex) - int(b.ProposeIndex) })
	return list
}

func (c *cluster) migration(app, id string) *apiv1.Migration {
	c.t.Helper()
	for _, m := range c.migrations(app) {
		if m.Id == id {
			return m
		}
	}
	require.FailNow(c.t, "no such migration", id)
	return nil
}

// phase waits until an app is in one of the phases, and returns it.
func (c *cluster) phase(id string, phases ...string) *apiv1.App {
	c.t.Helper()
	var app *apiv1.App
	c.eventually(patience, fmt.Sprintf("app %s is %v", id, phases), func() error {
		app = c.app(id)
		if slices.Contains(phases, app.Phase) {
			return nil
		}
		return fmt.Errorf("it is %s %s", app.Phase, app.Reason)
	})
	return app
}

// state waits until a host is in a state, and returns it.
func (c *cluster) state(host, state string, limit time.Duration) *apiv1.Host {
	c.t.Helper()
	var h *apiv1.Host
	c.eventually(limit, "host "+host+" is "+state, func() error {
		if h = c.hosts()[host]; h.GetState() != state {
			return fmt.Errorf("it is %s %s", h.GetState(), h.GetReason())
		}
		return nil
	})
	return h
}

// idle waits until no slot is taken anywhere and no executor is left.
func (c *cluster) idle() {
	c.t.Helper()
	c.eventually(patience, "all slots are free", func() error {
		for name, h := range c.hosts() {
			if h.Used != 0 {
				return fmt.Errorf("%s has %d slots used", name, h.Used)
			}
		}
		return nil
	})
	c.noExecutors("")
}

// members are the servers, as the leader tells.
func (c *cluster) members() []*apiv1.Server {
	c.t.Helper()
	var members []*apiv1.Server
	c.ask(func(ctx context.Context, control apiv1connect.ControlClient) error {
		res, err := control.ListServers(ctx, &apiv1.ListServersRequest{})
		members = res.GetServers()
		return err
	})
	return members
}

// member is the server with an address; nil: there is none.
func (c *cluster) member(addr string) *apiv1.Server {
	c.t.Helper()
	for _, m := range c.members() {
		if m.Addr == addr {
			return m
		}
	}
	return nil
}

// roles are the servers' roles by address.
func (c *cluster) roles() map[string]string {
	c.t.Helper()
	out := map[string]string{}
	for _, m := range c.members() {
		out[m.Addr] = m.Role
	}
	return out
}

// leader waits until the servers have a leader that runs, and returns it.
func (c *cluster) leader() *process {
	c.t.Helper()
	var leader *process
	c.eventually(patience, "a leader", func() error {
		for addr, role := range c.roles() {
			for _, p := range c.servers {
				if p.addr == addr && role == "leader" && p.running() {
					leader = p
					return nil
				}
			}
		}
		return fmt.Errorf("roles: %v", c.roles())
	})
	return leader
}

// leaderNow is the server that leads, as far as one of them knows at this moment; nil: none says so.
func (c *cluster) leaderNow() *process {
	members, _ := c.serversNow() // none, then
	for _, m := range members {
		for _, p := range c.servers {
			if m.GetRole() == "leader" && p.addr == m.GetAddr() {
				return p
			}
		}
	}
	return nil
}

// serversNow are the members, as the first server that answers tells.
func (c *cluster) serversNow() ([]*apiv1.Server, error) {
	var err error
	for _, addr := range c.api.addrs {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		res, e := c.api.control(addr).ListServers(ctx, &apiv1.ListServersRequest{})
		cancel()
		if e == nil {
			return res.GetServers(), nil
		}
		err = e
	}
	return nil, err
}

// follower is a server that runs and does not lead.
func (c *cluster) follower() *process {
	c.t.Helper()
	leader := c.leader()
	for _, p := range c.servers {
		if p != leader && p.running() {
			return p
		}
	}
	require.FailNow(c.t, "no follower runs")
	return nil
}
