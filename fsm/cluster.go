package fsm

import (
	"bytes"
	"errors"
	"fmt"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// ErrDiverged is returned when this replica's state is not the leader's.
var ErrDiverged = errors.New("state differs from the leader's")

func (t *tx) initCluster(op *apiv1.InitCluster) outcome {
	id := op.GetClusterId()
	switch {
	case id == "":
		return refuse(CodeInvalid, "the cluster's id is empty")
	case t.clusterID != "" && t.clusterID != id:
		return refuse(CodeAlreadyExists, "the cluster is %s already", t.clusterID)
	}
	t.clusterID, t.touched.cluster = id, true
	return applied(id)
}

// setClusterConfig sets what is not set yet. A lease that some worker holds must
// not get longer under a leader that knows only the shorter one: what is set stays.
func (t *tx) setClusterConfig(config *apiv1.ClusterConfig) outcome {
	switch ms := config.GetLeaseMs(); {
	case ms < 1 || ms > MaxLeaseMs:
		return refuse(CodeInvalid, "a lease of %d ms; 1 to %d are possible", ms, int64(MaxLeaseMs))
	case t.config.GetLeaseMs() == ms:
		return applied("")
	case t.config.GetLeaseMs() != 0:
		return refuse(CodeAlreadyExists, "the cluster's lease is %d ms already", t.config.GetLeaseMs())
	}
	t.config, t.touched.cluster = clone(config), true
	return applied("")
}

// addModule makes a module known. What is known of a digest never changes.
func (t *tx) addModule(mod *apiv1.Module) outcome {
	digest := mod.GetDigest()
	if digest == "" {
		return refuse(CodeInvalid, "the module's digest is empty")
	}
	if _, ok := t.Module(Digest(digest)); ok {
		return applied(digest)
	}
	if t.modules.Len() >= MaxModules {
		return refuse(CodeTooMany, "%d modules are known already", MaxModules)
	}
	t.putModule(clone(mod))
	return applied(digest)
}

// checkHash compares the hash recorded by the last CheckHash with the one that
// the leader recorded there, then records the hash of the state as it is just
// before this command, under this entry's index. A command that speaks of
// another index than the last record's compares nothing: it was proposed before
// another one got in between, and its record still serves the next.
func (t *tx) checkHash(op *apiv1.CheckHash) outcome {
	last := t.lastHash
	if last != nil && op.GetIndex() == last.GetIndex() && !bytes.Equal(op.GetHash(), last.GetHash()) {
		return outcome{fault: fmt.Errorf("hash at index %d is %x, the leader has %x: %w",
			last.GetIndex(), last.GetHash(), op.GetHash(), ErrDiverged)}
	}
	t.lastHash = &apiv1.HashRecord{Index: t.entryIndex, Hash: t.Hash()}
	return applied("")
}
