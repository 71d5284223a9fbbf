package control

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/control/steps"
	"github.com/godwit-run/godwit/fsm"
	"github.com/godwit-run/godwit/internal/name"
	"github.com/godwit-run/godwit/internal/notify"
	"github.com/godwit-run/godwit/internal/text"
)

const (
	// codeSilence is for how long a host that is to compile a module may say nothing of that before another one is given it as well: it says something every few seconds. A host whose session is
	// over, and whose loss the log does not have, is waited for as long.
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
	l     *leader
	now   func() time.Time
	fresh notify.Broadcast // hosts have said something, or somebody has asked

	mu      sync.Mutex // guards arrived, for a few map operations: the goroutines that take heartbeats wait for it
	arrived map[*session]*codeNews

	deciding sync.Mutex // guards the fields below; mu, and the sessions' own locks, may be taken under it
	hosts    map[fsm.HostID]*codeHost
	names    []fsm.HostID // of hosts, in order; nil: to be sorted anew
	away     map[fsm.HostID]bool
	telling  map[fsm.HostID]time.Time // hosts whose sessions have begun, and that have not said yet all that there is, and since when
	modules  map[string]*codeModule
	active   map[string]*codeModule // those that somebody wants, or makes, or has asked for
	dirty    map[string]bool        // modules that are to be looked at
	key      []byte                 // that hosts have
	early    bool                   // hosts that may have something, or compile it, have not said so yet
}

// codeNews is what has come of a session since that was looked at.
type codeNews struct {
	hello *apiv1.Hello // with which it has begun; nil: it had before
	said  map[string]*codeSaid
	all   bool // that is all that there was as it began
	over  bool
}

// codeHost is a host whose ranks run in machine code. It stays for a while after its session: it may go on with what it compiles, and be back.
type codeHost struct {
	session *session
	maker   *apiv1.CodeMaker
	addr    string
	said    map[string]bool // modules of which it has said something
	left    time.Time       // when its session was over; zero: it is not
}

// codeSaid is what a host has said last of a module.
type codeSaid struct {
	status *apiv1.CodeStatus
	at     time.Time
}

// codeModule is a module of which some host has said something, or that somebody wants compiled.
type codeModule struct {
	said   map[fsm.HostID]*codeSaid
	duties map[steps.CodeKind]string
	given  map[string]time.Time // when a host was given its duty, or has come back to it
	told   map[string]*apiv1.CodeRecord
	asked  time.Time // until when somebody wants it compiled for all
}

func newModuleCodes(l *leader) *moduleCodes {
	return &moduleCodes{
		l: l, now: time.Now, arrived: map[*session]*codeNews{}, hosts: map[fsm.HostID]*codeHost{}, away: map[fsm.HostID]bool{}, telling: map[fsm.HostID]time.Time{},
		modules: map[string]*codeModule{}, active: map[string]*codeModule{}, dirty: map[string]bool{},
	}
}

// makeCodeKey gives a cluster that has none the key of its machine code.
func (l *leader) makeCodeKey(ctx context.Context) {
	if v := l.c.state.View(); !v.SealsCode() || v.CodeKey() != nil {
		return
	}
	l.propose(ctx, "set the key of machine code", func(cmd *apiv1.Command) {
		cmd.Op = &apiv1.Command_SetClusterConfig{SetClusterConfig: &apiv1.SetClusterConfig{Config: &apiv1.ClusterConfig{CodeKey: newCodeKey()}}}
	})
}

// open takes up a host's new session. Any goroutine may call it, as take and close.
func (k *moduleCodes) open(s *session, hello *apiv1.Hello) {
	k.hear(s, func(n *codeNews) { n.hello = hello })
}

// take notes what a host says of a module.
func (k *moduleCodes) take(s *session, st *apiv1.CodeStatus) {
	k.hear(s, func(n *codeNews) {
		if n.all = n.all || st.All; name.Digest(st.Module) && (n.said[st.Module] != nil || len(n.said) < maxCodeModules) {
			n.said[st.Module] = &codeSaid{boundCode(st), k.now()}
		}
	})
}

// close notes that a session is over.
func (k *moduleCodes) close(s *session) { k.hear(s, func(n *codeNews) { n.over = true }) }

// hear has what comes of a session be looked at.
func (k *moduleCodes) hear(s *session, what func(*codeNews)) {
	k.mu.Lock()
	n := k.arrived[s]
	if n == nil {
		n = &codeNews{said: map[string]*codeSaid{}}
		k.arrived[s] = n
	}
	what(n)
	k.mu.Unlock()
	k.fresh.Wake()
}

