package control

import (
	"context"
	"crypto/rand"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/control/steps"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/name"
	"github.com/godwit-run/godwit/internal/text"
)

const (
	// codeSilence is for how long a host that is to compile a module may say nothing of that before another one is given it as well: it says something every second.
	codeSilence = 30 * time.Second
	// codeAsked is for how long the leader remembers that somebody wants a module compiled.
	codeAsked = 30 * time.Second
	// maxCodeModules bounds the modules of which one host may say something.
	maxCodeModules = 4096
	// bestCode is the optimisation after which there is nothing better.
	bestCode = "-O3"
	// maxCodeText bounds what a host says about a module, in bytes.
	maxCodeText = 512
)

// moduleCodes has the modules of a cluster compiled for the native engine: each once, and says who has what. All of it is what hosts say in their sessions, so that a new leader hears it too.
type moduleCodes struct {
	l   *leader
	now func() time.Time

	mu      sync.Mutex // guards the fields below; the sessions' own locks may be taken under it
	hosts   map[fsm.HostID]*codeHost
	names   []fsm.HostID // of hosts, in order; nil: to be sorted anew
	modules map[string]*codeModule
	dirty   map[string]bool // modules that are to be looked at
	keyed   bool            // hosts have the key
}

// codeHost is a host whose ranks run in machine code, and that has a session.
type codeHost struct {
	session *session
	maker   *apiv1.CodeMaker
	addr    string
	said    map[string]*codeSaid // by module
	load    int                  // how many modules it is to compile
}

// codeSaid is what a host has said last of a module.
type codeSaid struct {
	status *apiv1.CodeStatus
	at     time.Time
}

// codeModule is a module of which some host has said something, or that somebody wants compiled.
type codeModule struct {
	duties map[steps.CodeKind]string
	given  map[string]time.Time // when a host was given its duty
	told   map[string]*apiv1.CodeRecord
	asked  time.Time // until when somebody wants it compiled for all
}

func newModuleCodes(l *leader) *moduleCodes {
	return &moduleCodes{l: l, now: time.Now, hosts: map[fsm.HostID]*codeHost{}, modules: map[string]*codeModule{}, dirty: map[string]bool{}}
}

// makeCodeKey gives a cluster that has none the key of its machine code.
func (l *leader) makeCodeKey(ctx context.Context) {
	if v := l.c.state.View(); !v.SealsCode() || v.CodeKey() != nil {
		return
	}
	key := make([]byte, fsm.CodeKeyBytes)
	_, _ = rand.Read(key) // it never fails
	l.propose(ctx, "set the key of machine code", func(cmd *apiv1.Command) {
		cmd.Op = &apiv1.Command_SetClusterConfig{SetClusterConfig: &apiv1.SetClusterConfig{Config: &apiv1.ClusterConfig{CodeKey: key}}}
	})
}

// open takes up a host's new session. A host whose ranks run in no machine code has none to do with it.
func (k *moduleCodes) open(s *session, hello *apiv1.Hello) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.drop(s.host)
	if hello.Code == nil {
		return
	}
	k.hosts[s.host], k.names = &codeHost{session: s, maker: boundMaker(hello.Code), addr: hello.Host.Addr, said: map[string]*codeSaid{}}, nil
	if key := k.l.c.state.View().CodeKey(); key != nil {
		s.putCodeKey(key)
	}
	k.doubtAll()
}

// close forgets a host whose session is over.
func (k *moduleCodes) close(s *session) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if h := k.hosts[s.host]; h != nil && h.session == s {
		k.drop(s.host)
		k.doubtAll()
	}
}

// drop forgets a host, and what it has said. Holds mu.
func (k *moduleCodes) drop(host fsm.HostID) {
	if k.hosts[host] == nil {
		return
	}
	delete(k.hosts, host)
	k.names = nil
	for _, m := range k.modules {
		delete(m.told, string(host))
	}
}

// doubtAll has all modules be looked at: other hosts are there. Holds mu.
func (k *moduleCodes) doubtAll() {
	for digest := range k.modules {
		k.dirty[digest] = true
	}
	k.l.inbox.signal()
}

