package control

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// coding is a bench whose hosts h1 and h2 have a compiler, and h3 none.
type coding struct {
	*copying

	k      *moduleCodes
	digest string
}

func newCoding(t *testing.T) *coding {
	t.Helper()
	c := &coding{copying: newCopying(t), digest: strings.Repeat("ab", 32)}
	c.k = c.l.codes
	c.k.now = func() time.Time { return *c.now }
	c.propose(&apiv1.Command{Op: &apiv1.Command_AddModule{AddModule: &apiv1.AddModule{Module: &apiv1.Module{Digest: c.digest, Migratable: true}}}})
	for _, host := range []string{"h1", "h2", "h3"} {
		c.opens(host)
	}
	return c
}

// opens has a host begin a session.
func (c *coding) opens(host string) {
	maker := &apiv1.CodeMaker{Translator: 1, Flags: "f", Level: "x86-64-v3", Compiler: "c1"}
	if host == "h3" {
		maker.Compiler, maker.Lacks = "", "no clang"
	}
	c.k.open(c.sessions[host], &apiv1.Hello{Host: &apiv1.Host{Id: host, Addr: host + ":1"}, Code: maker})
	c.k.take(c.sessions[host], &apiv1.CodeStatus{All: true})
}

// has is code at its best, made by the compiler that h1 and h2 have.
func (c *coding) has() *apiv1.CodeName {
	return &apiv1.CodeName{Translator: 1, Flags: "f", Level: "x86-64-v3", Optimisation: "-O3", Compiler: "c1"}
}

// making is what a host says that compiles the module.
func making() *apiv1.CodeStatus {
	return &apiv1.CodeStatus{Making: []*apiv1.CodeMaking{{Level: "x86-64-v3", Doing: "compiles it at -O1"}}}
}

// reconnects has a host begin another session, in which it has said nothing yet.
func (c *coding) reconnects(host string) {
	s := newSession(fsm.HostID(host), c.sessions[host].incarnation, func() {})
	require.True(c.t, c.l.inbox.open(s, nil))
	c.k.close(c.sessions[host])
	c.sessions[host] = s
	c.k.open(s, &apiv1.Hello{Host: &apiv1.Host{Id: host, Addr: host + ":1"}, Code: &apiv1.CodeMaker{Translator: 1, Flags: "f", Level: "x86-64-v3", Compiler: "c1"}})
}

func (c *coding) say(host string, st *apiv1.CodeStatus) {
	st.Module = c.digest
	c.k.take(c.sessions[host], st)
}

// hears is what a host is told next of the module; nil: nothing.
func (c *coding) hears(host string) *apiv1.CodeRecord {
	c.t.Helper()
	c.k.look(c.ctx)
	for m := c.sessions[host].takeCode(); m != nil; m = c.sessions[host].takeCode() {
		if r := m.GetCode(); r != nil {
			require.Equal(c.t, c.digest, r.Module)
			return r
		}
	}
	return nil
}

// TestCodeIsGivenOnce: one host compiles a module, others hear of it, and where from they have it; another one does it where that one is gone, or silent.
func TestCodeIsGivenOnce(t *testing.T) {
	c := newCoding(t)
	c.say("h3", &apiv1.CodeStatus{Wanted: true})
	require.Equal(t, "host h1 is to compile it", c.hears("h3").GetWhy())
	r := c.hears("h1")
	require.Equal(t, []string{"x86-64-v3"}, r.GetMake())
	require.True(t, r.GetQuick())
	require.Nil(t, c.hears("h2"))
	c.say("h1", &apiv1.CodeStatus{Making: []*apiv1.CodeMaking{{Level: "x86-64-v3", Doing: "compiles it at -O1"}}})
	require.Equal(t, "host h1 compiles it at -O1", c.hears("h3").GetWhy())
	*c.now = c.now.Add(codeSilence / 2)
	require.Nil(t, c.hears("h2"))

	*c.now = c.now.Add(codeSilence) // it says nothing
	require.Equal(t, []string{"x86-64-v3"}, c.hears("h2").GetMake())
	require.Empty(t, c.hears("h1").GetMake(), "who has begun goes on, all the same")
	require.Equal(t, "host h2 is to compile it", c.hears("h3").GetWhy())

	c.k.close(c.sessions["h2"])
	c.propose(&apiv1.Command{Op: &apiv1.Command_SetHostState{SetHostState: &apiv1.SetHostState{Host: "h2", Incarnation: c.sessions["h2"].incarnation, State: string(fsm.Lost)}}})
	require.Equal(t, []string{"x86-64-v3"}, c.hears("h1").GetMake())
	c.say("h1", &apiv1.CodeStatus{Has: []*apiv1.CodeName{c.has()}})
	r = c.hears("h3")
	require.Len(t, r.GetHolders(), 1)
	require.Equal(t, "h1:1", r.Holders[0].Addr)
	require.Equal(t, c.digest, r.Holders[0].Name.Module)
	require.Empty(t, c.hears("h1").GetMake())
	require.Empty(t, c.k.loads())

	c.say("h1", &apiv1.CodeStatus{}) // it was damaged
	require.Equal(t, []string{"x86-64-v3"}, c.hears("h1").GetMake())
	c.say("h3", &apiv1.CodeStatus{})
	require.Empty(t, c.hears("h3").GetWhy())
	c.hears("h1")
	require.Empty(t, c.k.modules, "nobody has said anything of it")
}

