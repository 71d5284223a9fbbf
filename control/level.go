package control

import (
	"context"
	"fmt"
	"slices"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
)

// levelEach is how long the leader waits before it asks again whether all servers know a higher feature level.
const levelEach = time.Second

// leveler raises the cluster's feature level to what the builds of all servers know. While this build knows no higher one than that
// in force, it asks nobody.
func (l *leader) leveler() func(context.Context) {
	var next time.Time
	return func(ctx context.Context) {
		v := l.c.state.View()
		if v.ClusterID() == "" || l.c.state.Knows() <= v.FeatureLevel() || time.Now().Before(next) {
			return
		}
		level, known := l.c.commonLevel(ctx)
		next = time.Now().Add(levelEach)
		if !known || level <= v.FeatureLevel() {
			return
		}
		if l.propose(ctx, "raise the feature level", func(cmd *apiv1.Command) {
			cmd.Op = &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: level}}
		}) {
			l.log.Info("the feature level was raised", "from", v.FeatureLevel(), "to", level)
		}
	}
}

// commonLevel asks every member, voter or not, and returns the highest feature level that all of them know. It is not known while one
// does not answer, or when the members have changed meanwhile: what a server said once may be from before it got an older build.
func (c *Control) commonLevel(ctx context.Context) (level uint32, known bool) {
	ctx, cancel := context.WithTimeout(ctx, peerWait)
	defer cancel()
	servers := c.group.Servers()
	answers := c.askServers(ctx, servers)
	level = c.state.Knows()
	for _, s := range servers {
		if s.ID == c.group.ID() {
			continue
		}
		res, ok := answers[s.ID]
		if !ok {
			return 0, false
		}
		level = min(level, res.FeatureLevel)
	}
	return level, slices.Equal(memberIDs(servers), memberIDs(c.group.Servers()))
}

func memberIDs(servers []ServerInfo) []string {
	var ids []string
	for _, s := range servers {
		ids = append(ids, s.ID)
	}
	slices.Sort(ids)
	return ids
}

// mixed says that a member was found whose build knows another level than this one's: its encoding of the state, and so its hash, may be
// another, with nothing wrong.
func (c *Control) mixed() bool {
	knows := map[string]uint32{}
	for _, p := range c.peers.Servers() {
		knows[p.ID] = p.Knows
	}
	for _, s := range c.group.Servers() {
		if level, found := knows[s.ID]; found && s.ID != c.group.ID() && level != c.state.Knows() {
			return true
		}
	}
	return false
}

// tooOld is what stands against a server that could not apply the log.
func tooOld(knows, level uint32) string {
	return fmt.Sprintf("its godwit knows feature level %d, and the cluster is at %d: start it with a newer godwit", knows, level)
}

// noCheckpointsYet is the answer to who asks for checkpoints where the feature level in force has none.
func (c *Control) noCheckpointsYet(field string) error {
	return apierr.New(connect.CodeUnavailable, apierr.ReasonNotYet, field,
		fmt.Sprintf("checkpoints need a higher feature level than the cluster's, which is %d", c.state.View().FeatureLevel()),
		"try again in a moment; if that stays, some server has an older godwit (see godwit servers)")
}

// atLevel is a spec as the feature level in force takes it. What it has no room for is turned away: a new cluster is there in a moment; one that
// has a server of an older build, when that was replaced. The owner's lease and what the program is called are left out: without them an app runs as it did there before.
func (c *Control) atLevel(spec *apiv1.AppSpec) (*apiv1.AppSpec, error) {
	v := c.state.View()
	if v.RunsParts() {
		return spec, nil
	}
	if spec.OwnerLeaseMs != 0 || spec.Program != "" {
		spec = proto.CloneOf(spec)
		spec.OwnerLeaseMs, spec.Program = 0, ""
	}
	if len(spec.Parts) > 0 {
		return nil, apierr.New(connect.CodeUnavailable, apierr.ReasonNotYet, "spec.parts",
			fmt.Sprintf("an app of several programs needs a higher feature level than the cluster's, which is %d", v.FeatureLevel()),
			"try again in a moment; if that stays, some server has an older godwit (see godwit servers)")
	}
	if !v.Schedules() && fsm.AsksForScheduling(spec) {
		return nil, apierr.New(connect.CodeUnavailable, apierr.ReasonNotYet, "spec.priority",
			fmt.Sprintf("priorities, dependencies, time limits, arrays, labels and declared memory need a higher feature level than the cluster's, which is %d", v.FeatureLevel()),
			"try again in a moment; if that stays, some server has an older godwit (see godwit servers)")
	}
	if fsm.AsksForCheckpoints(spec) {
		return nil, c.noCheckpointsYet("spec.checkpoint_period")
	}
	return spec, nil
}
