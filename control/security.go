package control

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/reflect/protoreflect"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/transport"
	"github.com/godwit-run/godwit/internal/trust"
)

// Security is what a server of a secured cluster has. The zero Security is that of a server whose cluster is not.
type Security struct {
	// Holder has this server's certificate.
	Holder *trust.Holder
	// Seal opens the cluster's sealed authority.
	Seal []byte
	// Found, if set, is what this server, being the first, has the cluster begin with. It is nil in all others.
	Found func() (*apiv1.Trust, error)
}

// on says whether the cluster is secured.
func (s *Security) on() bool { return s.Holder != nil }

// principal is who calls, as the door knows him.
type principal struct {
	role trust.Role
	name string // a host's, a server's id; of a token: "token " and its id

	token string // its id; empty: he has a certificate, or nothing
}

func (p principal) String() string {
	if p.role == nobody {
		return "somebody who has not said who he is"
	}
	return string(p.role) + " " + p.name
}

type principalKey struct{}

// principalOf is who makes the request of ctx; nil: the cluster is not secured, and nobody asks.
func principalOf(ctx context.Context) *principal {
	p, _ := ctx.Value(principalKey{}).(*principal)
	return p
}

// Headers of requests in a secured cluster: what somebody is who has no certificate, and for whom a server passes a request on that came with one.
const (
	tokenHeader = "Authorization"
	tokenScheme = "Bearer "
	forHeader   = "Godwit-For"
)

// admit lets nobody call a method who may not.
func (c *Control) admit(next connect.ServerFunc) connect.ServerFunc {
	if !c.cfg.Security.on() {
		return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
			if c.state.View().Trust() != nil { // its certificate has been taken away: whoever calls is nobody that it could know
				return apierr.New(connect.CodeUnavailable, apierr.ReasonForbidden, "", "the cluster is secured, and this server's data directory has lost what it is known by (tls)",
					"restore it, or start the server with --join-token")
			}
			return next(ctx, spec, stream)
		}
	}
	return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
		said := func(string) string { return "" }
		if info, ok := connect.CallInfoForServerContext(ctx); ok {
			said = info.RequestHeader().Get
		}
		p, err := c.whoCalls(ctx, said)
		if err != nil {
			return err
		}
		if !allows(p.role, spec.Procedure) {
			code, mend := connect.CodePermissionDenied, "ask for a token with another role (godwit token create)"
			if p.role == nobody {
				code, mend = connect.CodeUnauthenticated, "use a token: GODWIT_TOKEN, or godwit context add"
			}
			return apierr.New(code, apierr.ReasonForbidden, "", fmt.Sprintf("%s may not call %s", p, strings.TrimPrefix(spec.Procedure, "/")), mend)
		}
		ctx = context.WithValue(ctx, principalKey{}, p)
		if spec.StreamType == connect.StreamTypeUnary || p.token == "" {
			return next(ctx, spec, stream)
		}
		ctx, end := c.whileTrusted(ctx, p.token)
		defer end()
		err = next(ctx, spec, stream)
		if why := context.Cause(ctx); apierr.Info(why) != nil {
			return why
		}
		return err
	}
}

