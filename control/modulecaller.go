package control

import (
	"crypto/subtle"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/gate"
)

// lineOf is where who asks for a module stands in line: workers and servers in one, all others in another, so that a caller that proves
// nothing never holds up the start of an app. A worker that this server's state does not know yet is served in the second until it does.
func (c *Control) lineOf(req *apiv1.FetchModuleRequest) *gate.Gate {
	host, ok := c.state.View().Host(fsm.HostID(req.Host))
	if ok && !fsm.HostStateOf(host).Gone() && len(req.Proof) > 0 && subtle.ConstantTimeCompare(host.SecretHash, req.Proof) == 1 {
		return c.outgoing
	}
	return c.strangers
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
