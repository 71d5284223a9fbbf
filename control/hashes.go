package control

import (
	"context"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// hasher makes the replicas compare their states.
func (l *leader) hasher() func(context.Context) {
	next := time.Now().Add(l.c.cfg.HashPeriod)
	var checked uint64 // index of our last check: nothing but it in the log is no reason for another
	return func(ctx context.Context) {
		v := l.c.state.View()
		if time.Now().Before(next) || v.Index() == checked || l.c.mixed() {
			return
		}
		next = time.Now().Add(l.c.cfg.HashPeriod)
		last := v.LastHash()
		if l.propose(ctx, "check hash", func(c *apiv1.Command) {
			c.Op = &apiv1.Command_CheckHash{CheckHash: &apiv1.CheckHash{Index: last.GetIndex(), Hash: last.GetHash()}}
		}) {
			checked = l.c.state.View().LastHash().GetIndex()
		}
	}
}
