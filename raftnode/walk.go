package raftnode

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/hashicorp/raft"
	"go.etcd.io/bbolt"
)

// boltWait bounds the wait for another user of raft.db. The lock of the directory makes one unlikely; without a bound the wait
// would be for ever.
const boltWait = 2 * time.Second

// openBolt opens raft.db, whose log must go on from where the newest snapshot, of the entry held, ends. note is told each entry of the log,
// whose data it may not keep.
func openBolt(path string, held uint64, note func(*raft.Log)) (s *boltFile, err error) {
	err = guarded(func() error {
		err := walkBolt(path, held, note)
		if err != nil {
			return err
		}
		s, err = openFile(path, bbolt.Options{
			Timeout:        boltWait,
			NoFreelistSync: true, // otherwise each commit rewrites the whole freelist.
			FreelistType:   bbolt.FreelistMapType,
		})
		return err
	})
	if err != nil {
		return nil, unreadable(path, err)
	}
	return s, nil
}

// walkBolt reads every page in use and every entry of the log. bbolt looks at the pages when it opens the file for writing, but in
// a goroutine of its own, whose panic about damage nobody could catch; Raft reads the log at its start, and panics over an entry that
// it finds missing later.
func walkBolt(path string, held uint64, note func(*raft.Log)) error {
	switch st, err := os.Stat(path); {
	case errors.Is(err, os.ErrNotExist), err == nil && st.Size() == 0:
		return nil
	case err != nil:
		return err
	}
	return view(path, func(tx *bbolt.Tx) error {
		latest := uint64(math.MaxUint64)
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			switch string(name) {
			case logBucket:
				return walkLog(b, held, latest, note)
			case confBucket:
				return b.ForEach(func(k, v []byte) error {
					touch(v)
					if !slices.Contains(confKeys(), string(k)) { // what stood there would be taken for missing
						return fmt.Errorf("it has something under %q", k)
					}
					if string(k) == currentTerm { // it comes before the log
						latest = binary.BigEndian.Uint64(v)
					}
					return nil
				})
			}
			return fmt.Errorf("it has something under %q", name)
		})
	})
}

// view opens a raft.db for reading and looks at its pages before f does.
func view(path string, f func(*bbolt.Tx) error) error {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: boltWait})
	if err != nil {
		return err
	}
	tx, err := db.Begin(false) // what breaks off in here leaves locks taken, for which Close would wait
	if err != nil {
		return errors.Join(err, db.Close())
	}
	defer db.Close()    //nolint:errcheck // only read.
	defer tx.Rollback() //nolint:errcheck // only read.
	if err := checkPages(tx, path); err != nil {
		return err
	}
	return f(tx)
}

// logBucket is where raftboltdb keeps the log, by index, and confBucket where it keeps the rest.
const (
	logBucket  = "logs"
	confBucket = "conf"
)

// confKeys are what Raft and a dataDir keep beside the log.
func confKeys() []string {
	return []string{currentTerm, "LastVoteTerm", "LastVoteCand", string(serverIDKey()), string(secretKey())}
}

// walkLog decodes every entry. No term is above the latest that Raft has heard of. A gap is none below the newest snapshot, of the entry held.
func walkLog(b *bbolt.Bucket, held, latest uint64, note func(*raft.Log)) error {
	first, last, term := uint64(0), uint64(0), uint64(0)
	dec := codec.NewDecoderBytes(nil, &codec.MsgpackHandle{})
	var entry raft.Log
	err := b.ForEach(func(k, v []byte) error {
		if len(k) != 8 {
			return fmt.Errorf("the log has a key of %d bytes", len(k))
		}
		index := binary.BigEndian.Uint64(k)
		if last > 0 && index != last+1 && last+1 > held {
			return fmt.Errorf("log entry %d: %w", last+1, raft.ErrLogNotFound)
		}
		if first == 0 || index != last+1 {
			first = index
		}
		last = index
		entry = raft.Log{Data: entry.Data[:0]} // its room, for a log of gigabytes.
		dec.ResetBytes(v)
		if err := dec.Decode(&entry); err != nil {
			return fmt.Errorf("log entry %d: %w", index, err)
		}
		if entry.Index != index {
			return fmt.Errorf("log entry %d is entry %d", index, entry.Index)
		}
		if entry.Term < term || entry.Term > latest || entry.Type > raft.LogConfiguration { // over a kind that it does not know Raft panics later
			return fmt.Errorf("log entry %d makes no sense: it is of kind %d and term %d, after term %d, and the latest term is %d", index, entry.Type, entry.Term, term, latest)
		}
		term = entry.Term
		note(&entry)
		return nil
	})
	if err != nil {
		return err
	}
	if first > held+1 {
		return fmt.Errorf("the log begins at entry %d, and the newest snapshot that can be read ends at entry %d", first, held)
	}
	return nil
}

// touch reads the ends of b, so that a page that cannot be read shows now.
//
//go:noinline
func touch(b []byte) byte {
	if len(b) == 0 {
		return 0
	}
	return b[0] + b[len(b)-1]
}

// newest returns the entry that the newest snapshot ends at, 0 without one.
func newest(snaps raft.SnapshotStore) (uint64, error) {
	list, err := snaps.List()
	if err != nil || len(list) == 0 {
		return 0, err
	}
	return list[0].Index, nil
}
