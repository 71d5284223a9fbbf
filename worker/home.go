package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"connectrpc.com/connect/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/apierr"
	"github.com/godwit-run/godwit/internal/files"
	"github.com/godwit-run/godwit/internal/transport"
	"github.com/godwit-run/godwit/internal/trust"
)

// home is an app's directory on this host, which is the app's home. What its ranks here do the kernel does for their executor; what those on other
// hosts ask for, the server does. The app's goroutine owns it.
type home struct {
	dir    string
	trees  [2]*files.Local
	server *files.Server
	err    error // why there is none

	storing bool               // to the servers; what has come of it is below
	stored  *apiv1.FilesStatus // nil: nothing yet
	trouble string             // with what is being done; empty: none
	told    time.Time          // when the log had the trouble last
	end     context.CancelFunc // of what is done with it; nil: nothing
	crowded string             // what it has more of than its quota; empty: nothing
	unfit   string             // what its disk lacks; empty: nothing
	alone   context.CancelFunc // ends looking at these; nil: nobody does

	giving *giving // to the next home; nil: it stays

	restored *restoring // what has it come from a checkpoint, until it is here; nil: nothing
}

// goneHome is how the names of directories begin that are being removed; no app has such a one.
const goneHome = ".gone-"

// homeDir is where the directory of an app is that has its home here.
func (w *Worker) homeDir(app string) string { return filepath.Join(w.cfg.dir("files"), app) }

// newHome makes the directory, empty.
func (w *Worker) newHome(app string) (*home, error) {
	if err := checkID("app", app); err != nil {
		return nil, err
	}
	h := &home{dir: w.homeDir(app)}
	if err := os.RemoveAll(h.dir); err != nil { // of an earlier attempt
		return nil, fmt.Errorf("worker: files: %w", err)
	}
	for _, part := range []string{apiv1.HomeKept, apiv1.HomeScratch} {
		if err := os.MkdirAll(filepath.Join(h.dir, part), 0o700); err != nil {
			return nil, fmt.Errorf("worker: files: %w", err)
		}
	}
	var err error
	if h.trees, err = files.OpenHome(h.dir); err != nil {
		return nil, fmt.Errorf("worker: files: %w", err)
	}
	input, err := files.OpenInput(h.dir, false)
	if err != nil {
		return nil, fmt.Errorf("worker: files: %w", err)
	}
	h.server = files.NewServer(h.trees[0], h.trees[1], input)
	return h, nil
}

// stop ends what is done with the home.
func (h *home) stop() {
	for _, end := range []context.CancelFunc{h.end, h.alone} {
		if end != nil {
			end()
		}
	}
}

// dropHome ends a home, and what is in it: its directory is out of the way at once, and gone when all that is in it has been removed, which takes its time.
func (w *Worker) dropHome(h *home) {
	h.stop()
	var errs []error
	if h.server != nil {
		errs = append(errs, h.server.Close(), h.trees[0].Close(), h.trees[1].Close())
	}
	gone := filepath.Join(w.cfg.dir("files"), fmt.Sprintf("%s%x", goneHome, rand.Uint64())) //nolint:gosec // a name, no secret
	err := errors.Join(files.RemoveInput(h.dir), os.Rename(h.dir, gone))
	if errors.Is(err, os.ErrNotExist) {
		err = nil // it was never made
	}
	if err := errors.Join(append(errs, err)...); err != nil {
		w.log.Warn("files are left", "dir", h.dir, "err", err)
	}
	w.tasks.Go(func() error {
		if err := os.RemoveAll(gone); err != nil {
			w.log.Warn("files are left", "dir", gone, "err", err)
		}
		return nil
	})
}

// followFiles brings what this host has of the app's directory in line with the record.
func (a *app) followFiles(ctx context.Context) {
	f := a.part.Record().App.GetFiles()
	mine := f != nil && !f.Stored && f.Host == a.host.cfg.Name
	a.followMove(ctx)
	switch {
	case mine && a.home == nil && f.Move != 0:
		a.lackHome()
	case mine && a.home == nil:
		a.openHome(ctx)
	case !mine && a.home != nil:
		a.leaveHome()
	}
	a.tellHome()
	if !mine || a.home.err != nil || !a.allEnded() || a.part.Record().App.Verdict == "" || a.part.Record().App.Verdict == apiv1.AppQueued || a.part.Record().App.Verdict == apiv1.AppFrozen || a.home.storing {
		return
	}
	switch {
	case a.filled:
		a.storeHome(ctx)
	case a.part.Record().App.Verdict != apiv1.AppSucceeded: // nobody waits for what it begins with
		a.home.stop()
		a.home.err = errors.New("the app was stopped before what it begins with had come")
	}
}