// takeArrived takes all that has come since the last look. Holds deciding.
func (k *moduleCodes) takeArrived() {
	k.mu.Lock()
	arrived := k.arrived
	k.arrived = map[*session]*codeNews{}
	k.mu.Unlock()
	for s, n := range arrived {
		if n.hello != nil && k.l.sessions.current(s) {
			k.begin(s, n.hello)
		}
		h := k.hosts[s.host]
		if h == nil || h.session != s {
			continue // another session has taken its place, or its ranks run in no machine code
		}
		for digest, said := range n.said {
			k.note(s.host, h, digest, said)
		}
		if n.all || n.over {
			delete(k.telling, s.host)
		}
		if n.over {
			h.left, k.away[s.host] = k.now(), true
			k.doubtActive()
		}
	}
}

// begin takes up a host's new session. It has to say yet what it has and compiles. Holds deciding.
func (k *moduleCodes) begin(s *session, hello *apiv1.Hello) {
	k.drop(s.host)
	if hello.Code == nil {
		return
	}
	k.hosts[s.host], k.names = &codeHost{session: s, maker: boundMaker(hello.Code), addr: hello.Host.Addr, said: map[string]bool{}}, nil
	k.telling[s.host] = k.now()
	for _, m := range k.active {
		if _, ok := m.given[string(s.host)]; ok {
			m.given[string(s.host)] = k.now()
		}
	}
	if k.key != nil {
		s.putCodeKey(k.key)
	}
}

// drop forgets a host, and what it has said. Holds deciding.
func (k *moduleCodes) drop(host fsm.HostID) {
	k.doubtActive() // other hosts are there
	h := k.hosts[host]
	if h == nil {
		return
	}
	delete(k.hosts, host)
	delete(k.away, host)
	delete(k.telling, host)
	k.names = nil
	for digest := range h.said {
		k.forget(host, digest)
	}
	for _, m := range k.active {
		delete(m.told, string(host))
	}
}

// doubtActive has all modules be looked at that anybody wants or makes. Holds deciding.
func (k *moduleCodes) doubtActive() {
	for digest := range k.active {
		k.dirty[digest] = true
	}
}

// note notes what a host has said of a module. Only what may change what is done about the module has it be looked at. Holds deciding.
func (k *moduleCodes) note(host fsm.HostID, h *codeHost, digest string, said *codeSaid) {
	st, m := said.status, k.modules[digest]
	var before *apiv1.CodeStatus
	if m != nil && m.said[host] != nil {
		before = m.said[host].status
	}
	if !st.Wanted && len(st.Has) == 0 && len(st.Making) == 0 && len(st.Refused) == 0 {
		delete(h.said, digest)
		k.forget(host, digest)
	} else {
		if !h.said[digest] && len(h.said) >= maxCodeModules {
			return
		}
		if m == nil {
			m = newCodeModule()
			k.modules[digest] = m
		}
		h.said[digest], m.said[host] = true, said
	}
	if (k.active[digest] != nil || st.Wanted || len(st.Making) > 0) && !proto.Equal(withoutProgress(before), withoutProgress(st)) {
		k.dirty[digest] = true
	}
}

// withoutProgress is what a host says of a module, but for how far it is.
func withoutProgress(st *apiv1.CodeStatus) *apiv1.CodeStatus {
	st = proto.CloneOf(st)
	for _, m := range st.GetMaking() {
		m.Steps, m.PartsDone, m.Parts = 0, 0, 0
	}
	return st
}

// forget forgets what a host has said of a module. Holds deciding.
func (k *moduleCodes) forget(host fsm.HostID, digest string) {
	m := k.modules[digest]
	if m == nil {
		return
	}
	if delete(m.said, host); len(m.said) == 0 && k.active[digest] == nil {
		delete(k.modules, digest)
	}
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
			Trouble: text.Line(m.GetTrouble(), maxCodeText), PartsDone: m.GetPartsDone(), Parts: m.GetParts(),
		})
	}
	for _, host := range st.Refused[:min(len(st.Refused), most)] {
		out.Refused = append(out.Refused, text.Line(host, text.MaxWord))
	}
	return out
}

func newCodeModule() *codeModule {
	return &codeModule{said: map[fsm.HostID]*codeSaid{}, duties: map[steps.CodeKind]string{}, given: map[string]time.Time{}, told: map[string]*apiv1.CodeRecord{}}
}

