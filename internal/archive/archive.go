// Package archive lays checkpoints out in an object store. Several apps, of several clusters, may use one: each has its bytes to itself.
//
//	checkpoints/ID          what there is to know of a checkpoint, a Checkpoint as JSON: written last, it says that all is there
//	apps/APP/parts/ID/HOST  the manifest of the part that a host has made
//	apps/APP/blobs/DIGEST   bytes that manifests name, the app's modules, and the files that it began with, by their SHA-256
package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/name"
	"github.com/godwit-run/godwit/internal/objects"
)

// maxDescription bounds what there is to know of a checkpoint.
const maxDescription = 4 << 20

// ErrMissing is returned when something of a checkpoint is not in the store yet.
var ErrMissing = errors.New("it is not in the object store yet")

// ErrDamaged is returned for what is there and is not what it should be, such as no description of a checkpoint.
var ErrDamaged = objects.ErrDamaged

// Archive is checkpoints in an object store.
type Archive struct {
	store objects.Store
	url   string
}

// Open opens the archive in the object store of an URL. It asks nobody.
func Open(ctx context.Context, url string) (*Archive, error) {
	store, err := objects.Open(ctx, url)
	if err != nil {
		return nil, err
	}
	return &Archive{store: store, url: url}, nil
}

const (
	descriptions = "checkpoints/"
	apps         = "apps/"
)

func blobKey(app, digest string) string           { return apps + app + "/blobs/" + digest }
func partsOf(app string) string                   { return apps + app + "/parts/" }
func partKey(app, checkpoint, host string) string { return partsOf(app) + checkpoint + "/" + host }

// Blob is one of an app's, on its way there.
type Blob struct {
	Digest string
	Size   int64
	Body   objects.Body
}

// PutBlob has the store have a blob of an app, and says whether it was sent.
func (a *Archive) PutBlob(ctx context.Context, app string, b Blob, progress func(int)) (bool, error) {
	return a.store.Put(ctx, blobKey(app, b.Digest), objects.Object{Body: b.Body, Size: b.Size, Digest: b.Digest, Progress: progress})
}

// PutPart has the store have the manifest of a part. All its blobs are there.
func (a *Archive) PutPart(ctx context.Context, app, checkpoint, host string, manifest []byte) error {
	_, err := a.store.Put(ctx, partKey(app, checkpoint, host), objects.Text(manifest))
	return err
}

// AnySize is the size of a blob of which it is not known.
const AnySize = -1

