package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/apierr"
)

// errTorn is of what a part is made of, and is not as it was written.
var errTorn = errors.New("gone from this host's disk, or damaged")

// anotherMayDo says whether a part of another checkpoint may be made, and held, where one could not be: what is damaged here is written anew then, and another second host is tried, or the same by another way. A disk
// that is full stays so.
func anotherMayDo(err error) bool {
	for _, passes := range []error{errTorn, errOwnCopy, errNotHeld, fs.ErrNotExist, syscall.EIO} {
		if errors.Is(err, passes) {
			return true
		}
	}
	info := apierr.Info(err)
	return connect.CodeOf(err) == connect.CodeResourceExhausted || info.GetReason() == apierr.ReasonInvalid && info.GetField() == fieldBlob
}

// partMaker makes a part of what was written. A task owns it.
type partMaker struct {
	store    *checkpointStore
	keepFree int64
	sv       *saving
	name     partName
	files    bool
	ranks    []*rankPart
	manifest *apiv1.CheckpointManifest
	part     *apiv1.CheckpointPart
	next     map[int32]*savedChain
}

// rankPart is a rank of it.
type rankPart struct {
	id     int32
	saved  *apiv1.ExecSaved // nil: it has ended
	output outputEnd
	chain  *savedChain // nil: nothing was saved of it before
	log    string      // path
}

// make makes blobs of the files, and returns the manifest, which is held then.
func (p *partMaker) make(ctx context.Context) ([]byte, error) {
	p.next = map[int32]*savedChain{}
	for _, r := range p.ranks {
		if err := p.rank(ctx, r); err != nil {
			return nil, fmt.Errorf("rank %d: %w", r.id, err)
		}
	}
	if p.files {
		pieces, err := p.pieces(ctx, filepath.Join(p.sv.dir, "files"))
		if err != nil {
			return nil, err
		}
		p.manifest.FilesPieces = pieces
	}
	for _, b := range p.manifest.Blobs() {
		p.part.Bytes += b.Size
	}
	p.manifest.Version = versionOf(p.manifest)
	text, err := proto.MarshalOptions{Deterministic: true}.Marshal(p.manifest)
	if err != nil {
		return nil, err
	}
	if len(text) > apiv1.MaxManifestBytes {
		return nil, fmt.Errorf("its manifest would have %d bytes; at most %d are possible: use more hosts", len(text), apiv1.MaxManifestBytes)
	}
	p.part.Digest = sumOf(text)
	return text, p.store.hold(p.name, text, p.manifest)
}

// adopt makes a file that was written for the checkpoint a blob.
func (p *partMaker) adopt(ctx context.Context, name string) (*apiv1.Blob, error) {
	blob, err := p.store.adopt(ctx, p.name, filepath.Join(p.sv.dir, name), func(n int) { p.sv.progress.Add(int64(n)) })
	if err == nil {
		p.part.NewBytes += blob.Size
	}
	return blob, err
}

func (p *partMaker) rank(ctx context.Context, r *rankPart) error {
	m, next := &apiv1.CheckpointRank{Rank: r.id}, &savedChain{memory: map[string]*apiv1.Blob{}}
	if r.saved != nil {
		for _, id := range r.saved.Memory {
			if id == p.name.checkpoint {
				blob, err := p.adopt(ctx, strconv.Itoa(int(r.id))+".memory")
				if err != nil {
					return err
				}
				next.memory[id] = blob
			} else if r.chain != nil {
				next.memory[id] = r.chain.memory[id]
			}
			switch b := next.memory[id]; {
			case b == nil:
				return fmt.Errorf("what was written of its memory for checkpoint %s is not known here", id)
			case id != p.name.checkpoint && !p.store.sound(b): // the next checkpoint sees that, too, and has everything
				return fmt.Errorf("what was written of its memory for checkpoint %s is %w", id, errTorn)
			}
			m.Memory = append(m.Memory, next.memory[id])
		}
		state, err := p.adopt(ctx, strconv.Itoa(int(r.id))+".state")
		if err != nil {
			return err
		}
		m.State = state
	}
	if err := p.log(ctx, r, m, next); err != nil {
		return err
	}
	p.manifest.Ranks = append(p.manifest.Ranks, m)
	p.next[r.id] = next
	return nil
}

// log adds a rank's output. What was saved of it before is not again, unless it is no more than what is new: so there are few pieces.
func (p *partMaker) log(ctx context.Context, r *rankPart, m *apiv1.CheckpointRank, next *savedChain) error {
	if r.chain != nil {
		next.log = append(next.log, r.chain.log...)
		if k := slices.IndexFunc(next.log, func(piece logPiece) bool { return !p.store.claimed(p.name, piece.blob) }); k >= 0 {
			next.log = next.log[:k] // the log has all of it
		}
	}
	from := int64(0)
	if n := len(next.log); n > 0 {
		from = next.log[n-1].to
	}
	if r.output.size < from {
		return fmt.Errorf("its output has %d bytes, and had %d before", r.output.size, from)
	}
	if r.output.size > from {
		for n := len(next.log); n > 0 && next.log[n-1].to-next.log[n-1].from <= r.output.size-from; n = len(next.log) {
			from, next.log = next.log[n-1].from, next.log[:n-1]
		}
		blob, err := p.cut(ctx, r.log, from, r.output.size)
		if err != nil {
			return fmt.Errorf("its output: %w", err)
		}
		next.log = append(next.log, logPiece{from, r.output.size, blob})
	}
	for _, piece := range next.log {
		m.Log = append(m.Log, piece.blob)
	}
	if r.output.notice != nil {
		text, err := proto.Marshal(r.output.notice)
		if err != nil {
			return err
		}
		m.Notice = text
	}
	return nil
}

// cut makes a run of a file's bytes a blob.
func (p *partMaker) cut(ctx context.Context, path string, from, to int64) (*apiv1.Blob, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	if why := p.store.room(to-from, p.keepFree); why != "" {
		return nil, errors.New(why)
	}
	out, err := p.store.newBlob()
	if err != nil {
		return nil, err
	}
	n, err := copyWatched(ctx, out, io.NewSectionReader(f, from, to-from), func(n int) { p.sv.progress.Add(int64(n)) })
	if err == nil && n != to-from {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		out.drop()
		return nil, err
	}
	p.part.NewBytes += n
	return out.finish(p.name, "")
}
