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
}

// maxCodeHolders bounds how many hosts are named that have the same code.
const maxCodeHolders = 3

// maxCodeFailures is how many hosts may fail to compile a module before none is asked any more.
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

// Serves says whether code of the kind can be run where that of another is wanted, if any compiler's will do there.
func (k CodeKind) Serves(other CodeKind) bool {
	return k.Translator == other.Translator && k.Flags == other.Flags && k.Level == other.Level
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

// Code decides who compiles a module, given who does so now, and what each host is to be told of it. Hosts are in order of name. It decides nothing that is true or not: a module
// that two hosts compile costs time, and one that none compiles runs more slowly.
func Code(mod Module, hosts []CodeHost, now map[CodeKind]string) (duties map[CodeKind]string, records map[string]*apiv1.CodeRecord) {
	kinds := map[CodeKind]bool{}
	for i := range hosts {
		if h := &hosts[i]; h.Maker.GetLevel() != "" && (h.Status.GetWanted() || mod.Asked) {
			kinds[h.wanted()] = true
		}
	}
	duties = map[CodeKind]string{}
	for _, k := range slices.SortedFunc(maps.Keys(kinds), orderOfKinds) {
		if who := maker(mod, hosts, k, now, duties); who != "" {
			duties[k] = who
		}
	}
	records = map[string]*apiv1.CodeRecord{}
	for i := range hosts {
		h := &hosts[i]
		var r *apiv1.CodeRecord
		if h.Maker.GetLevel() != "" && h.Status.GetWanted() {
			r = recordFor(mod, hosts, h, duties)
		}
		for k, who := range duties {
			if who != h.Name {
				continue
			}
			if r == nil {
				r = &apiv1.CodeRecord{}
			}
			if r.Quick = mod.Quick; !slices.Contains(r.Make, k.Level) {
				r.Make = append(r.Make, k.Level)
			}
		}
		if r != nil {
			slices.Sort(r.Make)
			r.Module = mod.Digest
			records[h.Name] = r
		}
	}
	return duties, records
}

// orderOfKinds has those come last for which any compiler's will do: what is made for others serves them too.
func orderOfKinds(a, b CodeKind) int {
	first := func(k CodeKind) int {
		if k.Compiler == "" {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(first(a), first(b)), cmp.Compare(a.Level, b.Level), cmp.Compare(a.Compiler, b.Compiler), cmp.Compare(a.Translator, b.Translator), strings.Compare(a.Flags, b.Flags))
}

// maker is the host that is to compile code of a kind; "": none is, or can.
func maker(mod Module, hosts []CodeHost, k CodeKind, now, given map[CodeKind]string) string {
	failed := 0
	var can []*CodeHost
	for i := range hosts {
		h := &hosts[i]
		if h.has(k, mod.Best) && !codeRefused(hosts, h.Name) {
			return ""
		}
		if h.making(k.Level).GetFailed() != "" {
			failed++
		}
		if h.makes(k) {
			can = append(can, h)
		}
	}
	for other := range given { // what is made for them serves these, too
		if k.Compiler == "" && other.Serves(k) {
			return ""
		}
	}
	if failed >= maxCodeFailures || len(can) == 0 {
		return ""
	}
	rank := func(h *CodeHost) int {
		switch {
		case h.Silent, codeRefused(hosts, h.Name):
			return 4
		case now[k] == h.Name:
			return 0
		case h.making(k.Level) != nil: // for a leader before this one
			return 1
		case h.Status.GetWanted():
			return 2
		}
		return 3
	}
	return slices.MinFunc(can, func(a, b *CodeHost) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Load, b.Load), strings.Compare(a.Name, b.Name))
	}).Name
}

// codeRefused says whether some host has found that what another one gives is not what it should be.
func codeRefused(hosts []CodeHost, name string) bool {
	return slices.ContainsFunc(hosts, func(h CodeHost) bool { return slices.Contains(h.Status.GetRefused(), name) })
}