// look decides of the modules of which there is news, and of those that are being compiled: their hosts may be silent.
func (k *moduleCodes) look(context.Context) {
	v, now := k.l.c.state.View(), k.now()
	k.deciding.Lock()
	defer k.deciding.Unlock()
	if key := v.CodeKey(); !bytes.Equal(key, k.key) {
		k.key = key
		for _, h := range k.hosts {
			h.session.putCodeKey(key)
		}
	}
	k.takeArrived()
	for host := range k.away {
		if h, ok := v.Host(host); !ok || fsm.HostStateOf(h).Gone() || now.Sub(k.hosts[host].left) > codeSilence {
			k.drop(host)
		}
	}
	maps.DeleteFunc(k.telling, func(_ fsm.HostID, since time.Time) bool { return now.Sub(since) > codeSilence })
	if early := len(k.telling) > 0 || k.l.sessions.awaits() && now.Sub(k.l.began) < codeSilence; early != k.early {
		k.early = early
		k.doubtActive()
	}
	for digest, m := range k.active {
		if k.silent(m, now) || !m.asked.IsZero() && now.After(m.asked) {
			k.dirty[digest] = true
		}
	}
	if len(k.dirty) == 0 {
		return
	}
	loads := k.loads()
	for digest := range k.dirty {
		if m := k.modules[digest]; m != nil {
			k.decide(v, digest, m, now, loads)
		}
	}
	clear(k.dirty)
}

// loads is how many modules each host is to compile. Holds deciding.
func (k *moduleCodes) loads() map[string]int {
	loads := map[string]int{}
	for _, m := range k.active {
		for _, who := range m.duties {
			loads[who]++
		}
	}
	return loads
}

// silent says whether a host that is to compile a module has said nothing of it for long. Holds deciding.
func (k *moduleCodes) silent(m *codeModule, now time.Time) bool {
	for _, who := range m.duties {
		if m.isSilent(fsm.HostID(who), now) {
			return true
		}
	}
	return false
}

func (m *codeModule) isSilent(host fsm.HostID, now time.Time) bool {
	last, given := m.given[string(host)]
	if said := m.said[host]; said != nil && said.at.After(last) {
		last = said.at
	}
	return given && now.Sub(last) > codeSilence
}

// decide gives hosts to do what is to be done for a module, and tells them who has what. Holds deciding.
func (k *moduleCodes) decide(v *fsm.View, digest string, m *codeModule, now time.Time, loads map[string]int) {
	if now.After(m.asked) {
		m.asked = time.Time{}
	}
	mod := k.module(digest, m)
	known, _ := v.Module(fsm.Digest(digest))
	mod.Quick = known.GetMigratable()
	duties, records := steps.Code(mod, k.hostsOf(m, now, loads), m.duties)
	for kind, who := range m.duties {
		if duties[kind] != who {
			loads[who]--
		}
	}
	for kind, who := range duties {
		if m.duties[kind] != who {
			loads[who]++
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
	if len(records) > 0 || len(duties) > 0 || !m.asked.IsZero() {
		k.active[digest] = m
	} else if delete(k.active, digest); len(m.said) == 0 {
		delete(k.modules, digest)
	}
}

// module is a module as it is decided about. Holds deciding.
func (k *moduleCodes) module(digest string, m *codeModule) steps.Module {
	return steps.Module{Digest: digest, Asked: !m.asked.IsZero(), Best: bestCode, Early: k.early}
}

// tell tells a host of a module, if that is news. Holds deciding.
func (k *moduleCodes) tell(m *codeModule, host string, r *apiv1.CodeRecord) {
	h := k.hosts[fsm.HostID(host)]
	if h == nil || proto.Equal(m.told[host], r) {
		return
	}
	m.told[host] = r
	h.session.putCode(r)
}

// hostsOf are the hosts that run machine code, with what they have said of a module. Holds deciding.
func (k *moduleCodes) hostsOf(m *codeModule, now time.Time, loads map[string]int) []steps.CodeHost {
	if k.names == nil {
		k.names = slices.Sorted(maps.Keys(k.hosts))
	}
	out := make([]steps.CodeHost, len(k.names))
	for i, host := range k.names {
		h := k.hosts[host]
		out[i] = steps.CodeHost{Name: string(host), Addr: h.addr, Maker: h.maker, Load: loads[string(host)], Silent: m.isSilent(host, now), Away: !h.left.IsZero()}
		if said := m.said[host]; said != nil {
			out[i].Status = said.status
		}
	}
	return out
}

// standing is how it stands with a module's code, for each level of processors that hosts have; asked has it compiled for all of them.
func (k *moduleCodes) standing(digest string, asked bool) []*apiv1.ModuleCode {
	now := k.now()
	k.deciding.Lock()
	k.takeArrived()
	m := k.modules[digest]
	if m == nil {
		m = newCodeModule()
	}
	if asked {
		if m.asked.IsZero() {
			k.modules[digest], k.active[digest], k.dirty[digest] = m, m, true
			k.fresh.Wake()
		}
		m.asked = now.Add(codeAsked)
	}
	mod, hosts, duties := k.module(digest, m), k.hostsOf(m, now, nil), m.duties
	k.deciding.Unlock()
	return steps.CodeStanding(mod, hosts, duties) // none of it changes
}
