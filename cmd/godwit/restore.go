package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/archive"
	"github.com/godwit-run/godwit/internal/client"
	"github.com/godwit-run/godwit/internal/tree"
)

func newRestore(o *options) *cobra.Command {
	var name, place, at string
	c := &cobra.Command{
		Use: "restore CHECKPOINT | URL/CHECKPOINT", Short: "Run a new app from a checkpoint, and print its id", Args: wants("a checkpoint", 1),
		Long: "Run a new app from a checkpoint, and print its id. Its ranks go on where they were, on whatever hosts there are; its output begins with what they had\n" +
			"printed, and its files are those of that moment. The app that the checkpoint is of may go on, or be over.\n" +
			"With the URL of an object store the checkpoint is one that is there (godwit checkpoints --at URL), of this cluster or of another: this command reads with\n" +
			"the credentials that it finds itself, and the workers with theirs. It stays in the store for as long as the cluster that has stored it wants it.",
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.checkOutput(); err != nil {
				return err
			}
			cl, err := o.client()
			if err != nil {
				return err
			}
			ref := args[0]
			if i := strings.LastIndex(ref, "/"); i >= 0 && at == "" {
				at, ref = ref[:i], ref[i+1:]
			}
			if err := namesCheckpoint(args[0], at, ref); err != nil {
				return err
			}
			from, err := checkpointFrom(c.Context(), cl, at, ref)
			if err != nil {
				return err
			}
			if from.Phase != apiv1.CheckpointComplete {
				return fmt.Errorf("checkpoint %s is %s: only a complete one can be gone on from", from.Id, from.Phase)
			}
			spec, err := restoredSpec(from, name, place)
			if err != nil {
				return err
			}
			res, err := call(c.Context(), cl, apiv1connect.ControlClient.Submit, &apiv1.SubmitRequest{IdempotencyKey: uuid.NewString(), Spec: spec})
			if err != nil {
				return err
			}
			if o.output == "json" {
				return printJSON(os.Stdout, jsonValue(res.App.ProtoReflect()))
			}
			return printf("%s\n", res.App.Id)
		},
	}
	c.Flags().StringVar(&name, "name", "", "the new app's name (default: that of the app it was)")
	c.Flags().StringVar(&place, "place", "", "explicit placement in rank order, such as h1:2,h2:2")
	c.Flags().StringVar(&at, "at", "", "`URL` of the object store that has the checkpoint: file:///DIR or s3://BUCKET/PREFIX")
	return o.outputFlag(c)
}

// namesCheckpoint says how a checkpoint of a store is named, where only the store is.
func namesCheckpoint(given, at, ref string) error {
	_, whole := apiv1.ParseStore(given)
	if given == "" {
		return errors.New("it names no checkpoint: godwit checkpoints lists what there is")
	}
	if _, err := apiv1.ParseStore(at); ref == "" || at != "" && err != nil && whole == nil {
		url := strings.TrimSuffix(given, "/")
		return fmt.Errorf("%s names a store and no checkpoint of it: godwit checkpoints --at %[1]s lists what there is; give one as %[1]s/CHECKPOINT", url)
	}
	return nil
}

// restoredSpec is what an app is submitted as that goes on from a checkpoint.
func restoredSpec(from *apiv1.Checkpoint, name, place string) (*apiv1.AppSpec, error) {
	spec := proto.CloneOf(from.Spec)
	if spec == nil {
		return nil, errors.New("the checkpoint does not say what its app was submitted as")
	}
	spec.Restore, spec.OwnerLeaseMs, spec.Place = from.Id, 0, nil
	spec.DependsOn, spec.Array = nil, nil // what it waited for is over, and may be unknown where it goes on
	if name != "" {
		spec.Name = name
	}
	var err error
	spec.Place, err = parsePlace(place)
	return spec, err
}

