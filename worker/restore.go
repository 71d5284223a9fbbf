package worker

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/archive"
	"github.com/godwit-run/godwit/internal/durable"
	"github.com/godwit-run/godwit/internal/files"
	"github.com/godwit-run/godwit/internal/objects"
)

// maxFilePart bounds a part of an app's packed files.
const maxFilePart = 8 << 20

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

// holders are the hosts that may hold a part.
func (r *restoring) holders(p *apiv1.CheckpointPart) (out []holder) {
	for _, h := range []string{p.Host, p.Second, p.Third} {
		if h != "" && h != r.w.hostName() && (h != p.Host || !p.HostGone) {
			out = append(out, holder{h, r.addr(h)})
		}
	}
	slices.SortStableFunc(out, func(a, b holder) int { return r.vain[a.host] - r.vain[b.host] })
	return out
}

func (r *restoring) manifest(ctx context.Context, p *apiv1.CheckpointPart) (*apiv1.CheckpointManifest, error) {
	text, err := r.w.checkpoints.manifestText(r.name(p))
	if err == nil && bytes.Equal(sumOf(text), p.Digest) {
		return r.parsed(text, p)
	}
	x := wanted{name: r.name(p), size: apiv1.MaxManifestBytes}
	if err != nil && !errors.Is(err, errNotHeld) && !errors.Is(err, errDamaged) {
		x.own = err
	}
	var buf bytes.Buffer
	begin := func() (io.Writer, error) { buf.Reset(); return &buf, nil }
	err = r.obtain(ctx, x, r.holders(p), begin, func() error {
		if !bytes.Equal(sumOf(buf.Bytes()), p.Digest) {
			return errors.New("its manifest is not the one that was made")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return r.parsed(buf.Bytes(), p)
}

// parsed is a manifest that is the one that was made. One that is none, whoever gives it, nobody has otherwise; but a newer build may read what this one does not.
func (r *restoring) parsed(text []byte, p *apiv1.CheckpointPart) (*apiv1.CheckpointManifest, error) {
	m, err := parseManifest(text, r.name(p))
	if err != nil && !errors.Is(err, errVersion) {
		err = fmt.Errorf("%w: %w", errNowhere, err)
	}
	return m, err
}

// obtain has a blob, or a manifest, come from any of the holders that gives the right one, or else from the object store. begin is where it goes to, anew for each.
func (r *restoring) obtain(ctx context.Context, x wanted, from []holder, begin func() (io.Writer, error), right func() error) error {
	unsure, err := r.fromHosts(ctx, x, from, begin, right)
	unsure = unsure || x.own != nil
	if err == nil || ctx.Err() != nil || errors.Is(err, errOwnDisk) {
		return err
	}
	if r.checkpoint.To != "" {
		var to io.Writer
		last := err
		if to, err = begin(); err != nil {
			return err
		}
		if err = r.fromStore(ctx, x, to); err == nil {
			if err = right(); err == nil {
				return nil
			}
		} else if !errors.Is(err, archive.ErrDamaged) && (!errors.Is(err, objects.ErrAbsent) || !r.storeShows(ctx)) {
			unsure = true
		}
		if errors.Is(err, errOwnDisk) {
			return err
		}
		if ctx.Err() == nil {
			r.w.log.Warn("a part of a checkpoint does not come", "checkpoint", x.name.checkpoint, "part", x.name.host, "from", r.checkpoint.To, "err", err)
		}
		err = fmt.Errorf("%s: %w; %w", r.checkpoint.To, err, last) // the store's comes first: it has all, if anybody has
	}
	if !unsure {
		err = fmt.Errorf("%w: %w", errNowhere, err)
	}
	return err
}

// storeShows says whether there is anything in the object store, so that what is absent is absent: one that is not mounted is an empty directory.
func (r *restoring) storeShows(ctx context.Context) bool {
	a, err := archive.Open(ctx, r.checkpoint.To)
	if err != nil {
		return false
	}
	empty, err := a.Empty(ctx)
	return err == nil && !empty
}

// fromStore has it come from the object store.
func (r *restoring) fromStore(ctx context.Context, x wanted, to io.Writer) error {
	a, err := archive.Open(ctx, r.checkpoint.To)
	if err != nil {
		return err
	}
	if x.digest != "" {
		_, err := a.Blob(ctx, r.checkpoint.App, x.digest, x.size, io.MultiWriter(to, told(r.progress(x.digest))))
		return err
	}
	text, err := a.Manifest(ctx, r.checkpoint, r.part(func(p *apiv1.CheckpointPart) bool { return p.Host == x.name.host }))
	if err != nil {
		return err
	}
	_, err = to.Write(text)
	return err
}

// told is a writer that only tells how much is written.
type told func(n int)

// Write implements io.Writer.
func (t told) Write(p []byte) (int, error) {
	t(len(p))
	return len(p), nil
}

// fromHosts has it come from a host; or says why the last one did not give it, and whether one of them may have it that does not answer.
func (r *restoring) fromHosts(ctx context.Context, x wanted, from []holder, begin func() (io.Writer, error), right func() error) (unsure bool, err error) {
	last := fmt.Errorf("no host holds the part of host %s of checkpoint %s", x.name.host, x.name.checkpoint)
	for _, h := range from {
		if h.addr == "" {
			last, unsure = fmt.Errorf("host %s, which holds it, is gone", h.host), true
			continue
		}
		to, err := begin()
		if err != nil {
			return unsure, err
		}
		if err = r.w.obtainFrom(ctx, x, h, to, r.progress(x.name.host+x.digest)); err == nil {
			err = right()
		} else if connect.CodeOf(err) != connect.CodeNotFound {
			unsure = true
		}
		if err == nil || ctx.Err() != nil || errors.Is(err, errOwnDisk) {
			return unsure, err
		}
		last = fmt.Errorf("host %s: %w", h.host, err)
		r.vain[h.host]++
		r.w.log.Warn("a part of a checkpoint does not come", "checkpoint", x.name.checkpoint, "part", x.name.host, "from", h.host, "err", err)
	}
	return unsure, last
}

// blob is the path of a blob of a part: this host's own, if it is what it was, or one that has come.
func (r *restoring) blob(ctx context.Context, p *apiv1.CheckpointPart, b *apiv1.Blob) (string, error) {
	own, path := r.w.checkpoints.blobPath(b.Digest), filepath.Join(r.dir, b.Digest)
	x := wanted{name: r.name(p), digest: b.Digest, size: b.Size}
	for _, at := range []string{own, path} {
		switch err := r.check(ctx, at, b); {
		case err == nil:
			return at, nil
		case ctx.Err() != nil:
			return "", ctx.Err()
		case !errors.Is(err, os.ErrNotExist):
			r.w.log.Warn("a blob of a checkpoint is not whole here, or cannot be read", "checkpoint", r.checkpoint.Id, "blob", b.Digest, "err", err)
			if errors.Is(err, errDamaged) {
				r.w.checkpoints.doubt(b.Digest)
			} else {
				x.own = err
			}
		}
	}
	if why := r.w.checkpoints.room(b.Size, r.w.keepFree()); why != "" {
		return "", fmt.Errorf("%w: %s", errOwnDisk, why)
	}
	var to *blobWriter
	begin := func() (_ io.Writer, err error) {
		if to != nil {
			to.drop()
		}
		if to, err = r.w.checkpoints.newBlob(); err != nil {
			return nil, fmt.Errorf("%w: %w", errOwnDisk, err)
		}
		return ownDisk{to}, nil
	}
	err := r.obtain(ctx, x, r.holders(p), begin, func() error { return to.is(b) })
	if err != nil {
		if to != nil {
			to.drop()
		}
		return "", err
	}
	if err := errors.Join(to.file.Close(), os.Rename(to.file.Name(), path)); err != nil {
		return "", fmt.Errorf("%w: %w", errOwnDisk, err)
	}
	return path, nil
}

// ownDisk tells errors of this host's disk from others'.
type ownDisk struct{ *blobWriter }

// Write implements io.Writer.
func (w ownDisk) Write(p []byte) (int, error) {
	n, err := w.blobWriter.Write(p)
	if err != nil {
		err = fmt.Errorf("%w: %w", errOwnDisk, err)
	}
	return n, err
}

// check reads a file, and says why it is not a blob.
func (r *restoring) check(ctx context.Context, path string, b *apiv1.Blob) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	sum := sha256.New()
	n, err := copyWatched(ctx, sum, f, r.progress(path))
	if err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != b.Digest || n != b.Size {
		return fmt.Errorf("%w: it is %.12s, of %d bytes", errDamaged, got, n)
	}
	return nil
}

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

// is says whether what was written is a blob.
func (b *blobWriter) is(want *apiv1.Blob) error {
	if got := fmt.Sprintf("%x", b.sum.Sum(nil)); got != want.Digest || b.size != want.Size {
		return fmt.Errorf("what came as blob %.12s is %.12s", want.Digest, got)
	}
	return nil
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

// placedHere are all ranks that the record puts on this host, those that have ended, too.
func (a *app) placedHere() (ids []int32) {
	for id := range a.part.Record().App.Placement {
		if a.part.IsMine(int32(id)) {
			ids = append(ids, int32(id))
		}
	}
	return ids
}

// restoreBytes is how long a command becomes that says what ranks are made of, about: the link has a bound for one.
const restoreBytes = 4 << 20

// restoreRanks tells the executor, which has been started, what ranks are made of.
func (a *app) restoreRanks(images map[int32]*restoredRank, ids []int32) {
	from := a.part.Record().Restore
	var ranks []*apiv1.RestoredRank
	for size := 0; len(ids) > 0; ids = ids[1:] {
		r := images[ids[0]]
		if r == nil {
			a.child.kill(fmt.Sprintf("checkpoint %s has no image of rank %d", from.Id, ids[0]))
			return
		}
		one := &apiv1.RestoredRank{Rank: ids[0], Memory: r.memory, State: r.state}
		ranks = append(ranks, one)
		if size += proto.Size(one); size >= restoreBytes || len(ids) == 1 {
			a.say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Restore{Restore: &apiv1.ExecRestore{Checkpoint: from.Id, App: from.App, Ranks: ranks}}})
			ranks, size = nil, 0
		}
	}
}

// rankStaged takes it that a rank has come, or was made of a checkpoint.
func (a *app) rankStaged(ctx context.Context, s *apiv1.ExecStaged) {
	restored := a.part.Restoring()
	if why := a.part.Staged(a.with(ctx), s); why != "" {
		a.child.kill(why)
		return
	}
	if restored && !a.part.Restoring() {
		a.log.Info("ranks run again from a checkpoint", "checkpoint", s.Migration)
		a.endStart()
		a.dropRestored()
	}
}

// dropRestored removes what has come for ranks that begin from a checkpoint.
func (a *app) dropRestored() {
	if r := a.restored; r != nil {
		a.restored = nil
		a.host.tasks.Go(func() error { r.drop(); return nil })
	}
}

// newAttempt forgets all that is here of an earlier attempt: its ranks are over.
func (a *app) newAttempt(ctx context.Context) {
	a.stopChild()
	a.part.Forget(a.with(ctx))
	a.dropComing()
	if a.home != nil {
		a.leaveHome()
	}
	a.dropRestored()
	a.host.removeArrivals(a.id)
	a.host.checkpoints.pin(a.id, nil)
	a.chains = map[int32]*savedChain{}
	a.wantsFiles, a.silent = false, 0
}

// restoreHome makes the app's directory what it was at the checkpoint.
func (a *app) restoreHome(ctx context.Context, part *apiv1.CheckpointPart) {
	dir := a.host.homeDir(a.id)
	h := &home{dir: filepath.Join(dir, "restored")}
	a.home, a.filled = h, false
	ctx, h.end = context.WithCancel(ctx)
	r := a.newRestoring()
	r.dir += "-files"
	h.restored = r
	watch, over := context.WithCancel(ctx)
	a.host.tasks.Go(func() error { a.tellProgress(watch, startLook, &r.moved); return nil })
	a.host.tasks.Go(func() error {
		made, err := r.home(ctx, part, dir, h.dir, func() { a.post(func() {}) })
		over()
		r.drop()
		taken := false
		_ = a.ask(func() error {
			if a.home != h {
				return nil
			}
			taken, h.trouble, h.restored = true, "", nil
			if err == nil {
				h.server, h.trees = made.server, made.trees
				if a.part.Record().Restore.GetApp() != a.id {
					endInput(h.server)
				}
				a.watchRoom(ctx, h)
			}
			a.homeFilled(h, err)
			return nil
		})
		if !taken && made != nil {
			a.host.dropHome(made)
		}
		return nil
	})
}

// endInput ends the standard input of an app that goes on as another one: nobody has the rest of it.
func endInput(server *files.Server) {
	res := server.Try(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_INPUT_WRITE})
	_ = server.Try(&apiv1.FilesRequest{Op: apiv1.FilesRequest_OP_INPUT_WRITE, At: res.GetAt(), Size: 1}) // it had ended, or ends here
}

