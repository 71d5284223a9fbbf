package control

import (
	"context"
	"crypto/subtle"
	"encoding/hex"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/gate"
)

// A server that pushes a module says with these who it is, before anything of the module is read: as in FetchModuleRequest, the proof in hex.
const (
	hostHeader  = "Godwit-Host"
	proofHeader = "Godwit-Proof"
)

// proves says whether a caller knows what workers and servers alone know: the hash of the secret of a host's worker. Of a worker whose
// registration this server's state does not have yet, nothing is known until it does.
func (c *Control) proves(id string, proof []byte) bool {
	host, ok := c.state.View().Host(fsm.HostID(id))
	return ok && !fsm.HostStateOf(host).Gone() && len(proof) > 0 && subtle.ConstantTimeCompare(host.SecretHash, proof) == 1
}

// lineOf is where who asks for a module stands in line: workers and servers in one, all others in another, so that a caller that proves
// nothing never holds up the start of an app.
func (c *Control) lineOf(req *apiv1.FetchModuleRequest) *gate.Gate {
	if c.proves(req.Host, req.Proof) {
		return c.outgoing
	}
	return c.strangers
}

// pushLineOf is the same of who pushes a module, by the request's header: others never hold up the uploads of a server.
func (c *Control) pushLineOf(ctx context.Context) *gate.Gate {
	if info, ok := connect.CallInfoForServerContext(ctx); ok {
		proof, _ := hex.DecodeString(info.RequestHeader().Get(proofHeader)) // half a proof is none
		if c.proves(info.RequestHeader().Get(hostHeader), proof) {
			return c.pushed
		}
	}
	return c.offered
}

// asPusher is ctx for a request in which this server pushes a module.
func (c *Control) asPusher(ctx context.Context, digest string) context.Context {
	ctx, info := connect.NewClientContext(ctx)
	if req := c.asServer(digest); req.Host != "" {
		info.RequestHeader().Set(hostHeader, req.Host)
		info.RequestHeader().Set(proofHeader, hex.EncodeToString(req.Proof))
	}
	return ctx
}

// asServer is a server's request for a module. What proves it is what the state has of some host. While there is none no start waits for it.
func (c *Control) asServer(digest string) *apiv1.FetchModuleRequest {
	req := &apiv1.FetchModuleRequest{Digest: digest}
	for h := range c.state.View().Hosts() {
		if len(h.SecretHash) > 0 && !fsm.HostStateOf(h).Gone() {
			req.Host, req.Proof = h.Id, h.SecretHash
			break
		}
	}
	return req
}
