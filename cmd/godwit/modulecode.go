package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/client"
)

// compileEach is how often the leader is asked how far a module's compiling is.
const compileEach = 500 * time.Millisecond

func newModuleCompile(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "compile FILE.wasm|DIGEST|NAME", Short: "Have a module compiled for the native engine, and wait for that", Args: wants("a module", 1),
		Long: "Have a module compiled by clang, at its best, for the processors of all hosts that run ranks natively (godwit worker --engine native or auto), by\n" +
			"one of the hosts that have clang, and wait for that: how far it is goes to standard error, what there is then to standard output. A file is stored\n" +
			"in the cluster first, as godwit module push does. Apps that need the module begin natively afterwards.",
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := o.client()
			if err != nil {
				return err
			}
			digest, err := storedModule(c.Context(), o, cl, args[0])
			if err != nil {
				return err
			}
			code, err := compileModule(c.Context(), cl, digest)
			if err != nil {
				return err
			}
			return printCode(code)
		},
	}
}

// storedModule is the digest of a module that the cluster has; a file is stored there.
func storedModule(ctx context.Context, o *options, cl *client.Client, ref string) (string, error) {
	if isFile(ref) {
		mod, err := readUpload(ref)
		if err == nil {
			err = mod.upload(ctx, cl)
		}
		if err != nil {
			return "", err
		}
		return mod.digest, nil
	}
	mod, err := knownModule(ctx, o, ref)
	return mod.GetDigest(), err
}

// knownModule is the module of the cluster that ref means.
func knownModule(ctx context.Context, o *options, ref string) (*apiv1.Module, error) {
	res, err := ask(ctx, o, apiv1connect.ControlClient.ListModules, &apiv1.ListModulesRequest{})
	if err != nil {
		return nil, err
	}
	return findModule(ref, res.Modules)
}

func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}

// compileModule has the cluster compile a module, tells on standard error how far that is, and returns what has come of it.
func compileModule(ctx context.Context, cl *client.Client, digest string) ([]*apiv1.ModuleCode, error) {
	said := map[string]string{}
	t := time.NewTicker(compileEach)
	defer t.Stop()
	for {
		res, err := call(ctx, cl, apiv1connect.ControlClient.CompileModule, &apiv1.CompileModuleRequest{Digest: digest})
		if err != nil {
			return nil, err
		}
		if len(res.Code) == 0 {
			return nil, errors.New("no host of the cluster runs ranks natively: start workers with --engine native, or auto (godwit hosts -o wide)")
		}
		done := true
		for _, c := range res.Code {
			if done = done && c.Done; c.Done || said[c.Level+c.Compiler] == c.Why {
				continue
			}
			said[c.Level+c.Compiler] = c.Why
			fmt.Fprintf(os.Stderr, "%s: %s\n", c.Level, c.Why)
		}
		if done {
			return res.Code, nil
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// printCode prints what there is of a module's code. It is an error if there is none for some hosts.
func printCode(code []*apiv1.ModuleCode) error {
	if err := printTable("LEVEL AT HOSTS COMPILER REASON", code, func(c *apiv1.ModuleCode) []string {
		return []string{c.Level, orDash(c.Optimisation), orDash(strings.Join(c.Hosts, ",")), orDash(c.Compiler), orDash(c.Why)}
	}); err != nil {
		return err
	}
	for _, c := range code {
		if c.Optimisation == "" {
			return fmt.Errorf("there is no code for hosts of level %s: their ranks run in wazero: %s", c.Level, c.Why)
		}
	}
	return nil
}

// codeLines is how it stands with a module's code, for module inspect.
func codeLines(code []*apiv1.ModuleCode) string {
	var out strings.Builder
	for _, c := range code {
		text := c.Why
		if c.Optimisation != "" {
			text = fmt.Sprintf("compiled at %s by %s, on %s", c.Optimisation, c.Compiler, strings.Join(c.Hosts, ", "))
			if c.Why != "" {
				text += "; " + c.Why
			}
		}
		fmt.Fprintf(&out, "native      %s: %s\n", c.Level, text)
	}
	if len(code) == 0 {
		return "native      no host of the cluster runs ranks natively\n"
	}
	return out.String()
}

// inspectKnown prints what the cluster knows of a module.
func inspectKnown(ctx context.Context, o *options, ref string) error {
	mod, err := knownModule(ctx, o, ref)
	if err != nil {
		return err
	}
	res, err := ask(ctx, o, apiv1connect.ControlClient.CompileModule, &apiv1.CompileModuleRequest{Digest: mod.Digest, Look: true})
	if err != nil {
		return err
	}
	if o.output == "json" {
		obj := jsonValue(mod.ProtoReflect()).(orderedObject) //nolint:forcetypeassert // it is no timestamp
		return printJSON(os.Stdout, append(obj, member{"code", jsonList(res.Code)}))
	}
	reason := ""
	if mod.Reason != "" {
		reason = fmt.Sprintf("reason      %s\n", mod.Reason)
	}
	return show("digest      %s\nname        %s\nsize        %d\nmigratable  %t\n%s%simports     %s\n",
		mod.Digest, orDash(mod.Name), mod.Size, mod.Migratable, reason, codeLines(res.Code), strings.Join(mod.Imports, "\n            "))
}
