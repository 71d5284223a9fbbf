package main

import (
	"cmp"
	"context"
	"slices"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/control"
	"github.com/godwit-run/godwit/raftnode"
)

// removed says whether the cluster has gone on without the server: a majority of the others that vote by this server's own log,
// asked of late, each at its place, say that they are of the group, that this server is not, and have logs that are no older than its
// own. One alone may lag behind, or lie. It is something to tell people, and a server that ends does not wait to be removed once more:
// nothing else follows from it.
func removed(self ownState, group []raftnode.Server, end raftnode.Standing, found []answer) bool {
	voters, say := 0, 0
	for _, s := range group {
		if !s.Voter || s.ID == self.id {
			continue
		}
		voters++
		i := slices.IndexFunc(found, func(a answer) bool { return a.ServerId == s.ID })
		if i < 0 || self.clusterID == "" || found[i].ClusterId != self.clusterID {
			continue
		}
		a := found[i]
		older := cmp.Or(cmp.Compare(a.LastLogTerm, end.LogTerm), cmp.Compare(a.LastLogIndex, end.LogIndex)) < 0
		if !older && has(a.Members, a.ServerId) && !has(a.Members, self.id) {
			say++
		}
	}
	return voters > 0 && say > voters/2
}

func has(members []*apiv1.GroupMember, id string) bool {
	return slices.ContainsFunc(members, func(m *apiv1.GroupMember) bool { return m.Id == id })
}

// removed says what the others say of this server, as far as this one has asked them.
func (s *server) removed() bool {
	if leader, _ := s.node.Leader(); leader != "" {
		return false // somebody sends it the log
	}
	end, err := s.node.Standing()
	return err == nil && removed(s.own(), s.node.Servers(), end, s.dir.found())
}

// watchRemoved says in the log that this server was removed, once each time that it is found out.
func (s *server) watchRemoved(ctx context.Context) error {
	t := time.NewTicker(askEach)
	defer t.Stop()
	said := false
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if now := s.removed(); now != said {
			if said = now; said {
				s.log.Warn(control.RemovedText, "data_dir", s.flags.dataDir) //nolint:sloglint // a constant of another package
			}
		}
	}
}
