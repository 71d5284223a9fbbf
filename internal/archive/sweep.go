package archive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/name"
	"github.com/godwit-run/godwit/internal/objects"
)

// Remove removes a checkpoint, and with the last one of its app all blobs.
func (a *Archive) Remove(ctx context.Context, id string) error {
	c, err := a.Find(ctx, id)
	app := c.GetApp()
	if errors.Is(err, ErrDamaged) {
		if app, err = a.appOf(ctx, id); err == nil && app == "" {
			return a.store.Remove(ctx, descriptions+id)
		}
	}
	if err != nil {
		return err
	}
	parts, err := a.parts(ctx, app)
	if err != nil {
		return err
	}
	gone := parts[id]
	delete(parts, id)
	if len(parts) == 0 {
		return errors.Join(a.sweep(ctx, app, nil), a.removeDescription(ctx, app, id)) // what is on its way goes on: the app may be storing its next one
	}
	// Others are there, and more of them may be on their way, with blobs that are there and no manifest yet: blobs are left to the app's own sweeps, and to
	// the last one that is removed.
	if err := a.removeDescription(ctx, app, id); err != nil {
		return err
	}
	for _, key := range gone {
		if err := a.store.Remove(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// appOf is the app that has parts of a checkpoint; empty: none has. It costs a look at all that is there.
func (a *Archive) appOf(ctx context.Context, id string) (app string, err error) {
	err = a.store.List(ctx, apps, func(key string, _ int64) error {
		if words := strings.Split(key, "/"); len(words) == 5 && words[2] == "parts" && words[3] == id {
			app = words[1]
		}
		return nil
	})
	return app, err
}

// Sweep removes all of an app that the checkpoints which stay do not need: first what says that a checkpoint is there, then its parts, then blobs, and what broke off on its way there. Nothing of the
// app may be on its way to the store but by whoever calls.
func (a *Archive) Sweep(ctx context.Context, app string, keep []string) error {
	if err := a.sweep(ctx, app, keep); err != nil {
		return err
	}
	return a.store.Tidy(ctx, apps+app+"/")
}

// sweep is Sweep, but for what is on its way, or broke off there.
func (a *Archive) sweep(ctx context.Context, app string, keep []string) error {
	if !name.Valid(app) {
		return fmt.Errorf("%.80q is no app's id", app)
	}
	parts, err := a.parts(ctx, app)
	if err != nil {
		return err
	}
	needed := map[string]int64{}
	for _, id := range keep { // before anything is removed: it may fail
		if err := a.needs(ctx, app, id, parts[id], needed); err != nil {
			return fmt.Errorf("nothing of app %s is removed, for of a checkpoint that stays it is not known what it needs: %w", app, err)
		}
	}
	for id, keys := range parts {
		if slices.Contains(keep, id) {
			continue
		}
		if err := a.removeDescription(ctx, app, id); err != nil {
			return err
		}
		for _, key := range keys {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := a.store.Remove(ctx, key); err != nil {
				return err
			}
		}
	}
	return a.sweepBlobs(ctx, app, needed)
}

// parts are the keys of all manifests of an app, by checkpoint.
func (a *Archive) parts(ctx context.Context, app string) (map[string][]string, error) {
	parts := map[string][]string{}
	err := a.store.List(ctx, partsOf(app), func(key string, _ int64) error {
		if id, host, ok := strings.Cut(strings.TrimPrefix(key, partsOf(app)), "/"); ok && name.Valid(id) && name.Valid(host) {
			parts[id] = append(parts[id], key)
		}
		return nil
	})
	return parts, err
}

// needs adds the blobs that a checkpoint needs, of which there may be a part only.
func (a *Archive) needs(ctx context.Context, app, id string, keys []string, into map[string]int64) error {
	c, err := a.Find(ctx, id)
	switch {
	case errors.Is(err, objects.ErrAbsent): // not all of it is there, and its app's modules are sent again if it will be
	case err != nil:
		return err
	case c.App == app:
		return a.blobsOf(ctx, c, into)
	}
	for _, key := range keys {
		text, err := objects.Read(ctx, a.store, key, apiv1.MaxManifestBytes)
		if err != nil {
			return err
		}
		m := &apiv1.CheckpointManifest{}
		if err := proto.Unmarshal(text, m); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		for _, b := range m.Blobs() {
			into[b.Digest] = b.Size
		}
	}
	return nil
}

// removeDescription removes what says that a checkpoint is there, if it is one of this app.
func (a *Archive) removeDescription(ctx context.Context, app, id string) error {
	c, err := a.Find(ctx, id)
	switch {
	case errors.Is(err, objects.ErrAbsent), err == nil && c.App != app:
		return nil
	case err != nil && !errors.Is(err, ErrDamaged): // one of which this app has parts is its, whatever it says
		return err
	}
	return a.store.Remove(ctx, descriptions+id)
}

func (a *Archive) sweepBlobs(ctx context.Context, app string, needed map[string]int64) error {
	var gone []string
	err := a.store.List(ctx, apps+app+"/blobs/", func(key string, _ int64) error {
		if _, digest, _ := strings.Cut(key, "/blobs/"); name.Digest(digest) {
			if _, ok := needed[digest]; !ok {
				gone = append(gone, key)
			}
		}
		return nil
	})
	for _, key := range gone {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := a.store.Remove(ctx, key); err != nil {
			return err
		}
	}
	return err
}
