// Package worker serves a host: it keeps a session with the leader, follows the
// committed record of every app that has ranks here, runs an executor for each,
// holds modules, files and logs, and sends the logs of ranks that move to other workers. It decides
// nothing that the log has not decided. See DESIGN.md in this directory.
package worker

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/dirlock"
	"github.com/godwit-run/godwit/internal/durable"
	"github.com/godwit-run/godwit/internal/listen"
	"github.com/godwit-run/godwit/internal/notify"
	"github.com/godwit-run/godwit/internal/pipe"
	"github.com/godwit-run/godwit/internal/proc"
	"github.com/godwit-run/godwit/internal/text"
	"github.com/godwit-run/godwit/internal/transport"
	"github.com/godwit-run/godwit/internal/trust"
)

// maxApps bounds the apps one host has anything of. It is more than may be queued or placed in a whole cluster.
const maxApps = 10_000

// Worker serves one host.
type Worker struct {
	cfg         Config
	servers     func() []string
	log         *slog.Logger
	http        *http.Client // to other hosts
	bulk        *http.Client // to those, for long answers
	toServers   *http.Client
	nodeID      string
	secret      string // shows that a session is of this data directory's worker
	listener    *listen.Listener
	rankConns   *listen.Acceptor
	dataConns   net.Listener
	modules     *moduleCache
	codes       *codes // nil: ranks run in wazero
	makers      *makers
	logs        *logStore
	readers     *readers
	unnoted     map[string]bool // homes that an earlier process has left without a note; written before Run
	checkpoints *checkpointStore
	storing     *storing
	spawner     *spawner
	lock        *os.File // kept open: the directory is ours as long as it is
	fitness     fitness
	suspect     atomic.Bool             // something could not be written: the disk is to be tried
	short       bool                    // at the last look the disk had too little room; of watchDisk's goroutine
	tryDisk     func(path string) error // writeProbe
	kept        membership              // what the data directory holds; of watchDisk's goroutine
	probed      time.Time               // when the disk was tried last, and what came of it; likewise
	unwritable  error
	tasks       *errgroup.Group // owned by Run
	left        []*entry        // executors to be adopted
	homes       []*homeNote     // and homes
	decide      sync.Once       // of keeping
	keeping     bool

	twoClusters sync.Once // says that two answer

	mu          sync.Mutex // guards the fields below
	incarnation string
	apps        map[string]*app
	records     map[string]*apiv1.AppRecord
	keysBefore  map[string][]byte // of apps' links, before those that the records have
	statuses    map[string]*apiv1.AppStatus
	dirty       map[string]bool // statuses the leader has not been sent
	dirtyCh     notify.Signal
	soon        map[string]bool // statuses that can wait a moment for what comes next
	soonCh      notify.Signal
	children    map[*child]bool
	member      membership
	named       atomic.Bool   // the name changes no more
	diskCh      notify.Signal // has watchDisk look at once
}

// New opens the worker's data directory and its port. servers returns the API addresses of the servers known now, best first.
func New(cfg Config, servers func() []string, log *slog.Logger) (*Worker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	w := &Worker{
		cfg: cfg, servers: servers, log: log,
		http: transport.NewHTTPClientBy(listen.To(cfg.Holder, trust.Worker)), bulk: transport.NewBulkHTTPClientBy(listen.To(cfg.Holder, trust.Worker)),
		toServers: transport.NewHTTPClientBy(listen.To(cfg.Holder, trust.Server)),
		apps:      map[string]*app{}, records: map[string]*apiv1.AppRecord{}, keysBefore: map[string][]byte{}, statuses: map[string]*apiv1.AppStatus{},
		dirty: map[string]bool{}, dirtyCh: notify.NewSignal(), diskCh: notify.NewSignal(), children: map[*child]bool{},
		soon: map[string]bool{}, soonCh: notify.NewSignal(), readers: newReaders(), spawner: newSpawner(cfg.Executor), tryDisk: writeProbe,
	}
	w.spawner.host, w.spawner.player = w.hostName, cfg.Play
	if cfg.ExecutorsEnd {
		w.spawner.starter = proc.NewStarter()
	}
	w.storing = newStoring(w)
	var err error
	if w.spawner.lease, err = pipe.NewLease(); err != nil {
		return nil, err
	}
	if err := w.openDir(); err != nil {
		return nil, durable.Advise(err)
	}
	if w.listener, err = listen.New(cfg.Listen); err != nil {
		return nil, err
	}
	if cfg.OwnUserOnly {
		w.listener.OwnUserOnly()
	}
	if cfg.Holder != nil {
		w.listener.Secure(cfg.Holder, map[string]func(trust.Identity) error{"": onlyMembers})
		w.listener.Guests(w.guest)
		w.listener.Relay(pipe.RankProtocol)
	}
	if w.cfg.TotalMemory == 0 {
		if w.cfg.TotalMemory, err = defaultTotal(); err != nil {
			return nil, err
		}
	}
	if w.cfg.Memory, err = w.cfg.declares(); err != nil {
		return nil, err
	}
	if cfg.Play != nil {
		w.spawner.memory = &memory{bytes: w.cfg.TotalMemory, log: log}
		cfg.Ahead = 0
	} else {
		w.spawner.memory = newMemory(w.cfg.TotalMemory, filepath.Join(w.cfg.dir("run"), "group"), len(w.left) > 0, log)
	}
	w.spawner.warm = newWarm(min(cfg.Slots, mostWarm(w.cfg.TotalMemory)), cfg.Ahead, w.spawner)
	w.rankConns, w.dataConns = w.listener.Protocol(pipe.RankProtocol), w.listener.HTTP()
	if w.cfg.Advertise == "" {
		w.cfg.Advertise = w.listener.Addr().String()
	}
	return w, nil
}

