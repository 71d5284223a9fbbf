package control

import "slices"

// stuckLooks is how many looks, membersTick apart, must find that a server has not taken what was there for it before it is called
// behind. What counts is that it does not move: one that follows under load is behind by a few entries all the time.
const stuckLooks = 8

// usualLooks is how many looks old the leader's index is from which a server that follows is at most maxLag away: what is known of it
// is as old, and under load the leader has gone on since.
const usualLooks = 4

// progress is what the leader remembers of how another server follows.
type progress struct {
	index uint64 // of the server, at the last look.
	want  uint64 // the leader's index when the server was first seen at index.
	looks int    // that found it there, with entries to take.
}

// look is told where the server and the leader are, and returns what is to be remembered.
func (p progress) look(index, leader uint64) progress {
	if index != p.index || p.want <= index {
		return progress{index: index, want: leader}
	}
	p.looks++
	return p
}

// noteProgress looks once at all servers that were found. Those that do not answer are said to, elsewhere.
func (c *Control) noteProgress() {
	index, peers := c.state.View().Index(), c.peers.Servers()
	c.mu.Lock()
	defer c.mu.Unlock()
	now := make(map[string]progress, len(peers))
	for _, p := range peers {
		if p.ID != c.group.ID() {
			now[p.ID] = c.follows[p.ID].look(p.Index, index)
		}
	}
	c.follows = now
	c.usual = append(slices.Clone(c.usual[max(0, len(c.usual)-usualLooks+1):]), index)
}

// catchingUp says for how many entries a server at index is farther behind this one, which leads, than one that follows is; 0: it is not.
func (c *Control) catchingUp(index uint64) uint64 {
	now := c.state.View().Index()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.usual) == 0 || index+maxLag >= c.usual[0] {
		return 0
	}
	return now - index
}

func (c *Control) forgetProgress() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.follows, c.usual = nil, nil
}

// behind are the servers that do not move though there is something to take, with the number of entries.
func (c *Control) behind() map[string]uint64 {
	index := c.state.View().Index()
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]uint64{}
	for id, p := range c.follows {
		if p.looks >= stuckLooks && p.index < index {
			out[id] = index - p.index
		}
	}
	return out
}
