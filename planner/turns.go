package planner

import (
	"cmp"
	"container/heap"
	"fmt"
	"iter"

	apiv1 "github.com/godwit-run/godwit/api/v1"
	"github.com/godwit-run/godwit/fsm"
)

// turns is in which order the apps of a queue have their turn, by what is said of their tenants, and what of it is theirs. An app beyond its tenant's slots is
// passed over, and so are those of that tenant behind it: it would not come to its slots else. It is of one look, for one goroutine.
type turns struct {
	v     *fsm.View
	taken map[string]int        // slots that tenants get in this look
	full  map[string]*apiv1.App // of tenants, the first app that has been passed over
}

func newTurns(v *fsm.View) *turns {
	return &turns{v: v, taken: make(map[string]int), full: make(map[string]*apiv1.App)}
}

// took counts an app as placed.
func (t *turns) took(app *apiv1.App) { t.taken[app.GetSpec().GetTenant()] += int(app.GetSize()) }

// has is how many slots a tenant's apps have.
func (t *turns) has(tenant string) int { return t.v.TenantSlots(tenant) + t.taken[tenant] }

// over says whether an app is beyond its tenant's slots.
func (t *turns) over(app *apiv1.App) bool {
	tenant, size := app.GetSpec().GetTenant(), int(app.GetSize())
	most := int(t.v.Tenant(tenant).GetSlots())
	switch {
	case most == 0:
		return false
	case size > most:
		return true // and always will be: those behind it do not wait for it
	case t.full[tenant] != nil:
		return true
	case t.has(tenant)+size > most:
		t.full[tenant] = app
		return true
	}
	return false
}

// whyOver says why an app of a view is beyond its tenant's slots; empty: it is not.
func whyOver(v *fsm.View, app *apiv1.App) string {
	tenant, size := app.GetSpec().GetTenant(), int(app.GetSize())
	most, has := int(v.Tenant(tenant).GetSlots()), v.TenantSlots(tenant)
	switch {
	case most == 0 || has+size <= most:
		return ""
	case size > most:
		return fmt.Sprintf("needs %s; tenant %s may have %d", slotsText(size), tenant, most)
	}
	return fmt.Sprintf("needs %s; tenant %s has %d of its %d", slotsText(size), tenant, has, most)
}

// all iterates over the queue in its order. Where tenants have shares, of those of one priority that app comes first whose tenant has least for its shares.
func (t *turns) all() iter.Seq[*apiv1.App] {
	for tenant := range t.v.Tenants() {
		if tenant.GetShares() > 0 {
			return t.byShares
		}
	}
	return t.v.Queue()
}

func (t *turns) byShares(yield func(*apiv1.App) bool) {
	var group []*apiv1.App // of one priority
	for app := range t.v.Queue() {
		if len(group) > 0 && group[0].GetSpec().GetPriority() != app.GetSpec().GetPriority() {
			if !t.shared(group, yield) {
				return
			}
			group = group[:0]
		}
		group = append(group, app)
	}
	t.shared(group, yield)
}

// shared yields the apps of one priority. What has been taken counts when the next one is chosen.
func (t *turns) shared(group []*apiv1.App, yield func(*apiv1.App) bool) bool {
	of := make(map[string]*tenantLine)
	lines := &tenantLines{}
	for _, app := range group {
		name := app.GetSpec().GetTenant()
		if of[name] == nil {
			of[name] = &tenantLine{name: name, shares: max(1, int64(t.v.Tenant(name).GetShares())), has: int64(t.has(name))}
			*lines = append(*lines, of[name])
		}
		of[name].apps = append(of[name].apps, app)
	}
	for heap.Init(lines); len(*lines) > 0; {
		first := (*lines)[0]
		if !yield(first.apps[0]) {
			return false
		}
		first.apps, first.has = first.apps[1:], int64(t.has(first.name))
		if len(first.apps) == 0 {
			heap.Pop(lines)
		} else {
			heap.Fix(lines, 0)
		}
	}
	return true
}

// tenantLine is what a tenant has in the queue.
type tenantLine struct {
	name        string
	apps        []*apiv1.App // in order of submission
	has, shares int64
}

// tenantLines is a heap: whose app is next stands at its top.
type tenantLines []*tenantLine

func (h tenantLines) Len() int { return len(h) }
func (h tenantLines) Less(i, j int) bool {
	a, b := h[i], h[j]
	return cmp.Or(cmp.Compare(a.has*b.shares, b.has*a.shares), fsm.BySubmission(a.apps[0], b.apps[0])) < 0
}
func (h tenantLines) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push is for package heap.
func (h *tenantLines) Push(x any) {
	l, _ := x.(*tenantLine) // nothing else is pushed
	*h = append(*h, l)
}

// Pop is for package heap.
func (h *tenantLines) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}

func slotsText(n int) string {
	if n == 1 {
		return "1 slot"
	}
	return fmt.Sprintf("%d slots", n)
}
