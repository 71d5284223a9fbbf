package control

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"sync"
	"time"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/name"
	"github.com/godwit-run/godwit/internal/transport"
	"github.com/godwit-run/godwit/internal/trust"
)

const (
	// serverLife and workerLife are for how long certificates are good: they are renewed at two thirds of it.
	serverLife = 90 * 24 * time.Hour
	workerLife = 24 * time.Hour
	// joinToken is how long a token for joining is good that does not say, and mostWorkers and mostServers how often.
	joinToken   = 24 * time.Hour
	mostWorkers = 100
	mostServers = 10
	// joinRate is how many requests for certificates one address may make in a second, and joinBurst how many at once.
	joinRate  = 5
	joinBurst = 20
	// maxJoining bounds the addresses that are counted.
	maxJoining = 4096
	// PurposeGossip is what trust.Derive makes the key of gossip for.
	PurposeGossip = "gossip 1"
)

// joining counts how often addresses ask for certificates: who guesses tokens has few tries.
type joining struct {
	mu   sync.Mutex               // guards what stands below
	full map[netip.Addr]time.Time // when an address has all of its burst again
}

// may says whether an address may ask now.
func (j *joining) may(from netip.Addr, now time.Time) bool {
	const each = time.Second / joinRate
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.full == nil {
		j.full = map[netip.Addr]time.Time{}
	}
	if len(j.full) >= maxJoining {
		for a, at := range j.full {
			if !at.After(now) {
				delete(j.full, a)
			}
		}
	}
	at := j.full[from]
	if at.Before(now) {
		at = now
	}
	if at.Sub(now) > joinBurst*each || len(j.full) >= maxJoining {
		return false
	}
	j.full[from] = at.Add(each)
	return true
}

// Enroll implements the Control service.
func (c *Control) Enroll(ctx context.Context, req *apiv1.EnrollRequest) (*apiv1.EnrollResponse, error) {
	if !c.cfg.Security.on() {
		return nil, errNotSecured()
	}
	if !c.joining.may(transport.From(ctx), time.Now()) {
		return nil, apierr.New(connect.CodeResourceExhausted, apierr.ReasonOverloaded, "", "too many certificates are asked for from this address", "try again in a moment")
	}
	kept := c.state.View().Trust()
	if kept == nil {
		return nil, apierr.New(connect.CodeUnavailable, apierr.ReasonNotYet, "", "the cluster is being secured", "try again in a moment")
	}
	signs, err := c.signs.open(kept, c.cfg.Security.Seal)
	if err != nil {
		return nil, err
	}
	who, err := c.enrolls(ctx, req)
	if err != nil {
		return nil, err
	}
	who.Cluster = signs.Cluster()
	lasts := workerLife
	if who.Role == trust.Server {
		lasts = serverLife
	}
	cert, err := signs.Sign(req.Request, who, time.Now(), lasts)
	if err != nil {
		return nil, invalid("request", err.Error(), "make one with a key of P-256")
	}
	if err := c.countJoin(ctx, req); err != nil { // last: who made a mistake has not joined
		return nil, err
	}
	gossip, err := trust.Derive(c.cfg.Security.Seal, PurposeGossip)
	if err != nil {
		return nil, err
	}
	res := &apiv1.EnrollResponse{Certificate: cert, Authority: kept.Authority, GossipKeys: [][]byte{gossip}}
	if who.Role == trust.Server {
		res.Seal = c.cfg.Security.Seal
	}
	c.slog.Info("gave a certificate", "to", who, "lasts", lasts, "from", transport.From(ctx), "renewal", req.Token == "")
	return res, nil
}

// enrolls is whom the certificate that is asked for names.
func (c *Control) enrolls(ctx context.Context, req *apiv1.EnrollRequest) (trust.Identity, error) {
	if req.Token == "" {
		p := principalOf(ctx)
		if p == nil || !joins(string(p.role)) {
			return trust.Identity{}, apierr.New(connect.CodeUnauthenticated, apierr.ReasonForbidden, "token", "a certificate is given for a token for joining, or to a server or worker whose own is still good", "give a token (godwit token create --role worker)")
		}
		return trust.Identity{Role: p.role, Name: p.name}, nil
	}
	t, err := c.tokenOf(req.Token)
	switch {
	case err != nil:
		return trust.Identity{}, err
	case !joins(t.Role):
		return trust.Identity{}, apierr.New(connect.CodePermissionDenied, apierr.ReasonForbidden, "token", fmt.Sprintf("token %s is of a %s: nobody joins by it", t.Id, t.Role), "use one for joining (godwit token create --role worker)")
	case !name.Valid(req.Name):
		return trust.Identity{}, invalid("name", fmt.Sprintf("%.80q is no name", req.Name), name.Rule)
	}
	return trust.Identity{Role: trust.Role(t.Role), Name: req.Name}, nil
}

// countJoin notes that somebody joins by a token.
func (c *Control) countJoin(ctx context.Context, req *apiv1.EnrollRequest) error {
	if req.Token == "" {
		return nil
	}
	token, err := trust.ParseToken(req.Token)
	if err != nil {
		return err
	}
	cmd := c.command("")
	cmd.Op = &apiv1.Command_UseToken{UseToken: &apiv1.UseToken{Id: token.ID}}
	_, err = c.mutate(ctx, cmd)
	return err
}

