package fsm

import (
	"slices"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

func (t *tx) initCluster(op *apiv1.InitCluster) outcome {
	id := op.GetClusterId()
	switch {
	case t.clusterID != "" && t.clusterID != id:
		return refuse(CodeAlreadyExists, "the cluster is %s already", t.clusterID)
	}
	t.clusterID, t.touched.cluster = id, true
	return applied(id)
}

// maxFormerIDs bounds the former ids of a cluster: the first, which others are made of, and the last ones.
const maxFormerIDs = 16

// Recovered gives the cluster another id: what was made a cluster of its own from
// one server's data is another one than that which the other servers may go on
// with. It is no entry of the log: the caller makes a snapshot of the state, with
// which the recovered cluster begins, and nothing is applied meanwhile.
func (m *Machine) Recovered(id string) {
	v := *m.View()
	former := append(slices.Clone(v.formerIDs), v.clusterID)
	if len(former) > maxFormerIDs {
		former = slices.Delete(former, 1, len(former)-maxFormerIDs+1)
	}
	v.formerIDs, v.clusterID = former, id
	m.view.Store(&v)
}

// setClusterConfig sets what is not set yet. A lease that some worker holds must
// not get longer under a leader that knows only the shorter one: what is set stays.
func (t *tx) setClusterConfig(op *apiv1.SetClusterConfig) outcome {
	config := op.GetConfig()
	if len(config.GetCodeKey()) > 0 || op.GetRenewCodeKey() {
		return t.setCodeKey(config, op.GetRenewCodeKey())
	}
	switch ms := config.GetLeaseMs(); {
	case ms < 1 || ms > MaxLeaseMs:
		return refuse(CodeInvalid, "a lease of %d ms; 1 to %d are possible", ms, int64(MaxLeaseMs))
	case config.GetScheduling() != nil || len(config.GetTenants()) > 0:
		return refuse(CodeInvalid, "this sets the lease alone")
	case t.config.GetLeaseMs() == ms:
		return applied("")
	case t.config.GetLeaseMs() != 0:
		return refuse(CodeAlreadyExists, "the cluster's lease is %d ms already", t.config.GetLeaseMs())
	}
	t.configure(func(c *apiv1.ClusterConfig) { c.LeaseMs = config.GetLeaseMs() })
	return applied("")
}

// configure changes a copy of the cluster's configuration.
func (t *tx) configure(change func(*apiv1.ClusterConfig)) {
	old := t.config
	t.config, t.touched.cluster = &apiv1.ClusterConfig{LeaseMs: old.GetLeaseMs(), Scheduling: old.GetScheduling(), Tenants: old.GetTenants(), CodeKey: old.GetCodeKey(), Trust: old.GetTrust()}, true
	change(t.config)
}

// CodeKeyBytes is how long the key of the cluster's machine code is.
const CodeKeyBytes = 32

// setCodeKey sets the key of the cluster's machine code, if there is none or it is to be another one.
func (t *tx) setCodeKey(config *apiv1.ClusterConfig, renew bool) outcome {
	switch {
	case !t.SealsCode():
		return refuse(CodeInvalid, "there is no key of machine code at feature level %d; it needs level %d", t.feature, levelSealsCode)
	case len(config.GetCodeKey()) != CodeKeyBytes:
		return refuse(CodeInvalid, "a key of %d bytes; it has to have %d", len(config.GetCodeKey()), CodeKeyBytes)
	case config.GetLeaseMs() != 0 || config.GetScheduling() != nil || len(config.GetTenants()) > 0:
		return refuse(CodeInvalid, "this sets the key of machine code alone")
	case len(t.config.GetCodeKey()) > 0 && !renew:
		return refuse(CodeAlreadyExists, "the cluster has a key of machine code already")
	}
	t.configure(func(c *apiv1.ClusterConfig) { c.CodeKey = config.GetCodeKey() })
	return applied("")
}

// CodeKey is what the cluster's machine code is sealed with; nil: there is no key yet. It is for workers alone.
func (v *View) CodeKey() []byte { return v.config.GetCodeKey() }

// FeatureLevel is the newest level of rules that this build knows. A change to what
// an entry of old does raises it: entries before the SetFeatureLevel that allows
// it are applied by the old rules, by this build too.
const FeatureLevel = 4

// levelMounts is the level from which on apps have files: volumes that hosts offer, and a directory of their own.
const levelMounts = 4

// Mounts says whether a registration may name volumes, a submission mounts, and ChangeFiles be proposed: a build that does not know them stops there.
func (v *View) Mounts() bool { return v.feature >= levelMounts }

// levelRunsParts is the level from which on an app may have several programs, and an owner's lease.
const levelRunsParts = 4

// RunsParts says whether an app of several programs, or with an owner, may be proposed: a build that does not know the fields stops there.
func (v *View) RunsParts() bool { return v.feature >= levelRunsParts }

// levelSealsCode is the level from which on the cluster has a key of machine code.
const levelSealsCode = 4

// SealsCode says whether that may be proposed: a build that does not know it stops there.
func (v *View) SealsCode() bool { return v.feature >= levelSealsCode }

// levelCheckpoints is the level from which on there are checkpoints, and apps go on from them.
const levelCheckpoints = 4

// MakesCheckpoints says whether what has to do with checkpoints may be proposed: a build that does not know them stops there.
func (v *View) MakesCheckpoints() bool { return v.feature >= levelCheckpoints }

// levelBeginsAnew is the level from which on an abort of a checkpoint may begin another in its place.
const levelBeginsAnew = 4

// BeginsAnew says whether AbortCheckpoint.next may be proposed: a build that does not know it stops there.
func (v *View) BeginsAnew() bool { return v.feature >= levelBeginsAnew }

// levelStartsAndEnds is the level from which on RanksEnded.started_epoch says that a host has started, too.
const levelStartsAndEnds = 4

// StartsAndEnds says whether RanksEnded.started_epoch may be proposed: a build that does not know it stops there.
func (v *View) StartsAndEnds() bool { return v.feature >= levelStartsAndEnds }

// levelWeighsMemory is the level from which on live apps, history and modules are bounded by what they take in memory. Before, live apps and
// history were by their encodings, of which lists of short texts and ranks take many times as much.
const levelWeighsMemory = 3

// levelToldByReason is the level from which on EndedRank.told_by_reason says whether a rank's reason says how it ended. Before, how
// the reason begins did.
const levelToldByReason = 2

// TellsByReason says whether EndedRank.told_by_reason may be proposed: a build that does not know it stops there.
func (v *View) TellsByReason() bool { return v.feature >= levelToldByReason }

// setFeatureLevel raises the level. That every server knows it is the leader's to
// see to: one that does not stops here.
func (t *tx) setFeatureLevel(op *apiv1.SetFeatureLevel) outcome {
	if op.GetLevel() < t.feature {
		return refuse(CodeInvalid, "the feature level is %d already, and does not go down to %d", t.feature, op.GetLevel())
	}
	t.feature, t.touched.cluster = op.GetLevel(), true
	return applied("")
}
