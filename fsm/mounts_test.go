package fsm

import (
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// An app that is to write to a volume runs only where it may; one that says nothing takes the volume as it is.
func TestVolumesToWriteTo(t *testing.T) {
	host := &apiv1.Host{Volumes: []*apiv1.Volume{{Name: "in", ReadOnly: true}, {Name: "out"}}}
	mounts := func(m ...*apiv1.Mount) *apiv1.AppSpec { return &apiv1.AppSpec{Name: "a", Size: 1, Mounts: m} }
	in, out := &apiv1.Mount{Volume: "in", Path: "/in"}, &apiv1.Mount{Volume: "out", Path: "/out"}
	require.Empty(t, LacksVolume(host, mounts()))
	require.Empty(t, LacksVolume(host, mounts(in, out)))
	require.Equal(t, "dta", LacksVolume(host, mounts(out, &apiv1.Mount{Volume: "dta"})))
	require.False(t, AsksForScheduling(mounts(in, out)))
	in.Writable, out.Writable = true, true
	require.Empty(t, LacksVolume(host, mounts(out)))
	require.Equal(t, "in:rw", LacksVolume(host, mounts(out, in)))
	require.True(t, AsksForScheduling(mounts(in)), "older servers would place it anywhere")

	var c checker
	c.mounts(mounts(in))
	require.Nil(t, c.err)
	in.ReadOnly = true
	c.mounts(mounts(in))
	require.NotNil(t, c.err)
	require.Equal(t, "spec.mounts.writable", c.err.Field)
	c = checker{}
	c.spec(&apiv1.AppSpec{Name: "a", Size: 1, NoDefaultMemory: true, MemoryBytes: 1 << 20})
	require.NotNil(t, c.err)
}
