package planner

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Matrix is what the ranks of an app send each other, as it was measured.
type Matrix struct {
	// BytesPerSecond is by sender, then receiver; all rows are as long as there are ranks.
	BytesPerSecond [][]float64 `json:"bytes_per_second"`
	// ImageBytes is the size of each rank's memory; empty: they are not known, and moving costs nothing.
	ImageBytes []int64 `json:"image_bytes,omitempty"`
	// Lasts is for how many seconds the app is taken to go on like that: what a move costs has to be saved by then. 0: for ever.
	Lasts float64 `json:"lasts,omitempty"`

	// peers are those with which each rank has to do, if they were added in the place of BytesPerSecond.
	peers [][]peer
}

// peer is a rank with which another has to do, and how many bytes a second go between the two.
type peer struct {
	rank  int
	bytes float64
}

// NewMatrix is a matrix of so many ranks, which send each other nothing. It takes what is added, however many ranks there are.
func NewMatrix(ranks int) *Matrix { return &Matrix{peers: make([][]peer, ranks)} }

// Add has one rank send another so many bytes a second more.
func (m *Matrix) Add(from, to int, bytes float64) {
	if from == to { // it goes wherever the rank goes
		return
	}
	m.peers[from] = append(m.peers[from], peer{to, bytes})
	m.peers[to] = append(m.peers[to], peer{from, bytes})
}

// maxRate bounds what one rank sends another: sums of such stay numbers.
const maxRate = 1e15

// sparse has the peers of each rank be known.
func (m *Matrix) sparse() *Matrix {
	if m.peers != nil {
		return m
	}
	out := &Matrix{ImageBytes: m.ImageBytes, Lasts: m.Lasts, peers: make([][]peer, len(m.BytesPerSecond))}
	for i, row := range m.BytesPerSecond {
		for j, bytes := range row {
			if bytes > 0 {
				out.Add(i, j, bytes)
			}
		}
	}
	return out
}

func (m *Matrix) validate(ranks int) error {
	if m.peers != nil && len(m.peers) != ranks {
		return fmt.Errorf("traffic: of %d ranks; the app has %d", len(m.peers), ranks)
	}
	if m.peers == nil && len(m.BytesPerSecond) != ranks {
		return fmt.Errorf("traffic.bytes_per_second: %d rows; the app has %d ranks", len(m.BytesPerSecond), ranks)
	}
	for i, row := range m.BytesPerSecond {
		if len(row) != ranks {
			return fmt.Errorf("traffic.bytes_per_second[%d]: %d numbers; the app has %d ranks", i, len(row), ranks)
		}
		for j, x := range row {
			if !(x >= 0 && x <= maxRate) { // also what is no number
				return fmt.Errorf("traffic.bytes_per_second[%d][%d]: %v; 0 to %g are possible", i, j, x, maxRate)
			}
		}
	}
	if n := len(m.ImageBytes); n != 0 && n != ranks {
		return fmt.Errorf("traffic.image_bytes: %d numbers; the app has %d ranks", n, ranks)
	}
	if i := slices.IndexFunc(m.ImageBytes, func(n int64) bool { return n < 0 }); i >= 0 {
		return fmt.Errorf("traffic.image_bytes[%d]: %d; it is at least 0", i, m.ImageBytes[i])
	}
	if !(m.Lasts >= 0) {
		return fmt.Errorf("traffic.lasts: %v s; it is at least 0", m.Lasts)
	}
	return nil
}

// Cut is how many bytes a second ranks on different hosts send each other.
func (m *Matrix) Cut(placement []string) float64 {
	sum := 0.0
	for i, peers := range m.sparse().peers {
		for _, p := range peers {
			if placement[i] != placement[p.rank] {
				sum += p.bytes / 2 // each is there twice
			}
		}
	}
	return sum
}

// costs is how many bytes a second a rank's move has to save: its image, over the time that the app goes on.
func (m *Matrix) costs(rank int) float64 {
	if len(m.ImageBytes) == 0 || m.Lasts == 0 {
		return 0
	}
	return float64(m.ImageBytes[rank]) / m.Lasts
}

// maxTrafficRounds bounds the passes over all ranks; each one that goes on has saved something.
const maxTrafficRounds = 16

