package fsm

import (
	"slices"
	"strings"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// levelTrusts is the level from which on a cluster may be secured.
const levelTrusts = 4

// Trusts says whether what has to do with that may be proposed: a build that does not know it stops there.
func (v *View) Trusts() bool { return v.feature >= levelTrusts }

// Trust is how a secured cluster knows who is who; nil: it is not secured.
func (v *View) Trust() *apiv1.Trust { return v.config.GetTrust() }

// Token is what is kept of a token that may be used; nil: there is none of that id.
func (v *View) Token(id string) *apiv1.Token {
	if at, ok := findToken(v.Trust().GetTokens(), id); ok {
		return v.Trust().GetTokens()[at]
	}
	return nil
}

func findToken(list []*apiv1.Token, id string) (at int, ok bool) {
	return slices.BinarySearchFunc(list, id, func(t *apiv1.Token, id string) int { return strings.Compare(t.GetId(), id) })
}

// TokenOver says why a token is worth nothing at a time; empty: it is worth something.
func TokenOver(t *apiv1.Token, nowMs int64) string {
	switch {
	case t.GetExpiresMs() != 0 && t.GetExpiresMs() <= nowMs:
		return "its time is over"
	case t.GetMost() != 0 && t.GetUsed() >= t.GetMost():
		return "it was used as often as it may be"
	}
	return ""
}

// setTrust secures the cluster. What has been set stays: whoever is of the cluster knows its authority.
func (t *tx) setTrust(trust *apiv1.Trust) outcome {
	switch {
	case !t.Trusts():
		return refuse(CodeInvalid, "no cluster is secured at feature level %d; it needs level %d", t.feature, levelTrusts)
	case t.Trust() != nil:
		return refuse(CodeAlreadyExists, "the cluster is secured already")
	case !slices.IsSortedFunc(trust.GetTokens(), func(a, b *apiv1.Token) int { return strings.Compare(a.GetId(), b.GetId()) }):
		return refuse(CodeInvalid, "the tokens are not in order of id")
	}
	t.configure(func(c *apiv1.ClusterConfig) { c.Trust = clone(trust) })
	return applied("")
}

// trusting changes a copy of what is trusted.
func (t *tx) trusting(tokens []*apiv1.Token) {
	old := t.Trust()
	t.configure(func(c *apiv1.ClusterConfig) {
		c.Trust = &apiv1.Trust{Authority: old.GetAuthority(), Sealed: old.GetSealed(), Tokens: tokens}
	})
}

// setToken makes a token known at the time that the command says, or has one forgotten.
func (t *tx) setToken(op *apiv1.SetToken, nowMs int64) outcome {
	if t.Trust() == nil {
		return refuse(CodeInvalid, "the cluster is not secured: it has no tokens")
	}
	id := op.GetToken().GetId()
	tokens := slices.Clone(t.Trust().GetTokens())
	switch at, ok := findToken(tokens, id); {
	case op.GetRemove() && !ok:
		return refuse(CodeNotFound, "there is no token %s", id)
	case op.GetRemove():
		tokens = slices.Delete(tokens, at, at+1)
	case ok:
		return refuse(CodeAlreadyExists, "there is a token %s already", id)
	case len(tokens) == MaxTokens:
		return refuse(CodeTooMany, "there are %d tokens; revoke one", MaxTokens)
	default:
		token := clone(op.GetToken())
		token.MadeMs = nowMs
		if op.GetTtlMs() > 0 {
			token.ExpiresMs = nowMs + op.GetTtlMs()
		}
		tokens = slices.Insert(tokens, at, token)
	}
	t.trusting(tokens)
	return applied(id)
}

// useToken counts that somebody joins by a token, at the time that the command says.
func (t *tx) useToken(id string, nowMs int64) outcome {
	tokens := slices.Clone(t.Trust().GetTokens())
	at, ok := findToken(tokens, id)
	if !ok {
		return refuse(CodeNotFound, "there is no token %s", id)
	}
	if why := TokenOver(tokens[at], nowMs); why != "" {
		return refuse(CodeForbidden, "token %s is worth nothing: %s", id, why)
	}
	tokens[at] = clone(tokens[at])
	tokens[at].Used++
	t.trusting(tokens)
	return applied(id)
}

// trusting checks a command that changes what is trusted.
func (c *checker) trusting(cmd *apiv1.Command) {
	switch op := cmd.GetOp().(type) {
	case *apiv1.Command_SetTrust:
		c.trust(op.SetTrust.GetTrust())
	case *apiv1.Command_SetToken:
		c.token(op.SetToken.GetToken())
		if ms := op.SetToken.GetTtlMs(); ms < 0 || ms > maxTokenMs {
			c.wrong("ttl_ms", "%d; 0 (it has no end) to %d are possible", ms, int64(maxTokenMs))
		}
	case *apiv1.Command_UseToken:
		c.word("id", op.UseToken.GetId(), maxTokenIDBytes)
	}
}

// trust checks how a cluster is to know who is who.
func (c *checker) trust(t *apiv1.Trust) {
	if n := len(t.GetAuthority()); n == 0 || n > maxAuthorityBytes {
		c.wrong("trust.authority", "%d bytes; 1 to %d are possible", n, maxAuthorityBytes)
	}
	if n := len(t.GetSealed()); n == 0 || n > maxAuthorityBytes {
		c.wrong("trust.sealed", "%d bytes; 1 to %d are possible", n, maxAuthorityBytes)
	}
	c.count("trust.tokens", len(t.GetTokens()), maxFirstTokens)
	for _, token := range t.GetTokens() {
		c.token(token)
	}
}

// token checks what is to be kept of a token. One that is to be forgotten has its id alone.
func (c *checker) token(t *apiv1.Token) {
	c.word("token.id", t.GetId(), maxTokenIDBytes)
	if n := len(t.GetHash()); n > maxTokenHashBytes {
		c.wrong("token.hash", "%d bytes; at most %d are possible", n, maxTokenHashBytes)
	}
	c.optionalWord("token.role", t.GetRole(), maxTokenIDBytes)
	if n := t.GetMost(); n < 0 || n > maxTokenUses {
		c.wrong("token.most", "%d; 0 (nothing bounds it) to %d are possible", n, maxTokenUses)
	}
	if t.GetUsed() < 0 || t.GetUsed() > maxTokenUses {
		c.wrong("token.used", "%d uses", t.GetUsed())
	}
	c.text("token.made_by", t.GetMadeBy(), MaxWordBytes)
	c.text("token.note", t.GetNote(), MaxWordBytes)
}
