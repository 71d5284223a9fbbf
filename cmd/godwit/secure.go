package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/control"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/durable"
	"github.com/godwit-run/godwit/internal/listen"
	"github.com/godwit-run/godwit/internal/transport"
	"github.com/godwit-run/godwit/internal/trust"
	"github.com/godwit-run/godwit/raftnode"
)

// Files beside a first server's identity.
const (
	foundFile = "found.bin" // what the cluster begins with; an apiv1.Trust
	adminFile = "admin.token"
	workFile  = "worker.token"
	serveFile = "server.token"

	serverLife = 90 * 24 * time.Hour
)

// secureFlags are of a server, or a worker, of a secured cluster.
func secureFlags(c *cobra.Command, token *string) {
	c.Flags().StringVar(token, "join-token", "", "the token by which to join a secured cluster the first time, or @FILE that has it (default $GODWIT_JOIN_TOKEN)")
	_ = c.Flags().MarkHidden("join-token") // until a secured cluster is whole
}

// tokenEnv may have the token by which to join: other users see what a command is started with.
const tokenEnv = "GODWIT_JOIN_TOKEN"

// joinToken is the token that a flag gives, or the environment, which programs that are started from here do not get.
func joinToken(flag string) (string, error) {
	env := os.Getenv(tokenEnv)
	_ = os.Unsetenv(tokenEnv)
	path, isFile := strings.CutPrefix(cmp.Or(flag, env), "@")
	if !isFile {
		return path, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", usagef("--join-token: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// secure finds out what the server is known by: it has been so before, joins by a token, or founds a secured cluster. Without any of these the cluster is not
// secured, and s.badge stays nil.
func (s *server) secure(ctx context.Context) error {
	m := &badge{dataDir: s.flags.dataDir, log: s.log, servers: s.signers}
	var err error
	if m.token, err = joinToken(s.flags.joinToken); err != nil {
		return err
	}
	known, err := m.load()
	if err != nil {
		return err
	}
	id := s.node.ID()
	if known && m.holder.Identity().Name != id {
		if m.token == "" {
			return fmt.Errorf("the data directory's certificate is of %s, and this server is %s now: give it a --join-token to join anew", m.holder.Identity(), id)
		}
		known = false
	}
	switch {
	case known && m.holder.Identity().Role != trust.Server:
		return fmt.Errorf("the data directory's certificate is of %s, which is no server", m.holder.Identity())
	case known:
	case m.token != "":
		err = m.join(ctx, s.join, id)
	case !s.flags.secure:
		return nil
	case s.node.ClusterID() != "":
		err = usagef("--secure: the data directory is of a cluster that is not secured")
	case len(s.join) > 0 || s.flags.expect != 1:
		err = usagef("--secure: the first server of a secured cluster is alone; others join it, each with --retry-join and --join-token")
	default:
		err = s.found(m, id)
	}
	if err != nil {
		return err
	}
	s.badge = m
	return nil
}

// guard has all that the server speaks be secure, if its cluster is.
func (s *server) guard(ctx context.Context) error {
	if err := s.secure(ctx); err != nil || s.badge == nil {
		return err
	}
	s.listener.Secure(s.badge.holder, map[string]func(trust.Identity) error{
		raftnode.Protocol: onlyServers,
		"":                nil, // people have tokens: control looks at each request
	})
	s.node.DialBy(s.dialer(trust.Server))
	s.dir.http = transport.NewHTTPClientBy(s.dialer(trust.Server))
	return nil
}

func onlyServers(id trust.Identity) error {
	if id.Role != trust.Server {
		return fmt.Errorf("%w: %s is no server", trust.ErrRole, id)
	}
	return nil
}

// security is what control has of that.
func (s *server) security() control.Security {
	if s.badge == nil {
		return control.Security{}
	}
	return control.Security{Holder: s.badge.holder, Seal: s.badge.kept.Seal, Found: s.founding()}
}

// keepSecure says how others join, on the first start, and has the server's certificate renewed, until ctx ends.
func (s *server) keepSecure(ctx context.Context) error {
	if s.badge == nil {
		return nil
	}
	if s.badge.founded {
		if err := s.awaitTrust(ctx); err != nil {
			return err
		}
		if err := s.sayJoin(); err != nil {
			return err
		}
	}
	return s.badge.renew(ctx)
}

// awaitTrust waits until the log says whom the cluster trusts.
func (s *server) awaitTrust(ctx context.Context) error {
	changed := s.machine.Feed().Subscribe(fsm.TheCluster)
	defer changed.Close()
	for s.machine.View().Trust() == nil {
		select {
		case <-changed.C():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// signers are the servers that may renew this one's certificate: itself, if it leads.
func (s *server) signers() []string {
	if addr, _ := s.node.Leader(); addr != "" {
		return []string{addr}
	}
	return nil
}

// found makes what a cluster begins with that is secured: its authority, this server's certificate, what opens the sealed authority, and the first tokens. The
// identity is written last: without it all is made anew.
func (s *server) found(m *badge, id string) error {
	cluster := raftnode.ClusterIDOf([]raftnode.Server{{ID: id}})
	now := time.Now()
	authority, err := trust.NewAuthority(cluster, now)
	if err != nil {
		return err
	}
	var seal [trust.KeySize]byte
	_, _ = rand.Read(seal[:]) // it never fails
	sealed, err := authority.Seal(seal)
	if err != nil {
		return err
	}
	gossip, err := trust.Derive(seal[:], control.PurposeGossip)
	if err != nil {
		return err
	}
	key, request, err := trust.Request()
	if err != nil {
		return err
	}
	cert, err := authority.Sign(request, trust.Identity{Cluster: cluster, Role: trust.Server, Name: id}, now, serverLife)
	if err != nil {
		return err
	}
	kept := &trust.Kept{Certificate: cert, Authority: authority.Certificate(), Key: key, Gossip: [][]byte{gossip}, Seal: seal[:]}
	first := &apiv1.Trust{Authority: authority.Certificate(), Sealed: sealed}
	dir := filepath.Join(s.flags.dataDir, "tls")
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for file, role := range map[string]trust.Role{adminFile: trust.Admin, workFile: trust.Worker, serveFile: trust.Server} {
		token := trust.NewToken(authority.Pin())
		t := &apiv1.Token{Id: token.ID, Hash: token.Hash(), Role: string(role), MadeMs: now.UnixMilli(), MadeBy: "the cluster's first start"}
		if role != trust.Admin {
			usual := control.Joining(role)
			t.Most, t.ExpiresMs = usual.Most, t.MadeMs+usual.TTLMs
		}
		first.Tokens = append(first.Tokens, t)
		if err := durable.WriteFile(filepath.Join(dir, file), []byte(token.Secret()+"\n"), 0o600); err != nil {
			return err
		}
	}
	slices.SortFunc(first.Tokens, func(a, b *apiv1.Token) int { return strings.Compare(a.Id, b.Id) })
	b, err := proto.Marshal(first)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(filepath.Join(dir, foundFile), b, 0o600); err != nil {
		return err
	}
	m.founded = true
	return m.keep(kept)
}

// founding is what the cluster begins with, by what the first start has written; nil: this server is not the first.
func (s *server) founding() func() (*apiv1.Trust, error) {
	path := filepath.Join(s.flags.dataDir, "tls", foundFile)
	if _, err := os.Stat(path); err != nil {
		return nil
	}
	return func() (*apiv1.Trust, error) {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		first := &apiv1.Trust{}
		return first, proto.Unmarshal(b, first)
	}
}

// dialer makes connections to whoever has a role: secure ones once the server knows what it is known by.
func (s *server) dialer(role trust.Role) listen.Dialer {
	if s.badge == nil {
		return listen.Dialer{}
	}
	return listen.To(s.badge.holder, role)
}

// sayJoin prints how others join, once the cluster has been secured by its first server.
func (s *server) sayJoin() error {
	dir := filepath.Join(s.flags.dataDir, "tls")
	token, err := os.ReadFile(filepath.Join(dir, workFile))
	if err != nil {
		return err
	}
	return printf("secured. A worker joins with:  godwit worker --join %s --join-token %s --data-dir DIR --slots N\n"+
		"You call it with:              GODWIT_ADDR=%s GODWIT_TOKEN=$(cat %s) godwit hosts\n",
		s.node.Addr(), strings.TrimSpace(string(token)), s.node.Addr(), filepath.Join(dir, adminFile))
}
