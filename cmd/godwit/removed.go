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
// own. One alone may lag behind, or lie. A server that ends does not wait to be removed once more: nothing else follows from it.
func removed(self ownState, group []raftnode.Server, end raftnode.Standing, found []answer) bool {
	voters, say := 0, 0
	for _, s := range group {
		if !s.Voter || s.ID == self.id {
			continue
		}
		voters++
		i := slices.IndexFunc(found, func(a answer) bool { return a.ServerId == s.ID })
		if i >= 0 && leftOut(self, end, found[i]) {
			say++
		}
	}
	return voters > 0 && say > voters/2
}

// leftOut says that a server of this one's cluster, whose log is no older, is of the group, and that this one is not.
func leftOut(self ownState, end raftnode.Standing, a answer) bool {
	older := cmp.Or(cmp.Compare(a.LastLogTerm, end.LogTerm), cmp.Compare(a.LastLogIndex, end.LogIndex)) < 0
	return self.clusterID != "" && a.ClusterId == self.clusterID && !older && has(a.Members, a.ServerId) && !has(a.Members, self.id)
}

// why is what is to be told of a server that hears from no leader and is no member any more; empty: it is one, for all that is known.
// It is something to tell people, and nothing follows from it. One server is enough here, of those in this server's log or named by
// its user, whose log is committed to its end and leaves this one out: of an old copy it is older than this server's, a recovered
// cluster has another id, and what is not committed may be undone. Of its former voters others may be removed as well, and say nothing.
func why(self ownState, group []raftnode.Server, end raftnode.Standing, found []answer) string {
	of := func(id string) bool {
		return slices.ContainsFunc(group, func(s raftnode.Server) bool { return s.ID == id })
	}
	one := func(a answer) bool {
		return (a.seed || of(a.ServerId)) && a.LastLogIndex > 0 && a.CommitIndex >= a.LastLogIndex && leftOut(self, end, a)
	}
	switch {
	case len(group) == 0:
		return ""
	case removed(self, group, end, found), slices.ContainsFunc(found, one):
		return control.RemovedText
	case !of(self.id):
		return control.NoMemberText
	}
	return ""
}

func has(members []*apiv1.GroupMember, id string) bool {
	return slices.ContainsFunc(members, func(m *apiv1.GroupMember) bool { return m.Id == id })
}

// removed says what the others say of this server, as far as this one has asked them.
func (s *server) removed() bool {
	end, ok := s.alone()
	return ok && removed(s.own(), s.node.Servers(), end, s.dir.found())
}

// why is the function of that name, of what this server knows now.
func (s *server) why() string {
	end, ok := s.alone()
	if !ok {
		return ""
	}
	return why(s.own(), s.node.Servers(), end, s.dir.found())
}

// alone gives the end of this server's log, if no leader sends it more.
func (s *server) alone() (end raftnode.Standing, ok bool) {
	if leader, _ := s.node.Leader(); leader != "" {
		return end, false
	}
	end, err := s.node.Standing()
	return end, err == nil
}

// watchRemoved says in the log that this server is no member, once for each thing that it finds out until a leader is heard of.
func (s *server) watchRemoved(ctx context.Context) error {
	t := time.NewTicker(askEach)
	defer t.Stop()
	said := map[string]bool{}
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if leader, _ := s.node.Leader(); leader != "" {
			clear(said)
		}
		if now := s.why(); now != "" && !said[now] {
			said[now] = true
			s.log.Warn(now, "data_dir", s.flags.dataDir) //nolint:sloglint // a constant of another package
		}
	}
}
