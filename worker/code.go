package worker

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/internal/gate"
	"github.com/godwit-run/godwit/internal/notify"
	"github.com/godwit-run/godwit/worker/native"
)

// codes has machine code of the modules of this host's apps, for the native engine: each once, whatever executors want it. The leader says who compiles what, and who has it. What an
// executor is told of a module's code is a file that was checked here.
type codes struct {
	modules *moduleCache
	log     *slog.Logger
	host    func() string
	poke    func()        // there is news for the leader
	own     native.Recipe // of code that runs here; no Compiler: this host has none
	lacks   string        // why there is no compiler, or no code at all; or what the compiler's jail lacks
	fetch   fetchFunc
	giving  *gate.Gate // of code that is given to others
	compile compileFunc
	places  int // how many are compiled at once

	fetchPause, makePause time.Duration // after a fetch, or a compile, that has come to nothing; each is twice as long as the one before

	wake    notify.Signal    // of run
	changed notify.Broadcast // of how it stands with any module
	work    atomic.Int64     // grows while anything is compiled

	mu      sync.Mutex // guards the fields below
	known   map[string]*code
	jobs    []*codeJob // in the order in which they were wished for
	running int
	failed  map[jobName]*failure         // compiles that have come to nothing
	key     []byte                       // of the cluster's seal; nil: it is not known yet
	records map[string]*apiv1.CodeRecord // what the leader has said in this session, by module
	kept    map[string][]*keptCode       // code that is kept, by module, what can run here first
	toLook  map[string]bool              // modules of which it is to be looked what is kept
	doubted map[string]bool              // modules of which all that is kept is to be checked at the next look
	news    map[string]bool              // modules of which the leader is to hear
	said    map[string]*apiv1.CodeStatus // what it has heard in this session, by module
	saidAll bool                         // and that it is all that there was
	coming  int                          // how many modules' code is being fetched

	looking [16]sync.Mutex // one of them is held from a look at a module's files until what that has found is known
}

// code is what there is for a module that is wanted here.
type code struct {
	digest string
	wishes map[*codeWish]bool
	looked bool            // what is kept of it was looked at
	best   *apiv1.ExecCode // nil: there is none yet
	told   *apiv1.ExecCode // what wishes have heard last

	fetching  bool
	comesFrom string          // the host from which code comes; "": none does
	trouble   string          // why this host could not keep what it was given; "": it could
	pause     pause           // after a fetch that has come to nothing
	refused   map[string]bool // hosts that have given what they should not: they are not asked as long as they have code
}

// grade is the best code's; 0: there is none.
func (c *code) grade() int32 { return c.best.GetGrade() }

// Grades of code.
const (
	gradeQuick = 1
	gradeBest  = 2
)

// gradeOf is the grade of code that is optimised so.
func gradeOf(o string) int32 {
	switch o {
	case native.Quick:
		return gradeQuick
	case native.Best:
		return gradeBest
	}
	return 0
}

func newCodes(modules *moduleCache, host func() string, log *slog.Logger) *codes {
	return &codes{
		modules: modules, host: host, log: log, poke: func() {}, places: codePlaces(), fetchPause: time.Second, makePause: 10 * time.Second, wake: notify.NewSignal(), known: map[string]*code{}, failed: map[jobName]*failure{},
		records: map[string]*apiv1.CodeRecord{}, kept: map[string][]*keptCode{}, toLook: map[string]bool{}, doubted: map[string]bool{}, news: map[string]bool{}, said: map[string]*apiv1.CodeStatus{},
		giving: gate.New(gate.Config{Places: codesGiven, Waiting: codesWaiting, Floor: 1, Window: turnWindow, Patience: takeWait}),
	}
}

// codeWish is what an app wants: the code of its modules. A nil one wants nothing.
type codeWish struct {
	k    *codes
	of   []*code
	tell func(*apiv1.ExecCode) // guarded by k.mu
}

// wish has code be had for modules, as long as end is not called. What is begun by then is brought to its end.
func (k *codes) wish(digests []string) *codeWish {
	w := &codeWish{k: k}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, digest := range digests {
		c := k.known[digest]
		if c == nil {
			c = &code{digest: digest, wishes: map[*codeWish]bool{}, refused: map[string]bool{}}
			k.known[digest], k.toLook[digest] = c, true
		}
		c.wishes[w] = true
		w.of = append(w.of, c)
		k.isNews(digest)
	}
	k.wake.Set()
	return w
}

// follow has tell be told how it stands with each module, now and as that changes, until end. It must not block, or call codes.
func (w *codeWish) follow(tell func(*apiv1.ExecCode)) {
	if w == nil {
		return
	}
	w.k.mu.Lock()
	defer w.k.mu.Unlock()
	w.tell = tell
	for _, c := range w.of {
		tell(w.k.standing(c))
	}
}

