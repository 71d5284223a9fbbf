package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/api/v1/apiv1connect"
	"github.com/godwit-run/godwit/internal/client"
	"github.com/godwit-run/godwit/internal/files"
	"github.com/godwit-run/godwit/internal/text"
	"github.com/godwit-run/godwit/internal/tree"
)

// parseInputs reads FILE[:NAME] and DIR/.
func parseInputs(texts []string) ([]tree.Source, error) {
	var out []tree.Source
	for _, t := range texts {
		at, name, named := t, "", false
		if _, err := os.Stat(t); err != nil { // a name may hold a colon
			at, name, named = cutLast(t, ":")
		}
		st, err := os.Stat(at)
		switch {
		case err != nil:
			return nil, usagef("--in %s: there is no %s", t, at)
		case named && (name == "" || path.IsAbs(name) || path.Clean(name) != strings.TrimSuffix(name, "/") || name == ".." || strings.HasPrefix(name, "../")):
			return nil, usagef("--in %s: %q is no name in the program's directory: use a relative path without detours", t, name)
		case !named && !st.IsDir(), !named && !strings.HasSuffix(at, "/"):
			name = filepath.Base(filepath.Clean(at))
		}
		if name == "." || name == ".." || name == "/" {
			name = ""
		}
		out = append(out, tree.Source{Path: at, Name: strings.TrimSuffix(name, "/")})
	}
	return out, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// sendInputs has the servers have the files that the app begins with.
func (r *runner) sendInputs(ctx context.Context) error {
	if len(r.f.inputs) == 0 {
		return nil
	}
	scan, err := tree.Read(ctx, r.f.inputs)
	if err != nil {
		return fmt.Errorf("--in: %w", err)
	}
	err = r.client.Do(ctx, func(ctx context.Context, control apiv1connect.ControlClient) error {
		return scan.Send(ctx, control)
	})
	r.f.spec.Inputs = scan.Tree
	return err
}

const getLong = `Get the files of an app: those in its directory (/work, as its ranks see it) when it ended, or, while it runs, at this moment: its ranks go on
writing meanwhile. PATTERN is a path, in that directory or from /work on, or one with * and ? in it; of a directory all that is in it is got. Without it everything is.`

// onePattern takes an app and at most one pattern. Several are what a shell has made of one.
func onePattern(_ *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return errors.New("name an app")
	case len(args) > 2:
		return fmt.Errorf("give one PATTERN, not %d: quote it, as '*.dat', so that the shell leaves it alone", len(args)-1)
	}
	return nil
}

// patternOf is the pattern among the arguments, from the app's directory on.
func patternOf(args []string) string {
	if len(args) < 2 {
		return ""
	}
	if rest, ok := strings.CutPrefix(path.Clean(args[1]), workDir); ok && (rest == "" || rest[0] == '/') {
		return strings.TrimPrefix(rest, "/")
	}
	return args[1]
}

func newGet(o *options) *cobra.Command {
	dir := "."
	c := &cobra.Command{
		Use: "get APP [PATTERN] [-o DIR]", Short: "Get the files of an app", Long: getLong, Args: onePattern, ValidArgsFunction: completeApps(o),
		RunE: func(c *cobra.Command, args []string) error {
			n, err := getFiles(c.Context(), o, args[0], patternOf(args), dir)
			if err != nil {
				return err
			}
			if n == 1 {
				return printf("1 file in %s\n", dir)
			}
			return printf("%d files in %s\n", n, dir)
		},
	}
	c.Flags().StringVarP(&dir, "output", "o", dir, "the directory to put them into, made if need be")
	return c
}

func newLs(o *options) *cobra.Command {
	c := &cobra.Command{
		Use: "ls APP [PATTERN]", Short: "List the files of an app: those that it has left, or has at this moment", Args: onePattern, ValidArgsFunction: completeApps(o),
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.checkOutput(); err != nil {
				return err
			}
			return listFiles(c.Context(), o, args[0], patternOf(args))
		},
	}
	return o.outputFlag(c)
}

// appTree is what an app has left, and the list of it.
func appTree(ctx context.Context, c *client.Client, app *apiv1.App, pattern string) (*apiv1.Tree, []*apiv1.TreeEntry, error) {
	t := app.GetFiles().GetTree()
	switch {
	case t == nil && app.Restore != "" && app.Files == nil: // it has none of its own since
		return nil, nil, &exitError{exitFailed, fmt.Sprintf("%s is %s: its files are in checkpoint %s, if it had any; godwit restore %s begins another app with them, and godwit thaw %s has a frozen one go on",
			app.Id, app.Phase, app.Restore, app.Restore, app.Id)}
	case !apiv1.AppOver(app.Phase):
		return nil, nil, &exitError{exitFailed, fmt.Sprintf("%s is %s, and none of its ranks has used its directory", app.Id, app.Phase)}
	case app.Files.GetFault() != "" && t == nil:
		return nil, nil, &exitError{exitFailed, fmt.Sprintf("the files of %s were not kept: %s", app.Id, text.Clean(app.Files.Fault, maxShown))}
	case t == nil:
		return nil, nil, &exitError{exitFailed, app.Id + " has left no files: none of its ranks has used its directory"}
	}
	b, err := download(ctx, c, t.List)
	if err != nil {
		return nil, nil, err
	}
	defer b.close()
	list, err := io.ReadAll(io.NewSectionReader(b.file, 0, tree.MaxListBytes))
	if err != nil {
		return nil, nil, err
	}
	l, err := tree.Parse(t, list)
	if err != nil {
		return nil, nil, err
	}
	var out []*apiv1.TreeEntry
	for _, e := range l.Entries {
		ok, err := tree.Match(pattern, e.Path)
		if err != nil {
			return nil, nil, usagef("%q is no pattern: %w", pattern, err)
		}
		if ok {
			out = append(out, e)
		}
	}
	if len(out) == 0 && pattern != "" {
		return nil, nil, &exitError{exitFailed, fmt.Sprintf("%s has left nothing that %q names: godwit ls %s shows what there is", app.Id, pattern, app.Id)}
	}
	return t, out, nil
}