// migrateTraffic moves ranks so that fewer bytes go between hosts: rank by rank to the host where it saves most, of those with ranks it talks to, as long as that is more than its image costs, beginning where
// the ranks are, and where bin_pack would have them; the better of the two is the plan. A host gets no more ranks than it has free slots now, and none gives and gets.
func migrateTraffic(req Request, cs []candidate) Plan {
	if req.Traffic == nil {
		return stay("what its ranks send each other is not known yet")
	}
	m := req.Traffic.sparse()
	now := m.Cut(req.Current)
	best, gain := req.Current, 0.0
	starts := [][]string{req.Current}
	if plan := migrateBinPack(req, slices.Clone(cs)); plan.Outcome == Migrate {
		starts = append(starts, plan.Placement)
	}
	for _, start := range starts {
		placement := improve(req, m, cs, start)
		saved := now - m.Cut(placement)
		for r := range placement {
			if placement[r] != req.Current[r] {
				saved -= m.costs(r)
			}
		}
		if saved > gain {
			best, gain = placement, saved
		}
	}
	if gain <= 0 {
		if plan := migrateBinPack(req, slices.Clone(cs)); plan.Outcome == Migrate && m.Cut(plan.Placement) <= now && quicker(req, cs, plan.Placement) {
			return plan
		}
		return stay("%s between its hosts; no move saves more than it costs", rate(now))
	}
	plan := Plan{Outcome: Migrate, Placement: slices.Clone(best), Reason: fmt.Sprintf("%s between its hosts, and %s then", rate(now), rate(m.Cut(best)))}
	for r, to := range best {
		if to != req.Current[r] {
			plan.Moves = append(plan.Moves, Move{Rank: r, From: req.Current[r], To: to})
		}
	}
	return plan
}

// quicker tells whether the app's slowest host is faster by a placement, by enough.
func quicker(req Request, cs []candidate, placement []string) bool {
	least := func(placement []string) float64 {
		ranks, on := make([]int, len(cs)), make(map[string]int, len(cs))
		for _, host := range placement {
			on[host]++
		}
		for i, c := range cs {
			ranks[i] = on[c.Name]
		}
		return slowest(cs, ranks)
	}
	now, then := least(req.Current), least(placement)
	return then > now && (then-now)*100 >= now*float64(req.MinGainPercent)
}

// improve moves ranks of a placement one by one, in order, to where each saves most.
func improve(req Request, m *Matrix, cs []candidate, start []string) []string {
	placement := slices.Clone(start)
	gained, lost := make(map[string]int), make(map[string]int) // since now
	count := func(r, by int) {
		if to, from := placement[r], req.Current[r]; to != from {
			gained[to] += by
			lost[from] += by
		}
	}
	for r := range placement {
		count(r, 1)
	}
	at := make(map[string]candidate, len(cs))
	for _, c := range cs {
		at[c.Name] = c
	}
	for range maxTrafficRounds {
		better := false
		for r := range placement {
			here := placement[r]
			count(r, -1)
			// A host without a peer saves nothing, but that the rank does not move if it is on it now.
			toward := map[string]float64{req.Current[r]: 0, here: 0}
			for _, p := range m.peers[r] {
				toward[placement[p.rank]] += p.bytes
			}
			to, most := here, 0.0
			for _, name := range slices.Sorted(maps.Keys(toward)) {
				c := at[name]
				stays := name == req.Current[r]
				if name == here || !stays && (c.Evicting || gained[name] >= c.freeFor(req.RankMemory) || lost[name] > 0 || gained[req.Current[r]] > 0) {
					continue
				}
				save := toward[name] - m.price(r, name, req.Current) - toward[here] + m.price(r, here, req.Current)
				if save > most+1e-9 || to != here && save > most-1e-9 && c.rate > at[to].rate {
					to, most = name, save
				}
			}
			placement[r] = to
			count(r, 1)
			better = better || to != here
		}
		if !better {
			break
		}
	}
	return placement
}

// price is what it costs that a rank is on a host.
func (m *Matrix) price(rank int, host string, current []string) float64 {
	if current[rank] == host {
		return 0
	}
	return m.costs(rank)
}

// rate is bytes a second for people.
func rate(bytes float64) string {
	switch {
	case bytes >= 1e6:
		return fmt.Sprintf("%.1f MB/s", bytes/1e6)
	case bytes >= 1e3:
		return fmt.Sprintf("%.1f kB/s", bytes/1e3)
	}
	return fmt.Sprintf("%.0f B/s", bytes)
}

// Lasting is for how long an app is taken to go on that has run for some time, and may for some: as long again, as the age of what lives is the best guess
// of what it has before it.
func Lasting(ran, left time.Duration) float64 {
	if left > 0 && left < ran {
		return left.Seconds()
	}
	return ran.Seconds()
}
