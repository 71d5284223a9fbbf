package fsm

import (
	"bytes"
	"fmt"
	"io"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// snapshotVersion is the version of the Snapshot message. Older ones stay readable.
const snapshotVersion = 1

// WriteTo writes the state as a snapshot that Restore reads: an envelope like an
// entry's, around a Snapshot message. It implements io.WriterTo.
func (v *View) WriteTo(w io.Writer) (int64, error) {
	snap := &apiv1.Snapshot{
		Version:   snapshotVersion,
		ClusterId: v.clusterID,
		Config:    v.config,
		Index:     v.index,
		Keys:      v.keys.records(),
		LastHash:  v.lastHash,
		Alarms:    v.alarms,
		StateHash: v.Hash(),
	}
	for host := range v.Hosts() {
		snap.Hosts = append(snap.Hosts, host)
	}
	for app := range v.Apps() {
		snap.Apps = append(snap.Apps, app)
	}
	for mig := range v.Migrations() {
		snap.Migrations = append(snap.Migrations, mig)
	}
	for mod := range v.Modules() {
		snap.Modules = append(snap.Modules, mod)
	}
	data, err := seal(snap)
	if err != nil {
		return 0, fmt.Errorf("write snapshot: %w", err)
	}
	n, err := w.Write(data)
	if err != nil {
		return int64(n), fmt.Errorf("write snapshot: %w", err)
	}
	return int64(n), nil
}

// Restore replaces the whole state by the snapshot that WriteTo wrote, after
// checking its version, checksum, state hash and invariants. On error the state
// is as before. Watchers are woken.
func (m *Machine) Restore(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("read snapshot: %w", err)
	}
	snap := new(apiv1.Snapshot)
	if err := open(data, snap); err != nil {
		return fmt.Errorf("read snapshot: %w", err)
	}
	if snap.GetVersion() != snapshotVersion {
		return fmt.Errorf("read snapshot: version %d, this godwit knows %d: %w", snap.GetVersion(), snapshotVersion, ErrVersion)
	}
	v := fromSnapshot(snap)
	if got := v.Hash(); !bytes.Equal(got, snap.GetStateHash()) {
		return fmt.Errorf("read snapshot: state hash %x, want %x: %w", got, snap.GetStateHash(), ErrCorrupt)
	}
	if err := CheckInvariants(&v); err != nil {
		return fmt.Errorf("read snapshot: %w", err)
	}
	m.publish(&v)
	m.feed.reset(v.index)
	return nil
}

func fromSnapshot(snap *apiv1.Snapshot) View {
	v := newView()
	v.clusterID, v.index, v.lastHash, v.config = snap.GetClusterId(), snap.GetIndex(), snap.GetLastHash(), snap.GetConfig()
	v.alarms = snap.GetAlarms()
	for _, host := range snap.GetHosts() {
		v.hosts, _, _ = v.hosts.Insert([]byte(host.GetId()), host)
	}
	for _, app := range snap.GetApps() {
		v.apps, _, _ = v.apps.Insert([]byte(app.GetId()), app)
		v.indexApp(app)
	}
	for _, mig := range snap.GetMigrations() {
		v.migrations, _, _ = v.migrations.Insert([]byte(mig.GetId()), mig)
		v.indexMigration(mig)
	}
	for _, mod := range snap.GetModules() {
		v.modules, _, _ = v.modules.Insert([]byte(mod.GetDigest()), mod)
	}
	for _, record := range snap.GetKeys() {
		v.keys = v.keys.put(record.GetKey(), record.GetResult())
	}
	return v
}
