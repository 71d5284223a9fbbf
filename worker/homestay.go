package worker

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"google.golang.org/protobuf/encoding/protodelim"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/durable"
	"github.com/godwit-run/godwit/internal/files"
)

// An app's home stays where it is when its worker's process ends and another begins: the directory does by itself, and what ranks here do in it they do themselves. What the server knows of it, for
// others' open files, for requests that are sent again and for locks, is in memory: a process that is told to stop notes it; what was not noted is lost with it.

// homeNote is what is known of a home beyond the process's life.
type homeNote struct {
	App     string `json:"app"`
	Attempt uint32 `json:"attempt"`
	Dir     string `json:"dir"`
	Boot    string `json:"boot"`
}

const (
	homeSuffix   = ".home"
	sharedSuffix = ".shared" // the server has known something that is in no file
	servedSuffix = ".served" // what it has noted of it
)

// saveWait is how long a process that ends waits for what others' ranks do with files.
const saveWait = 3 * time.Second

func (r *registry) path(app, suffix string) string { return filepath.Join(r.dir, app+suffix) }

// noteHome notes that the home is here.
func (a *app) noteHome(h *home) {
	r := a.host.spawner.runs
	b, err := json.Marshal(&homeNote{App: a.id, Attempt: a.part.Attempt(), Dir: h.dir, Boot: r.boot})
	a.shared.Store(false)
	if err == nil {
		r.removeHome(a.id)
		err = durable.WriteFile(r.path(a.id, homeSuffix), append(b, '\n'), 0o600)
	}
	if err != nil {
		a.log.Warn("the app's files do not outlive this process", "err", err)
	}
}

// removeHome forgets a home.
func (r *registry) removeHome(app string) {
	for _, suffix := range []string{homeSuffix, sharedSuffix, servedSuffix} {
		_ = os.Remove(r.path(app, suffix)) // what stays is found at the next start
	}
}

// homes are the homes that are here.
func (r *registry) homes() (out []*homeNote) {
	entries, _ := os.ReadDir(r.dir) // what is not found is nobody's home
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), homeSuffix) {
			continue
		}
		path, n := filepath.Join(r.dir, e.Name()), &homeNote{}
		b, err := os.ReadFile(path)
		if err == nil && json.Unmarshal(b, n) == nil && n.Boot == r.boot && r.path(n.App, homeSuffix) == path && checkID("app", n.App) == nil {
			out = append(out, n)
		} else {
			r.removeHome(strings.TrimSuffix(filepath.Base(path), homeSuffix))
		}
	}
	return out
}

// any says whether there is an executor that has begun, or a home.
func (r *registry) any() bool {
	left, _ := r.left() // what cannot be read is adopted by nobody
	return len(r.homes()) > 0 || slices.ContainsFunc(left, func(e *entry) bool { return e.Begun && e.living() })
}

// share notes, before the first request is done that leaves something in the server's memory, that there is such a thing.
func (a *app) share(req *apiv1.FilesRequest) error {
	if a.shared.Load() || req.Op == apiv1.FilesRequest_OP_LEAVE || req.Op >= apiv1.FilesRequest_OP_INPUT_WRITE {
		return nil
	}
	a.sharing.Lock()
	defer a.sharing.Unlock()
	if a.homeSaved {
		return errors.New("worker: the process ends")
	}
	if err := os.WriteFile(a.host.spawner.runs.path(a.id, sharedSuffix), nil, 0o600); err != nil {
		return err
	}
	a.shared.Store(true)
	return nil
}

// unseal has a home go on, unless the process ends.
func (a *app) unseal(h *home) {
	a.sharing.Lock()
	defer a.sharing.Unlock()
	if !a.homeSaved {
		h.server.Unseal()
	}
}

// saveHome notes what the server knows, as the process ends. From then on it answers nobody.
func (a *app) saveHome() {
	h := a.home
	if h == nil || h.server == nil || h.err != nil || !a.filled {
		return
	}
	a.sharing.Lock()
	a.homeSaved = true
	a.sharing.Unlock()
	h.server.Seal()
	if !a.shared.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), saveWait)
	defer cancel()
	if err := a.saveServed(ctx, h.server); err != nil {
		a.log.Warn("the app's files are lost with this process", "err", err)
	}
}

