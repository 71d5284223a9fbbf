package raftnode

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"

	"github.com/godwit-run/godwit/internal/dirlock"
	"github.com/godwit-run/godwit/internal/durable"
)

// snapshotsKept is how many snapshots stay on disk: one to fall back on when the newest is damaged.
const snapshotsKept = 2

// dataDir is one server's directory: lock, meta.json, raft/raft.db and raft/snapshots.
type dataDir struct {
	path  string
	lock  *os.File
	bolt  *raftboltdb.BoltStore
	snaps *raft.FileSnapshotStore

	// writing is held by the one that changes meta, while it writes the file; mu guards meta in memory only.
	writing sync.Mutex
	mu      sync.Mutex
	meta    meta
}

// meta is the content of meta.json. The server id is here for people to read; the one that counts lies in raft.db.
type meta struct {
	ServerID  string `json:"server_id"`
	ClusterID string `json:"cluster_id"`
}

// serverIDKey returns where the server id lies in raft.db. An id stands for the votes given under it, so the two must be lost
// together: a server that lost its votes and kept its id could vote twice in one term.
func serverIDKey() []byte { return []byte("godwit_server_id") }

// openDataDir makes, locks and opens the directory. It takes at most a few seconds when another process has it.
func openDataDir(path string, log *slog.Logger) (*dataDir, error) {
	if st, err := os.Stat(path); err == nil && !st.IsDir() {
		return nil, fmt.Errorf("data directory %s is a file; choose another --data-dir", path)
	}
	if err := os.MkdirAll(filepath.Join(path, "raft"), 0o700); err != nil {
		return nil, fmt.Errorf("make data directory %s: %w", path, err)
	}
	lock, err := dirlock.Lock(path)
	if err != nil {
		return nil, err
	}
	d := &dataDir{path: path, lock: lock}
	if err := d.load(log); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// load reads what lies in the locked directory.
func (d *dataDir) load(log *slog.Logger) (err error) {
	if err = d.readMeta(); err != nil {
		return err
	}
	if d.bolt, err = openBolt(filepath.Join(d.path, "raft", "raft.db")); err != nil {
		return err
	}
	d.snaps, err = raft.NewFileSnapshotStoreWithLogger(filepath.Join(d.path, "raft"), snapshotsKept, newHCLog(log))
	if err != nil {
		return fmt.Errorf("open snapshots in %s: %w", d.path, err)
	}
	if err = readable(d.bolt, d.snaps); err != nil {
		return unreadable(filepath.Join(d.path, "raft", "raft.db"), err)
	}
	return d.identify(log)
}

// openBolt opens raft.db. bbolt panics on some kinds of damage, which here is an operating error like the others.
func openBolt(path string) (s *raftboltdb.BoltStore, err error) {
	defer func() {
		if p := recover(); p != nil {
			s, err = nil, damaged(path, fmt.Errorf("%v", p))
		}
	}()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // a page behind the file's end, through its memory map.
	if err := walkBolt(path); err != nil {
		return nil, unreadable(path, err)
	}
	s, err = raftboltdb.New(raftboltdb.Options{
		Path: path,
		BoltOptions: &bbolt.Options{
			Timeout:        boltWait,
			NoFreelistSync: true, // otherwise each commit rewrites the whole freelist.
			FreelistType:   bbolt.FreelistMapType,
		},
	})
	if err != nil {
		return nil, unreadable(path, err)
	}
	return s, nil
}

// walkBolt reads every page in use and the ends of every value. bbolt does the first when it opens the file for writing, but in
// a goroutine of its own, whose panic about damage nobody could catch.
func walkBolt(path string) error {
	if st, err := os.Stat(path); err != nil || st.Size() == 0 {
		return nil //nolint:nilerr // not there yet; what else is wrong the opening tells.
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: boltWait})
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // only read.
	sum := byte(0)
	err = db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(_ []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error {
				if len(k) > 0 {
					sum += k[0] + k[len(k)-1]
				}
				if len(v) > 0 {
					sum += v[0] + v[len(v)-1]
				}
				return nil
			})
		})
	})
	_ = sum // it was about the reading.
	return err
}