// Empty tells whether the store has nothing at all of checkpoints: of a directory that may mean that it is not mounted.
func (a *Archive) Empty(ctx context.Context) (bool, error) {
	for _, prefix := range []string{descriptions, apps} {
		err := a.store.List(ctx, prefix, func(string, int64) error { return errSome })
		if errors.Is(err, errSome) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// errSome ends a listing at the first.
var errSome = errors.New("there is something")

// Blob writes a blob of an app to a writer. It is what it should be if there is no error.
func (a *Archive) Blob(ctx context.Context, app, digest string, size int64, to io.Writer) (int64, error) {
	return objects.Copy(ctx, a.store, blobKey(app, digest), digest, size, to)
}

// Need is all of a blob of at most limit bytes.
func (a *Archive) Need(ctx context.Context, app, digest string, limit int64) ([]byte, error) {
	b, err := objects.Read(ctx, a.store, blobKey(app, digest), limit)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != digest {
		return nil, fmt.Errorf("%s is %w", blobKey(app, digest), ErrDamaged)
	}
	return b, nil
}

// Manifest is the manifest of a part, and is what the checkpoint says.
func (a *Archive) Manifest(ctx context.Context, c *apiv1.Checkpoint, p *apiv1.CheckpointPart) ([]byte, error) {
	text, err := objects.Read(ctx, a.store, partKey(c.App, c.Id, p.Host), apiv1.MaxManifestBytes)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(text); !bytes.Equal(sum[:], p.Digest) {
		return nil, fmt.Errorf("%s is %w, or of another checkpoint", partKey(c.App, c.Id, p.Host), ErrDamaged)
	}
	return text, nil
}

// blobsOf is how large each blob is that a checkpoint is made of. What an app needs of the servers is of any size: -1.
func (a *Archive) blobsOf(ctx context.Context, c *apiv1.Checkpoint, into map[string]int64) error {
	for _, digest := range c.GetSpec().Needs() {
		if _, ok := into[digest]; !ok {
			into[digest] = -1
		}
	}
	for _, p := range c.Parts {
		text, err := a.Manifest(ctx, c, p)
		if err != nil {
			return err
		}
		m := &apiv1.CheckpointManifest{}
		if err := proto.Unmarshal(text, m); err != nil {
			return fmt.Errorf("%s: %w", partKey(c.App, c.Id, p.Host), err)
		}
		for _, b := range m.Blobs() {
			into[b.Digest] = b.Size
		}
	}
	return nil
}

// Await returns the hosts whose parts of a checkpoint are not there yet, if there are any. It reads none.
func (a *Archive) Await(ctx context.Context, c *apiv1.Checkpoint) (hosts []string, err error) {
	there := map[string]bool{}
	err = a.store.List(ctx, partKey(c.App, c.Id, ""), func(key string, _ int64) error { there[key] = true; return nil })
	if err != nil {
		return nil, err
	}
	for _, p := range c.Parts {
		if !there[partKey(c.App, c.Id, p.Host)] {
			hosts = append(hosts, p.Host)
		}
	}
	return hosts, nil
}

// Check says what lacks of a checkpoint; ErrMissing: something that may come.
func (a *Archive) Check(ctx context.Context, c *apiv1.Checkpoint) error {
	switch hosts, err := a.Await(ctx, c); { // before any is read: there may be thousands
	case err != nil:
		return err
	case len(hosts) > 0:
		return fmt.Errorf("%w: the part of host %s", ErrMissing, hosts[0])
	}
	wanted := map[string]int64{}
	if err := a.blobsOf(ctx, c, wanted); errors.Is(err, objects.ErrAbsent) {
		return fmt.Errorf("%w: %w", ErrMissing, err)
	} else if err != nil {
		return err
	}
	err := a.store.List(ctx, apps+c.App+"/blobs/", func(key string, size int64) error {
		_, digest, _ := strings.Cut(key, "/blobs/")
		if want, ok := wanted[digest]; ok && (want < 0 || want == size) {
			delete(wanted, digest)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for digest := range wanted {
		return fmt.Errorf("%w: blob %.12s, and %d more", ErrMissing, digest, len(wanted)-1)
	}
	return nil
}

// Describe says in the store that all of a checkpoint is there, if it is.
func (a *Archive) Describe(ctx context.Context, c *apiv1.Checkpoint) error {
	if err := a.Check(ctx, c); err != nil {
		return err
	}
	text, err := protojson.Marshal(c)
	if err != nil {
		return err
	}
	if len(text) > maxDescription {
		return fmt.Errorf("what there is to know of checkpoint %s has %d bytes; at most %d are possible", c.Id, len(text), maxDescription)
	}
	switch was, err := a.Find(ctx, c.Id); {
	case err == nil && !same(was, c):
		return fmt.Errorf("the object store has another checkpoint %s, of app %s", c.Id, was.App)
	case err == nil: // protojson writes the same in more ways than one
		return nil
	case errors.Is(err, ErrDamaged): // what is there stays where something is put
		if err := a.store.Remove(ctx, descriptions+c.Id); err != nil {
			return err
		}
	case !errors.Is(err, objects.ErrAbsent):
		return err
	}
	_, err = a.store.Put(ctx, descriptions+c.Id, objects.Text(text))
	return err
}

func same(a, b *apiv1.Checkpoint) bool {
	if a.App != b.App || len(a.Parts) != len(b.Parts) {
		return false
	}
	for i, p := range a.Parts {
		if q := b.Parts[i]; p.Host != q.Host || !bytes.Equal(p.Digest, q.Digest) {
			return false
		}
	}
	return true
}

// Find is what the store has of a checkpoint. Nothing but its ids and digests was looked at: it comes from outside.
func (a *Archive) Find(ctx context.Context, id string) (*apiv1.Checkpoint, error) {
	if !name.Valid(id) {
		return nil, fmt.Errorf("%.80q is no checkpoint's id", id)
	}
	text, err := objects.Read(ctx, a.store, descriptions+id, maxDescription)
	if errors.Is(err, objects.ErrAbsent) {
		return nil, fmt.Errorf("no checkpoint %s at %s: %w", id, a.url, err)
	}
	if err != nil {
		return nil, err
	}
	c := &apiv1.Checkpoint{}
	if err := protojson.Unmarshal(text, c); err != nil {
		if (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(text, &apiv1.Checkpoint{}) == nil { // left out, something else would run than was asked for
			return nil, fmt.Errorf("checkpoint %s at %s was made by a newer godwit, and has what this one does not know (%w): use one of that version", id, a.url, err)
		}
		return nil, fmt.Errorf("what %s has as checkpoint %s is %w: %w", a.url, id, ErrDamaged, err)
	}
	if c.Id != id || !name.Valid(c.App) || c.Phase != apiv1.CheckpointComplete {
		return nil, fmt.Errorf("what %s has as checkpoint %s is %w: it is that of another, or not complete", a.url, id, ErrDamaged)
	}
	for _, p := range c.Parts {
		if !name.Valid(p.GetHost()) || len(p.GetDigest()) != sha256.Size {
			return nil, fmt.Errorf("what %s has as checkpoint %s is %w: it names a part of host %.80q with a digest of %d bytes", a.url, id, ErrDamaged, p.GetHost(), len(p.GetDigest()))
		}
	}
	for _, digest := range c.GetSpec().Needs() {
		if !name.Digest(digest) {
			return nil, fmt.Errorf("what %s has as checkpoint %s is %w: it needs %.80q, which is no digest", a.url, id, ErrDamaged, digest)
		}
	}
	c.To = a.url
	return c, nil
}

// List gives all checkpoints that are there, and what is wrong with those that cannot be read.
func (a *Archive) List(ctx context.Context) (found []*apiv1.Checkpoint, bad []error, err error) {
	var ids []string
	err = a.store.List(ctx, descriptions, func(key string, _ int64) error {
		if id := strings.TrimPrefix(key, descriptions); name.Valid(id) {
			ids = append(ids, id)
		}
		return nil
	})
	for _, id := range ids {
		c, err := a.Find(ctx, id)
		switch {
		case err == nil:
			found = append(found, c)
		case errors.Is(err, objects.ErrAbsent): // it was removed meanwhile
		default:
			bad = append(bad, err)
		}
	}
	return found, bad, err
}
