package fsm

import (
	"iter"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// levelSchedules is the level from which on apps have priorities, dependencies, time limits, arrays and declared memory, hosts memory and speeds, and the cluster rules of scheduling and tenants.
const levelSchedules = 4

// Schedules says whether such things may be proposed: a build that does not know them stops there.
func (v *View) Schedules() bool { return v.feature >= levelSchedules }

// AsksForScheduling tells whether a spec has what only levelSchedules knows.
func AsksForScheduling(s *apiv1.AppSpec) bool {
	return s.GetPriority() != 0 || len(s.GetDependsOn()) > 0 || s.GetTimeLimitMs() != 0 || s.GetArray() != nil ||
		len(s.GetOn()) > 0 || s.GetSpread() != "" || s.GetProgram() != "" || s.GetMemoryBytes() != 0 || s.GetNoDefaultMemory() ||
		slices.ContainsFunc(s.GetMounts(), (*apiv1.Mount).GetWritable)
}

// Scheduling is how apps are placed and moved that do not say otherwise. It is never nil.
func (v *View) Scheduling() *apiv1.Scheduling {
	if s := v.config.GetScheduling(); s != nil {
		return s
	}
	return &apiv1.Scheduling{}
}

func (t *tx) setScheduling(op *apiv1.SetScheduling) outcome {
	if !t.Schedules() {
		return refuse(CodeInvalid, "there are no rules of scheduling at feature level %d; they need level %d", t.feature, levelSchedules)
	}
	next, unknown := withFields(t.Scheduling(), op.GetScheduling(), op.GetFields())
	if unknown != "" {
		return refuse(CodeInvalid, "%.80q is no field of the rules of scheduling", unknown)
	}
	t.configure(func(c *apiv1.ClusterConfig) { c.Scheduling = next })
	return applied("")
}

// withFields is a message as it was, with some fields of another one: all, if none is named. unknown is a name that is of no field.
func withFields[T proto.Message](was, now T, fields []string) (next T, unknown string) {
	if len(fields) == 0 {
		return clone(now), ""
	}
	next = clone(was)
	for _, name := range fields {
		field := next.ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(name))
		if field == nil {
			return next, name
		}
		next.ProtoReflect().Set(field, now.ProtoReflect().Get(field))
	}
	return next, ""
}

// Tenants iterates over the tenants of which something is said, in order of name.
func (v *View) Tenants() iter.Seq[*apiv1.Tenant] { return slices.Values(v.config.GetTenants()) }

// Tenant is what is said of a tenant; nil: nothing is.
func (v *View) Tenant(name string) *apiv1.Tenant {
	if at, ok := findTenant(v.config.GetTenants(), name); ok {
		return v.config.GetTenants()[at]
	}
	return nil
}

func findTenant(list []*apiv1.Tenant, name string) (at int, ok bool) {
	return slices.BinarySearchFunc(list, name, func(t *apiv1.Tenant, name string) int { return strings.Compare(t.GetName(), name) })
}

func (t *tx) setTenant(op *apiv1.SetTenant) outcome {
	if !t.Schedules() {
		return refuse(CodeInvalid, "tenants have no rules at feature level %d; they need level %d", t.feature, levelSchedules)
	}
	name := op.GetTenant().GetName()
	list := slices.Clone(t.config.GetTenants())
	was := t.Tenant(name)
	if was == nil {
		was = &apiv1.Tenant{}
	}
	next, unknown := withFields(was, op.GetTenant(), op.GetFields())
	if next.Name = name; unknown != "" {
		return refuse(CodeInvalid, "%.80q is no field of a tenant", unknown)
	}
	switch at, ok := findTenant(list, name); {
	case op.GetRemove() && !ok:
		return refuse(CodeNotFound, "nothing is said of tenant %s", name)
	case op.GetRemove():
		list = slices.Delete(list, at, at+1)
	case ok:
		list[at] = next
	case len(list) == MaxTenants:
		return refuse(CodeTooMany, "there are %d tenants of which something is said; remove one", MaxTenants)
	default:
		list = slices.Insert(list, at, next)
	}
	t.configure(func(c *apiv1.ClusterConfig) { c.Tenants = list })
	return applied(name)
}

// TenantsWithSlots iterates over the tenants whose apps have slots, and how many, in order of name.
func (v *View) TenantsWithSlots() iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		it := v.tenantSlots.Root().Iterator()
		for name, n, ok := it.Next(); ok; name, n, ok = it.Next() {
			if !yield(string(name), n) {
				return
			}
		}
	}
}

// TenantSlots is how many slots the apps of a tenant have: ranks, and reservations of those that move.
func (v *View) TenantSlots(name string) int {
	n, _ := v.tenantSlots.Get([]byte(name))
	return n
}

// overQuota says why a tenant may not have so many slots more; empty: it may.
func (v *View) overQuota(name string, slots int) (most, has int, over bool) {
	most, has = int(v.Tenant(name).GetSlots()), v.TenantSlots(name)
	return most, has, most > 0 && has+slots > most
}