// readable reads the whole log once: Raft reads it at its start anyway, but panics over an entry that it finds missing later. What the
// newest snapshot holds may be missing.
func readable(logs raft.LogStore, snaps raft.SnapshotStore) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	first, err := logs.FirstIndex()
	if err != nil {
		return err
	}
	last, err := logs.LastIndex()
	if err != nil {
		return err
	}
	held := uint64(0)
	if list, err := snaps.List(); err == nil && len(list) > 0 {
		held = list[0].Index
	}
	for i := first; i <= last && i > 0; i++ {
		var entry raft.Log
		err := logs.GetLog(i, &entry)
		if errors.Is(err, raft.ErrLogNotFound) && i < held {
			i = held
			continue
		}
		if err != nil {
			return fmt.Errorf("log entry %d: %w", i, err)
		}
		if entry.Index != i {
			return fmt.Errorf("log entry %d is entry %d", i, entry.Index)
		}
	}
	return nil
}

// boltWait bounds the wait for another user of raft.db. The lock of the directory makes one unlikely; without a bound the wait
// would be for ever.
const boltWait = 2 * time.Second

// identify finds this server's id in raft.db, or mints one for an empty raft.db, and brings meta.json up to date.
func (d *dataDir) identify(log *slog.Logger) error {
	id, err := d.bolt.Get(serverIDKey())
	switch {
	case err == nil && len(id) > 0:
	case err != nil && !errors.Is(err, raftboltdb.ErrKeyNotFound):
		return unreadable(filepath.Join(d.path, "raft", "raft.db"), err)
	default:
		last, err := d.bolt.LastIndex()
		if err != nil {
			return unreadable(filepath.Join(d.path, "raft", "raft.db"), err)
		}
		if last > 0 {
			return damaged(filepath.Join(d.path, "raft", "raft.db"), errors.New("it has a log and no server id"))
		}
		id = []byte(uuid.NewString())
		if err := d.bolt.Set(serverIDKey(), id); err != nil {
			return fmt.Errorf("store server id in %s: %w", d.path, err)
		}
		if d.meta.ServerID != "" {
			log.Warn("raft.db is gone: this server starts under a new id and must be added to the cluster anew",
				"data_dir", d.path, "old_server_id", d.meta.ServerID, "server_id", string(id))
			d.meta.ServerID = ""
		}
	}
	if d.meta.ServerID != "" && d.meta.ServerID != string(id) {
		return fmt.Errorf("data directory %s is mixed up: raft.db is of server %s, meta.json of server %s", d.path, id, d.meta.ServerID)
	}
	if d.meta.ServerID == string(id) {
		return nil
	}
	d.meta.ServerID = string(id)
	return writeMeta(d.path, d.meta)
}

func (d *dataDir) readMeta() error {
	path := filepath.Join(d.path, "meta.json")
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return unreadable(path, err)
	}
	if err := json.Unmarshal(b, &d.meta); err != nil {
		return fmt.Errorf("%s is damaged (%w): remove it, this server learns what it held from its log and its cluster", path, err)
	}
	return nil
}

// writeMeta replaces meta.json in one step that survives power loss.
func writeMeta(dirPath string, m meta) (err error) {
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // two strings.
	}
	path := filepath.Join(dirPath, "meta.json")
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	return durable.WriteFile(path, append(b, '\n'), 0o600)
}

func (d *dataDir) serverID() raft.ServerID {
	d.mu.Lock()
	defer d.mu.Unlock()
	return raft.ServerID(d.meta.ServerID)
}

func (d *dataDir) clusterID() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.meta.ClusterID
}

// setClusterID writes the id once; the same id again is no change, another one is refused.
func (d *dataDir) setClusterID(id string) error {
	d.writing.Lock()
	defer d.writing.Unlock()
	switch now := d.clusterID(); now {
	case id:
		return nil
	case "":
	default:
		return fmt.Errorf("%w: %s is of cluster %s, not %s", ErrForeignCluster, d.path, now, id)
	}
	if err := writeMeta(d.path, meta{ServerID: string(d.serverID()), ClusterID: id}); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.meta.ClusterID = id
	return nil
}

// close frees what openDataDir took, the lock last.
func (d *dataDir) close() error {
	var errs []error
	if d.bolt != nil {
		errs = append(errs, d.bolt.Close())
	}
	if d.lock != nil {
		errs = append(errs, d.lock.Close())
	}
	return errors.Join(errs...)
}