// TestCodeIsAskedFor: who wants a module compiled has it so for all hosts, as long as he asks, and hears how that stands.
func TestCodeIsAskedFor(t *testing.T) {
	c := newCoding(t)
	require.Equal(t, "no rank on a host with such processors has wanted it yet", c.k.standing(c.digest, false)[0].Why)
	c.k.standing(c.digest, true)
	require.Equal(t, []string{"x86-64-v3"}, c.hears("h1").GetMake())
	code := c.k.standing(c.digest, true)
	require.Len(t, code, 1, "the host without a compiler runs what the others do")
	require.Equal(t, "host h1 is to compile it", code[0].Why)
	require.False(t, code[0].Done)
	c.say("h1", &apiv1.CodeStatus{Making: []*apiv1.CodeMaking{{Level: "x86-64-v3", Failed: "clang: no"}}})
	require.Equal(t, []string{"x86-64-v3"}, c.hears("h2").GetMake())
	c.say("h2", &apiv1.CodeStatus{Making: []*apiv1.CodeMaking{{Level: "x86-64-v3", Failed: "clang: no"}}})
	c.hears("h2")
	code = c.k.standing(c.digest, true)
	require.True(t, code[0].Done)
	require.Equal(t, "host h1: clang: no", code[0].Why)
	*c.now = c.now.Add(codeAsked + 1)
	c.hears("h1")
	require.True(t, c.k.modules[c.digest].asked.IsZero())
}

// TestCodeKeyIsMade: the key is made once, and told to workers whose ranks run in machine code.
func TestCodeKeyIsMade(t *testing.T) {
	c := newCoding(t)
	c.propose(&apiv1.Command{Op: &apiv1.Command_SetFeatureLevel{SetFeatureLevel: &apiv1.SetFeatureLevel{Level: fsm.FeatureLevel}}})
	c.l.makeCodeKey(c.ctx)
	key := bytes.Clone(c.l.c.state.View().CodeKey())
	require.Len(t, key, fsm.CodeKeyBytes)
	c.l.makeCodeKey(c.ctx)
	require.Equal(t, key, c.l.c.state.View().CodeKey())
	c.k.look(c.ctx)
	for _, host := range []string{"h1", "h2", "h3"} {
		require.Equal(t, key, c.sessions[host].takeCode().GetCodeKey().GetKey())
		require.Nil(t, c.sessions[host].takeCode())
	}
	require.Nil(t, c.sessions["h4"].takeCode())
	_, err := c.l.c.RenewCodeKey(c.ctx, &apiv1.RenewCodeKeyRequest{IdempotencyKey: "r"})
	require.NoError(t, err)
	renewed := bytes.Clone(c.l.c.state.View().CodeKey())
	require.Len(t, renewed, fsm.CodeKeyBytes)
	require.NotEqual(t, key, renewed)
	_, err = c.l.c.RenewCodeKey(c.ctx, &apiv1.RenewCodeKeyRequest{IdempotencyKey: "r"})
	require.NoError(t, err)
	require.Equal(t, renewed, c.l.c.state.View().CodeKey(), "once, however often the same is asked")
	key = renewed
	c.k.look(c.ctx)
	require.Equal(t, key, c.sessions["h3"].takeCode().GetCodeKey().GetKey())
	c.sessions["h1"].takeCode()
	c.opens("h1")
	c.k.look(c.ctx)
	require.Equal(t, key, c.sessions["h1"].takeCode().GetCodeKey().GetKey())
}