// openHome makes this host's directory of the app, with what it begins with.
func (a *app) openHome(ctx context.Context) {
	if c := a.part.Record().Restore; c != nil {
		if i := slices.IndexFunc(c.Parts, func(p *apiv1.CheckpointPart) bool { return p.Files }); i >= 0 {
			a.restoreHome(ctx, c.Parts[i])
			return
		}
	}
	h, err := a.host.newHome(a.id)
	if err != nil {
		a.host.suspectDisk()
		a.log.Error("the app's directory cannot be made", "err", err)
		h = &home{dir: a.host.homeDir(a.id), err: err}
	}
	a.home, a.filled = h, false
	if err == nil {
		a.watchRoom(ctx, h)
	}
	inputs := a.part.Record().App.Spec.GetInputs()
	if err != nil || inputs == nil {
		a.homeFilled(h, err)
		return
	}
	fill, end := context.WithCancel(ctx)
	h.end = end
	a.host.tasks.Go(func() error {
		err := a.host.fillTree(fill, filepath.Join(h.dir, apiv1.HomeKept), inputs)
		a.post(func() { a.homeFilled(h, err) })
		return nil
	})
}

// homeFilled has the home serve, or its app fail.
func (a *app) homeFilled(h *home, err error) {
	if a.home != h || h.err != nil {
		return
	}
	if h.err = err; err != nil {
		return // the app fails
	}
	a.filled = true
	a.noteHome(h)
	if a.part.Record().Restore != nil { // it comes with what clients had open
		_ = a.share(&apiv1.FilesRequest{}) // else it is noted before the next request
	}
	a.serving.Store(h.server)
	a.tellHome()
}

// leaveHome drops what is here: it is stored, or another host's, or nobody's.
func (a *app) leaveHome() {
	h := a.home
	a.serving.Store(nil)
	h.giving.end(nil)
	a.home, a.filled, a.toldHome = nil, false, ""
	a.host.spawner.runs.removeHome(a.id)
	a.host.dropHome(h)
}

// tellHome tells the executor where the app's directory is, once it is there.
func (a *app) tellHome() {
	f := a.part.Record().App.GetFiles()
	if f == nil || f.Stored || !a.runs() || a.child == nil {
		return
	}
	at := &apiv1.ExecHome{Host: f.Host, Addr: a.part.Record().Addrs[f.Host]}
	if f.Host == a.host.cfg.Name {
		if a.home == nil || !a.filled {
			return
		}
		at.Dir, at.Full, at.Limit = a.home.dir, a.home.crowded != "", a.host.cfg.FilesLimit
	}
	if told := fmt.Sprint(a.child.pid(), at.Host, at.Addr, at.Dir, at.Full); a.toldHome != told {
		a.toldHome = told
		a.say(&apiv1.ExecCommand{Msg: &apiv1.ExecCommand_Home{Home: at}})
	}
}

// fillTrouble is why what the app begins with has not come yet, if servers have been asked for it in vain.
func (a *app) fillTrouble() string {
	t := a.part.Record().App.Spec.GetInputs()
	for _, digest := range append([]string{t.GetList()}, t.GetPacks()...) {
		if why := a.host.modules.trouble(digest); why != "" {
			return why
		}
	}
	return ""
}

// allEnded says whether the record has the end of every rank.
func (a *app) allEnded() bool {
	for r := range a.part.Record().App.Size {
		if !a.part.Record().App.HasEnded(r) {
			return false
		}
	}
	return true
}

