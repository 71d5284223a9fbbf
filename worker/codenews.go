package worker

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// maker is what the leader hears of this host's compiler.
func (k *codes) maker() *apiv1.CodeMaker {
	if k == nil {
		return nil
	}
	return &apiv1.CodeMaker{Translator: int32(k.own.Translator), Flags: k.own.Flags, Level: k.own.Level, Compiler: k.own.Compiler, Lacks: k.lacks} //nolint:gosec // a version
}

// isNews has the leader hear of a module, if there is anything that it has not heard. Holds mu.
func (k *codes) isNews(digest string) {
	if !k.news[digest] && !proto.Equal(k.status(digest), k.said[digest]) {
		k.news[digest] = true
		k.poke()
	}
}

// begin begins a session with a leader that has said nothing yet, and has heard nothing.
func (k *codes) begin() {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.records)
	clear(k.said)
	k.saidAll = false
	k.poke()
	for digest := range k.known {
		k.isNews(digest)
	}
	for digest := range k.kept {
		k.isNews(digest)
	}
	for _, j := range k.jobs {
		k.isNews(j.module)
	}
	for name := range k.failed {
		k.isNews(name.module)
	}
	k.wake.Set()
}

// takeNews returns what the leader is to hear.
func (k *codes) takeNews() (out []*apiv1.CodeStatus) {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, digest := range slices.Sorted(maps.Keys(k.news)) {
		st := k.status(digest)
		if proto.Equal(st, k.said[digest]) {
			continue // it is again as it was
		}
		out = append(out, cmp.Or(st, &apiv1.CodeStatus{Module: digest}))
		if k.said[digest] = st; st == nil {
			delete(k.said, digest)
		}
	}
	clear(k.news)
	if !k.saidAll {
		k.saidAll = true
		out = append(out, &apiv1.CodeStatus{All: true})
	}
	return out
}

// status is what there is of a module's code here, for the leader; nil: nothing. Holds mu.
func (k *codes) status(digest string) *apiv1.CodeStatus {
	out := &apiv1.CodeStatus{Module: digest}
	if c := k.known[digest]; c != nil {
		out.Wanted, out.Refused = k.wanted(c), slices.Sorted(maps.Keys(c.refused))
	}
	for _, f := range k.kept[digest] {
		name := codeNameOf(f.Name)
		name.Module = ""
		out.Has = append(out.Has, name)
	}
	for _, j := range k.jobs {
		if j.module == digest {
			out.Making = append(out.Making, &apiv1.CodeMaking{Level: j.level, Doing: j.doing(), Steps: k.work.Load(), PartsDone: int32(j.done), Parts: int32(j.of)}) //nolint:gosec // of a module
		}
	}
	for name, f := range k.failed {
		if name.module != digest {
			continue
		}
		at := slices.IndexFunc(out.Making, func(m *apiv1.CodeMaking) bool { return m.Level == name.level })
		if at < 0 {
			at, out.Making = len(out.Making), append(out.Making, &apiv1.CodeMaking{Level: name.level})
		}
		if out.Making[at].Trouble = f.why; f.forGood {
			out.Making[at].Failed, out.Making[at].Trouble = f.why, ""
		}
	}
	if !out.Wanted && len(out.Has) == 0 && len(out.Making) == 0 && len(out.Refused) == 0 {
		return nil
	}
	slices.SortFunc(out.Making, func(a, b *apiv1.CodeMaking) int { return strings.Compare(a.Level, b.Level) })
	return out
}

// follow takes what the leader says of a module.
func (k *codes) follow(r *apiv1.CodeRecord) {
	if k == nil {
		return
	}
	k.work.Add(1)
	k.mu.Lock()
	defer k.mu.Unlock()
	before := k.records[r.Module]
	if k.records[r.Module] = r; len(r.Make) == 0 && len(r.Holders) == 0 && r.Why == "" && !r.Vain {
		delete(k.records, r.Module)
	}
	if c := k.known[r.Module]; c != nil {
		if !slices.EqualFunc(before.GetHolders(), r.Holders, func(a, b *apiv1.CodeHolder) bool { return proto.Equal(a, b) }) {
			c.pause = pause{}
		}
		maps.DeleteFunc(c.refused, func(host string, _ bool) bool {
			return !slices.ContainsFunc(r.Holders, func(h *apiv1.CodeHolder) bool { return h.Host == host })
		})
		k.isNews(r.Module)
		k.tell(c)
	}
	k.changed.Wake()
	k.wake.Set()
}

// setKey takes the cluster's key. What is kept is checked anew: what was sealed with another one goes, and is made again.
func (k *codes) setKey(key []byte) {
	if k == nil || len(key) == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if slices.Equal(k.key, key) {
		return
	}
	before := k.key
	k.key = key
	for digest := range k.kept {
		if before != nil || k.known[digest] != nil {
			k.doubtAll(digest)
		}
	}
	for _, c := range k.known {
		clear(c.refused)
		c.looked, k.toLook[c.digest] = false, true
		k.isNews(c.digest)
		k.tell(c)
	}
	k.changed.Wake()
	k.wake.Set()
}

// sayAgain has the leader hear, every now and then, that this host goes on with what it compiles and what waits for that.
func (k *codes) sayAgain() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forgetFailures(mostFailed)
	for _, j := range k.jobs {
		k.isNews(j.module)
	}
}

// sayEach is how often the leader hears of what waits to be compiled.
const sayEach = 5 * time.Second
