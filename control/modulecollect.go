package control

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/transport"
)

const (
	// moduleGrace is how old bytes must be that the state does not name: an upload puts them on the servers first, and has
	// its digest committed within turnWait, moduleLongest and commitWait after that.
	moduleGrace = time.Hour
	// collectWait bounds one wait for the log.
	collectWait = 10 * time.Second
	// collectPeriod is how often the store is looked through though no module has come or gone: for what was too young, and
	// for what was pushed here and never committed.
	collectPeriod = 10 * time.Minute
)

// CollectModules removes the bytes of modules that the state does not name any more from this server's store, until ctx is over.
func (c *Control) CollectModules(ctx context.Context) error {
	sub := c.state.Feed().Subscribe(fsm.AnyModule)
	defer sub.Close()
	t := time.NewTicker(collectPeriod)
	defer t.Stop()
	for {
		if err := c.collect(ctx, time.Now().Add(-moduleGrace)); err != nil && ctx.Err() == nil {
			c.slog.Warn("modules that the cluster does not know any more stay in the store for now", "err", err)
		}
		select {
		case <-sub.C():
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// collect removes what is from before the cutoff and unknown to a state that is as new as this call. Bytes whose digest is
// committed later came later than the cutoff. A server that does not reach the log removes nothing.
func (c *Control) collect(ctx context.Context, cutoff time.Time) error {
	digests, err := c.modules.older(cutoff)
	if err != nil {
		return err
	}
	if !unknown(c.state.View(), digests) {
		return nil // the log need not be asked
	}
	ctx, cancel := context.WithTimeout(ctx, collectWait)
	defer cancel()
	v, err := c.readAnywhere(ctx)
	if err != nil {
		return err
	}
	known := holds(v)
	for _, digest := range digests {
		if known(digest) {
			continue
		}
		removed, err := c.modules.remove(digest, cutoff)
		if err != nil {
			return err
		}
		if removed {
			c.holding.forget(digest)
			c.slog.Info("module removed from the store: the cluster does not know it any more", "digest", digest)
		}
	}
	return nil
}

// readAnywhere is read on any server: one that does not lead asks the leader how far the log is, and waits until it has applied
// as much itself.
func (c *Control) readAnywhere(ctx context.Context) (*fsm.View, error) {
	addr, leads := c.log.Leader()
	switch {
	case leads:
		return c.read(ctx)
	case addr == "":
		return nil, errors.New("no leader is known")
	}
	leader := apiv1connect.NewControlClient(transport.NewClient(c.servers, addr))
	res, err := leader.ListServers(ctx, &apiv1.ListServersRequest{})
	if err != nil {
		return nil, fmt.Errorf("ask the leader how far the log is: %w", err)
	}
	sub := c.state.Feed().Subscribe(fsm.Everything)
	defer sub.Close()
	for {
		if v := c.state.View(); v.Index() >= res.Index {
			return v, nil
		}
		select {
		case <-sub.C():
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the log's entry %d: %w", res.Index, ctx.Err())
		}
	}
}

// unknown says whether the state does not know one of the modules.
func unknown(v *fsm.View, digests []string) bool {
	known := holds(v)
	for _, digest := range digests {
		if !known(digest) {
			return true
		}
	}
	return false
}

// older lists the modules in the store that came before the cutoff.
func (s *moduleStore) older(cutoff time.Time) ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, storeError(err)
	}
	var digests []string
	for _, e := range entries {
		digest, ok := strings.CutSuffix(e.Name(), filepath.Ext(s.path("")))
		if !ok || strings.HasPrefix(digest, uploadPrefix) {
			continue
		}
		if info, err := e.Info(); err == nil && info.ModTime().Before(cutoff) {
			digests = append(digests, digest)
		}
	}
	return digests, nil
}

// remove removes a module, unless it came again since the cutoff, or is on its way into the store at this moment.
func (s *moduleStore) remove(digest string, cutoff time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.coming[digest] > 0 {
		return false, nil
	}
	info, err := os.Stat(s.path(digest))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return false, nil
	case err != nil:
		return false, storeError(err)
	case !info.ModTime().Before(cutoff):
		return false, nil
	}
	if err := os.Remove(s.path(digest)); err != nil {
		return false, storeError(err)
	}
	delete(s.sound, digest)
	return true, nil
}