// openDir makes the data directory's parts. Images of an earlier life are worthless: their ranks were ended with it.
func (w *Worker) openDir() (err error) {
	if err := durable.MkdirAll(w.cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("worker: --data-dir: %w", err)
	}
	if w.lock, err = dirlock.Lock(w.cfg.DataDir); err != nil {
		return err
	}
	if err := w.openRegistry(); err != nil {
		return err
	}
	if w.nodeID, err = readOrMake(w.cfg.dir("node_id"), uuid.NewString); err != nil {
		return err
	}
	if w.secret, err = readOrMake(w.cfg.dir("secret"), rand.Text); err != nil {
		return err
	}
	if w.kept.cluster, err = readWord(w.cfg.dir(clusterFile)); err != nil {
		return err
	}
	if w.kept.name, err = readWord(w.cfg.dir(nameFile)); err != nil {
		return err
	}
	if was := w.kept.name; was != "" && was != w.cfg.Name {
		w.log.Warn("this data directory was a host's of another name: output of apps that ran on that host is found here only under its name", "was", was)
	}
	w.member = w.kept
	if err := os.RemoveAll(w.cfg.dir("arrivals")); err != nil {
		return fmt.Errorf("worker: arrivals: %w", err)
	}
	if w.modules, err = newModuleCache(w.cfg.dir("modules"), w.cfg.dir("cache"), w.cfg.ModuleBytes, w.log, transport.NewBulkHTTPClientBy(listen.To(w.cfg.Holder, trust.Server)), w.servers); err != nil {
		return err
	}
	w.modules.caller = w.vouch
	if w.cfg.Engine != engineWazero {
		w.codes = newCodes(w.modules, w.hostName, w.log)
		w.makers = &makers{w: w, starter: proc.NewStarter()}
		w.codes.compile, w.codes.fetch, w.codes.poke = w.makers.compile, w.fetchCode, w.poke
		w.codes.findToolchain(context.Background(), w.cfg.Maker)
		w.modules.watch(w.codes.look)
	}
	if w.logs, err = newLogStore(w.cfg.dir("logs"), w.cfg.LogBytes, w.log); err != nil {
		return err
	}
	w.logs.unreadLimit = w.cfg.LogLimit
	if w.checkpoints, err = newCheckpointStore(w.cfg.dir("checkpoints"), w.log); err != nil {
		return err
	}
	w.checkpoints.news = w.poke
	w.lookAtDisk() // before the first session, which says what was seen
	return nil
}

// vouch is what shows a server that it is this worker that fetches a module.
func (w *Worker) vouch() (host string, proof []byte) {
	sum := sha256.Sum256([]byte(w.secret))
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cfg.Name, sum[:]
}

// readOrMake returns the file's word, or what newText gives, which it then writes.
func readOrMake(path string, newText func() string) (string, error) {
	word, err := readWord(path)
	if err != nil || word != "" {
		return word, err
	}
	word = newText()
	if err := durable.WriteFile(path, []byte(word+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("worker: %w", err)
	}
	return word, nil
}

// readWord returns the one word in a file; none if there is no file.
func readWord(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("worker: %w", err)
	}
	word := strings.TrimSpace(string(b))
	if word != "" && !text.Word(word) {
		return "", fmt.Errorf("worker: %s is damaged: it must hold one word; restore it, or give this worker an empty --data-dir: "+
			"it joins as a new one, under another --name until the old one is called lost", path)
	}
	return word, nil
}

// Addr is the address other hosts use.
func (w *Worker) Addr() string { return w.cfg.Advertise }