// heldOpen says where the app's executor has a file open, by its inode.
func (a *app) heldOpen() func(inode uint64) string {
	open := map[uint64]string{}
	if a.child != nil {
		own := deviceOf(a.home.dir)
		dir := fmt.Sprintf("/proc/%d/fd", a.child.pid())
		entries, _ := os.ReadDir(dir) // what it does not give is not known to be there
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			if info, err := os.Stat(path); err == nil && (info.Mode().IsRegular() || info.IsDir()) {
				if sys, ok := info.Sys().(*syscall.Stat_t); ok && sys.Nlink == 0 && sys.Dev == own {
					open[sys.Ino] = path
				}
			}
		}
	}
	return func(inode uint64) string { return open[inode] }
}

// deviceOf is the disk that a file is on; 0: it is not known.
func deviceOf(path string) uint64 {
	var st syscall.Stat_t
	if syscall.Stat(path, &st) != nil {
		return 0
	}
	return st.Dev
}

func (a *app) saveServed(ctx context.Context, server *files.Server) error {
	if err := server.Quiet(ctx); err != nil {
		return err
	}
	path := a.host.spawner.runs.path(a.id, servedSuffix)
	f, err := os.Create(path + "~")
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	err = server.Save(ctx, a.heldOpen(), func(p *apiv1.FilePart) error { _, err := protodelim.MarshalTo(w, p); return err })
	if err := errors.Join(err, w.Flush(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+"~", path)
}

// takeUpHome goes on with a home that an earlier process of the worker has left, if it is the app's.
func (a *app) takeUpHome(ctx context.Context, n *homeNote) {
	r, f := a.host.spawner.runs, a.part.Record().App.GetFiles()
	if n == nil {
		if a.host.unnoted[a.id] && f.GetHost() == a.host.cfg.Name && !f.GetStored() && !apiv1.AppOver(a.part.Record().App.Phase) {
			a.home = &home{dir: a.host.homeDir(a.id), err: errUnnoted}
			a.log.Error("the app's files are lost", "err", errUnnoted)
		}
		return
	}
	if a.part.Record().Gone || apiv1.AppOver(a.part.Record().App.Phase) || f.GetHost() != a.host.cfg.Name || f.GetStored() || a.part.Record().App.Attempt != n.Attempt {
		r.removeHome(a.id)
		a.host.dropHome(&home{dir: n.Dir})
		return
	}
	h := &home{dir: n.Dir}
	if h.err = a.reopen(h); h.err != nil {
		a.log.Error("the app's files are lost", "err", h.err)
		a.home = h
		return
	}
	if to := f.GetTo(); to != "" { // it may have all of it: the log says who is home
		h.giving = &giving{to: to, move: f.GetMove(), sealed: true, sent: true}
		h.server.Seal()
	}
	a.home, a.filled = h, true
	a.serving.Store(h.server)
	a.watchRoom(ctx, h)
	a.log.Info("the app's files are here still", "dir", h.dir)
}

// errUnsaved is of a home whose worker has crashed.
var errUnsaved = errors.New("the worker of their host has crashed, and with it what it knew of ranks on other hosts that use them")

// errUnnoted is of a home of which an earlier process could not note what it is.
var errUnnoted = errors.New("what the worker had noted of them was not there when it started again")

func (a *app) reopen(h *home) (err error) {
	r := a.host.spawner.runs
	saved, err := os.Open(r.path(a.id, servedSuffix))
	_, shared := os.Stat(r.path(a.id, sharedSuffix))
	switch {
	case err == nil:
		defer saved.Close() //nolint:errcheck // only read
		a.shared.Store(true)
		br := bufio.NewReader(saved)
		h.server, h.trees, err = files.Resume(h.dir, func() (*apiv1.FilePart, error) {
			p := &apiv1.FilePart{}
			err := protodelim.UnmarshalOptions{MaxSize: maxFilePart}.UnmarshalFrom(br, p)
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return p, err
		})
		if err == nil {
			err = os.Remove(saved.Name()) // from now on it is in memory alone
		}
		return err
	case shared == nil:
		return errUnsaved
	}
	if h.trees, err = files.OpenHome(h.dir); err != nil {
		return err
	}
	input, err := files.OpenInput(h.dir, true)
	if err != nil {
		return err
	}
	h.server = files.NewServer(h.trees[0], h.trees[1], input)
	return nil
}

// clearFiles removes what is below the directory of homes and is none's that stays.
func (w *Worker) clearFiles(stay []*homeNote) error {
	dir := w.cfg.dir("files")
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("worker: files: %w", err)
	}
	names := map[string]bool{}
	for _, n := range stay {
		names[n.App] = true
	}
	for _, e := range entries {
		if app, _, _ := strings.Cut(e.Name(), ".input"); names[app] {
			continue
		}
		if w.unnoted == nil {
			w.unnoted = map[string]bool{}
		}
		w.unnoted[e.Name()] = true
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("worker: files: %w", err)
		}
	}
	return nil
}
