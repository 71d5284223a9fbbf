package control

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
)

// TestTheDoorKnowsTheLogsBounds: what the log would refuse for its form is refused at the door, by field.
func TestTheDoorKnowsTheLogsBounds(t *testing.T) {
	c := newBench(t, nil).l.c
	hello := func(labels map[string]string) error {
		return c.checkHello(&apiv1.Hello{Host: &apiv1.Host{Id: "h", Addr: "h:1", Slots: 1, NodeId: "n", Incarnation: "i", Labels: labels}})
	}
	labels := func(n, size int) map[string]string {
		m := map[string]string{}
		for i := range n {
			m[fmt.Sprintf("%03d", i)] = strings.Repeat("v", size-3)
		}
		return m
	}
	spec := func(change func(*apiv1.AppSpec)) error {
		s := &apiv1.AppSpec{Name: "x", ModuleDigest: testDigest, Size: 2}
		change(s)
		return checkSpec(s)
	}
	module := func(n int) error {
		m := &apiv1.Module{Digest: testDigest, Reason: "\x1b[31m"}
		for range n {
			m.Imports = append(m.Imports, "env.\x07"+strings.Repeat("f", 57))
		}
		return checkModule(m)
	}
	require.NoError(t, hello(labels(16, fsm.MaxLabelsBytes/16)))
	require.NoError(t, module(fsm.MaxImportsBytes/100))
	require.NoError(t, checkKey(strings.Repeat("k", fsm.MaxKeyBytes)))
	for i, tt := range []struct {
		err   error
		field string
	}{
		{hello(labels(17, fsm.MaxLabelsBytes/16)), "host.labels"},
		{hello(labels(fsm.MaxLabels+1, 4)), "host.labels"},
		{module(fsm.MaxImportsBytes / 50), "module.imports"},
		{spec(func(s *apiv1.AppSpec) { s.Tenant = "two words" }), "spec.tenant"},
		{spec(func(s *apiv1.AppSpec) { s.Env = []string{"A=" + strings.Repeat("x", fsm.MaxEnvBytes)} }), "spec.env"},
		{spec(func(s *apiv1.AppSpec) { s.Args = []string{"a\x00"} }), "spec.args"},
		{checkKey(strings.Repeat("k", fsm.MaxKeyBytes+1)), "idempotency_key"},
		{checkKey("\x1b"), "idempotency_key"},
	} {
		require.Equal(t, tt.field, apierr.Info(tt.err).GetField(), "%d: %v", i, tt.err)
	}
}

func TestValidation(t *testing.T) {
	good := &apiv1.AppSpec{Name: "x", ModuleDigest: testDigest, Size: 2}
	require.NoError(t, checkSpec(good))
	bad := map[string]func(*apiv1.AppSpec){
		"spec.name":                   func(s *apiv1.AppSpec) { s.Name = "../x" },
		"spec.module_digest":          func(s *apiv1.AppSpec) { s.ModuleDigest = "zz" },
		"spec.size":                   func(s *apiv1.AppSpec) { s.Size = 0 },
		"spec.args":                   func(s *apiv1.AppSpec) { s.Args = []string{strings.Repeat("x", fsm.MaxArgsBytes+1)} },
		"spec.env":                    func(s *apiv1.AppSpec) { s.Env = []string{"novalue"} },
		"spec.policy":                 func(s *apiv1.AppSpec) { s.Policy = "magic" },
		"spec.hint":                   func(s *apiv1.AppSpec) { s.Hint = "magic" },
		"spec.main_host":              func(s *apiv1.AppSpec) { s.MainHost = "-" },
		"spec.migration_check_period": func(s *apiv1.AppSpec) { s.MigrationCheckPeriod = -1 },
		"spec.place":                  func(s *apiv1.AppSpec) { s.Place = []*apiv1.PlaceRule{{Host: "h1", Ranks: 1}} },
	}
	for field, change := range bad {
		t.Run(field, func(t *testing.T) {
			s := proto.CloneOf(good)
			change(s)
			err := checkSpec(s)
			require.ErrorContains(t, err, field)
		})
	}
	require.Error(t, checkSpec(nil))
}