// NodeID identifies the data directory.
func (w *Worker) NodeID() string { return w.nodeID }

// Run serves the host until ctx ends; then it takes leave of the leader and kills the executors, unless the cause is ErrKeep. When it returns nothing is written to the
// data directory any more.
func (w *Worker) Run(ctx context.Context) error {
	told := ctx
	g, ctx := errgroup.WithContext(ctx)
	w.tasks = g
	g.Go(func() error {
		<-ctx.Done()
		w.mu.Lock()
		executors := len(w.children)
		w.mu.Unlock()
		if told.Err() != nil {
			w.log.Info("the worker was told to stop", "executors", executors)
		}
		return nil
	})
	if w.spawner.starter != nil {
		g.Go(func() error { return w.spawner.starter.Run(ctx) })
	}
	g.Go(func() error { return w.listener.Run(ctx) })
	g.Go(func() error { return w.serveData(ctx) })
	g.Go(func() error { return w.takeRankConns(ctx) })
	g.Go(func() error { return w.watchDisk(ctx) })
	g.Go(func() error { return newScrub(w).run(ctx) })
	g.Go(func() error { return w.spawner.warm.watch(ctx) })
	if w.codes != nil {
		g.Go(func() error { return w.makers.starter.Run(ctx) })
		g.Go(func() error { return w.codes.run(ctx) })
	}
	w.adoptAll(ctx)
	g.Go(func() error { return w.keepSession(ctx) })
	err := g.Wait()
	if w.keeps(ctx) {
		w.log.Info("the executors go on, until their lease is over or the worker runs again")
		return nil
	}
	w.killAll("the worker stops")
	for _, n := range w.spawner.runs.homes() { // what they are of has lost its host
		w.spawner.runs.removeHome(n.App)
	}
	w.spawner.memory.close()
	w.modules.wait() // fetches, and what the executors' ends remove
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// follow stores a newer record and lets the app's goroutine see it.
func (w *Worker) follow(ctx context.Context, rec *apiv1.AppRecord) {
	id := rec.App.GetId()
	if err := checkRecord(rec); err != nil {
		w.log.Error("a record of the leader is ignored", "err", err)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if old := w.records[id]; old != nil && cmp.Or(cmp.Compare(rec.Term, old.Term), cmp.Compare(rec.Index, old.Index)) < 0 {
		return // a recovered cluster's index may be lower: its terms are later
	}
	a := w.apps[id]
	if a == nil {
		if rec.Gone || apiv1.AppOver(rec.App.Phase) {
			delete(w.statuses, id)
			return
		}
		if len(w.apps) >= maxApps {
			w.log.Error("a record of the leader is ignored: no state has so many apps that go on", "app", id, "apps", len(w.apps))
			return
		}
		a = newApp(id, w)
		w.apps[id] = a
		w.tasks.Go(func() error { a.run(ctx); w.forget(a); return nil })
	}
	if old := w.records[id].GetLinkKey(); !bytes.Equal(old, rec.LinkKey) {
		w.keysBefore[id] = old
	}
	w.records[id] = rec
	a.fresh.Set()
}

func (w *Worker) record(id string) *apiv1.AppRecord {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.records[id]
}

// forget removes an app whose goroutine has ended.
func (w *Worker) forget(a *app) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.apps[a.id] == a {
		delete(w.apps, a.id)
		delete(w.records, a.id)
		delete(w.keysBefore, a.id)
		delete(w.statuses, a.id)
		delete(w.dirty, a.id)
		delete(w.soon, a.id)
	}
}

func (w *Worker) addChild(c *child) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.children[c] = true
}

func (w *Worker) removeChild(c *child) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.children, c)
}

// killAll kills every executor.
func (w *Worker) killAll(why string) {
	w.mu.Lock()
	var all []*child
	for c := range w.children {
		all = append(all, c)
	}
	w.mu.Unlock()
	for _, c := range all {
		c.kill(why)
	}
	for _, c := range all {
		<-c.exited // kill -9: bounded by the kernel
	}
}

// arrivalDir is where what comes of an app's logs is until it is whole. Who writes there makes it.
func (w *Worker) arrivalDir(app string) (string, error) {
	if err := checkID("app", app); err != nil {
		return "", err
	}
	return filepath.Join(w.cfg.dir("arrivals"), app), nil
}

// removeArrivals removes what has come for an app, or for any.
func (w *Worker) removeArrivals(app ...string) {
	dir := filepath.Join(append([]string{w.cfg.dir("arrivals")}, app...)...)
	if err := os.RemoveAll(dir); err != nil {
		w.log.Warn("parts of logs are left", "dir", dir, "err", err)
	}
}
