package steps

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// CodeHost is a host that has to do with machine code of modules, as it has said itself.
type CodeHost struct {
	Name, Addr string
	Maker      *apiv1.CodeMaker
	Status     *apiv1.CodeStatus // of the module in question; nil: it has said nothing of it
	Load       int               // how many others it makes
	Silent     bool              // it has said nothing for long of what it is to make
	Away       bool              // its session is over, and another one may begin: it may go on with what it makes
}

// CodeKind is code that serves the same hosts.
type CodeKind struct {
	Translator   int32
	Flags, Level string
	Compiler     string // "": whichever has made it
}

// Module is a module of which hosts want machine code.
type Module struct {
	Digest string
	Quick  bool   // code that is made quickly is of use: ranks go on in better code
	Asked  bool   // somebody wants it for all hosts that run such code
	Best   string // the optimisation after which there is nothing better, such as -O3
	Early  bool   // hosts that may have it, or make it, have not said so yet
}

// maxCodeHolders bounds how many hosts are named that have the same code.
const maxCodeHolders = 3

// maxCodeFailures is how many hosts may fail to compile a module before none is asked any more; and of how many a host may say that what they give is not what it should be, before it is
// taken for what is wrong itself.
const maxCodeFailures = 3

// wanted is the kind of code that a host runs.
func (h *CodeHost) wanted() CodeKind {
	m := h.Maker
	return CodeKind{m.GetTranslator(), m.GetFlags(), m.GetLevel(), m.GetCompiler()}
}

// serves says whether code is of the kind.
func (k CodeKind) serves(n *apiv1.CodeName) bool {
	return n.GetTranslator() == k.Translator && n.GetFlags() == k.Flags && n.GetLevel() == k.Level && (k.Compiler == "" || n.GetCompiler() == k.Compiler)
}

// servedBy says whether code of another kind is of this one, too: any compiler's will do.
func (k CodeKind) servedBy(other CodeKind) bool {
	return k.Compiler == "" && other.Compiler != "" && k.Translator == other.Translator && k.Flags == other.Flags && k.Level == other.Level
}

// making is what a host has said of its compiling for a level; nil: nothing.
func (h *CodeHost) making(level string) *apiv1.CodeMaking {
	for _, m := range h.Status.GetMaking() {
		if m.Level == level {
			return m
		}
	}
	return nil
}

// has says whether a host has code of the kind at an optimisation.
func (h *CodeHost) has(k CodeKind, optimisation string) bool {
	return slices.ContainsFunc(h.Status.GetHas(), func(n *apiv1.CodeName) bool { return k.serves(n) && n.Optimisation == optimisation })
}

// makes says whether a host could compile code of the kind: it has not failed to.
func (h *CodeHost) makes(k CodeKind) bool {
	m := h.Maker
	return m.GetCompiler() != "" && m.GetTranslator() == k.Translator && m.GetFlags() == k.Flags && (k.Compiler == "" || m.GetCompiler() == k.Compiler) && h.making(k.Level).GetFailed() == ""
}

// hosts are those that have to do with a module's code, in order of name.
type codeHosts struct {
	Module
	all []CodeHost
	bad map[string]bool // hosts that give what they should not
}

// newCodeHosts finds whose code is bad: whose seal is broken, as others say. A host that says so of many is not believed: its own key, or memory, may be.
func newCodeHosts(mod Module, hosts []CodeHost) *codeHosts {
	of := &codeHosts{mod, hosts, map[string]bool{}}
	for i := range hosts {
		if refused := hosts[i].Status.GetRefused(); len(refused) < maxCodeFailures {
			for _, name := range refused {
				of.bad[name] = true
			}
		}
	}
	return of
}

// kinds are the kinds of code that hosts want, or could run, in an order in which those come last for which any compiler's will do: what is made for others serves them too.
func (of *codeHosts) kinds(all bool) []CodeKind {
	kinds := map[CodeKind]bool{}
	for i := range of.all {
		if h := &of.all[i]; h.Maker.GetLevel() != "" && (all || !h.Away && h.Status.GetWanted()) {
			kinds[h.wanted()] = true
		}
	}
	return slices.SortedFunc(maps.Keys(kinds), compareKinds)
}

func compareKinds(a, b CodeKind) int {
	return cmp.Or(compareBools(a.Compiler == "", b.Compiler == ""), cmp.Compare(a.Level, b.Level), cmp.Compare(a.Compiler, b.Compiler), cmp.Compare(a.Translator, b.Translator), strings.Compare(a.Flags, b.Flags))
}

