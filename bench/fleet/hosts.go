package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/godwit-run/godwit/worker"
)

// hosts are the workers of this process.
type hosts struct {
	count   int
	stage   *stage
	group   *errgroup.Group
	stop    context.CancelFunc
	workers []*worker.Worker

	mu    sync.Mutex // guards the fields below
	terms []uint64   // of each worker's last session
	newer chan struct{}
}

// totalMemory is what each worker believes that its executors may take: nothing of it is used.
const totalMemory = 1 << 30

func hostName(i int) string { return fmt.Sprintf("f%04d", i+1) }

// startHosts starts the workers, all at once.
func startHosts(ctx context.Context, c Config, addrs []string) (*hosts, error) {
	h := &hosts{count: c.Workers, stage: newStage(c.End), terms: make([]uint64, c.Workers), newer: make(chan struct{})}
	log := slog.New(slog.NewTextHandler(c.Log, &slog.HandlerOptions{Level: slog.LevelError}))
	for i := range c.Workers {
		cfg := worker.DefaultConfig()
		cfg.Name, cfg.DataDir, cfg.Listen, cfg.Slots = hostName(i), filepath.Join(c.Hosts, hostName(i)), "127.0.0.1:0", c.Slots
		cfg.TotalMemory = totalMemory
		cfg.Play, cfg.Welcomed = h.stage.play(hostName(i)), func(term uint64) { h.welcomed(i, term) }
		w, err := worker.New(cfg, func() []string { return addrs }, log.With("host", cfg.Name))
		if err != nil {
			return nil, err
		}
		h.workers = append(h.workers, w)
	}
	ctx, h.stop = context.WithCancel(ctx)
	h.group, ctx = errgroup.WithContext(ctx)
	for _, w := range h.workers {
		h.group.Go(func() error { return w.Run(ctx) })
	}
	return h, nil
}

// end ends all workers, and waits for that.
func (h *hosts) end() error {
	h.stop()
	err := h.group.Wait()
	h.stage.tasks.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (h *hosts) welcomed(i int, term uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.terms[i] = term
	close(h.newer)
	h.newer = make(chan struct{})
}

// in waits until every worker has, or has had, a session of a later term.
func (h *hosts) in(ctx context.Context, after uint64) error {
	for {
		h.mu.Lock()
		in, newer := 0, h.newer
		for _, t := range h.terms {
			if t > after {
				in++
			}
		}
		h.mu.Unlock()
		if in == h.count {
			return nil
		}
		select {
		case <-newer:
		case <-ctx.Done():
			return fmt.Errorf("fleet: %d of %d workers have a session after term %d: %w", in, h.count, after, ctx.Err())
		}
	}
}

// term is the latest of any session.
func (h *hosts) term() (latest uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range h.terms {
		latest = max(latest, t)
	}
	return latest
}

// pollEach is how often is looked for what nobody tells.
const pollEach = 50 * time.Millisecond

// until waits until f says true.
func until(ctx context.Context, what string, limit time.Duration, f func(ctx context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	t := time.NewTicker(pollEach)
	defer t.Stop()
	for {
		ok, err := f(ctx)
		if ok || err != nil {
			return err
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return fmt.Errorf("fleet: %s: %w", what, ctx.Err())
		}
	}
}
