package worker

import (
	"fmt"
	"slices"

	"github.com/godwit-run/godwit/internal/durable"
)

// membership is what a worker keeps of having joined: the cluster, and the name under which it did. Empty: it has not.
type membership struct{ cluster, name string }

// joined notes that a leader has welcomed the worker. A session waits for no disk: what is new is written by watchDisk, and the host
// is unfit while that fails. Until it is written the worker has joined for its own life only. A cluster that was recovered has
// another id: its workers go with it, and no more with what the other servers have of its past. They do not by mistake: by says whom the
// worker meant to go to. A server that led the one cluster may have been recovered, as another one, since that was said of it.
func (w *Worker) joined(cluster string, former []string, by lead) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch old := w.member.cluster; {
	case old == "" && by.elsewhere(lead{cluster: cluster}):
		return fmt.Errorf("worker: the server that led cluster %s is of cluster %s now: looking for another leader", by.cluster, cluster)
	case old == "" || old == cluster:
	case !slices.Contains(former, old):
		return fmt.Errorf("worker: data directory %s belongs to cluster %s, the leader is of cluster %s", w.cfg.DataDir, old, cluster)
	case !by.foreign:
		return fmt.Errorf("worker: the server that led cluster %s is of cluster %s now, which was recovered from it: looking for another leader", old, cluster)
	}
	w.named.Store(true)
	w.member = membership{cluster, w.cfg.Name}
	w.diskCh.Set()
	return nil
}

// keepMembership writes what the directory does not hold yet. It is called by watchDisk's goroutine only.
func (w *Worker) keepMembership() error {
	w.mu.Lock()
	now := w.member
	w.mu.Unlock()
	if now.cluster != w.kept.cluster {
		if err := durable.WriteFile(w.cfg.dir(clusterFile), []byte(now.cluster+"\n"), 0o600); err != nil {
			return err
		}
		w.kept.cluster = now.cluster
	}
	if now.name != w.kept.name {
		if err := durable.WriteFile(w.cfg.dir(nameFile), []byte(now.name+"\n"), 0o600); err != nil {
			return err
		}
		w.kept.name = now.name
	}
	return nil
}

// Name is the host's name, by which the cluster knows it: another one than in the Config if that was taken.
func (w *Worker) Name() string { return w.hostName() }

// hostName is the host's name now: until the worker has joined it may change.
func (w *Worker) hostName() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cfg.Name
}