// TestCodeGoesOnOverASession: who compiles a module goes on when its session breaks, and nobody else is given it for that, in its next session or by a new leader that has not heard it yet. Where its loss is in
// the log another one is at once.
func TestCodeGoesOnOverASession(t *testing.T) {
	c := newCoding(t)
	c.say("h3", &apiv1.CodeStatus{Wanted: true})
	require.NotEmpty(t, c.hears("h1").GetMake())
	for range 12 { // it compiles, and says so
		*c.now = c.now.Add(5 * time.Second)
		c.say("h1", making())
		require.Nil(t, c.hears("h2"))
	}
	c.k.close(c.sessions["h1"])
	require.Nil(t, c.hears("h2"))
	c.reconnects("h1")
	require.Nil(t, c.hears("h2"), "what it makes it says in the next message")
	c.say("h1", making())
	c.k.take(c.sessions["h1"], &apiv1.CodeStatus{All: true})
	require.Nil(t, c.hears("h2"))
	require.Equal(t, []string{"x86-64-v3"}, c.hears("h1").GetMake())

	c.l.codes = newModuleCodes(c.l) // a new leader's
	now := c.k.now
	c.k = c.l.codes
	c.k.now = now
	c.opens("h2")
	c.opens("h3")
	c.reconnects("h1")
	c.say("h3", &apiv1.CodeStatus{Wanted: true})
	require.Nil(t, c.hears("h2"))
	r := c.hears("h3")
	require.Equal(t, "not all hosts have said yet whether they have it", r.GetWhy())
	require.False(t, r.GetVain())
	c.say("h1", making())
	c.k.take(c.sessions["h1"], &apiv1.CodeStatus{All: true})
	require.Equal(t, "host h1 compiles it at -O1", c.hears("h3").GetWhy())
	require.Nil(t, c.hears("h2"))

	c.k.close(c.sessions["h1"])
	require.Nil(t, c.hears("h2"))
	*c.now = c.now.Add(codeSilence + 1)
	require.Equal(t, []string{"x86-64-v3"}, c.hears("h2").GetMake(), "it has not come back")
}

// TestCodeLoads: what a host has to compile is counted by what it is to, however its session was.
func TestCodeLoads(t *testing.T) {
	c := newCoding(t)
	c.say("h3", &apiv1.CodeStatus{Wanted: true})
	require.NotEmpty(t, c.hears("h1").GetMake())
	c.reconnects("h1")
	c.say("h1", making())
	c.hears("h1")
	require.Equal(t, map[string]int{"h1": 1}, c.k.loads())
	c.say("h1", &apiv1.CodeStatus{Has: []*apiv1.CodeName{c.has()}})
	c.hears("h1")
	require.Empty(t, c.k.loads())
}

// TestCodeWakesOneDuty: what hosts say of code wakes who decides of that and no other duty, and what changes nothing has nothing be decided. How far a compile is goes to nobody by itself.
func TestCodeWakesOneDuty(t *testing.T) {
	c := newCoding(t)
	c.say("h3", &apiv1.CodeStatus{Wanted: true})
	c.say("h1", making())
	c.hears("h1")
	c.hears("h3")
	all, news := c.l.inbox.watch(), c.l.inbox.watchNews()
	st := making()
	st.Making[0].Steps, st.Making[0].PartsDone, st.Making[0].Parts = 9, 3, 20
	c.say("h1", st)
	require.False(t, closed(all) || closed(news))
	require.Nil(t, c.hears("h3"))
	require.Empty(t, c.k.dirty)
	require.Equal(t, "host h1 compiles it at -O1, 3 of 20 parts are done", c.k.standing(c.digest, false)[0].Why)
}

