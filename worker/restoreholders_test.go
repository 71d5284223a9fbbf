package worker

import (
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// TestAnotherMachineOfTheNameIsAsked: that the machine which has made a part is gone says nothing of one that has its name by now, and was given the part.
func TestAnotherMachineOfTheNameIsAsked(t *testing.T) {
	asked := func(self string, p *apiv1.CheckpointPart) (names []string) {
		r := &restoring{w: &Worker{cfg: Config{Name: self}}, vain: map[string]int{}}
		for _, h := range r.holders(p) {
			names = append(names, h.host)
		}
		return names
	}
	p := &apiv1.CheckpointPart{Host: "w1", Second: "w3", Third: "w1"}
	require.Equal(t, []string{"w1", "w3"}, asked("w2", p))
	p.HostGone = true
	require.Equal(t, []string{"w3", "w1"}, asked("w2", p))
	require.Equal(t, []string{"w3"}, asked("w1", p))
	p.Third = ""
	require.Equal(t, []string{"w3"}, asked("w2", p))
}
