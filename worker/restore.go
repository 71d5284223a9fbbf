package worker

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/durable"
)

// restoring has what ranks of an attempt begin from come to this host. Its methods may be called from any goroutine.
type restoring struct {
	w          *Worker
	checkpoint *apiv1.Checkpoint
	ended      func(rank int32) bool // in the checkpoint
	app        string
	addrs      map[string]string // as they were when it began
	vain       map[string]int    // how often a host was asked in vain; of who fetches
	most       map[string]int64  // bytes that ever came of each file in one go; likewise
	rounds     int               // of asking for everything; likewise
	nowhere    int               // how often in a row nobody had it; likewise
	dir        string            // for what this host does not hold
	moved      atomic.Int64
	why        atomic.Pointer[string] // what keeps it from coming, for now

	coming  sync.Mutex // held while it comes
	dropped bool       // nobody wants it any more; guarded by coming
}

func (a *app) newRestoring() *restoring {
	rec := a.part.Record()
	return &restoring{
		w: a.host, app: a.id, checkpoint: rec.Restore, ended: rec.App.HasEnded, vain: map[string]int{}, most: map[string]int64{}, addrs: rec.Addrs, dir: filepath.Join(a.host.checkpoints.dir, "coming", "restore-"+a.id+"-"+rand.Text()), // what is left of another attempt is being removed
	}
}

// addr is where a host is reached, as the leader has said last: one that was gone may be there again.
func (r *restoring) addr(host string) string {
	if rec := r.w.record(r.app); rec != nil {
		return rec.Addrs[host]
	}
	return r.addrs[host]
}

// trouble is what keeps it from coming; empty: nothing.
func (r *restoring) trouble() string {
	if why := r.why.Load(); why != nil {
		return *why
	}
	return ""
}

// progress counts bytes of something that comes, or is read, from its begin on: after a few rounds those are no progress that have come before.
func (r *restoring) progress(of string) func(n int) {
	got := int64(0)
	return func(n int) {
		got += int64(n)
		if r.rounds > maxFailed && got <= r.most[of] {
			return
		}
		r.most[of] = max(r.most[of], got)
		r.moved.Add(int64(n))
		r.why.Store(nil)
	}
}

// errUnfit is of a checkpoint of which a rank cannot be made, whoever is asked.
var errUnfit = errors.New("the checkpoint is not whole")

// errNowhere is of what all that could have it have said that they have not, or have given damaged: who is away, or does not answer, is not among them.
var errNowhere = errors.New("nobody has it whole")

// maxNowhere is how often in a row nobody has it before that is believed, which is after half a minute: what comes damaged may have become so on the way, and a
// disk, or who holds it, may have been out of sorts.
const maxNowhere = 20

// hopeless says whether it is known that asking again leads to nothing.
func (r *restoring) hopeless(err error) bool {
	if !errors.Is(err, errNowhere) {
		r.nowhere = 0
		return false
	}
	r.nowhere++
	return r.nowhere >= maxNowhere
}

// restoredRank is what a rank begins from.
type restoredRank struct {
	*apiv1.CheckpointRank

	memory []string // files
	state  string
}

// fetch has the images of ranks come, and the output of these and of others that have ended. It asks again and again until ctx ends.
func (r *restoring) fetch(ctx context.Context, ids []int32, output *appLog) (map[int32]*restoredRank, error) {
	r.coming.Lock()
	defer r.coming.Unlock()
	if r.dropped {
		return nil, context.Canceled
	}
	for pause := holdPause; ; pause = min(2*pause, maxHoldPause) {
		got, err := r.once(ctx, ids, output)
		if err == nil || ctx.Err() != nil || errors.Is(err, errOwnDisk) || errors.Is(err, errUnfit) {
			return got, err
		}
		if r.hopeless(err) {
			return nil, fmt.Errorf("%w: %w", errUnfit, err)
		}
		why := clean(fmt.Sprintf("checkpoint %s does not come: %v", r.checkpoint.Id, err))
		r.why.Store(&why)
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
}

func (r *restoring) once(ctx context.Context, ids []int32, output *appLog) (map[int32]*restoredRank, error) {
	r.rounds++
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return nil, fmt.Errorf("%w: %w", errOwnDisk, err)
	}
	manifests, out := map[string]*apiv1.CheckpointManifest{}, map[int32]*restoredRank{}
	for _, id := range ids {
		host := apiv1.HostAt(r.checkpoint.Runs, id)
		part := r.part(func(p *apiv1.CheckpointPart) bool { return p.Host == host })
		if part == nil { // it had ended, and its host had nothing else of the app
			continue
		}
		if manifests[host] == nil {
			m, err := r.manifest(ctx, part)
			if err != nil {
				return nil, err
			}
			manifests[host] = m
		}
		i, found := slices.BinarySearchFunc(manifests[host].Ranks, id, func(x *apiv1.CheckpointRank, id int32) int { return int(x.Rank - id) })
		switch {
		case !found && r.ended(id): // and nothing of it is known
			continue
		case !found:
			return nil, fmt.Errorf("%w: the part of host %s has no rank %d", errUnfit, host, id)
		}
		one, err := r.rank(ctx, part, manifests[host].Ranks[i], output)
		if err != nil {
			return nil, err
		}
		if one.state != "" {
			out[id] = one
		}
	}
	return out, nil
}