// boundMaker is what a host says that it compiles with, within bounds.
func boundMaker(m *apiv1.CodeMaker) *apiv1.CodeMaker {
	return &apiv1.CodeMaker{
		Translator: m.Translator, Flags: text.Line(m.Flags, text.MaxWord), Level: text.Line(m.Level, text.MaxWord),
		Compiler: text.Line(m.Compiler, text.MaxWord), Lacks: text.Line(m.Lacks, maxCodeText),
	}
}

// boundCode is what a host says of a module, within bounds.
func boundCode(st *apiv1.CodeStatus) *apiv1.CodeStatus {
	const most = 16
	out := &apiv1.CodeStatus{Module: st.Module, Wanted: st.Wanted}
	for _, n := range st.Has[:min(len(st.Has), most)] {
		out.Has = append(out.Has, &apiv1.CodeName{
			Module: st.Module, Translator: n.GetTranslator(), Flags: text.Line(n.GetFlags(), text.MaxWord), Level: text.Line(n.GetLevel(), text.MaxWord),
			Optimisation: text.Line(n.GetOptimisation(), text.MaxWord), Compiler: text.Line(n.GetCompiler(), text.MaxWord),
		})
	}
	for _, m := range st.Making[:min(len(st.Making), most)] {
		out.Making = append(out.Making, &apiv1.CodeMaking{
			Level: text.Line(m.GetLevel(), text.MaxWord), Doing: text.Line(m.GetDoing(), maxCodeText), Failed: text.Line(m.GetFailed(), maxCodeText), Steps: m.GetSteps(),
		})
	}
	for _, host := range st.Refused[:min(len(st.Refused), most)] {
		out.Refused = append(out.Refused, text.Line(host, text.MaxWord))
	}
	return out
}

// take notes what a host says of a module. Any goroutine may call it.
func (k *moduleCodes) take(s *session, st *apiv1.CodeStatus) {
	if !name.Digest(st.GetModule()) {
		return
	}
	st = boundCode(st)
	k.mu.Lock()
	defer k.mu.Unlock()
	h := k.hosts[s.host]
	if h == nil || h.session != s {
		return
	}
	if st.Wanted || len(st.Has) > 0 || len(st.Making) > 0 || len(st.Refused) > 0 {
		if h.said[st.Module] == nil && len(h.said) >= maxCodeModules {
			return
		}
		h.said[st.Module] = &codeSaid{st, k.now()}
		if k.modules[st.Module] == nil {
			k.modules[st.Module] = newCodeModule()
		}
	} else {
		delete(h.said, st.Module)
	}
	k.dirty[st.Module] = true
	k.l.inbox.signal()
}

func newCodeModule() *codeModule {
	return &codeModule{duties: map[steps.CodeKind]string{}, given: map[string]time.Time{}, told: map[string]*apiv1.CodeRecord{}}
}

// look decides of the modules of which there is news, and of those that are being compiled: their hosts may be silent.
func (k *moduleCodes) look(context.Context) {
	v, now := k.l.c.state.View(), k.now()
	k.mu.Lock()
	defer k.mu.Unlock()
	if key := v.CodeKey(); key != nil && !k.keyed {
		k.keyed = true
		for _, h := range k.hosts {
			h.session.putCodeKey(key)
		}
	}
	for digest, m := range k.modules {
		if k.dirty[digest] || len(m.duties) > 0 && k.silent(digest, m, now) || !m.asked.IsZero() && now.After(m.asked) {
			k.decide(v, digest, m, now)
		}
	}
	clear(k.dirty)
}

// silent says whether a host that is to compile a module has said nothing of it for long. Holds mu.
func (k *moduleCodes) silent(digest string, m *codeModule, now time.Time) bool {
	for _, who := range m.duties {
		if k.isSilent(fsm.HostID(who), digest, m, now) {
			return true
		}
	}
	return false
}

func (k *moduleCodes) isSilent(host fsm.HostID, digest string, m *codeModule, now time.Time) bool {
	last, given := m.given[string(host)]
	if h := k.hosts[host]; h != nil && h.said[digest] != nil && h.said[digest].at.After(last) {
		last = h.said[digest].at
	}
	return given && now.Sub(last) > codeSilence
}