// TestCodeOfTheCurrentSession: of two sessions of a host that begin at the same time the older one's words count for nothing, whenever they come.
func TestCodeOfTheCurrentSession(t *testing.T) {
	c := newCoding(t)
	older := newSession("h1", c.sessions["h1"].incarnation, func() {})
	c.k.open(older, &apiv1.Hello{Host: &apiv1.Host{Id: "h1", Addr: "h1:2"}, Code: &apiv1.CodeMaker{Translator: 1, Flags: "f", Level: "x86-64-v3", Compiler: "c1"}})
	c.k.take(older, &apiv1.CodeStatus{Module: c.digest, Has: []*apiv1.CodeName{c.has()}})
	c.k.close(older)
	c.say("h1", &apiv1.CodeStatus{Wanted: true})
	require.Equal(t, []string{"x86-64-v3"}, c.hears("h1").GetMake())
	require.Zero(t, c.k.hosts["h1"].left)
}

// TestCodeRefused: the word of one host that code is bad has another one made. What all give to it who can is not waited for, and who finds everybody's bad is not believed.
func TestCodeRefused(t *testing.T) {
	c := newCoding(t)
	c.say("h1", &apiv1.CodeStatus{Has: []*apiv1.CodeName{c.has()}})
	c.say("h3", &apiv1.CodeStatus{Wanted: true, Refused: []string{"h1"}})
	require.Equal(t, []string{"x86-64-v3"}, c.hears("h2").GetMake())
	r := c.hears("h3")
	require.Equal(t, "host h2 is to compile it", r.GetWhy())
	require.Equal(t, "h1", r.Holders[0].Host, "it hears when that one has none any more")
	c.say("h2", &apiv1.CodeStatus{Has: []*apiv1.CodeName{c.has()}})
	c.say("h3", &apiv1.CodeStatus{Wanted: true, Refused: []string{"h1", "h2"}})
	r = c.hears("h3")
	require.True(t, r.GetVain())
	require.Equal(t, "what it is given is not what it should be, by host h1, h2", r.Why)
	require.Empty(t, c.hears("h1").GetMake(), "who has it has nothing to make")
	require.True(t, c.k.standing(c.digest, true)[0].Done)
}

// TestCodeOfManyHosts: what a thousand hosts cost that have many modules, of which nobody wants any: nothing is decided when sessions begin and end, and how a module stands is found by one look at the hosts.
func TestCodeOfManyHosts(t *testing.T) {
	const hosts, modules = 1000, 200
	bench := newBench(t, nil)
	k := bench.l.codes
	has := &apiv1.CodeName{Translator: 1, Flags: "f", Level: "x86-64-v3", Optimisation: "-O3", Compiler: "c1"}
	sessions := make([]*session, hosts)
	digest := strings.Repeat("cd", 32)
	for i := range hosts {
		host := fsm.HostID(fmt.Sprintf("h%04d", i))
		s := newSession(host, "i", func() {})
		require.True(t, bench.l.sessions.add(s))
		sessions[i] = s
		k.open(s, &apiv1.Hello{Host: &apiv1.Host{Id: string(host), Addr: "a:1"}, Code: &apiv1.CodeMaker{Translator: 1, Flags: "f", Level: "x86-64-v3", Compiler: "c1"}})
		for m := range modules {
			k.take(s, &apiv1.CodeStatus{Module: fmt.Sprintf("%064x", m), Has: []*apiv1.CodeName{has}})
		}
		k.take(s, &apiv1.CodeStatus{Module: digest, Has: []*apiv1.CodeName{has}})
		k.take(s, &apiv1.CodeStatus{All: true})
	}
	k.look(t.Context())
	require.Empty(t, k.active)
	begin := time.Now()
	require.Len(t, k.standing(digest, false)[0].Hosts, hosts)
	t.Logf("how a module stands that %d hosts have: %s", hosts, time.Since(begin))
	k.close(sessions[0])
	begin = time.Now()
	k.look(t.Context())
	require.Empty(t, k.dirty)
	t.Logf("a session's end with %d modules known: %s", modules+1, time.Since(begin))
	for _, s := range sessions[1:] {
		k.take(s, &apiv1.CodeStatus{Module: strings.Repeat("ef", 32), Wanted: true})
	}
	begin = time.Now()
	k.look(t.Context())
	t.Logf("all of them want one module: %s", time.Since(begin))
	require.Len(t, k.active, 1)
}
