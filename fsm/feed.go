package fsm

import (
	"slices"
	"sync"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// Change names what one entry changed. Its lists are shared: nobody changes them.
type Change struct {
	Index      uint64
	Apps       []AppID
	Hosts      []HostID
	Migrations []MigrationID
	// Checkpoints are also those that were removed.
	Checkpoints []CheckpointID
	Modules     []Digest
	// Cluster: its id, its feature level, its alarms or its last hash changed.
	Cluster bool
}

func (c *Change) size() int {
	return 1 + len(c.Apps) + len(c.Hosts) + len(c.Migrations) + len(c.Checkpoints) + len(c.Modules)
}

func (c *Change) empty() bool { return c.size() == 1 && !c.Cluster }

// Bounds of the feed: what a reader may lag behind before it must look at
// everything again. They bound its memory at a few megabytes.
const (
	feedChanges = 8192
	feedNames   = 1 << 16
)

// Feed tells what each entry changed, to any number of readers. A reader that
// keeps what it has seen starts from a View, then asks for what came after it:
//
//	sub := feed.Subscribe(fsm.AnyApp)
//	defer sub.Close()
//	v := machine.View() // look at everything
//	next := v.Index()
//	for {
//		changes, upTo, ok := feed.Since(next)
//		if !ok { ... look at everything of machine.View() again; next = its Index()
//		next = upTo
//		<-sub.C()
//	}
//
// A View taken after Since is at least as new as what Since has answered. Look
// answers with the View that is exactly as new.
type Feed struct {
	mu sync.Mutex // guards the fields below
	// ring holds the changes of the entries after floor, oldest first, from start.
	ring  []Change
	start int
	names int // in ring, for the bound
	floor uint64
	last  uint64 // index of the last entry published
	view  *View  // what it made
	subs  map[Topic]map[*Subscription]struct{}
}

func newFeed(v *View) *Feed {
	return &Feed{view: v, subs: make(map[Topic]map[*Subscription]struct{})}
}

// Look returns a View, and what the entries after index changed up to this very
// View: its Index is what to ask for the next time. Where ok is false, it is not
// known what has changed; look at all of the View. It does not block.
func (f *Feed) Look(index uint64) (v *View, changes []Change, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	changes, ok = f.after(index)
	return f.view, changes, ok
}

// Since lists what the entries after index changed, in order; an entry that
// changed nothing is left out. next is what to ask for the next time. ok is
// false when it is not known any more, for it was too long ago or the state was
// restored: then take a View, look at all of it, and go on from its Index. It
// does not block.
func (f *Feed) Since(index uint64) (changes []Change, next uint64, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	changes, ok = f.after(index)
	if !ok {
		return nil, 0, false
	}
	return changes, max(index, f.last), true
}

// after lists the changes after index, as far as they are known. mu is held.
func (f *Feed) after(index uint64) ([]Change, bool) {
	if index < f.floor {
		return nil, false
	}
	from, _ := slices.BinarySearchFunc(f.ring[f.start:], index+1, func(c Change, at uint64) int {
		switch {
		case c.Index < at:
			return -1
		case c.Index > at:
			return 1
		}
		return 0
	})
	return slices.Clone(f.ring[f.start+from:]), true
}

// publish appends what an entry changed and wakes those whom it concerns. The
// View that has it is already to be seen.
func (f *Feed) publish(change Change, v *View) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last, f.view = change.Index, v
	if !change.empty() {
		f.ring = append(f.ring, change)
		f.names += change.size()
		for len(f.ring)-f.start > feedChanges || f.names > feedNames {
			f.names -= f.ring[f.start].size()
			f.floor = f.ring[f.start].Index
			f.ring[f.start] = Change{}
			f.start++
		}
		if f.start > feedChanges {
			f.ring = append(make([]Change, 0, 2*feedChanges), f.ring[f.start:]...)
			f.start = 0
		}
		for _, id := range change.Apps {
			f.handEnd(id)
		}
		f.wakeAll(&change)
	}
	f.wake(Everything)
}

// reset forgets all: whoever asks for what came after an earlier index is told
// to look at everything.
func (f *Feed) reset(v *View) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ring, f.start, f.names = nil, 0, 0
	f.floor, f.last, f.view = v.index, v.index, v
	for topic := range f.subs {
		if topic.kind == kindApp && topic.id != "" {
			f.handEnd(AppID(topic.id))
		}
		f.wake(topic)
	}
}

// handEnd gives an app that has ended to those who wait for it: when they look,
// it may be forgotten. mu is held.
func (f *Feed) handEnd(id AppID) {
	subs := f.subs[OfApp(id)]
	if len(subs) == 0 {
		return
	}
	app, ok := f.view.App(id)
	if !ok || !PhaseOf(app).Terminal() {
		return
	}
	for sub := range subs {
		if sub.ended == nil {
			sub.ended = make(map[AppID]*apiv1.App)
		}
		sub.ended[id] = app
	}
}

// wakeAll wakes the subscribers of what has changed. mu is held.
func (f *Feed) wakeAll(c *Change) {
	wakeIf := func(changed bool, topic Topic) {
		if changed {
			f.wake(topic)
		}
	}
	wakeIf(len(c.Apps) > 0, AnyApp)
	wakeIf(len(c.Hosts) > 0, AnyHost)
	wakeIf(len(c.Migrations) > 0, AnyMigration)
	wakeIf(len(c.Checkpoints) > 0, AnyCheckpoint)
	wakeIf(len(c.Modules) > 0, AnyModule)
	wakeIf(c.Cluster, TheCluster)
	for _, id := range c.Apps {
		f.wake(OfApp(id))
	}
}

// wake wakes a topic's subscribers. mu is held.
func (f *Feed) wake(topic Topic) {
	for sub := range f.subs[topic] {
		sub.wake.Set()
	}
}
