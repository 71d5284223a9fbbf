package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
)

func newModuleRm(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "rm DIGEST|NAME...", Short: "Remove modules from the cluster that no app needs any more", Args: wants("a module", 0),
		Long: "Remove modules from the cluster, each by its digest, the beginning of one, or its name, if only one module has it.\n" +
			"It is refused while an app that is queued or running needs the module. The servers free its bytes some time later, at the\n" +
			"earliest an hour after they came.",
		RunE: func(c *cobra.Command, args []string) error {
			return each(c.Context(), "module", "removed", args, func(ctx context.Context, ref string) error { return removeModule(ctx, o, ref) })
		},
	}
}

func removeModule(ctx context.Context, o *options, ref string) error {
	cl, err := o.client()
	if err != nil {
		return err
	}
	res, err := call(ctx, cl, apiv1connect.ControlClient.ListModules, &apiv1.ListModulesRequest{})
	if err != nil {
		return err
	}
	mod, err := findModule(ref, res.Modules)
	if err != nil {
		return err
	}
	req := &apiv1.RemoveModuleRequest{IdempotencyKey: uuid.NewString(), Digest: mod.Digest}
	if _, err := call(ctx, cl, apiv1connect.ControlClient.RemoveModule, req); err != nil {
		return err
	}
	return printf("%s\n", mod.Digest)
}

// findModule returns the one module that ref means: a digest, the name of one, or the beginning of a digest, in this order.
func findModule(ref string, modules []*apiv1.Module) (*apiv1.Module, error) {
	if ref == "" {
		return nil, usagef("module rm: name a module; godwit module ls lists them")
	}
	var named, begun []*apiv1.Module
	var words []string
	for _, m := range modules {
		switch {
		case m.Digest == ref:
			return m, nil
		case m.Name == ref:
			named = append(named, m)
		case strings.HasPrefix(m.Digest, ref):
			begun = append(begun, m)
		}
		words = append(words, cmp.Or(m.Name, m.Digest))
	}
	found := named
	if len(found) == 0 {
		found = begun
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, fmt.Errorf("%q is %d modules: give the digest of one, such as %s or %s", ref, len(found), shortDigest(found[0]), shortDigest(found[1]))
	}
	if near := nearest(ref, words); near != "" {
		return nil, fmt.Errorf("no module %q; did you mean %s?", ref, near)
	}
	return nil, fmt.Errorf("no module %q; godwit module ls lists them", ref)
}

func shortDigest(m *apiv1.Module) string { return m.Digest[:min(12, len(m.Digest))] }
