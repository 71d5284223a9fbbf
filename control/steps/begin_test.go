package steps

import (
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// TestSecondHosts: another of the app's, if there is one, the same as before, if it is there; any other of the cluster if not.
func TestSecondHosts(t *testing.T) {
	v := newSaving(t).view()
	alone := &apiv1.App{Id: "b", Placement: []string{"h3", "h3"}}
	parts := seconds(v, alone)
	require.Len(t, parts, 1)
	require.Contains(t, []string{"h1", "h2"}, parts[0].Second)
	require.Equal(t, parts, seconds(v, alone), "it is the same each time")
	three := &apiv1.App{Id: "c", Placement: []string{"h2", "h1", "h3"}}
	for i, p := range seconds(v, three) {
		require.Equal(t, []string{"h2", "h3", "h1"}[i], p.Second)
	}
	require.Empty(t, seconds(fsm.New().View(), alone)[0].Second, "there is nobody else")
}
