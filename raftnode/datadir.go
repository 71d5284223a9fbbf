package raftnode

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"

	"github.com/godwit-run/godwit/internal/dirlock"
	"github.com/godwit-run/godwit/internal/durable"
	"github.com/godwit-run/godwit/internal/identity"
)

// dataDir is one server's directory: lock, meta.json, raft/raft.db and raft/snapshots.
type dataDir struct {
	path   string
	lock   *os.File
	bolt   *boltFile
	groups loggedGroups // of the log in bolt
	snaps  *snapshotStore
	key    identity.Key

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

// secretKey returns where the secret lies in raft.db that the server id is made of.
func secretKey() []byte { return []byte("godwit_server_secret") }

// openDataDir makes, locks and opens the directory. It takes at most a few seconds when another process has it.
func openDataDir(path string, log *slog.Logger) (*dataDir, error) {
	if err := dirlock.CheckPath(path); err != nil {
		return nil, err
	}
	if err := durable.MkdirAll(filepath.Join(path, "raft"), 0o700); err != nil {
		return nil, fmt.Errorf("make data directory %s: %w%s", path, err, remedy(err))
	}
	lock, err := dirlock.Lock(path)
	if err != nil {
		return nil, unreadable(path, err)
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
	if d.snaps, err = openSnapshots(filepath.Join(d.path, "raft"), log); err != nil {
		return err
	}
	held, err := newest(d.snaps)
	if err != nil {
		return unreadable(filepath.Join(d.path, "raft", "snapshots"), err)
	}
	if d.bolt, err = openBolt(d.db(), held, d.groups.note); err != nil {
		return err
	}
	if err := durable.SyncDir(filepath.Join(d.path, "raft")); err != nil { // the names of what was just made: promises are lost with them
		return unreadable(filepath.Join(d.path, "raft"), err)
	}
	return d.identify(log)
}

// unreadable words an error of Raft about the directory. What a snapshot could not be read for is not in it.
func (d *dataDir) unreadable(err error) error {
	if why := d.snaps.lastError(); why != nil {
		err = fmt.Errorf("%w: %w", err, why)
	}
	return unreadable(filepath.Join(d.path, "raft"), err)
}

// identify finds this server's id in raft.db, or mints one for an empty raft.db, and brings meta.json up to date.
func (d *dataDir) identify(log *slog.Logger) error {
	id, err := d.bolt.Get(serverIDKey())
	switch {
	case err == nil && len(id) > 0:
		if err := d.readKey(string(id)); err != nil {
			return err
		}
	case err != nil && !errors.Is(err, raftboltdb.ErrKeyNotFound):
		return d.badDB(err)
	default:
		last, err := d.bolt.LastIndex()
		if err != nil {
			return d.badDB(err)
		}
		if last > 0 {
			return damaged(d.db(), errors.New("it has a log and no server id"))
		}
		d.key = identity.New()
		seed := d.key.Seed()
		id = []byte(d.key.ID())
		for _, kv := range [][2][]byte{{secretKey(), seed[:]}, {serverIDKey(), id}} { // an id is never without its secret
			if err := d.bolt.Set(kv[0], kv[1]); err != nil {
				return fmt.Errorf("store server id: %w", d.badDB(err))
			}
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

// dbOf is the file of the log and of what this server has promised, in a data directory.
func dbOf(dataDir string) string { return filepath.Join(dataDir, "raft", "raft.db") }

func (d *dataDir) db() string { return dbOf(d.path) }

// badDB says what is wrong with that file, where using it has failed.
func (d *dataDir) badDB(err error) error { return unreadable(d.db(), err) }

// readKey reads the secret that the server id was made of.
func (d *dataDir) readKey(id string) error {
	path := d.db()
	seed, err := d.bolt.Get(secretKey())
	if err != nil && !errors.Is(err, raftboltdb.ErrKeyNotFound) {
		return unreadable(path, err)
	}
	if len(seed) == identity.SeedSize {
		d.key = identity.FromSeed([identity.SeedSize]byte(seed))
		if d.key.ID() == id {
			return nil
		}
	}
	if len(seed) == 0 {
		return fmt.Errorf("%s was made by an older build, whose servers had no secret to prove who they are, and cannot be used by this one: "+
			"nothing in it is damaged; run it with that build, or begin a new cluster in another --data-dir", path)
	}
	return damaged(path, errors.New("it does not hold the secret that its server id is made of"))
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
			err = fmt.Errorf("write %w", unreadable(path, err))
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
	return d.storeClusterID(id)
}

// replaceClusterID makes the directory that of another cluster, which was recovered from it.
func (d *dataDir) replaceClusterID(id string) error {
	d.writing.Lock()
	defer d.writing.Unlock()
	return d.storeClusterID(id)
}

// storeClusterID writes the id, then remembers it. Holds writing.
func (d *dataDir) storeClusterID(id string) error {
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
