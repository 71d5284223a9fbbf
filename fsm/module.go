package fsm

import (
	"iter"

	iradix "github.com/hashicorp/go-immutable-radix/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// moduleUse is derived: which modules apps in flight run, and which were used how
// long ago. It is a value: its methods return the changed one.
type moduleUse struct {
	apps  *iradix.Tree[int]    // how many apps in flight, by digest
	users *iradix.Tree[AppID]  // these apps, by digest, then place
	byUse *iradix.Tree[Digest] // all modules, the least recently used first
	bytes int64                // size of all modules

	memory int // what is known of them, beside their bytes
}

func newModuleUse() moduleUse {
	return moduleUse{apps: iradix.New[int](), users: iradix.New[AppID](), byUse: iradix.New[Digest]()}
}

// add notes an app that is in flight from now on.
func (u moduleUse) add(app *apiv1.App) moduleUse {
	for _, digest := range app.GetSpec().Modules() {
		u.users, _, _ = u.users.Insert(userKey(digest, app), AppID(app.GetId()))
		u = u.count(digest, 1)
	}
	return u
}

// drop notes an app that is so no more.
func (u moduleUse) drop(app *apiv1.App) moduleUse {
	for _, digest := range app.GetSpec().Modules() {
		u.users, _, _ = u.users.Delete(userKey(digest, app))
		u = u.count(digest, -1)
	}
	return u
}

func (u moduleUse) count(digest string, n int) moduleUse {
	old, _ := u.apps.Get([]byte(digest))
	u.apps = putOrDrop(u.apps, []byte(digest), old+n)
	return u
}

func userKey(digest string, app *apiv1.App) []byte {
	return pairKey(digest, string(SubmissionOf(app).key()))
}

func useKey(mod *apiv1.Module) []byte {
	return append(orderKey(mod.GetUsedIndex()), mod.GetDigest()...)
}

// addModule makes a module known. What is known of a digest never changes. Where
// there are as many as can be, in number or in bytes, the least recently used ones
// that no app in flight runs make room.
func (t *tx) addModule(mod *apiv1.Module) outcome {
	digest := mod.GetDigest()
	if old, ok := t.Module(Digest(digest)); ok {
		t.useModule(old)
		return applied(digest)
	}
	before, fits := t.makeRoom(mod)
	if !fits {
		return refuse(CodeTooMany, "%d modules of %d bytes are known, of at most %d of %d bytes, what they import takes %d bytes of at most %d, and apps that are queued or running need too many of them; wait for some to end",
			t.modules.Len(), t.moduleUse.bytes, MaxModules, int64(MaxModulesBytes), t.moduleUse.memory, MaxModuleTexts)
	}
	for _, old := range before {
		t.forgetModule(old)
	}
	draft := draftModule(mod)
	draft.Reason, draft.UsedIndex, draft.UsedAt = cleanReason(mod.GetReason()), t.entryIndex, t.at
	t.putModule(draft)
	return applied(digest)
}

// makeRoom returns what is to be forgotten so that the module fits. ok is false when
// no forgetting is enough.
func (v *View) makeRoom(added *apiv1.Module) (oldest []*apiv1.Module, ok bool) {
	n, bytes, memory := v.modules.Len()+1, v.moduleUse.bytes+added.GetSize(), v.moduleUse.memory+moduleWeight(added)
	fits := func() bool {
		return n <= MaxModules && bytes <= MaxModulesBytes && (memory <= MaxModuleTexts || v.feature < levelWeighsMemory)
	}
	if fits() {
		return nil, true
	}
	for mod := range v.UnusedModules() {
		oldest = append(oldest, mod)
		n, bytes, memory = n-1, bytes-mod.GetSize(), memory-moduleWeight(mod)
		if fits() {
			return oldest, true
		}
	}
	return nil, false
}

// removeModule forgets a module. Apps that have ended keep its digest.
func (t *tx) removeModule(op *apiv1.RemoveModule) outcome {
	mod, ok := t.Module(Digest(op.GetDigest()))
	switch n := t.ModuleUsers(Digest(op.GetDigest())); {
	case !ok:
		return refuse(CodeNotFound, "no module %s", op.GetDigest())
	case n > 0:
		return refuse(CodeInUse, "%d apps that are queued or running need module %s; cancel them, or wait for their end", n, op.GetDigest())
	}
	t.forgetModule(mod)
	return applied(op.GetDigest())
}

// useModule notes that the module is used now.
func (t *tx) useModule(old *apiv1.Module) {
	if old.GetUsedIndex() == t.entryIndex {
		return
	}
	draft := draftModule(old)
	draft.UsedIndex, draft.UsedAt = t.entryIndex, t.at
	t.putModule(draft)
}

// putModule stores a module.
func (t *tx) putModule(mod *apiv1.Module) {
	if old, ok := t.Module(Digest(mod.GetDigest())); ok {
		t.unindexModule(old)
	}
	t.modules, _, _ = t.modules.Insert([]byte(mod.GetDigest()), mod)
	t.touched.modules = append(t.touched.modules, Digest(mod.GetDigest()))
	t.indexModule(mod)
}

func (v *View) indexModule(mod *apiv1.Module) {
	v.moduleUse.byUse, _, _ = v.moduleUse.byUse.Insert(useKey(mod), Digest(mod.GetDigest()))
	v.moduleUse.bytes += mod.GetSize()
	v.moduleUse.memory += moduleWeight(mod)
}

func (v *View) unindexModule(mod *apiv1.Module) {
	v.moduleUse.byUse, _, _ = v.moduleUse.byUse.Delete(useKey(mod))
	v.moduleUse.bytes -= mod.GetSize()
	v.moduleUse.memory -= moduleWeight(mod)
}

func (t *tx) forgetModule(mod *apiv1.Module) {
	t.unindexModule(mod)
	t.modules, _, _ = t.modules.Delete([]byte(mod.GetDigest()))
	t.touched.modules = append(t.touched.modules, Digest(mod.GetDigest()))
}

// Module returns the module with this digest.
func (v *View) Module(digest Digest) (*apiv1.Module, bool) { return v.modules.Get([]byte(digest)) }

// Modules iterates over all modules in digest order.
func (v *View) Modules() iter.Seq[*apiv1.Module] { return values(v.modules) }

// ModuleUsers is the number of apps in flight that run the module.
func (v *View) ModuleUsers(digest Digest) int {
	n, _ := v.moduleUse.apps.Get([]byte(digest))
	return n
}

// UsersOf iterates over the apps in flight that run the module, in the order of
// their places.
func (v *View) UsersOf(digest Digest) iter.Seq[*apiv1.App] {
	return func(yield func(*apiv1.App) bool) {
		for id := range after(v.moduleUse.users, pairKey(string(digest), ""), nil) {
			if app, ok := v.App(id); ok && !yield(app) {
				return
			}
		}
	}
}

// UnusedModules iterates over the modules that no app in flight runs, the least
// recently used first: those that may be collected.
func (v *View) UnusedModules() iter.Seq[*apiv1.Module] {
	return func(yield func(*apiv1.Module) bool) {
		for digest := range values(v.moduleUse.byUse) {
			if v.ModuleUsers(digest) > 0 {
				continue
			}
			if mod, ok := v.Module(digest); ok && !yield(mod) {
				return
			}
		}
	}
}