// recordFor is what a host is told that wants code of a module.
func recordFor(mod Module, hosts []CodeHost, to *CodeHost, duties map[CodeKind]string) *apiv1.CodeRecord {
	k := to.wanted()
	r := &apiv1.CodeRecord{}
	count := map[string]int{}
	for i := range hosts {
		h := &hosts[i]
		if h.Name == to.Name || slices.Contains(to.Status.GetRefused(), h.Name) {
			continue
		}
		for _, n := range h.Status.GetHas() {
			if k.serves(n) && count[n.Optimisation] < maxCodeHolders {
				count[n.Optimisation]++
				r.Holders = append(r.Holders, &apiv1.CodeHolder{Name: n, Host: h.Name, Addr: h.Addr})
			}
		}
	}
	who := makerFor(k, duties)
	switch {
	case count[mod.Best] > 0, to.has(k, mod.Best):
	case who != "" && who != to.Name:
		at := slices.IndexFunc(hosts, func(h CodeHost) bool { return h.Name == who })
		r.Why = fmt.Sprintf("host %s %s", who, cmp.Or(hosts[at].making(k.Level).GetDoing(), "is to compile it"))
	case who == "":
		r.Vain, r.Why = true, whyNobody(hosts, to)
	}
	return r
}

// makerFor is the host that makes code of a kind, or such as serves it.
func makerFor(k CodeKind, duties map[CodeKind]string) string {
	if who := duties[k]; who != "" || k.Compiler != "" {
		return who
	}
	for _, other := range slices.SortedFunc(maps.Keys(duties), orderOfKinds) {
		if other.Serves(k) {
			return duties[other]
		}
	}
	return ""
}

// whyNobody says why nobody compiles a module for a host.
func whyNobody(hosts []CodeHost, to *CodeHost) string {
	for i := range hosts {
		if why := hosts[i].making(to.Maker.GetLevel()).GetFailed(); why != "" {
			return fmt.Sprintf("host %s: %s", hosts[i].Name, why)
		}
	}
	return fmt.Sprintf("no host has a compiler for it; this one: %s", cmp.Or(to.Maker.GetLacks(), "its own has failed"))
}

// CodeOf is how it stands with the code that one of the hosts runs, for people; nil: it runs none. asked: somebody has just wanted it.
func CodeOf(best string, hosts []CodeHost, at int, duties map[CodeKind]string, asked bool) (CodeKind, *apiv1.ModuleCode) {
	h := &hosts[at]
	if h.Maker.GetLevel() == "" {
		return CodeKind{}, nil
	}
	k := h.wanted()
	out := &apiv1.ModuleCode{Level: k.Level, Compiler: k.Compiler}
	for i := range hosts {
		for _, n := range hosts[i].Status.GetHas() {
			if !k.serves(n) || codeRefused(hosts, hosts[i].Name) || out.Optimisation == best && n.Optimisation != best {
				continue
			}
			if n.Optimisation != out.Optimisation {
				out.Optimisation, out.Hosts = n.Optimisation, nil
			}
			out.Compiler, out.Hosts = n.Compiler, append(out.Hosts, hosts[i].Name)
		}
	}
	who := makerFor(k, duties)
	switch {
	case out.Optimisation == best:
		out.Done = true
	case who != "":
		out.Why = fmt.Sprintf("host %s is to compile it", who)
		if at := slices.IndexFunc(hosts, func(h CodeHost) bool { return h.Name == who }); at >= 0 && hosts[at].making(k.Level).GetDoing() != "" {
			out.Why = fmt.Sprintf("host %s %s", who, hosts[at].making(k.Level).GetDoing())
		}
	case maker(Module{Best: best}, hosts, k, nil, duties) == "":
		out.Done, out.Why = true, whyNobody(hosts, h)
	case asked:
		out.Why = "a host is being chosen to compile it"
	default:
		out.Why = "no rank on a host with such processors has wanted it yet"
	}
	return k, out
}
