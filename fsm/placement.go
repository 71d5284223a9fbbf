package fsm

import (
	"slices"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// NewPlaceApp makes the command that gives an app the host of each rank. Ranks of
// one host follow each other as a rule: then it names the runs of them.
func NewPlaceApp(app AppID, placement []string) *apiv1.PlaceApp {
	runs := runsOf(placement)
	if 2*len(runs) > len(placement) { // a run takes a few bytes more than a name
		return &apiv1.PlaceApp{App: string(app), Placement: placement}
	}
	return &apiv1.PlaceApp{App: string(app), Runs: runs}
}

// runsOf is a placement, as runs of ranks on one host.
func runsOf(placement []string) []*apiv1.PlaceRule {
	var runs []*apiv1.PlaceRule
	for _, host := range placement {
		if n := len(runs); n > 0 && runs[n-1].GetHost() == host {
			runs[n-1].Ranks++
			continue
		}
		runs = append(runs, &apiv1.PlaceRule{Host: host, Ranks: 1})
	}
	return runs
}

// placementOf is the host of each rank, in either form. Equal names share their
// memory: a placement repeats few.
func placementOf(op *apiv1.PlaceApp) []string {
	if len(op.GetRuns()) == 0 {
		return shareNames(op.GetPlacement())
	}
	var out []string
	for _, run := range op.GetRuns() {
		out = append(out, slices.Repeat([]string{run.GetHost()}, int(run.GetRanks()))...)
	}
	return shareNames(out)
}

func (c *checker) placement(op *apiv1.PlaceApp) {
	c.count("placement", len(op.GetPlacement()), MaxAppSize)
	for _, host := range op.GetPlacement() {
		c.name("placement", host)
	}
	if len(op.GetRuns()) == 0 {
		return
	}
	if len(op.GetPlacement()) > 0 {
		c.wrong("runs", "the placement is given as well; give one of them")
	}
	sum := int64(0)
	for _, run := range op.GetRuns() {
		c.name("runs.host", run.GetHost())
		if run.GetRanks() < 1 {
			c.wrong("runs.ranks", "%d ranks on %s; at least 1 is needed", run.GetRanks(), run.GetHost())
		}
		sum += int64(run.GetRanks())
	}
	if sum > MaxAppSize {
		c.wrong("runs", "%d ranks; at most %d are possible", sum, MaxAppSize)
	}
}
