package jepsen

import (
	"math/rand/v2"
	"strings"
)

// partition cuts the network.
type partition struct{ how string }

// How a network may be cut.
const (
	leaderAlone      = "leader from followers"
	halves           = "halves"
	workerFromLeader = "worker from leader"
	leaderToWorker   = "one way, leader to worker"
	workerToLeader   = "one way, worker to leader"
	fromFollowers    = "one way, follower to leader"
)

func (p *partition) name() string { return "partition " + p.how }

func (p *partition) start(c *cluster, rng *rand.Rand) (string, error) {
	leader, worker := c.victim("leader", rng).name, c.victim("worker", rng).name
	var followers, all []string
	for _, s := range c.servers {
		if s.name != leader {
			followers = append(followers, s.name)
		}
	}
	for _, q := range c.processes() {
		all = append(all, q.name)
	}
	switch p.how {
	case leaderAlone:
		return leader + " | " + strings.Join(followers, " "), c.net.part([]string{leader}, followers)
	case halves: // servers are on both sides, each worker on either
		one, other := []string{pick(rng, followers)}, []string{leader}
		for _, m := range all {
			switch {
			case m == one[0] || m == leader:
			case rng.IntN(2) == 0:
				one = append(one, m)
			default:
				other = append(other, m)
			}
		}
		return strings.Join(one, " ") + " | " + strings.Join(other, " "), c.net.part(one, other)
	case workerFromLeader:
		return worker + " | " + leader, c.net.part([]string{worker}, []string{leader})
	case leaderToWorker:
		return leader + " -> " + worker, c.net.cut(leader, worker)
	case workerToLeader:
		return worker + " -> " + leader, c.net.cut(worker, leader)
	default:
		from := pick(rng, followers)
		return from + " -> " + leader, c.net.cut(from, leader)
	}
}

func (p *partition) heal(c *cluster) error { return c.net.heal() }