// storeHome gives the directory to the servers.
func (a *app) storeHome(ctx context.Context) {
	h := a.home
	h.storing = true
	ctx, h.end = context.WithCancel(ctx)
	tell := func(trouble error) { a.post(func() { a.homeTrouble(h, trouble) }) }
	a.host.tasks.Go(func() error {
		tree, left, err := a.host.storeTree(ctx, filepath.Join(h.dir, apiv1.HomeKept), tell)
		if ctx.Err() != nil {
			return nil
		}
		st := &apiv1.FilesStatus{Stored: tree, Fault: clean(left)}
		if err != nil {
			st.Fault = clean(reasonOf(err))
		}
		if st.Fault != "" {
			a.log.Error("the app's files were not stored, or not all", "why", st.Fault)
		}
		a.post(func() {
			if a.home == h {
				h.stored = st
			}
		})
		return nil
	})
}

// troubleAgain is how long one trouble is in the log before it is said again.
const troubleAgain = time.Minute

// homeTrouble notes that what is done with the home has been tried in vain, and will be again.
func (a *app) homeTrouble(h *home, why error) {
	if a.home != h {
		return
	}
	h.trouble = clean(reasonOf(why))
	if now := time.Now(); now.Sub(h.told) > troubleAgain {
		h.told = now
		a.log.Warn("the servers do not take the app's files yet", "err", why)
	}
}

// filesStatus is what the leader is told of the app's directory; nil: nothing.
func (a *app) filesStatus() *apiv1.FilesStatus {
	switch {
	case a.coming != nil:
		return a.coming.status()
	case a.home != nil && a.home.stored != nil:
		return a.home.stored
	case a.home != nil && a.home.err != nil && a.allEnded() && a.part.Record().App.Verdict != "":
		return &apiv1.FilesStatus{Fault: clean(reasonOf(a.home.err))}
	case a.home != nil && a.home.err != nil:
		return &apiv1.FilesStatus{
			Lost: clean(reasonOf(a.home.err)), Move: a.part.Record().App.GetFiles().GetMove(), Attempt: a.part.Record().App.Attempt,
			Refused: errors.Is(a.home.err, errOwnDisk), Nowhere: errors.Is(a.home.err, errNowhere),
		}
	case a.home != nil && !a.filled && a.home.err == nil:
		if r := a.home.restored; r != nil {
			return &apiv1.FilesStatus{Trouble: r.trouble(), Progress: fmt.Sprintf("%d bytes have been read, have come or have been written", r.moved.Load())}
		}
		return &apiv1.FilesStatus{Trouble: clean(a.fillTrouble())}
	case a.home != nil && a.home.storing:
		return &apiv1.FilesStatus{Trouble: a.home.trouble}
	case a.home != nil:
		return &apiv1.FilesStatus{Trouble: cmp.Or(a.home.trouble, a.home.crowded, a.home.unfit)}
	case a.wantsFiles:
		return &apiv1.FilesStatus{Wanted: true}
	}
	return nil
}

// Files implements the Data service.
func (s dataService) Files(ctx context.Context, req *apiv1.FilesRequest) (*apiv1.FilesResponse, error) {
	transport.Yield(ctx) // what follows is the disk's
	if err := checkID("app", req.App); err != nil {
		return nil, invalid("app", err.Error(), "")
	}
	if id, ok := transport.Peer(ctx); ok && id.Role == trust.Executor && id.Name != req.App {
		return nil, apierr.New(connect.CodePermissionDenied, apierr.ReasonForbidden, "app", fmt.Sprintf("%s asks for files of app %s", id, req.App), "")
	}
	a := s.w.appOf(req.App)
	var res *apiv1.FilesResponse
	if a != nil {
		if server := a.serving.Load(); server != nil && a.share(req) == nil {
			if req.Op == apiv1.FilesRequest_OP_KEEP && req.OwnDescriptor != 0 {
				res = a.keepOwn(server, req)
			} else {
				res = server.Try(req)
			}
		}
	}
	if res == nil {
		return nil, s.filesElsewhere(req.App)
	}
	return res, nil
}

// filesElsewhere is the answer to who asks for files that are not here, or are on their way to another host.
func (s dataService) filesElsewhere(app string) error {
	return apierr.New(connect.CodeUnavailable, apierr.ReasonNotYet, "app",
		fmt.Sprintf("host %s does not have the files of app %s", s.w.hostName(), app), "ask again in a moment, where they are then")
}

// appOf is an app that has something on this host; nil: it has nothing.
func (w *Worker) appOf(id string) *app {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.apps[id]
}

// serving is what other hosts' ranks are served by; nil: the home is not here.
type serving = atomic.Pointer[files.Server]
