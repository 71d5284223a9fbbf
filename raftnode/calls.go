package raftnode

import "sync"

// calls counts what others have this server do, until it does no more. The zero value is ready.
type calls struct {
	mu    sync.Mutex // guards over, and under against its Wait.
	over  bool
	under sync.WaitGroup
}

// do runs f, or nothing after end.
func (c *calls) do(f func()) {
	c.mu.Lock()
	if c.over {
		c.mu.Unlock()
		return
	}
	c.under.Add(1)
	c.mu.Unlock()
	defer c.under.Done()
	f()
}

// end refuses what comes from now on, and returns when what is under way has ended.
func (c *calls) end() {
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	c.under.Wait()
}
