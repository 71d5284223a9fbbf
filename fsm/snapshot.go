package fsm

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// A snapshot is a version byte and frames: each the length of its payload, the
// payload's CRC32C (both big endian, 4 bytes), and the payload, a Snapshot
// message with a part of the state. The last one has the state's hash. So neither
// who writes nor who reads a snapshot holds a second copy of the state.
const (
	snapshotVersion = 2
	frameHeader     = 8
	// frameBytes is how full a frame gets before the next one is begun.
	frameBytes = 256 << 10
	// maxFrame bounds what a damaged length can make a reader ask for.
	maxFrame = 64 << 20
)

// WriteTo writes the state as a snapshot that Restore reads. It implements
// io.WriterTo.
func (v *View) WriteTo(w io.Writer) (int64, error) {
	s := snapshotWriter{w: bufio.NewWriterSize(w, frameBytes)}
	s.write([]byte{snapshotVersion})
	s.flush(&apiv1.Snapshot{
		Version: snapshotVersion, ClusterId: v.clusterID, Config: v.config, Index: v.index, LastHash: v.LastHash(),
		Alarms: v.alarms, FeatureLevel: v.feature, FormerClusterIds: v.formerIDs,
	})
	writeAll(&s, hashHost, v.Hosts(), func(part *apiv1.Snapshot, h *apiv1.Host) { part.Hosts = append(part.Hosts, h) })
	writeAll(&s, hashApp, v.Apps(), func(part *apiv1.Snapshot, a *apiv1.App) { part.Apps = append(part.Apps, a) })
	writeAll(&s, hashMigration, v.Migrations(), func(part *apiv1.Snapshot, m *apiv1.Migration) {
		part.Migrations = append(part.Migrations, m)
	})
	writeAll(&s, hashCheckpoint, v.Checkpoints(), func(part *apiv1.Snapshot, c *apiv1.Checkpoint) {
		part.Checkpoints = append(part.Checkpoints, c)
	})
	writeAll(&s, hashModule, v.Modules(), func(part *apiv1.Snapshot, m *apiv1.Module) { part.Modules = append(part.Modules, m) })
	writeAll(&s, hashKey, v.keys.records(), func(part *apiv1.Snapshot, k *apiv1.KeyRecord) { part.Keys = append(part.Keys, k) })
	s.flush(&apiv1.Snapshot{StateHash: v.seal(s.sum)})
	if s.err == nil {
		s.err = s.w.Flush()
	}
	if s.err != nil {
		return s.n, fmt.Errorf("write snapshot: %w", s.err)
	}
	return s.n, nil
}

// snapshotWriter writes frames and adds up the hashes of what is in them. It
// keeps the first error.
type snapshotWriter struct {
	summer
	w       *bufio.Writer
	payload []byte
	n       int64
	err     error
}

func writeAll[T proto.Message](s *snapshotWriter, kind byte, seq iter.Seq[T], add func(*apiv1.Snapshot, T)) {
	part, size := new(apiv1.Snapshot), 0
	for msg := range seq {
		s.add(kind, msg)
		add(part, msg)
		if size += len(s.buf); size >= frameBytes {
			s.flush(part)
			part, size = new(apiv1.Snapshot), 0
		}
		if s.err != nil {
			return
		}
	}
	if size > 0 {
		s.flush(part)
	}
}

// flush writes a frame.
func (s *snapshotWriter) flush(part *apiv1.Snapshot) {
	payload, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(s.payload[:0], part)
	if err != nil {
		s.err = errors.Join(s.err, err)
		return
	}
	s.payload = payload
	header := binary.BigEndian.AppendUint32(make([]byte, 0, frameHeader), uint32(len(payload)))
	s.write(binary.BigEndian.AppendUint32(header, crc32.Checksum(payload, castagnoli)))
	s.write(payload)
}

func (s *snapshotWriter) write(data []byte) {
	if s.err == nil {
		var n int
		n, s.err = s.w.Write(data)
		s.n += int64(n)
	}
}