// compareBools has what is so come last.
func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// Code decides who compiles a module, given who does so now, and what each host is to be told of it. Hosts are in order of name. It decides nothing that is true or not: a module
// that two hosts compile costs time, and one that none compiles runs more slowly.
func Code(mod Module, hosts []CodeHost, now map[CodeKind]string) (duties map[CodeKind]string, records map[string]*apiv1.CodeRecord) {
	of := newCodeHosts(mod, hosts)
	duties, records = map[CodeKind]string{}, map[string]*apiv1.CodeRecord{}
	for _, k := range of.kinds(mod.Asked) {
		if who := of.maker(k, now, duties); who != "" {
			duties[k] = who
		}
	}
	levelsOf := map[string][]string{} // by who makes code for them
	for k, who := range duties {
		if !slices.Contains(levelsOf[who], k.Level) {
			levelsOf[who] = append(levelsOf[who], k.Level)
		}
	}
	kinds := map[CodeKind]*codeOfKind{}
	for i := range hosts {
		h := &hosts[i]
		levels, wants := levelsOf[h.Name], h.Maker.GetLevel() != "" && h.Status.GetWanted()
		if h.Away || !wants && levels == nil {
			continue
		}
		r := &apiv1.CodeRecord{}
		if k := h.wanted(); wants {
			if kinds[k] == nil {
				kinds[k] = of.ofKind(k, duties)
			}
			r = kinds[k].record(h)
		}
		slices.Sort(levels)
		r.Module, r.Make, r.Quick = mod.Digest, levels, mod.Quick && levels != nil
		records[h.Name] = r
	}
	return duties, records
}

// maker is the host that is to compile code of a kind; "": none is, or can.
func (of *codeHosts) maker(k CodeKind, now, given map[CodeKind]string) string {
	failed := 0
	var can []*CodeHost
	for i := range of.all {
		h := &of.all[i]
		has := h.has(k, of.Best)
		if has && !of.bad[h.Name] {
			return ""
		}
		if h.making(k.Level).GetFailed() != "" {
			failed++
		}
		if !has && h.makes(k) && (!h.Away || now[k] == h.Name) { // who has it has nothing to make
			can = append(can, h)
		}
	}
	for other := range given { // what is made for them serves these, too
		if k.servedBy(other) {
			return ""
		}
	}
	if failed >= maxCodeFailures || len(can) == 0 {
		return ""
	}
	rank := func(h *CodeHost) int {
		switch m := h.making(k.Level); {
		case h.Silent:
			return 5
		case m.GetTrouble() != "" || of.bad[h.Name]:
			return 4
		case now[k] == h.Name:
			return 0
		case m != nil: // for a leader before this one
			return 1
		case h.Status.GetWanted():
			return 2
		}
		return 3
	}
	best := slices.MinFunc(can, func(a, b *CodeHost) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), compareBools(a.Name != now[k], b.Name != now[k]), cmp.Compare(a.Load, b.Load), strings.Compare(a.Name, b.Name))
	})
	if of.Early && rank(best) > 1 && now[k] != best.Name {
		return ""
	}
	return best.Name
}

// codeOfKind is how it stands with code of a kind.
type codeOfKind struct {
	*codeHosts
	kind    CodeKind
	holders map[string][]*apiv1.CodeHolder // by optimisation, in order of name
	maker   *CodeHost                      // nil: nobody makes it
	away    string                         // a host that has the best, and has no session
}

func (of *codeHosts) ofKind(k CodeKind, duties map[CodeKind]string) *codeOfKind {
	out := &codeOfKind{codeHosts: of, kind: k, holders: map[string][]*apiv1.CodeHolder{}}
	who := duties[k]
	for _, other := range slices.SortedFunc(maps.Keys(duties), compareKinds) {
		if who == "" && (k.servedBy(other) || other.servedBy(k) && of.compilerOf(duties[other]) == k.Compiler) {
			who = duties[other]
		}
	}
	for i := range of.all {
		h := &of.all[i]
		if h.Name == who {
			out.maker = h
		}
		if h.Away && h.has(k, of.Best) {
			out.away = h.Name
		}
		for _, n := range h.Status.GetHas() {
			if k.serves(n) && !h.Away {
				out.holders[n.Optimisation] = append(out.holders[n.Optimisation], &apiv1.CodeHolder{Name: n, Host: h.Name, Addr: h.Addr})
			}
		}
	}
	return out
}

func (of *codeHosts) compilerOf(host string) string {
	at := slices.IndexFunc(of.all, func(h CodeHost) bool { return h.Name == host })
	if at < 0 {
		return ""
	}
	return of.all[at].Maker.GetCompiler()
}

