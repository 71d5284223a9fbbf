package steps

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

const v2, v3 = "x86-64-v2", "x86-64-v3"

// codeHost is a host with a compiler, or without one.
func codeHost(name, level, compiler string, status *apiv1.CodeStatus) CodeHost {
	return CodeHost{Name: name, Addr: name + ":1", Maker: &apiv1.CodeMaker{Translator: 1, Flags: "f", Level: level, Compiler: compiler, Lacks: "no clang"}, Status: status}
}

func wants() *apiv1.CodeStatus { return &apiv1.CodeStatus{Wanted: true} }

func codeName(level, o, compiler string) *apiv1.CodeName {
	return &apiv1.CodeName{Translator: 1, Flags: "f", Level: level, Optimisation: o, Compiler: compiler}
}

func kind(level, compiler string) CodeKind { return CodeKind{1, "f", level, compiler} }

// Who compiles a module, and what the hosts hear of it.
func TestCode(t *testing.T) {
	mod := Module{Digest: "m", Quick: true, Best: "-O3"}
	has := func(names ...*apiv1.CodeName) *apiv1.CodeStatus { return &apiv1.CodeStatus{Has: names} }
	making := func(level, doing, failed string) []*apiv1.CodeMaking {
		return []*apiv1.CodeMaking{{Level: level, Doing: doing, Failed: failed}}
	}
	trouble := func(level string) []*apiv1.CodeMaking {
		return []*apiv1.CodeMaking{{Level: level, Doing: "compiles it at -O1", Trouble: "the disk is full"}}
	}
	for _, tt := range []struct {
		name   string
		mod    func(*Module)
		hosts  []CodeHost
		now    map[CodeKind]string
		duties map[CodeKind]string
		why    map[string]string // of the records
		vain   []string
		from   map[string][]string // holders, by who is told
	}{
		{
			name:  "nobody wants it",
			hosts: []CodeHost{codeHost("a", v3, "c1", has(codeName(v3, "-O3", "c1")))},
		},
		{
			name:   "one of those that want it compiles it, for all",
			hosts:  []CodeHost{codeHost("a", v3, "c1", nil), codeHost("b", v3, "c1", wants()), codeHost("c", v3, "c1", wants())},
			duties: map[CodeKind]string{kind(v3, "c1"): "b"},
			why:    map[string]string{"b": "", "c": "host b is to compile it"},
		},
		{
			name:   "who has no compiler has another one's, for its own level",
			hosts:  []CodeHost{codeHost("a", v3, "c1", nil), codeHost("b", v2, "", wants())},
			duties: map[CodeKind]string{kind(v2, ""): "a"},
			why:    map[string]string{"a": "", "b": "host a is to compile it"},
		},
		{
			name:   "what is made for others serves who takes any",
			hosts:  []CodeHost{codeHost("a", v3, "c1", wants()), codeHost("b", v3, "", wants())},
			duties: map[CodeKind]string{kind(v3, "c1"): "a"},
			why:    map[string]string{"a": "", "b": "host a is to compile it"},
		},
		{
			name:  "code that is there is taken",
			hosts: []CodeHost{codeHost("a", v3, "c1", has(codeName(v3, "-O1", "c1"), codeName(v3, "-O3", "c1"))), codeHost("b", v3, "", wants()), codeHost("c", v3, "c2", wants())},
			why:   map[string]string{"b": "", "c": ""}, duties: map[CodeKind]string{kind(v3, "c2"): "c"},
			from: map[string][]string{"b": {"a -O1", "a -O3"}},
		},
		{
			name:  "better code than there is is made",
			hosts: []CodeHost{codeHost("a", v3, "c1", has(codeName(v3, "-O1", "c1"))), codeHost("b", v3, "", wants())},
			why:   map[string]string{"a": "", "b": "host a is to compile it"}, duties: map[CodeKind]string{kind(v3, ""): "a"},
			from: map[string][]string{"b": {"a -O1"}},
		},
		{
			name: "who compiles it goes on",
			hosts: []CodeHost{
				codeHost("a", v3, "c1", wants()),
				codeHost("b", v3, "c1", &apiv1.CodeStatus{Wanted: true, Making: making(v3, "compiles it at -O3", "")}),
			},
			now: map[CodeKind]string{kind(v3, "c1"): "b"}, duties: map[CodeKind]string{kind(v3, "c1"): "b"},
			why: map[string]string{"a": "host b compiles it at -O3", "b": ""},
		},
		{
			name: "a new leader finds who compiles it",
			hosts: []CodeHost{
				codeHost("a", v3, "c1", wants()),
				codeHost("b", v3, "c1", &apiv1.CodeStatus{Making: making(v3, "compiles it at -O3", "")}),
			},
			duties: map[CodeKind]string{kind(v3, "c1"): "b"}, why: map[string]string{"a": "host b compiles it at -O3", "b": ""},
		},
		{
			name: "who is silent has another one in its place",
			hosts: []CodeHost{
				codeHost("a", v3, "c1", nil), {Name: "b", Maker: codeHost("b", v3, "c1", nil).Maker, Status: wants(), Silent: true},
			},
			now: map[CodeKind]string{kind(v3, "c1"): "b"}, duties: map[CodeKind]string{kind(v3, "c1"): "a"},
			why: map[string]string{"a": "", "b": "host a is to compile it"},
		},
		{
			name: "who has no session at the moment goes on",
			hosts: []CodeHost{
				codeHost("a", v3, "c1", wants()), {Name: "b", Maker: codeHost("b", v3, "c1", nil).Maker, Away: true},
			},
			now: map[CodeKind]string{kind(v3, "c1"): "b"}, duties: map[CodeKind]string{kind(v3, "c1"): "b"},
			why: map[string]string{"a": "host b is to compile it"},
		},
		{
			name: "who has no session is given nothing",
			hosts: []CodeHost{
				codeHost("a", v3, "", wants()), {Name: "b", Maker: codeHost("b", v3, "c1", nil).Maker, Away: true}, codeHost("c", v3, "c1", nil),
			},
			duties: map[CodeKind]string{kind(v3, ""): "c"}, why: map[string]string{"a": "host c is to compile it", "c": ""},
		},
		{
			name: "what somebody has who has no session is not made anew",
			hosts: []CodeHost{
				codeHost("a", v3, "", wants()), {Name: "b", Maker: codeHost("b", v3, "c1", nil).Maker, Away: true, Status: has(codeName(v3, "-O3", "c1"))}, codeHost("c", v3, "c1", nil),
			},
			why: map[string]string{"a": "host b has it, and has no session at the moment"},
		},
		{
			name:  "before all were heard nobody is given what others may have",
			mod:   func(m *Module) { m.Early = true },
			hosts: []CodeHost{codeHost("a", v3, "c1", wants())},
			why:   map[string]string{"a": "not all hosts have said yet whether they have it"},
		},
		{
			name: "before all were heard who makes it goes on",
			mod:  func(m *Module) { m.Early = true },
			hosts: []CodeHost{
				codeHost("a", v3, "c1", wants()), codeHost("b", v3, "c1", &apiv1.CodeStatus{Making: making(v3, "compiles it at -O3", "")}),
			},
			duties: map[CodeKind]string{kind(v3, "c1"): "b"}, why: map[string]string{"a": "host b compiles it at -O3", "b": ""},
		},
		{
			name: "who is in trouble has another one in its place",
			hosts: []CodeHost{
				codeHost("a", v3, "c1", &apiv1.CodeStatus{Wanted: true, Making: trouble(v3)}), codeHost("b", v3, "c1", nil),
			},
			now: map[CodeKind]string{kind(v3, "c1"): "a"}, duties: map[CodeKind]string{kind(v3, "c1"): "b"},
			why: map[string]string{"a": "host b is to compile it", "b": ""},
		},
		{
			name: "who is in trouble goes on where all are, and is not waited for",
			hosts: []CodeHost{
				codeHost("a", v3, "c1", &apiv1.CodeStatus{Making: trouble(v3)}), codeHost("b", v3, "c1", &apiv1.CodeStatus{Wanted: true, Making: trouble(v3)}), codeHost("c", v3, "", wants()),
			},
			now: map[CodeKind]string{kind(v3, "c1"): "b"}, duties: map[CodeKind]string{kind(v3, "c1"): "b"},
			why: map[string]string{"b": "", "c": "host b could not compile it, and tries again: the disk is full"}, vain: []string{"b", "c"},
		},
		{
			name: "who is gone, too",
			hosts: []CodeHost{
				codeHost("a", v3, "c1", wants()),
			},
			now: map[CodeKind]string{kind(v3, "c1"): "b"}, duties: map[CodeKind]string{kind(v3, "c1"): "a"}, why: map[string]string{"a": ""},
		},
		{
			name: "who has less to do is preferred",
			hosts: []CodeHost{
				{Name: "a", Maker: codeHost("a", v3, "c1", nil).Maker, Load: 1}, codeHost("b", v3, "c1", nil), codeHost("c", v3, "", wants()),
			},
			duties: map[CodeKind]string{kind(v3, ""): "b"}, why: map[string]string{"b": "", "c": "host b is to compile it"},
		},
		{
			name: "who has failed has another one in its place",
			hosts: []CodeHost{
				codeHost("a", v3, "c1", &apiv1.CodeStatus{Wanted: true, Making: making(v3, "", "clang: no")}), codeHost("b", v3, "c1", nil),
			},
			duties: map[CodeKind]string{kind(v3, "c1"): "b"}, why: map[string]string{"a": "host b is to compile it", "b": ""},
		},
		{
			name: "three that fail are enough",
			hosts: []CodeHost{
				codeHost("a", v3, "c1", &apiv1.CodeStatus{Wanted: true, Making: making(v3, "", "clang: no")}),
				codeHost("b", v3, "c1", &apiv1.CodeStatus{Making: making(v3, "", "clang: no")}),
				codeHost("c", v3, "c1", &apiv1.CodeStatus{Making: making(v3, "", "clang: no")}), codeHost("d", v3, "c1", nil),
			},
			why: map[string]string{"a": "host a: clang: no"}, vain: []string{"a"},
		},
		{
			name:  "no host has a compiler",
			hosts: []CodeHost{codeHost("a", v3, "", wants()), codeHost("b", v3, "", nil)},
			why:   map[string]string{"a": "no host has a compiler for it; this one: no clang"}, vain: []string{"a"},
		},
		{
			name: "what was refused is made anew",
			hosts: []CodeHost{
				codeHost("a", v3, "c1", has(codeName(v3, "-O3", "c1"))), codeHost("b", v3, "c1", &apiv1.CodeStatus{Wanted: true, Refused: []string{"a"}}),
			},
			duties: map[CodeKind]string{kind(v3, "c1"): "b"}, why: map[string]string{"b": ""}, from: map[string][]string{"b": {"a -O3"}},
		},
		{
			name: "who is refused and has it is not asked",
			hosts: []CodeHost{
				codeHost("a", v3, "c1", &apiv1.CodeStatus{Wanted: true, Has: []*apiv1.CodeName{codeName(v3, "-O3", "c1")}}), codeHost("b", v3, "c1", nil),
				codeHost("c", v3, "", &apiv1.CodeStatus{Wanted: true, Refused: []string{"a"}}),
			},
			now:    map[CodeKind]string{kind(v3, ""): "a"},
			duties: map[CodeKind]string{kind(v3, "c1"): "b"}, why: map[string]string{"a": "", "b": "", "c": "host b is to compile it"}, from: map[string][]string{"c": {"a -O3"}},
		},
		{
			name: "who finds everybody's bad is not believed",
			hosts: []CodeHost{
				codeHost("a", v3, "c1", has(codeName(v3, "-O3", "c1"))), codeHost("b", v3, "c1", has(codeName(v3, "-O3", "c1"))), codeHost("c", v3, "c1", has(codeName(v3, "-O3", "c1"))), codeHost("d", v3, "c1", nil),
				codeHost("z", v3, "", &apiv1.CodeStatus{Wanted: true, Refused: []string{"a", "b", "c"}}),
			},
			why: map[string]string{"z": "what it is given is not what it should be, by host a, b, c"}, vain: []string{"z"}, from: map[string][]string{"z": {"a -O3", "b -O3", "c -O3"}},
		},
		{
			name: "what the only one gives that can make it is refused",
			hosts: []CodeHost{
				codeHost("a", v3, "c1", has(codeName(v3, "-O3", "c1"))), codeHost("z", v3, "", &apiv1.CodeStatus{Wanted: true, Refused: []string{"a"}}),
			},
			why: map[string]string{"z": "what it is given is not what it should be, by host a"}, vain: []string{"z"}, from: map[string][]string{"z": {"a -O3"}},
		},
		{
			name: "somebody asks for it for all",
			mod:  func(m *Module) { m.Asked = true },
			hosts: []CodeHost{
				codeHost("a", v3, "c1", nil), codeHost("b", v2, "", nil), codeHost("c", "", "", nil),
			},
			duties: map[CodeKind]string{kind(v3, "c1"): "a", kind(v2, ""): "a"}, why: map[string]string{"a": ""},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := mod
			if tt.mod != nil {
				tt.mod(&m)
			}
			duties, records := Code(m, tt.hosts, tt.now)
			if tt.duties == nil {
				tt.duties = map[CodeKind]string{}
			}
			require.Equal(t, tt.duties, duties)
			why, from := map[string]string{}, map[string][]string{}
			var vain []string
			for host, r := range records {
				require.Equal(t, "m", r.Module)
				why[host] = r.Why
				if r.Vain {
					vain = append(vain, host)
				}
				for _, h := range r.Holders {
					require.Equal(t, h.Host+":1", h.Addr)
					from[host] = append(from[host], h.Host+" "+h.Name.Optimisation)
				}
				levels := map[string]bool{}
				for k, who := range duties {
					if who == host {
						levels[k.Level] = true
					}
				}
				require.Len(t, r.Make, len(levels), host)
			}
			if tt.why == nil {
				tt.why = map[string]string{}
			}
			if tt.from == nil {
				tt.from = map[string][]string{}
			}
			require.Equal(t, tt.why, why)
			slices.Sort(vain)
			require.Equal(t, tt.vain, vain)
			require.Equal(t, tt.from, from)
		})
	}
}
