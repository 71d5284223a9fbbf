package fsm

import (
	"iter"

	iradix "github.com/hashicorp/go-immutable-radix/v2"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// Share is what one app has of one host.
type Share struct {
	Ranks    int // that are placed there and have not ended
	Reserved int // for ranks that are moving there
	Files    int // 1: the app's directory is there, or moves there; it takes no slot
}

// Total is what one app has of all hosts.
type Total struct {
	Hosts    int // with ranks
	Ranks    int
	Reserved int
}

// shares are the derived indexes of who has slots where. They are a value: use
// returns the changed ones.
type shares struct {
	byHost *iradix.Tree[Share] // host, 0, app
	byApp  *iradix.Tree[Share] // app, 0, host
	totals *iradix.Tree[Total] // app
}

func newShares() shares {
	return shares{byHost: iradix.New[Share](), byApp: iradix.New[Share](), totals: iradix.New[Total]()}
}

// pairKey is the key of a pair of names. Names hold no 0 byte.
func pairKey(a, b string) []byte {
	key := make([]byte, 0, len(a)+1+len(b))
	key = append(key, a...)
	key = append(key, 0)
	return append(key, b...)
}

// use gives the app ranks and reservations on the host, or takes them where
// negative.
func (s shares) use(host HostID, app AppID, change Share) (shares, error) {
	byHost, byApp := pairKey(string(host), string(app)), pairKey(string(app), string(host))
	old, _ := s.byHost.Get(byHost)
	now := Share{Ranks: old.Ranks + change.Ranks, Reserved: old.Reserved + change.Reserved, Files: old.Files + change.Files}
	if now.Ranks < 0 || now.Reserved < 0 || now.Files < 0 {
		return s, broken("app %s has %d ranks, %d reservations and %d directories on host %s", app, now.Ranks, now.Reserved, now.Files, host)
	}
	s.byHost, s.byApp = putOrDrop(s.byHost, byHost, now), putOrDrop(s.byApp, byApp, now)
	total, _ := s.totals.Get([]byte(app))
	total.Ranks += change.Ranks
	total.Reserved += change.Reserved
	total.Hosts += min(now.Ranks, 1) - min(old.Ranks, 1)
	s.totals = putOrDrop(s.totals, []byte(app), total)
	return s, nil
}

// putOrDrop stores a value, or drops it where it is zero.
func putOrDrop[T comparable](tree *iradix.Tree[T], key []byte, value T) *iradix.Tree[T] {
	var zero T
	if value == zero {
		tree, _, _ = tree.Delete(key)
	} else {
		tree, _, _ = tree.Insert(key, value)
	}
	return tree
}

// ShareOf is what the app has of the host's slots.
func (v *View) ShareOf(host HostID, app AppID) Share {
	share, _ := v.shares.byHost.Get(pairKey(string(host), string(app)))
	return share
}

// TotalOf is what the app has of all hosts.
func (v *View) TotalOf(app AppID) Total {
	total, _ := v.shares.totals.Get([]byte(app))
	return total
}

// AppsOn iterates over the apps that have ranks, reservations or their directory on the host, in
// id order. It costs what there is to see.
func (v *View) AppsOn(host HostID) iter.Seq2[*apiv1.App, Share] {
	return func(yield func(*apiv1.App, Share) bool) {
		for id, share := range pairs(v.shares.byHost, string(host)) {
			if app, ok := v.App(AppID(id)); ok && !yield(app, share) {
				return
			}
		}
	}
}

// HostsOf iterates over the hosts on which the app has ranks, reservations or its directory, in
// name order.
func (v *View) HostsOf(app AppID) iter.Seq2[HostID, Share] {
	return func(yield func(HostID, Share) bool) {
		for id, share := range pairs(v.shares.byApp, string(app)) {
			if !yield(HostID(id), share) {
				return
			}
		}
	}
}

// pairs iterates over the second names, and the shares, of the pairs that begin
// with the first.
func pairs(tree *iradix.Tree[Share], first string) iter.Seq2[string, Share] {
	return func(yield func(string, Share) bool) {
		it := tree.Root().Iterator()
		it.SeekPrefix(pairKey(first, ""))
		for key, share, ok := it.Next(); ok; key, share, ok = it.Next() {
			if !yield(string(key[len(first)+1:]), share) {
				return
			}
		}
	}
}

// InUse tells whether ranks, reservations or the directory of an app are on the host.
func (v *View) InUse(host HostID) bool {
	for range pairs(v.shares.byHost, string(host)) {
		return true
	}
	return false
}

// use takes slots of a host for the app, or frees them where negative. It is the
// one place where a host's use changes.
func (t *tx) use(host HostID, app AppID, change Share) error {
	shares, err := t.shares.use(host, app, change)
	if err != nil {
		return err
	}
	draft, ok := t.hostDraft(host)
	if !ok {
		return broken("slots of host %s change, which is not known", host)
	}
	draft.Used += int32(change.Ranks + change.Reserved)
	of, _ := t.App(app)
	draft.MemoryUsed += int64(change.Ranks+change.Reserved) * RankMemory(of)
	if draft.GetUsed() < 0 || draft.GetMemoryUsed() < 0 {
		return broken("host %s has %d used slots, and %d bytes of used memory", host, draft.GetUsed(), draft.GetMemoryUsed())
	}
	t.shares = shares
	t.countTenant(app, change)
	return nil
}

// countTenant counts slots that an app gets, or gives back, as its tenant's.
func (v *View) countTenant(id AppID, change Share) {
	slots := change.Ranks + change.Reserved
	if app, ok := v.App(id); ok && slots != 0 {
		tenant := app.GetSpec().GetTenant()
		v.tenantSlots = putOrDrop(v.tenantSlots, []byte(tenant), v.TenantSlots(tenant)+slots)
	}
}

// hostDraft is the command's own copy of a host, which is stored already.
func (t *tx) hostDraft(id HostID) (*apiv1.Host, bool) {
	if draft, ok := t.touched.drafts[id]; ok {
		return draft, true
	}
	old, ok := t.Host(id)
	if !ok {
		return nil, false
	}
	t.putHost(draftHost(old))
	return t.touched.drafts[id], true
}

// indexShares derives the shares of a placed app, and of its migration if it has
// one under way, from what is stored.
func (v *View) indexShares(app *apiv1.App) error {
	if !PhaseOf(app).Placed() {
		return nil
	}
	id := AppID(app.GetId())
	need := make(map[HostID]Share)
	for r, host := range app.GetPlacement() {
		if !app.HasEnded(int32(r)) {
			share := need[HostID(host)]
			share.Ranks++
			need[HostID(host)] = share
		}
	}
	if mig, ok := v.PendingMigrationOf(id); ok {
		for _, m := range mig.GetMoves() {
			share := need[HostID(m.GetTo())]
			share.Reserved++
			need[HostID(m.GetTo())] = share
		}
	}
	for _, host := range filesOn(app) {
		share := need[host]
		share.Files++
		need[host] = share
	}
	var err error
	for host, share := range need { // trees have one shape, in whatever order they are made
		if v.shares, err = v.shares.use(host, id, share); err != nil {
			return err
		}
		v.countTenant(id, share)
	}
	return nil
}