// whileTrusted is ctx until a token is worth nothing any more, which is its cause then: a stream may last for days. The caller must call end.
func (c *Control) whileTrusted(ctx context.Context, id string) (_ context.Context, end func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	changed := c.state.Feed().Subscribe(fsm.TheCluster)
	go func() { // ends with ctx
		defer changed.Close()
		for {
			t := c.state.View().Token(id)
			now := time.Now()
			if t == nil || fsm.TokenOver(t, now.UnixMilli()) != "" {
				cancel(errWorthless())
				return
			}
			over := time.NewTimer(maxTrustWait)
			if t.ExpiresMs > 0 {
				over.Reset(min(maxTrustWait, time.UnixMilli(t.ExpiresMs).Sub(now)))
			}
			select {
			case <-changed.C():
			case <-over.C:
			case <-ctx.Done():
			}
			over.Stop()
			if ctx.Err() != nil {
				return
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}

// maxTrustWait is how long it is waited before a token's time is looked at again: a clock may be set.
const maxTrustWait = time.Hour

// whoCalls is who makes a request: whom his certificate names, or who has the token that he shows. A server that passes a request on says for whom.
func (c *Control) whoCalls(ctx context.Context, said func(header string) string) (*principal, error) {
	id, certified := transport.Peer(ctx)
	if certified && id.Role == trust.Server && said(hopHeader) != "" {
		id, certified = trust.Identity{}, false
		if on := said(forHeader); on != "" {
			var err error
			if id, err = trust.ParseIdentity(on); err != nil {
				return nil, apierr.New(connect.CodeUnauthenticated, apierr.ReasonForbidden, forHeader, err.Error(), "")
			}
			certified = true
		}
	}
	if certified {
		return &principal{role: id.Role, name: id.Name}, nil
	}
	word, ok := strings.CutPrefix(said(tokenHeader), tokenScheme)
	if !ok {
		return &principal{}, nil
	}
	t, err := c.tokenOf(word)
	if err != nil {
		return nil, err
	}
	if joins(t.Role) {
		return nil, apierr.New(connect.CodePermissionDenied, apierr.ReasonForbidden, "token", fmt.Sprintf("token %s is for joining, and for nothing else", t.Id), "")
	}
	return &principal{role: trust.Role(t.Role), name: "token " + t.Id, token: t.Id}, nil
}

// joins says whether a token with the role is for joining.
func joins(role string) bool { return role == string(trust.Server) || role == string(trust.Worker) }

// errWorthless is said of every token that is worth nothing, whatever is wrong with it: who tries some learns nothing.
func errWorthless() error {
	return apierr.New(connect.CodeUnauthenticated, apierr.ReasonForbidden, "token", "the token is worth nothing here: it is none of this cluster's, or its time is over, or it was revoked", "ask for a new one (godwit token create)")
}

// tokenOf is what the cluster has of a token, if that is worth something now.
func (c *Control) tokenOf(word string) (*apiv1.Token, error) {
	v := c.state.View()
	if v.Trust() == nil {
		return nil, apierr.New(connect.CodeUnavailable, apierr.ReasonNotYet, "", "this server does not know yet whom the cluster trusts", "try again in a moment")
	}
	token, err := trust.ParseToken(word)
	if err != nil {
		return nil, apierr.New(connect.CodeUnauthenticated, apierr.ReasonForbidden, "token", err.Error(), "")
	}
	kept := v.Token(token.ID)
	if kept == nil || !token.Is(kept.Hash) || fsm.TokenOver(kept, time.Now().UnixMilli()) != "" {
		return nil, errWorthless()
	}
	return kept, nil
}

// speaksFor refuses a worker that speaks for another host than its own.
func speaksFor(ctx context.Context, host string) error {
	id, ok := transport.Peer(ctx)
	if p := principalOf(ctx); p != nil {
		id, ok = trust.Identity{Role: p.role, Name: p.name}, true
	}
	if !ok || id.Role != trust.Worker || id.Name == host {
		return nil
	}
	return apierr.New(connect.CodePermissionDenied, apierr.ReasonForbidden, "host", fmt.Sprintf("the worker of host %s says that it is, or speaks for, host %s", id.Name, host), "")
}

// passOn says with a request that is passed on to the leader who makes it, and nothing that he says of that himself.
func (c *Control) passOn(ctx context.Context, out http.Header) {
	out.Del(forHeader)
	if id, ok := transport.Peer(ctx); ok {
		out.Set(forHeader, id.String())
	}
}

// makeTrust has a new cluster begin with what its first server has made.
func (l *leader) makeTrust(ctx context.Context) {
	found := l.c.cfg.Security.Found
	if v := l.c.state.View(); found == nil || !v.Trusts() || v.Trust() != nil {
		return
	}
	first, err := found()
	if err != nil {
		l.log.Error("the cluster is not secured: what it begins with cannot be made", "err", err)
		return
	}
	if l.propose(ctx, "secure the cluster", func(cmd *apiv1.Command) {
		cmd.Op = &apiv1.Command_SetTrust{SetTrust: &apiv1.SetTrust{Trust: first}}
	}) {
		l.log.Info("the cluster is secured: its authority and its first tokens are in the log")
	}
}

// authority opens the cluster's, once.
type authority struct {
	mu     sync.Mutex // guards what stands below
	sealed []byte
	opened *trust.Authority
}

func (a *authority) open(kept *apiv1.Trust, seal []byte) (*trust.Authority, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.opened != nil && bytes.Equal(a.sealed, kept.GetSealed()) {
		return a.opened, nil
	}
	if len(seal) != trust.KeySize {
		return nil, trust.ErrSealed
	}
	opened, err := trust.OpenAuthority(kept.GetAuthority(), kept.GetSealed(), [trust.KeySize]byte(seal))
	if err == nil {
		a.sealed, a.opened = kept.GetSealed(), opened
	}
	return opened, err
}

// withLinkKey is a record with the key by which the app's executors know each other, of the record's epoch. Records are shared, and whole or short: each gets it when it is sent.
func (c *Control) withLinkKey(rec *apiv1.AppRecord) (*apiv1.AppRecord, error) {
	if !c.cfg.Security.on() || rec.Gone || apiv1.AppOver(rec.App.GetPhase()) {
		return rec, nil
	}
	key, err := trust.Derive(c.cfg.Security.Seal, trust.PurposeLinks(c.cfg.Security.Holder.Identity().Cluster, rec.App.Id, rec.App.Epoch))
	if err != nil {
		return nil, err
	}
	own := &apiv1.AppRecord{} // of what it points to nothing is changed
	rec.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		own.ProtoReflect().Set(f, v)
		return true
	})
	own.LinkKey = key
	return own, nil
}
