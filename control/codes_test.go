package control

import (
	"bytes"
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

	c.k.close(c.sessions["h2"]) // it is gone
	require.Equal(t, []string{"x86-64-v3"}, c.hears("h1").GetMake())
	has := &apiv1.CodeName{Translator: 1, Flags: "f", Level: "x86-64-v3", Optimisation: "-O3", Compiler: "c1"}
	c.say("h1", &apiv1.CodeStatus{Has: []*apiv1.CodeName{has}})
	r = c.hears("h3")
	require.Len(t, r.GetHolders(), 1)
	require.Equal(t, "h1:1", r.Holders[0].Addr)
	require.Equal(t, c.digest, r.Holders[0].Name.Module)
	require.Empty(t, c.hears("h1").GetMake())
	require.Zero(t, c.k.hosts["h1"].load)

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
	c.opens("h1")
	require.Equal(t, key, c.sessions["h1"].takeCode().GetCodeKey().GetKey())
}
