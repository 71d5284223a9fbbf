package control

import (
	"context"
	"fmt"
	"strings"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/apierr"
)

// maxUsersNamed is how many of the apps that run a module its refusal names.
const maxUsersNamed = 5

// RemoveModule implements the Control service. The servers' stores follow by CollectModules, the workers' by themselves.
func (c *Control) RemoveModule(ctx context.Context, req *apiv1.RemoveModuleRequest) (*apiv1.RemoveModuleResponse, error) {
	if err := checkKey(req.IdempotencyKey); err != nil {
		return nil, err
	}
	if err := apierr.CheckDigest("digest", req.Digest); err != nil {
		return nil, err
	}
	cmd := c.command(req.IdempotencyKey)
	cmd.Op = &apiv1.Command_RemoveModule{RemoveModule: &apiv1.RemoveModule{Digest: req.Digest}}
	res, err := c.log.Propose(ctx, cmd)
	switch {
	case err != nil:
		return nil, apiError(err)
	case fsm.Code(res.Code) == fsm.CodeNotFound:
		return nil, apierr.New(connect.CodeNotFound, apierr.ReasonNotFound, "digest", fmt.Sprintf("no module %.12s", req.Digest), "godwit module ls lists them")
	case fsm.Code(res.Code) == fsm.CodeInUse:
		return nil, apierr.New(connect.CodeFailedPrecondition, apierr.ReasonRefused, "digest",
			fmt.Sprintf("module %.12s is needed by %s", req.Digest, usersOf(c.state.View(), req.Digest)), "cancel what runs it, or wait for its end")
	case res.Code != "":
		return nil, refusal(res.Code, res.Reason)
	}
	return &apiv1.RemoveModuleResponse{Index: res.Index}, nil
}

// usersOf names the apps in flight that run the module.
func usersOf(v *fsm.View, digest string) string {
	n := v.ModuleUsers(fsm.Digest(digest))
	var named []string
	for app := range v.UsersOf(fsm.Digest(digest)) {
		if len(named) == maxUsersNamed {
			break
		}
		named = append(named, fmt.Sprintf("%s (%s)", app.Id, app.Phase))
	}
	switch {
	case n == 0:
		return "an app that has ended meanwhile"
	case n > len(named):
		return fmt.Sprintf("%d apps, among them %s", n, strings.Join(named, ", "))
	}
	return strings.Join(named, ", ")
}