// record is what a host is told that wants code of the kind. Who has given it what it should not is named as long as it has code: until then it is not asked again.
func (c *codeOfKind) record(to *CodeHost) *apiv1.CodeRecord {
	r := &apiv1.CodeRecord{}
	best := to.has(c.kind, c.Best)
	for _, o := range slices.Sorted(maps.Keys(c.holders)) {
		count := 0
		for _, h := range c.holders[o] {
			refused := slices.Contains(to.Status.GetRefused(), h.Host)
			if h.Host == to.Name || !refused && count == maxCodeHolders {
				continue
			}
			if r.Holders = append(r.Holders, h); !refused {
				count++
				best = best || o == c.Best
			}
		}
	}
	switch {
	case best:
	case c.maker != nil:
		if r.Vain = c.maker.making(c.kind.Level).GetTrouble() != ""; c.maker.Name != to.Name {
			r.Why = c.doing()
		}
	case c.uncertain() != "":
		r.Why = c.uncertain()
	default:
		r.Why, r.Vain = c.whyNobody(to), true
	}
	return r
}

// uncertain says why it is not known yet whether there is code; empty: it is.
func (c *codeOfKind) uncertain() string {
	switch {
	case c.away != "":
		return fmt.Sprintf("host %s has it, and has no session at the moment", c.away)
	case c.Early:
		return "not all hosts have said yet whether they have it"
	}
	return ""
}

// doing says how it stands with who makes the code.
func (c *codeOfKind) doing() string {
	m := c.maker.making(c.kind.Level)
	if m.GetTrouble() != "" {
		return fmt.Sprintf("host %s could not compile it, and tries again: %s", c.maker.Name, m.Trouble)
	}
	return fmt.Sprintf("host %s %s", c.maker.Name, cmp.Or(m.GetDoing(), "is to compile it"))
}

// whyNobody says why nobody compiles a module for a host.
func (c *codeOfKind) whyNobody(to *CodeHost) string {
	for i := range c.all {
		if why := c.all[i].making(c.kind.Level).GetFailed(); why != "" {
			return fmt.Sprintf("host %s: %s", c.all[i].Name, why)
		}
	}
	if refused := to.Status.GetRefused(); len(refused) > 0 {
		return "what it is given is not what it should be, by host " + strings.Join(refused, ", ")
	}
	return fmt.Sprintf("no host has a compiler for it; this one: %s", cmp.Or(to.Maker.GetLacks(), "its own has failed"))
}

// CodeStanding is how it stands with a module's code, for people: a line for each kind that hosts run.
func CodeStanding(mod Module, hosts []CodeHost, duties map[CodeKind]string) (out []*apiv1.ModuleCode) {
	of := newCodeHosts(mod, hosts)
	kinds := of.kinds(true)
	for _, k := range kinds {
		if !slices.ContainsFunc(kinds, k.servedBy) { // else it is the same
			out = append(out, of.ofKind(k, duties).standing(duties))
		}
	}
	slices.SortFunc(out, func(a, b *apiv1.ModuleCode) int {
		return strings.Compare(a.Level+" "+a.Compiler, b.Level+" "+b.Compiler)
	})
	return out
}

func (c *codeOfKind) standing(duties map[CodeKind]string) *apiv1.ModuleCode {
	out := &apiv1.ModuleCode{Level: c.kind.Level, Compiler: c.kind.Compiler}
	for o, holders := range c.holders {
		for _, h := range holders {
			if c.bad[h.Host] || out.Optimisation == c.Best && o != c.Best {
				continue
			}
			if o != out.Optimisation {
				out.Optimisation, out.Hosts = o, nil
			}
			out.Compiler, out.Hosts = h.Name.Compiler, append(out.Hosts, h.Host)
		}
	}
	switch {
	case out.Optimisation == c.Best:
		out.Done = true
	case c.maker != nil:
		out.Why = c.doing()
		if m := c.maker.making(c.kind.Level); m.GetParts() > 0 && m.GetTrouble() == "" {
			out.Why += fmt.Sprintf(", %d of %d parts are done", m.PartsDone, m.Parts)
		}
	case c.uncertain() != "":
		out.Why = c.uncertain()
	case c.codeHosts.maker(c.kind, nil, duties) == "":
		i := slices.IndexFunc(c.all, func(h CodeHost) bool { return h.wanted() == c.kind })
		out.Done, out.Why = true, c.whyNobody(&c.all[i])
	case c.Asked:
		out.Why = "a host is being chosen to compile it"
	default:
		out.Why = "no rank on a host with such processors has wanted it yet"
	}
	return out
}
