package control

import (
	"context"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/transport"
)

const (
	// membersTick is how often the leader compares the Raft group with what gossip sees.
	membersTick = time.Second
	// maxLag is how many log entries a new server may miss when it gets its vote.
	maxLag = 100
)

// keepMembers makes servers that gossip sees members of the Raft group, and follows their addresses. It removes nobody.
func (l *leader) keepMembers(ctx context.Context) error {
	t := time.NewTicker(membersTick)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := l.addMissing(ctx); err != nil && ctx.Err() == nil {
			l.log.Warn("membership", "err", err)
		}
	}
}

// addMissing makes one change at most: a new server first receives the log, and votes once it has it.
func (l *leader) addMissing(ctx context.Context) error {
	members := map[string]ServerInfo{}
	for _, s := range l.c.group.Servers() {
		members[s.ID] = s
	}
	for _, p := range l.c.peers.Servers() {
		m, ok := members[p.ID]
		switch {
		case !ok:
			l.log.Info("server joins", "server", p.ID, "addr", p.Addr)
			return l.c.group.AddNonvoter(ctx, p.ID, p.Addr)
		case m.Addr != p.Addr:
			l.log.Info("server has another address", "server", p.ID, "addr", p.Addr)
			return l.c.group.AddNonvoter(ctx, p.ID, p.Addr)
		case !m.Voter:
			return l.promote(ctx, p)
		}
	}
	return nil
}

// promote gives a new server its vote, if it has nearly all of the log.
func (l *leader) promote(ctx context.Context, p ServerInfo) error {
	dctx, cancel := context.WithTimeout(ctx, peerWait)
	defer cancel()
	client := apiv1connect.NewClusterClient(transport.NewClient(l.c.http, p.Addr))
	res, err := client.Discover(dctx, &apiv1.DiscoverRequest{})
	if err != nil {
		return err
	}
	if res.AppliedIndex+maxLag < l.c.state.View().Index() {
		return nil
	}
	l.log.Info("server votes from now on", "server", p.ID)
	return l.c.group.Promote(ctx, p.ID)
}
