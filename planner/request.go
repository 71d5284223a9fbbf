// Package planner decides where ranks go and when they should move: pure
// functions of a request, or of a view of the replicated state. The same input
// gives the same plan everywhere.
package planner

import (
	"errors"
	"fmt"
	"slices"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// Kinds of requests.
const (
	// KindNew places all ranks of an app that has none yet.
	KindNew = "new"
	// KindScale places ranks added to a running app.
	KindScale = "scale"
	// KindMigrate asks whether a running app should move.
	KindMigrate = "migrate"
	// KindCluster asks how all apps together should move: by EmptyHosts.
	KindCluster = "cluster"
)

// Policies. The empty policy is the cluster's default, or BinPack.
const (
	BinPack   = "bin_pack"
	MainFirst = "main_first" // for new and scale only
	Compact   = "compact"
	Spot      = "spot"
	// EmptyHosts and Traffic are of apps that run: by Traffic they are placed as by BinPack, by EmptyHosts on hosts in use.
	EmptyHosts = "empty_hosts"
	Traffic    = "traffic"
)

// Hints, which bear on new and scale. The empty hint is HintNone.
const (
	HintNone   = "none"
	Underfull  = "underfull"
	NeverAlone = "never_alone"
	ForceLocal = "force_local"
)

// Outcomes of plans.
const (
	Placed         = "placed"
	Migrate        = "migrate"
	DoNotMigrate   = "do_not_migrate"
	NotEnoughSlots = "not_enough_slots"
	MustFreeze     = "must_freeze"
)

// maxRanks bounds a request, far above what the cluster takes.
const maxRanks = 1 << 20

// Host is a machine as a policy sees it.
type Host struct {
	Name  string `json:"name"`
	Slots int    `json:"slots"`
	// Used counts all ranks and reservations, the app's own included.
	Used int `json:"used"`
	// Evicting hosts take no new ranks; draining and lost ones are told so too.
	Evicting bool `json:"evicting"`
	// Why an evicting host takes none, if it is known: what it is.
	Why string `json:"why,omitempty"`
	// Tenants are those with ranks on the host.
	Tenants []string `json:"tenants"`
	// Volumes are those that the host offers; NAME:rw stands beside NAME for one that may be written to.
	Volumes []string `json:"volumes,omitempty"`
	// Labels are the host's: those with the same RackLabel are near each other.
	Labels map[string]string `json:"labels,omitempty"`
	// Memory is what ranks that declare memory may have of it together, in bytes; 0: it is not known, and does not bound them.
	Memory int64 `json:"memory,omitempty"`
	// MemoryUsed is what all ranks and reservations have declared, the app's own included.
	MemoryUsed int64 `json:"memory_used,omitempty"`
	// RankMemory is what one rank may declare there at most, in bytes; 0: as much as any may.
	RankMemory int64 `json:"rank_memory,omitempty"`
	// Speed is how fast it is beside other hosts; 0: 1.
	Speed float64 `json:"speed,omitempty"`
}

// RackLabel is the label that says in which rack a host is.
const RackLabel = "rack"

// Request is a question to a policy, in the form of a line of a plan file.
type Request struct {
	ID            string `json:"id"`
	Kind          string `json:"kind"`
	Policy        string `json:"policy"`
	Hint          string `json:"hint"`
	MainHost      string `json:"main_host"`
	Oversubscribe bool   `json:"oversubscribe"`
	Tenant        string `json:"tenant"`
	// Ranks is how many to place; it means nothing to migrate.
	Ranks int `json:"ranks"`
	// RankMemory is what each rank takes of its host's memory, in bytes; 0: nothing. Oversubscribe is of slots alone.
	RankMemory int64 `json:"rank_memory,omitempty"`
	// On is what hosts of new ranks must have: label rules, as of an app.
	On []string `json:"on,omitempty"`
	// Spread is a label over whose values new ranks are placed evenly; empty: none.
	Spread string `json:"spread,omitempty"`
	Hosts  []Host `json:"hosts"`
	// Current is the host of each rank now; it means nothing to new.
	Current []string `json:"current"`
	// Traffic is what the ranks send each other; Traffic needs it.
	Traffic *Matrix `json:"traffic,omitempty"`
	// MinGainPercent is how many percent of its links a move by BinPack has to save, unless it is to fewer hosts; or how many percent faster its slowest host has to be then, with as many links.
	MinGainPercent int `json:"min_gain_percent,omitempty"`
	// Apps are those that may move, of KindCluster alone.
	Apps []Resident `json:"apps,omitempty"`

	within bool // no host gets more than it has slots for, though NeverAlone may; Oversubscribe is false
}

// Move takes one rank from one host to another.
type Move struct {
	// App has the rank, in plans of several apps.
	App  string `json:"app,omitempty"`
	Rank int    `json:"rank"`
	From string `json:"from"`
	To   string `json:"to"`
}

// Plan is a policy's answer.
type Plan struct {
	ID      string `json:"id"`
	Outcome string `json:"outcome"`
	// Placement is the host of each rank, for Placed and Migrate: of the added
	// ranks for scale, else of all. Empty for the other outcomes.
	Placement []string `json:"placement"`
	// Moves are what Migrate changes, by rank.
	Moves []Move `json:"moves"`
	// Reason says in words why nothing is placed or moved.
	Reason string `json:"reason,omitempty"`
}

// Decide answers the request. An error means that the request is invalid, and
// names the field; that there is no room is an outcome, not an error.
func Decide(req Request) (Plan, error) {
	if req.Policy == "" {
		req.Policy = BinPack
	}
	if req.Hint == "" {
		req.Hint = HintNone
	}
	if err := req.validate(); err != nil {
		return Plan{}, err
	}
	if len(req.On) > 0 || req.Spread != "" {
		req.Hosts = offering(req.Hosts, &apiv1.AppSpec{On: req.On, Spread: req.Spread})
	}
	var plan Plan
	switch req.Kind {
	case KindMigrate:
		plan = migrate(req)
	case KindCluster:
		plan = clusterPlan(req)
	default:
		plan = place(req)
	}
	return plan.complete(req.ID), nil
}

// complete makes absent lists empty ones, so that they print as such.
func (p Plan) complete(id string) Plan {
	p.ID = id
	if p.Placement == nil {
		p.Placement = []string{}
	}
	if p.Moves == nil {
		p.Moves = []Move{}
	}
	return p
}

func (req Request) validate() error {
	policies := []string{BinPack, MainFirst, Compact, Spot, EmptyHosts, Traffic}
	switch req.Kind {
	case KindNew, KindScale:
		if req.Ranks < 1 || req.Ranks > maxRanks {
			return fmt.Errorf("ranks: %d; 1 to %d are possible", req.Ranks, maxRanks)
		}
	case KindMigrate:
		policies = []string{BinPack, Compact, Spot, Traffic}
		if len(req.Current) == 0 || len(req.Current) > maxRanks {
			return fmt.Errorf("current: %d ranks; an app that may migrate has 1 to %d", len(req.Current), maxRanks)
		}
	case KindCluster:
		policies = []string{EmptyHosts}
	default:
		return fmt.Errorf("kind: %q is not one of new, scale, migrate, cluster", req.Kind)
	}
	if !slices.Contains(policies, req.Policy) {
		return fmt.Errorf("policy: %q is not one of %q, which %s knows", req.Policy, policies, req.Kind)
	}
	hints := []string{HintNone, Underfull, NeverAlone, ForceLocal}
	if !slices.Contains(hints, req.Hint) {
		return fmt.Errorf("hint: %q is not one of %q", req.Hint, hints)
	}
	if err := checkRules(req.On); err != nil {
		return fmt.Errorf("on: %w", err)
	}
	if req.Spread != "" && (req.Hint != HintNone || req.Policy == MainFirst) {
		return errors.New("spread: it says where ranks go, and so do a hint and main_first: give one of them")
	}
	if req.MinGainPercent < 0 || req.MinGainPercent > 100 {
		return fmt.Errorf("min_gain_percent: %d; 0 to 100 are possible", req.MinGainPercent)
	}
	if req.Traffic != nil && req.Kind == KindMigrate {
		if err := req.Traffic.validate(len(req.Current)); err != nil {
			return err
		}
	}
	if err := req.validateHosts(); err != nil || req.Kind != KindCluster {
		return err
	}
	return req.validateCluster()
}

func (req Request) validateHosts() error {
	if err := req.validateMemory(); err != nil {
		return err
	}
	own := req.own()
	seen := make(map[string]bool, len(req.Hosts))
	for i, h := range req.Hosts {
		switch {
		case h.Name == "":
			return fmt.Errorf("hosts[%d].name: empty", i)
		case seen[h.Name]:
			return fmt.Errorf("hosts[%d].name: %q is there twice", i, h.Name)
		case h.Slots < 0 || h.Slots > maxRanks:
			return fmt.Errorf("hosts[%d].slots: %d; 0 to %d are possible", i, h.Slots, maxRanks)
		case h.Used < own[h.Name] || h.Used > maxRanks:
			return fmt.Errorf("hosts[%d].used: %d; it counts the app's own %d ranks, and is at most %d", i, h.Used, own[h.Name], maxRanks)
		}
		seen[h.Name] = true
	}
	if req.Kind == KindNew || req.Kind == KindCluster {
		return nil
	}
	for r, name := range req.Current {
		if !seen[name] {
			return fmt.Errorf("current[%d]: host %q is not among hosts", r, name)
		}
	}
	return nil
}

// checkRules checks what is asked of labels.
func checkRules(on []string) error {
	for _, text := range on {
		if _, err := fsm.ParseLabelRule(text); err != nil {
			return err
		}
	}
	return nil
}

// own counts the app's ranks on each host.
func (req Request) own() map[string]int {
	own := make(map[string]int)
	if req.Kind == KindScale || req.Kind == KindMigrate {
		for _, name := range req.Current {
			own[name]++
		}
	}
	return own
}
