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

// Open counts n more from an address, and returns true, unless they are too many. It does not block.
func (s *Shares) Open(from netip.Addr, n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all+n > s.most || s.of[from]+n > s.most/2 {
		return false
	}
	s.all += n
	if n > 0 {
		s.of[from] += n
	}
	return true
}

// Close takes back n of what was opened from an address. It does not block.
func (s *Shares) Close(from netip.Addr, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all -= n
	if s.of[from] -= n; s.of[from] == 0 {
		delete(s.of, from)
	}
}