// getFiles gets what an app has, or has left, and says how many files that are.
func getFiles(ctx context.Context, o *options, ref, pattern, dir string) (int, error) {
	c, err := o.client()
	if err != nil {
		return 0, err
	}
	return fetchFiles(ctx, c, ref, pattern, dir)
}

func fetchFiles(ctx context.Context, c *client.Client, ref, pattern, dir string) (int, error) {
	res, err := getApp(ctx, c, ref)
	if err != nil {
		return 0, err
	}
	if usesFiles(res.App) {
		return fetchRunning(ctx, c, res.App.Id, pattern, dir)
	}
	t, entries, err := appTree(ctx, c, res.App, pattern)
	if err != nil {
		return 0, err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil { //nolint:gosec // as mkdir
		return 0, err
	}
	err = tree.Extract(ctx, dir, entries, func(pack uint32) (io.ReaderAt, func(), error) {
		b, err := download(ctx, c, t.Packs[pack])
		if err != nil {
			return nil, nil, err
		}
		return b.file, b.close, nil
	})
	n := 0
	for _, e := range entries {
		if e.Kind == apiv1.TreeEntry_KIND_FILE {
			n++
		}
	}
	return n, err
}

// listFiles prints what an app has, or has left.
func listFiles(ctx context.Context, o *options, ref, pattern string) error {
	c, err := o.client()
	if err != nil {
		return err
	}
	res, err := getApp(ctx, c, ref)
	if err != nil {
		return err
	}
	show, list := showEntry, []any{}
	if o.output == "json" {
		show = func(e *apiv1.TreeEntry) error {
			list = append(list, entryValue(e))
			return nil
		}
	}
	if err := eachEntry(ctx, c, res.App, pattern, show); err != nil || o.output != "json" {
		return err
	}
	return printJSON(os.Stdout, list)
}

// eachEntry calls show with each file that an app has, or has left.
func eachEntry(ctx context.Context, c *client.Client, app *apiv1.App, pattern string, show func(*apiv1.TreeEntry) error) error {
	if usesFiles(app) {
		return listRunning(ctx, c, app.Id, pattern, show)
	}
	_, entries, err := appTree(ctx, c, app, pattern)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := show(e); err != nil {
			return err
		}
	}
	return nil
}

// entryValue is an entry for scripts. Where the servers have its bytes is no one's business.
func entryValue(e *apiv1.TreeEntry) orderedObject {
	kind := map[apiv1.TreeEntry_Kind]string{
		apiv1.TreeEntry_KIND_FILE: "file", apiv1.TreeEntry_KIND_DIRECTORY: "directory", apiv1.TreeEntry_KIND_LINK: "link",
	}[e.Kind]
	return orderedObject{
		{"path", e.Path}, {"kind", kind}, {"text", e.Text}, {"changed", time.Unix(0, e.Changed).UTC().Format(time.RFC3339Nano)}, {"size", e.Size}, {"executable", e.Executable},
	}
}

// showEntry prints a line of a list.
func showEntry(e *apiv1.TreeEntry) error {
	name := text.Line(e.Path, len(e.Path))
	if e.Kind == apiv1.TreeEntry_KIND_DIRECTORY {
		name += "/"
	}
	if e.Kind == apiv1.TreeEntry_KIND_LINK {
		name += " -> " + text.Line(e.Text, maxShown)
	}
	return printf("%12d  %s  %s\n", e.Size, time.Unix(0, e.Changed).Format("2006-01-02 15:04:05"), name)
}

// downloaded is a blob in a file without a name.
type downloaded struct{ file *os.File }

func (d *downloaded) close() { _ = d.file.Close() } // only read

// download gets a blob, and checks it.
func download(ctx context.Context, c *client.Client, digest string) (*downloaded, error) {
	f, err := files.Unnamed("")
	if err != nil {
		return nil, err
	}
	d := &downloaded{f}
	err = c.Do(ctx, func(ctx context.Context, control apiv1connect.ControlClient) error {
		if err := f.Truncate(0); err != nil {
			return err
		}
		stream, err := control.DownloadBlob(ctx, &apiv1.DownloadBlobRequest{Digest: digest})
		if err != nil {
			return err
		}
		return d.take(stream, sha256.New(), digest)
	})
	if err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

func (d *downloaded) take(stream apiv1connect.ControlDownloadBlobClientStream, sum hash.Hash, digest string) error {
	for at := int64(0); ; {
		m, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		sum.Write(m.Chunk)
		n, err := d.file.WriteAt(m.Chunk, at)
		if at += int64(n); err != nil {
			return err
		}
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != digest {
		return fmt.Errorf("files came damaged: a blob is %.12s, not %.12s", got, digest)
	}
	return nil
}
