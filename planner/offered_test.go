package planner

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestVolumeThatIsNowhere: an app that mounts what no host offers is told what there is.
func TestVolumeThatIsNowhere(t *testing.T) {
	app := &apiv1.App{Size: 1, Spec: &apiv1.AppSpec{Size: 1, Mounts: []*apiv1.Mount{{Volume: "dta", Path: "/data"}}}}
	var many []string
	for i := range 12 {
		many = append(many, fmt.Sprintf("v%02d", i))
	}
	for want, volumes := range map[string][]string{
		"none has any":         nil,
		"there is data":        {"data"},
		"there is data, other": {"other", "data"},
		"there are v00, v01, v02, v03, v04, v05, v06, v07 and 4 more": many,
	} {
		var f *fits
		f = f.follow([]Host{{Name: "w1", Slots: 4, Volumes: volumes}, {Name: "w2", Slots: 4, Volumes: volumes}})
		require.Equal(t, "no host that takes ranks has volume dta: "+want+", and a worker offers one with --volume NAME=DIR", f.never(app, ""))
	}
	app.Spec.Mounts[0] = &apiv1.Mount{Volume: "data", Path: "/data", Writable: true}
	f := (*fits)(nil).follow([]Host{{Name: "w1", Slots: 4, Volumes: []string{"data", "out", "out:rw"}}})
	require.Equal(t, "no host that takes ranks has volume data that may be written to: there is data (read-only), out, and a worker offers one with --volume NAME=DIR", f.never(app, ""))
}