// Restore replaces the whole state by the snapshot that WriteTo wrote, after
// checking its version, checksums, state hash and invariants. On error the state
// is as before. Watchers and subscribers are woken.
func (m *Machine) Restore(r io.Reader) error {
	v, err := readSnapshot(bufio.NewReaderSize(r, frameBytes), m.knows)
	if err != nil {
		return fmt.Errorf("read snapshot: %w", err)
	}
	if err := CheckInvariants(v); err != nil {
		return fmt.Errorf("read snapshot: %w", err)
	}
	m.ledger = newLedger(v)
	m.view.Store(v)
	m.feed.reset(v)
	return nil
}

func readSnapshot(r *bufio.Reader, knows uint32) (*View, error) {
	version, err := r.ReadByte()
	switch {
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("it is empty: %w", ErrCorrupt)
	case err != nil:
		return nil, err
	case version != snapshotVersion:
		return nil, fmt.Errorf("version %d, this godwit knows %d: %w", version, snapshotVersion, ErrVersion)
	}
	v := newView()
	for {
		part, err := readFrame(r)
		if err != nil {
			return nil, err
		}
		v.restore(part)
		if want := part.GetStateHash(); len(want) > 0 {
			if got := v.Hash(); !bytes.Equal(got, want) {
				return nil, fmt.Errorf("state hash %x, want %x: %w", got, want, ErrCorrupt)
			}
			break
		}
	}
	if v.feature > knows {
		return nil, fmt.Errorf("feature level %d, this godwit knows %d: %w", v.feature, knows, ErrVersion)
	}
	for app := range v.Placed() {
		if err := v.indexShares(app); err != nil {
			return nil, err
		}
	}
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("bytes after its end: %w", errors.Join(err, ErrCorrupt))
	}
	return &v, nil
}

func readFrame(r io.Reader) (*apiv1.Snapshot, error) {
	header := make([]byte, frameHeader)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, cutShort(err)
	}
	size := binary.BigEndian.Uint32(header)
	if size > maxFrame {
		return nil, fmt.Errorf("a frame of %d bytes: %w", size, ErrCorrupt)
	}
	payload := make([]byte, size)
	if _, err := io.ReadFull(r, payload); err != nil {
		return nil, cutShort(err)
	}
	if want, got := binary.BigEndian.Uint32(header[4:]), crc32.Checksum(payload, castagnoli); want != got {
		return nil, fmt.Errorf("crc32c %08x, want %08x: %w", got, want, ErrCorrupt)
	}
	part := new(apiv1.Snapshot)
	return part, unmarshal(payload, part)
}

func cutShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("cut short: %w", ErrCorrupt)
	}
	return err
}

// restore adds a part of a snapshot to the state.
func (v *View) restore(part *apiv1.Snapshot) {
	if part.GetVersion() != 0 { // the first
		v.clusterID, v.index, v.config = part.GetClusterId(), part.GetIndex(), part.GetConfig()
		v.alarms, v.feature, v.formerIDs = part.GetAlarms(), part.GetFeatureLevel(), part.GetFormerClusterIds()
		if last := part.GetLastHash(); last != nil {
			v.hashes = []*apiv1.HashRecord{last}
		}
	}
	for _, host := range part.GetHosts() {
		v.hosts, _, _ = v.hosts.Insert([]byte(host.GetId()), host)
		v.countSpeeds(nil, host)
	}
	for _, app := range part.GetApps() {
		app.Placement = shareNames(app.GetPlacement())
		v.apps, _, _ = v.apps.Insert([]byte(app.GetId()), app)
		v.indexWaiting(nil, app)
		v.indexApp(app)
	}
	for _, mig := range part.GetMigrations() {
		shareMoves(mig.GetMoves())
		v.migrations, _, _ = v.migrations.Insert([]byte(mig.GetId()), mig)
		v.indexMigration(mig)
	}
	for _, ck := range part.GetCheckpoints() {
		v.shareCheckpoint(ck)
		v.indexCheckpoint(ck)
	}
	for _, mod := range part.GetModules() {
		v.modules, _, _ = v.modules.Insert([]byte(mod.GetDigest()), mod)
		v.indexModule(mod)
	}
	for _, record := range part.GetKeys() {
		v.keys = v.keys.put(record)
	}
}