// checkpointFrom finds a checkpoint that the cluster knows, or has it know one of an object store.
func checkpointFrom(ctx context.Context, cl *client.Client, at, ref string) (*apiv1.Checkpoint, error) {
	if at == "" {
		return findCheckpoint(ctx, cl, ref)
	}
	a, err := openArchive(ctx, at)
	if err != nil {
		return nil, err
	}
	from, err := a.Find(ctx, ref)
	if err != nil {
		return nil, err
	}
	if from.Spec == nil {
		return nil, fmt.Errorf("what %s has as checkpoint %s does not say what its app was submitted as", at, ref)
	}
	if err := a.Check(ctx, from); err != nil {
		return nil, fmt.Errorf("checkpoint %s at %s is not whole: %w", ref, at, err)
	}
	for _, digest := range from.Spec.Modules() {
		if err := bringModule(ctx, cl, a, from, digest); err != nil {
			return nil, err
		}
	}
	if err := bringInputs(ctx, cl, a, from); err != nil {
		return nil, err
	}
	res, err := call(ctx, cl, apiv1connect.ControlClient.ImportCheckpoint, &apiv1.ImportCheckpointRequest{IdempotencyKey: uuid.NewString(), Checkpoint: from})
	if err != nil {
		return nil, err
	}
	return res.Checkpoint, nil
}

func openArchive(ctx context.Context, at string) (*archive.Archive, error) {
	place, err := apiv1.ParseStore(at)
	if err != nil {
		return nil, usagef("%v", err)
	}
	return archive.Open(ctx, place.String())
}

// bringModule has the servers have a module of an app that an object store has.
func bringModule(ctx context.Context, cl *client.Client, a *archive.Archive, from *apiv1.Checkpoint, digest string) error {
	has, err := call(ctx, cl, apiv1connect.ControlClient.ListModules, &apiv1.ListModulesRequest{Digest: digest})
	if err != nil || len(has.Modules) > 0 {
		return err
	}
	code, err := a.Need(ctx, from.App, digest, apiv1.MaxModuleBytes)
	if err != nil {
		return err
	}
	if _, err := inspectModule(code); err != nil {
		return fmt.Errorf("module %.12s of checkpoint %s: %w", digest, from.Id, err)
	}
	name := from.Spec.Name + ".wasm"
	for _, p := range from.Spec.Parts {
		if p.ModuleDigest == digest && p.Name != "" {
			name = p.Name + ".wasm"
		}
	}
	return (&moduleUpload{name: name, digest: digest, code: code}).send(ctx, cl)
}

// bringInputs has the servers have the files that an app began with.
func bringInputs(ctx context.Context, cl *client.Client, a *archive.Archive, from *apiv1.Checkpoint) error {
	in := from.Spec.Inputs
	if in == nil {
		return nil
	}
	var blobs []tree.Blob
	for _, digest := range append([]string{in.List}, in.Packs...) {
		blobs = append(blobs, tree.Blob{Digest: digest, Write: func(to io.Writer) error {
			_, err := a.Blob(ctx, from.App, digest, archive.AnySize, to)
			return err
		}})
	}
	return cl.Do(ctx, func(ctx context.Context, control apiv1connect.ControlClient) error {
		return tree.SendBlobs(ctx, control, blobs)
	})
}

// listArchive prints the checkpoints that an object store has, and then what cannot be read there.
func listArchive(ctx context.Context, o *options, at, app string) error {
	a, err := openArchive(ctx, at)
	if err != nil {
		return err
	}
	found, bad, err := a.List(ctx)
	if err != nil {
		return err
	}
	var shown []*apiv1.Checkpoint
	for _, c := range found {
		if app == "" || c.App == app || c.Name == app {
			shown = append(shown, c)
		}
	}
	return errors.Join(append([]error{printList(o, shown, "ID APP NAME AGE SIZE", func(c *apiv1.Checkpoint) []string {
		size := int64(0)
		for _, p := range c.Parts {
			size += p.Bytes
		}
		return []string{c.Id, c.App, c.Name, ago(c.BegunAt), mebibytes(size)}
	})}, bad...)...)
}

func removeArchived(ctx context.Context, at, id string) error {
	a, err := openArchive(ctx, at)
	if err != nil {
		return err
	}
	if err := a.Remove(ctx, id); err != nil {
		return err
	}
	return printf("%s\n", id)
}
