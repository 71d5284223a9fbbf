package gate

import (
	"net/netip"
	"sync"
)

// Shares bounds how many of something are open, and gives one address at most half of them: who opens all it can leaves room for others.
type Shares struct {
	most int

	mu  sync.Mutex // guards what stands below
	all int
	of  map[netip.Addr]int // of each address that has any
}

// NewShares makes Shares of which at most so many are open.
func NewShares(most int) *Shares { return &Shares{most: most, of: make(map[netip.Addr]int)} }

// Open counts another one from an address, and returns true, unless it is one too many. It does not block.
func (s *Shares) Open(from netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= s.most || s.of[from] >= s.most/2 {
		return false
	}
	s.all++
	s.of[from]++
	return true
}

// Close takes back an Open. It does not block.
func (s *Shares) Close(from netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.of[from]--; s.of[from] == 0 {
		delete(s.of, from)
	}
}
