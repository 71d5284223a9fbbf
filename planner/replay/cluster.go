package replay

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/planner"
)

// term of the one leader that there is.
const term = 1

// digest of the one module that all jobs run.
const digest = "replayed"

// atOnce is how many commands an entry has at most.
const atOnce = 64

// cluster is the state that a leader's log makes, and the board that the leader's queue keeps of it.
type cluster struct {
	m     *fsm.Machine
	clock *agenda
	board *planner.Board
	rooms *rooms
	index uint64 // of the view to which board and rooms have been brought
	// incarnations of each host, for it restarts.
	incarnations map[string]int
	speeds       map[string]float64
	entries      int
}

func newCluster(t *Trace, clock *agenda) (*cluster, error) {
	c := &cluster{m: fsm.New(), clock: clock, board: planner.NewBoard(), incarnations: make(map[string]int), speeds: make(map[string]float64)}
	cmds := []*apiv1.Command{
		{Op: &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: fsm.FeatureLevel}}},
		{Op: &apiv1.Command_AddModule{AddModule: &apiv1.AddModule{Module: &apiv1.Module{Digest: digest, Migratable: true}}}},
	}
	for i := range t.Hosts {
		c.speeds[hostName(i)] = t.speed(i)
		cmds = append(cmds, c.register(hostName(i), t.Slots))
	}
	if err := c.apply(cmds...); err != nil {
		return nil, err
	}
	v := c.m.View()
	c.board.Reset(v)
	c.rooms = newRooms(v)
	c.index = v.Index()
	return c, nil
}

// hostName has the order of names be that of numbers.
func hostName(i int) string { return fmt.Sprintf("h%05d", i) }

// register makes a host known, or known again since it has restarted.
func (c *cluster) register(name string, slots int) *apiv1.Command {
	c.incarnations[name]++
	return &apiv1.Command{Op: &apiv1.Command_RegisterHost{RegisterHost: &apiv1.RegisterHost{
		Host: &apiv1.Host{Id: name, NodeId: name, Slots: int32(slots), Incarnation: c.incarnation(name), Speed: c.speeds[name]},
	}}}
}

func (c *cluster) incarnation(name string) string { return fmt.Sprint(c.incarnations[name]) }

// apply has the log take commands. That one is refused is a defect of what asks for it, or a bound of the state that it does not heed.
func (c *cluster) apply(cmds ...*apiv1.Command) error {
	now := c.at(0)
	for part := range slices.Chunk(cmds, atOnce) {
		for _, cmd := range part {
			cmd.At = now
		}
		data, err := fsm.Encode(&apiv1.Entry{Commands: part})
		if err != nil {
			return err
		}
		c.entries++
		results, err := c.m.Apply(c.m.View().Index()+1, term, data)
		if err != nil {
			return err
		}
		for i, r := range results {
			if r.GetCode() != "" {
				return fmt.Errorf("at %v the log refuses %T: %s: %s", c.clock.now, part[i].GetOp(), r.GetCode(), r.GetReason())
			}
		}
	}
	return nil
}

// at is a moment after now, as entries have it.
func (c *cluster) at(after time.Duration) *timestamppb.Timestamp {
	at := c.clock.now + after
	return &timestamppb.Timestamp{Seconds: int64(at / time.Second), Nanos: int32(at % time.Second)}
}

// follow brings board and rooms to the state as it is now.
func (c *cluster) follow() *fsm.View {
	v, changes, ok := c.m.Feed().Look(c.index)
	if !ok {
		c.board.Reset(v)
		c.rooms = newRooms(v)
	}
	for _, change := range changes {
		for _, id := range change.Hosts {
			c.board.Change(v, id)
			c.rooms.change(v, id)
		}
	}
	c.index = v.Index()
	return v
}

func (c *cluster) app(id fsm.AppID) (*apiv1.App, error) {
	app, ok := c.m.View().App(id)
	if !ok {
		return nil, fmt.Errorf("app %s is not known any more", id)
	}
	return app, nil
}

// slowest is the speed of the slowest host of some.
func (c *cluster) slowest(shares []share) float64 {
	least := math.Inf(1)
	for _, s := range shares {
		least = min(least, cmp.Or(c.speeds[s.host], 1))
	}
	if len(shares) == 0 {
		return 1
	}
	return least
}