// decide gives hosts to do what is to be done for a module, and tells them who has what. Holds mu.
func (k *moduleCodes) decide(v *fsm.View, digest string, m *codeModule, now time.Time) {
	if now.After(m.asked) {
		m.asked = time.Time{}
	}
	known, _ := v.Module(fsm.Digest(digest))
	duties, records := steps.Code(steps.Module{Digest: digest, Quick: known.GetMigratable(), Asked: !m.asked.IsZero(), Best: bestCode}, k.hostsOf(digest, m, now), m.duties)
	for kind, who := range m.duties {
		if duties[kind] != who {
			k.count(who, -1)
		}
	}
	for kind, who := range duties {
		if m.duties[kind] != who {
			k.count(who, 1)
			m.given[who] = now
			k.l.log.Info("a host is to compile a module", "host", who, "module", digest, "for", kind.Level)
		}
	}
	m.duties = duties
	maps.DeleteFunc(m.given, func(who string, _ time.Time) bool { return !slices.Contains(slices.Collect(maps.Values(duties)), who) })
	for host := range m.told {
		if records[host] == nil {
			k.tell(m, host, &apiv1.CodeRecord{Module: digest})
			delete(m.told, host)
		}
	}
	for host, r := range records {
		k.tell(m, host, r)
	}
	if len(records) == 0 && m.asked.IsZero() && !k.isKnown(digest) {
		delete(k.modules, digest)
	}
}

// isKnown says whether a host has said something of a module. Holds mu.
func (k *moduleCodes) isKnown(digest string) bool {
	for _, h := range k.hosts {
		if h.said[digest] != nil {
			return true
		}
	}
	return false
}

func (k *moduleCodes) count(host string, n int) {
	if h := k.hosts[fsm.HostID(host)]; h != nil {
		h.load += n
	}
}

// tell tells a host of a module, if that is news. Holds mu.
func (k *moduleCodes) tell(m *codeModule, host string, r *apiv1.CodeRecord) {
	h := k.hosts[fsm.HostID(host)]
	if h == nil || proto.Equal(m.told[host], r) {
		return
	}
	m.told[host] = r
	h.session.putCode(r)
}

// hostsOf are the hosts that run machine code, with what they have said of a module. Holds mu.
func (k *moduleCodes) hostsOf(digest string, m *codeModule, now time.Time) []steps.CodeHost {
	if k.names == nil {
		k.names = slices.Sorted(maps.Keys(k.hosts))
	}
	out := make([]steps.CodeHost, 0, len(k.names))
	for _, host := range k.names {
		h := k.hosts[host]
		of := steps.CodeHost{Name: string(host), Addr: h.addr, Maker: h.maker, Load: h.load, Silent: k.isSilent(host, digest, m, now)}
		if said := h.said[digest]; said != nil {
			of.Status = said.status
		}
		out = append(out, of)
	}
	return out
}

// standing is how it stands with a module's code, for each level of processors that hosts have; asked has it compiled for all of them.
func (k *moduleCodes) standing(digest string, asked bool) []*apiv1.ModuleCode {
	now := k.now()
	k.mu.Lock()
	defer k.mu.Unlock()
	m := k.modules[digest]
	if m == nil {
		m = newCodeModule()
		if asked {
			k.modules[digest] = m
		}
	}
	if asked {
		if m.asked.IsZero() {
			k.dirty[digest] = true
			k.l.inbox.signal()
		}
		m.asked = now.Add(codeAsked)
	}
	hosts := k.hostsOf(digest, m, now)
	byKind := map[steps.CodeKind]*apiv1.ModuleCode{}
	for i := range hosts {
		if kind, code := steps.CodeOf(bestCode, hosts, i, m.duties, asked); code != nil {
			byKind[kind] = code
		}
	}
	maps.DeleteFunc(byKind, func(kind steps.CodeKind, _ *apiv1.ModuleCode) bool {
		for other := range byKind {
			if kind.Compiler == "" && other.Compiler != "" && other.Serves(kind) {
				return true // it is the same
			}
		}
		return false
	})
	return slices.SortedFunc(maps.Values(byKind), func(a, b *apiv1.ModuleCode) int {
		return strings.Compare(a.Level+" "+a.Compiler, b.Level+" "+b.Compiler)
	})
}
