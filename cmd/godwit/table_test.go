package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestTableLines: a row is one line, whatever a cell says: of a stack, its first.
func TestTableLines(t *testing.T) {
	var out strings.Builder
	require.NoError(t, writeTable(&out, "ID REASON", []string{"exited 134 (trap: unreachable\n  at f\n  at main)", "exited 1"},
		func(s string) []string { return []string{"app", s} }))
	require.Equal(t, "ID   REASON\napp  exited 134 (trap: unreachable ...\napp  exited 1\n", out.String())
}

// TestHostsShowContact: a host that hangs is ready until its lease is over, and the list shows for how long it was not heard.
func TestHostsShowContact(t *testing.T) {
	res := &apiv1.ListHostsResponse{
		Hosts:       []*apiv1.Host{{Id: "w1", Name: "w1", State: "ready"}, {Id: "w2", Name: "w2", State: "ready"}, {Id: "w3", Name: "w3", State: "lost"}},
		LastContact: map[string]*durationpb.Duration{"w1": durationpb.New(300 * time.Millisecond), "w2": durationpb.New(7400 * time.Millisecond)},
	}
	var out, asJSON bytes.Buffer
	require.NoError(t, printHosts(&out, &options{}, res, false))
	lines := strings.Split(out.String(), "\n")
	require.Equal(t, []string{"NAME", "SLOTS", "USED", "STATE", "CONTACT"}, strings.Fields(lines[0])[:5])
	for i, want := range []string{"now", "7s", "-"} {
		require.Equal(t, want, strings.Fields(lines[i+1])[4])
	}
	var list []map[string]any
	require.NoError(t, printHosts(&asJSON, &options{output: "json"}, res, false))
	require.NoError(t, json.Unmarshal(asJSON.Bytes(), &list))
	require.Equal(t, map[string]any{"seconds": 7., "nanos": 4e8}, list[1]["last_contact"])
	require.Contains(t, list[2], "last_contact")
	require.Nil(t, list[2]["last_contact"])
}

// TestHostsShowArchitectures: of a host without a session nobody knows.
func TestHostsShowArchitectures(t *testing.T) {
	res := &apiv1.ListHostsResponse{
		Hosts: []*apiv1.Host{{Id: "w1", Name: "w1", Addr: "a"}, {Id: "w2", Name: "w2", Addr: "b"}}, Architectures: map[string]string{"w1": "arm64"},
	}
	var out, asJSON bytes.Buffer
	require.NoError(t, printHosts(&out, &options{}, res, false))
	require.Regexp(t, `ADDR +ARCH +SINCE.*\nw1 .* a +arm64 .*\nw2 .* b +- `, out.String())
	require.NoError(t, printHosts(&asJSON, &options{output: "json"}, res, false))
	var list []struct{ Arch string }
	require.NoError(t, json.Unmarshal(asJSON.Bytes(), &list))
	require.Equal(t, []struct{ Arch string }{{"arm64"}, {""}}, list)
}

// TestHostsShowVolumes: a column only where there are volumes.
func TestHostsShowVolumes(t *testing.T) {
	res := &apiv1.ListHostsResponse{Hosts: []*apiv1.Host{{Id: "w1", Name: "w1", Addr: "a"}, {Id: "w2", Name: "w2", Addr: "b"}}}
	var out bytes.Buffer
	require.NoError(t, printHosts(&out, &options{}, res, false))
	require.NotContains(t, out.String(), "VOLUMES")
	res.Hosts[1].Volumes = []*apiv1.Volume{{Name: "data"}, {Name: "ref", ReadOnly: true}}
	out.Reset()
	require.NoError(t, printHosts(&out, &options{}, res, false))
	lines := strings.Split(out.String(), "\n")
	at := strings.Index(lines[0], "VOLUMES")
	require.Positive(t, at)
	require.True(t, strings.HasPrefix(lines[1][at:], "- "), lines[1])
	require.True(t, strings.HasPrefix(lines[2][at:], "data,ref:ro "), lines[2])
}

// TestShowMounts: what --mount and --wdir have asked for.
func TestShowMounts(t *testing.T) {
	app := &apiv1.App{Id: "app-1", Name: "a", Spec: &apiv1.AppSpec{
		Dir: "/data/run1", Mounts: []*apiv1.Mount{{Volume: "data", Path: "/data"}, {Volume: "ref", Path: "/ref", ReadOnly: true}},
	}}
	require.Contains(t, appText(&apiv1.GetAppResponse{App: app}), "mount       data:/data\nmount       ref:/ref:ro\nbegins in   /data/run1\n")
	app.Spec = &apiv1.AppSpec{}
	require.NotContains(t, appText(&apiv1.GetAppResponse{App: app}), "mount")
	require.NotContains(t, appText(&apiv1.GetAppResponse{App: app}), "checkpoints")
	app.Spec.CheckpointPeriod, app.LastCheckpoint, app.Restore, app.Restored = 30, "ckpt-2", "ckpt-1", 1
	require.Contains(t, appText(&apiv1.GetAppResponse{App: app}),
		"checkpoints every 30s, the last is ckpt-2, it began from ckpt-1, begun anew from one: 1 (godwit checkpoints "+app.Id+")\n")
}