// home makes a home of what a part has of the app's files. It calls tell when there is trouble.
func (r *restoring) home(ctx context.Context, p *apiv1.CheckpointPart, dir, to string, tell func()) (*home, error) {
	for pause := holdPause; ; pause = min(2*pause, maxHoldPause) {
		h, err := r.homeOnce(ctx, p, dir, to)
		if err == nil || ctx.Err() != nil || errors.Is(err, errOwnDisk) || errors.Is(err, files.ErrDamaged) || r.hopeless(err) {
			return h, err
		}
		why := clean(fmt.Sprintf("checkpoint %s does not come: %v", r.checkpoint.Id, err))
		r.why.Store(&why)
		tell()
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
}

func (r *restoring) homeOnce(ctx context.Context, p *apiv1.CheckpointPart, dir, to string) (*home, error) {
	r.rounds++
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(r.dir, 0o700)); err != nil {
		return nil, fmt.Errorf("%w: %w", errOwnDisk, err)
	}
	m, err := r.manifest(ctx, p)
	if err != nil {
		return nil, err
	}
	var paths []string
	size := int64(0)
	for _, b := range filesOf(m) {
		path, err := r.blob(ctx, p, b)
		if err != nil {
			return nil, err
		}
		paths, size = append(paths, path), size+b.Size
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("%w: the part of host %s has none", files.ErrDamaged, p.Host)
	}
	if why := r.w.checkpoints.room(size, r.w.keepFree()); why != "" { // it is here packed, and is to be here once more
		return nil, fmt.Errorf("%w: %s", errOwnDisk, why)
	}
	return unpackHome(ctx, paths, to, r.progress("unpacked"))
}

// unpackHome makes a home in a directory of what packHome has written, which may be in pieces.
func unpackHome(ctx context.Context, paths []string, to string, progress func(n int)) (_ *home, err error) {
	u, err := files.NewUnpacker(to)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errOwnDisk, err)
	}
	defer func() {
		if err != nil {
			_ = u.Close() // the directory is removed
		}
	}()
	all := &series{paths: paths}
	defer all.Close() //nolint:errcheck // only read
	from := bufio.NewReaderSize(all, 256<<10)
	for !u.Whole() {
		part := &apiv1.FilePart{}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := (protodelim.UnmarshalOptions{MaxSize: maxFilePart}).UnmarshalFrom(from, part); err != nil {
			return nil, fmt.Errorf("%w: %w", files.ErrDamaged, err)
		}
		if err := u.Add(part); err != nil && !errors.Is(err, files.ErrDamaged) {
			return nil, fmt.Errorf("%w: %w", errOwnDisk, err)
		} else if err != nil {
			return nil, err
		}
		progress(proto.Size(part))
	}
	h := &home{dir: to}
	if h.server, h.trees, err = u.Server(); err != nil {
		return nil, fmt.Errorf("%w: %w", errOwnDisk, err)
	}
	return h, nil
}
