package native

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
)

// Progress is how far a compiler is. Any goroutine may look. A nil one is told nothing.
type Progress struct {
	mu       sync.Mutex // guards the fields below
	done, of int
	ticks    int64 // of processes that have ended
	running  map[int]bool
}

// Parts is how many of the module's parts are done.
func (p *Progress) Parts() (done, of int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done, p.of
}

// Ticks is how long clang has computed so far, in hundredths of a second.
func (p *Progress) Ticks() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	sum := p.ticks
	for pid := range p.running {
		sum += ticksOf(pid)
	}
	return sum
}

func (p *Progress) add(done, of int) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += done
	p.of += of
}

// begins notes a process of clang's.
func (p *Progress) begins(pid int) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running == nil {
		p.running = map[int]bool{}
	}
	p.running[pid] = true
}

// ends notes that it has ended, and was waited for.
func (p *Progress) ends(pid int, took time.Duration) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.running, pid)
	p.ticks += int64(took / (10 * time.Millisecond))
}

// ticksOf is how long a process has computed; 0: it is gone.
func ticksOf(pid int) int64 {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // behind the name, in parentheses, which may hold anything
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(string(fields[11]), 10, 64)   // 0 is not known
	kernel, _ := strconv.ParseInt(string(fields[12]), 10, 64) // likewise
	return user + kernel
}