// part finds a part of the checkpoint; nil: there is none.
func (r *restoring) part(is func(*apiv1.CheckpointPart) bool) *apiv1.CheckpointPart {
	if i := slices.IndexFunc(r.checkpoint.Parts, is); i >= 0 {
		return r.checkpoint.Parts[i]
	}
	return nil
}

func (r *restoring) name(p *apiv1.CheckpointPart) partName { return partName{r.checkpoint.Id, p.Host} }

func (r *restoring) rank(ctx context.Context, p *apiv1.CheckpointPart, m *apiv1.CheckpointRank, output *appLog) (*restoredRank, error) {
	out := &restoredRank{CheckpointRank: m}
	for _, b := range m.Memory {
		path, err := r.blob(ctx, p, b)
		if err != nil {
			return nil, err
		}
		out.memory = append(out.memory, path)
	}
	if m.State != nil {
		var err error
		if out.state, err = r.blob(ctx, p, m.State); err != nil {
			return nil, err
		}
	}
	return out, r.log(ctx, p, m, output)
}

// log puts a rank's output, as it was, in the place of what this host has of it.
func (r *restoring) log(ctx context.Context, p *apiv1.CheckpointPart, m *apiv1.CheckpointRank, output *appLog) error {
	if err := os.MkdirAll(output.dir, 0o700); err != nil {
		return fmt.Errorf("%w: %w", errOwnDisk, err)
	}
	to, err := os.CreateTemp(r.dir, "log-*")
	if err != nil {
		return fmt.Errorf("%w: %w", errOwnDisk, err)
	}
	defer os.Remove(to.Name()) //nolint:errcheck // it has another name by then
	defer to.Close()           //nolint:errcheck // synced below
	check := logCheck{rank: m.Rank}
	size := int64(0)
	add := func(b []byte) error {
		if err := check.add(b); err != nil {
			return err
		}
		size += int64(len(b))
		if _, err := to.Write(b); err != nil {
			return fmt.Errorf("%w: %w", errOwnDisk, err)
		}
		return nil
	}
	for _, b := range m.Log {
		path, err := r.blob(ctx, p, b)
		if err != nil {
			return err
		}
		if err := readFile(path, add, r.progress("log:"+path)); err != nil {
			return fmt.Errorf("the output of rank %d: %w", m.Rank, err)
		}
	}
	if len(m.Notice) > 0 {
		line := &apiv1.LogLine{}
		var buf bytes.Buffer
		if err := proto.Unmarshal(m.Notice, line); err != nil {
			return fmt.Errorf("the output of rank %d: %w", m.Rank, err)
		}
		if _, err := protodelim.MarshalTo(&buf, line); err != nil {
			return err
		}
		if err := add(buf.Bytes()); err != nil {
			return fmt.Errorf("the output of rank %d: %w", m.Rank, err)
		}
	}
	if check.facts.size != size {
		return fmt.Errorf("%w: the output of rank %d is cut short", errNowhere, m.Rank)
	}
	if err := to.Sync(); err != nil {
		return fmt.Errorf("%w: %w", errOwnDisk, err)
	}
	if err := output.replace(m.Rank, to.Name(), check.facts); err != nil {
		return fmt.Errorf("%w: %w", errOwnDisk, err)
	}
	return durable.SyncDir(output.dir)
}

// readFile gives a file in pieces.
func readFile(path string, give func([]byte) error, progress func(n int)) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	buf := make([]byte, 256<<10)
	for {
		n, err := f.Read(buf)
		if n > 0 {
			if err := give(buf[:n]); err != nil {
				return err
			}
			progress(n)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// drop removes what has come. It waits for who fetches, whose context is over, or what is fetched.
func (r *restoring) drop() {
	r.coming.Lock()
	defer r.coming.Unlock()
	r.dropped = true
	if err := os.RemoveAll(r.dir); err != nil {
		r.w.log.Warn("parts of a checkpoint are left", "dir", r.dir, "err", err)
	}
}