func errNotSecured() error {
	return apierr.New(connect.CodeFailedPrecondition, apierr.ReasonRefused, "", "this cluster is not secured: it has no tokens and no certificates", "")
}

// RenewIn is how long whoever has a certificate waits before another is due: until two thirds of its life are over, and a little, by chance, before that.
func RenewIn(h *trust.Holder, now time.Time) time.Duration {
	left := h.Renew().Sub(now)
	jitter := h.Expires().Sub(h.Renew()) / 4
	if jitter > 0 {
		if n, err := rand.Int(rand.Reader, big.NewInt(int64(jitter))); err == nil {
			left -= time.Duration(n.Int64())
		}
	}
	return max(left, 0)
}

// CreateToken implements the Control service.
func (c *Control) CreateToken(ctx context.Context, req *apiv1.CreateTokenRequest) (*apiv1.CreateTokenResponse, error) {
	if err := checkKey(req.IdempotencyKey); err != nil {
		return nil, err
	}
	asked := req.GetToken()
	t := &apiv1.Token{Id: asked.GetId(), Hash: asked.GetHash(), Role: asked.GetRole(), Most: asked.GetMost(), Note: asked.GetNote(), MadeBy: madeBy(ctx)}
	ttl := req.TtlMs
	switch {
	case c.state.View().Trust() == nil:
		return nil, errNotSecured()
	case !slices.Contains(tokenRoles, trust.Role(t.Role)):
		return nil, invalid("token.role", fmt.Sprintf("%.80q is no role that a token may have", t.Role), "use admin, operator, reader, server or worker")
	case len(t.Hash) != sha256.Size:
		return nil, invalid("token.hash", fmt.Sprintf("%d bytes; it has to have %d", len(t.Hash), sha256.Size), "")
	case joins(t.Role):
		usual := Joining(trust.Role(t.Role))
		t.Most, ttl = cmp.Or(t.Most, usual.Most), cmp.Or(ttl, usual.TTLMs)
	default:
		t.Most = 0
	}
	cmd := c.command(req.IdempotencyKey)
	cmd.Op = &apiv1.Command_SetToken{SetToken: &apiv1.SetToken{Token: t, TtlMs: ttl}}
	if err := checkLog(cmd); err != nil {
		return nil, err
	}
	if _, err := c.mutate(ctx, cmd); err != nil {
		return nil, err
	}
	v := c.state.View()
	return &apiv1.CreateTokenResponse{Token: shownToken(v.Token(t.Id)), Index: v.Index()}, nil
}

// Usual is what a token for joining has that does not say.
type Usual struct {
	Most  int32
	TTLMs int64
}

// Joining is what a token has by which somebody becomes a server or a worker.
func Joining(role trust.Role) Usual {
	u := Usual{Most: mostWorkers, TTLMs: joinToken.Milliseconds()}
	if role == trust.Server {
		u.Most = mostServers
	}
	return u
}

func madeBy(ctx context.Context) string {
	if p := principalOf(ctx); p != nil {
		return p.String()
	}
	return ""
}

// tokenRoles are what tokens may be for.
var tokenRoles = []trust.Role{trust.Admin, trust.Operator, trust.Reader, trust.Server, trust.Worker} //nolint:gochecknoglobals // an immutable list

// shownToken is what people may see of a token.
func shownToken(t *apiv1.Token) *apiv1.Token {
	return &apiv1.Token{
		Id: t.GetId(), Role: t.GetRole(), ExpiresMs: t.GetExpiresMs(), Most: t.GetMost(), Used: t.GetUsed(), MadeMs: t.GetMadeMs(), MadeBy: t.GetMadeBy(), Note: t.GetNote(),
	}
}

// ListTokens implements the Control service.
func (c *Control) ListTokens(ctx context.Context, _ *apiv1.ListTokensRequest) (*apiv1.ListTokensResponse, error) {
	v, err := c.read(ctx)
	if err != nil {
		return nil, err
	}
	if v.Trust() == nil {
		return nil, errNotSecured()
	}
	res := &apiv1.ListTokensResponse{Index: v.Index()}
	for _, t := range v.Trust().GetTokens() {
		res.Tokens = append(res.Tokens, shownToken(t))
	}
	return res, nil
}

// RevokeToken implements the Control service.
func (c *Control) RevokeToken(ctx context.Context, req *apiv1.RevokeTokenRequest) (*apiv1.RevokeTokenResponse, error) {
	if err := checkKey(req.IdempotencyKey); err != nil {
		return nil, err
	}
	if c.state.View().Trust() == nil { // and so servers of builds before this may be there, which do not know the command
		return nil, errNotSecured()
	}
	cmd := c.command(req.IdempotencyKey)
	cmd.Op = &apiv1.Command_SetToken{SetToken: &apiv1.SetToken{Token: &apiv1.Token{Id: req.Id}, Remove: true}}
	if err := checkLog(cmd); err != nil {
		return nil, err
	}
	if _, err := c.mutate(ctx, cmd); err != nil {
		return nil, err
	}
	return &apiv1.RevokeTokenResponse{Index: c.state.View().Index()}, nil
}
