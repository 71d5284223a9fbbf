package worker

import (
	"maps"
	"slices"
	"time"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/worker/native"
)

// maker is what the leader hears of this host's compiler.
func (k *codes) maker() *apiv1.CodeMaker {
	if k == nil {
		return nil
	}
	return &apiv1.CodeMaker{Translator: int32(k.own.Translator), Flags: k.own.Flags, Level: k.own.Level, Compiler: k.own.Compiler, Lacks: k.lacks} //nolint:gosec // a version
}

// isNews has the leader hear of a module. Holds mu.
func (k *codes) isNews(digest string) {
	k.news[digest] = true
	k.poke()
}

// begin begins a session with a leader that has said nothing yet, and has heard nothing.
func (k *codes) begin() {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.records)
	for digest := range k.known {
		k.isNews(digest)
	}
	for digest := range k.holds {
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
		out = append(out, k.status(digest))
	}
	clear(k.news)
	return out
}

// status is what there is of a module's code here, for the leader. Holds mu.
func (k *codes) status(digest string) *apiv1.CodeStatus {
	out := &apiv1.CodeStatus{Module: digest}
	if c := k.known[digest]; c != nil {
		out.Wanted, out.Refused = k.wanted(c), slices.Sorted(maps.Keys(c.refused))
	}
	for _, n := range k.holds[digest] {
		name := codeNameOf(n)
		name.Module = ""
		out.Has = append(out.Has, name)
	}
	for _, j := range k.jobs {
		if j.module == digest {
			out.Making = append(out.Making, &apiv1.CodeMaking{Level: j.level, Doing: j.doing(), Steps: k.work.Load()})
		}
	}
	for name, why := range k.failed {
		if name.module == digest {
			out.Making = append(out.Making, &apiv1.CodeMaking{Level: name.level, Failed: why})
		}
	}
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
	if k.records[r.Module] = r; len(r.Make) == 0 && len(r.Holders) == 0 && r.Why == "" {
		delete(k.records, r.Module)
	}
	if c := k.known[r.Module]; c != nil {
		k.tell(c)
	}
	k.changed.Wake()
	k.wake.Set()
}

// setKey takes the cluster's key. What is kept under another one is looked at anew.
func (k *codes) setKey(key []byte) {
	if k == nil || len(key) == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if slices.Equal(k.key, key) {
		return
	}
	k.key = key
	for _, c := range k.known {
		c.look = lookWanted
		k.tell(c)
	}
	k.changed.Wake()
	k.wake.Set()
}

// give reads code that another host wants; nil: there is none, or it is not what it should be any more. Then all that is kept of the module is looked at: others may be like it.
func (k *codes) give(n native.Name) []byte {
	sealed, err := k.read(n, k.path(n))
	if err == nil {
		return sealed
	}
	for _, n := range k.files(n.Module) {
		if _, err := k.read(n, k.path(n)); err != nil {
			k.unsound(k.path(n), err)
		}
	}
	k.modules.measure(n.Module)
	return nil
}

// sayAgain has the leader hear, every now and then, that this host goes on with what it compiles and what waits for that.
func (k *codes) sayAgain() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, j := range k.jobs {
		k.isNews(j.module)
	}
}

// sayEach is how often the leader hears of what waits to be compiled.
const sayEach = 5 * time.Second