// standing is how it stands with a module's code; nil: nobody wants to know.
func (w *codeWish) standing(digest string) *apiv1.ExecCode {
	if w == nil {
		return nil
	}
	w.k.mu.Lock()
	defer w.k.mu.Unlock()
	for _, c := range w.of {
		if c.digest == digest {
			return w.k.standing(c)
		}
	}
	return nil
}

// codePatience is for how long a start waits for code while nothing that has to do with code gets on here: ranks go on in it when it comes.
const codePatience = time.Minute

// await returns when there is code for each module, or none to be waited for, or ctx ends.
func (w *codeWish) await(ctx context.Context) error {
	if w == nil {
		return nil
	}
	late := time.NewTimer(codePatience)
	defer late.Stop()
	for last := w.steps(); ; {
		changed := w.k.changed.Watch()
		if w.settled() {
			return nil
		}
		select {
		case <-changed:
		case <-late.C:
			now := w.steps()
			if now == last {
				return nil
			}
			last = now
			late.Reset(codePatience)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (w *codeWish) settled() bool {
	w.k.mu.Lock()
	defer w.k.mu.Unlock()
	for _, c := range w.of {
		if c.grade() == 0 && w.k.comes(c) {
			return false
		}
	}
	return true
}

// steps grows while what is waited for is made, or waits behind what is.
func (w *codeWish) steps() int64 {
	if w == nil {
		return 0
	}
	return w.k.work.Load()
}

// end ends the wish.
func (w *codeWish) end() {
	if w == nil {
		return
	}
	k := w.k
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range w.of {
		delete(c.wishes, w)
		k.isNews(c.digest)
		k.forget(c)
	}
	w.of, w.tell = nil, nil
	k.wake.Set()
}

// forget forgets a module that nobody wants the code of. Holds mu.
func (k *codes) forget(c *code) {
	if len(c.wishes) == 0 && c.looked && k.known[c.digest] == c {
		delete(k.known, c.digest)
	}
}

// unlooked is a module of which it is to be looked what is kept; "": there is none.
func (k *codes) unlooked() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	for digest := range k.toLook {
		delete(k.toLook, digest)
		return digest
	}
	return ""
}

// doubt has a module's code be checked anew: an executor could not use the file. It is offered again only if it is another by then.
func (k *codes) doubt(file string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range k.known {
		if c.best.GetFile() == file {
			k.doubtAll(c.digest)
		}
	}
	k.wake.Set()
}

// comes says whether a start is to wait for code. Holds mu.
func (k *codes) comes(c *code) bool {
	switch r := k.records[c.digest]; {
	case c.grade() == gradeBest, k.own.Level == "", k.key == nil, c.trouble != "":
		return false
	case !c.looked, r == nil:
		return true
	default:
		return !r.Vain
	}
}

// wanted says whether code of a module would be of use that is not here. Holds mu.
func (k *codes) wanted(c *code) bool {
	return c.looked && len(c.wishes) > 0 && c.grade() < gradeBest && k.own.Level != ""
}

// standing is what executors are told of a module. Holds mu.
func (k *codes) standing(c *code) *apiv1.ExecCode {
	out := &apiv1.ExecCode{ModulePath: k.modules.file(c.digest)}
	if c.best != nil {
		out = proto.CloneOf(c.best)
	}
	if c.grade() == gradeBest {
		return out
	}
	if out.Why = k.why(c); c.best != nil {
		out.Why = fmt.Sprintf("compiled at %s until that is done at %s: %s", native.Quick, native.Best, out.Why)
	}
	return out
}

// why is why there is no code of a module, or no better one. Holds mu.
func (k *codes) why(c *code) string {
	r := k.records[c.digest]
	switch j, failed := k.job(k.jobOf(c)), k.failed[k.jobOf(c)]; {
	case k.own.Level == "":
		return k.lacks
	case k.key == nil:
		return "the cluster has no key for machine code yet"
	case j != nil && failed != nil:
		return "this host could not compile it, and tries again: " + failed.why
	case j != nil:
		return "this host " + j.doing()
	case c.trouble != "":
		return "this host cannot keep it: " + c.trouble
	case c.comesFrom != "":
		return "it comes from host " + c.comesFrom
	case r == nil:
		return "the leader is asked who compiles it"
	case r.Why != "":
		return r.Why
	}
	return "it is to come from another host"
}

// tell tells those who want a module's code how it stands with that, if that is news. Holds mu.
func (k *codes) tell(c *code) {
	now := k.standing(c)
	if proto.Equal(now, c.told) {
		return
	}
	c.told = now
	for w := range c.wishes {
		if w.tell != nil {
			w.tell(now)
		}
	}
	k.changed.Wake()
}

// made says how code was made.
func made(n native.Name) string {
	return fmt.Sprintf("compiled at %s for %s by %s", n.O, n.Level, n.Compiler)
}
