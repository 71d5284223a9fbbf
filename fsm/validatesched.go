package fsm

import (
	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// queueing checks what bears on when an app is placed, and for how long it runs.
func (c *checker) queueing(s *apiv1.AppSpec) {
	if p := s.GetPriority(); p < -MaxPriority || p > MaxPriority {
		c.wrong("spec.priority", "%d; %d to %d are possible", p, -MaxPriority, MaxPriority)
	}
	c.count("spec.depends_on", len(s.GetDependsOn()), MaxDependencies)
	named := make(map[string]bool)
	for _, d := range s.GetDependsOn() {
		if (d.GetApp() == "") == (d.GetArray() == "") {
			c.wrong("spec.depends_on", "one of app and array is to be named")
		}
		c.optionalName("spec.depends_on.app", d.GetApp())
		c.optionalName("spec.depends_on.array", d.GetArray())
		if named[waited(d)] {
			c.wrong("spec.depends_on", "%s is named twice", waited(d))
		}
		if d.GetArray() != "" && d.GetArray() == s.GetArray().GetId() {
			c.wrong("spec.depends_on", "it is of array %s itself, which would wait for ever", d.GetArray())
		}
		named[waited(d)] = true
	}
	if ms := s.GetTimeLimitMs(); ms < 0 || ms > MaxTimeLimitMs {
		c.wrong("spec.time_limit_ms", "%d; 0 (none) to %d are possible", ms, int64(MaxTimeLimitMs))
	}
	c.count("spec.on", len(s.GetOn()), MaxLabels)
	c.bytesOf("spec.on", s.GetOn(), MaxLabelsBytes)
	for _, text := range s.GetOn() {
		if _, err := ParseLabelRule(text); err != nil {
			c.wrong("spec.on", "%v", err)
		}
	}
	c.optionalWord("spec.spread", s.GetSpread(), MaxWordBytes)
	if a := s.GetArray(); a != nil {
		c.name("spec.array.id", a.GetId())
		if a.GetIndex() < 0 || a.GetAtOnce() < 0 {
			c.wrong("spec.array", "index %d, %d at once: neither is below 0", a.GetIndex(), a.GetAtOnce())
		}
	}
}

// scheduling checks the rules of a cluster.
func (c *checker) scheduling(s *apiv1.Scheduling) {
	if s == nil {
		c.wrong("scheduling", "it is missing")
	}
	c.optionalWord("scheduling.policy", s.GetPolicy(), MaxIDBytes)
	if n := s.GetMigrationsAtOnce(); n < 0 || n > MaxMigrationsAtOnce {
		c.wrong("scheduling.migrations_at_once", "%d; 0 (as it comes) to %d are possible", n, MaxMigrationsAtOnce)
	}
	if ms := s.GetCoolDownMs(); ms < 0 || ms > MaxPeriodSeconds*1000 {
		c.wrong("scheduling.cool_down_ms", "%d; 0 to %d are possible", ms, int64(MaxPeriodSeconds)*1000)
	}
	if p := s.GetMinGainPercent(); p < 0 || p > 100 {
		c.wrong("scheduling.min_gain_percent", "%d; 0 to 100 are possible", p)
	}
	if m := s.GetRankMemoryBytes(); m != 0 && (m < MinRankMemory || m > MaxRankMemory) {
		c.wrong("scheduling.rank_memory_bytes", "%d; %d to %d are possible, or 0 for none", m, int64(MinRankMemory), int64(MaxRankMemory))
	}
}

// tenant checks what is said of a tenant.
func (c *checker) tenant(t *apiv1.Tenant) {
	c.name("tenant.name", t.GetName())
	if t.GetSlots() < 0 {
		c.wrong("tenant.slots", "%d; 0 (no bound) or more are possible", t.GetSlots())
	}
	if t.GetShares() < 0 || t.GetShares() > MaxShares {
		c.wrong("tenant.shares", "%d; 0 (as it comes) to %d are possible", t.GetShares(), MaxShares)
	}
}
