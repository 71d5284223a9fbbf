package raftnode

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
)

// A file that bbolt wrote is never called damaged, whatever was written and taken out again in whatever order.
func TestSoundPages(t *testing.T) {
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 1))
		path := filepath.Join(t.TempDir(), "raft.db")
		options := bbolt.Options{NoFreelistSync: seed%2 == 0, PageSize: []int{1024, 4096, 16384}[seed%3], NoSync: true}
		if seed%4 == 3 {
			options.FreelistType = bbolt.FreelistMapType
		}
		first, next := uint64(1), uint64(1)
		for range 100 {
			store, err := raftboltdb.New(raftboltdb.Options{Path: path, BoltOptions: &options})
			require.NoError(t, err)
			switch rng.IntN(5) {
			case 0:
				require.NoError(t, store.SetUint64([]byte("CurrentTerm"), rng.Uint64()))
				require.NoError(t, store.Set([]byte("LastVoteCand"), bytes.Repeat([]byte{1}, rng.IntN(300))))
			case 1: // a snapshot has taken the place of the oldest
				until := first + rng.Uint64N(next-first+1)
				require.NoError(t, store.DeleteRange(first, until))
				first, next = until+1, max(next, until+1)
			case 2: // another leader's take the place of the newest
				from := first + rng.Uint64N(next-first+1)
				require.NoError(t, store.DeleteRange(from, next))
				next = from
			default:
				var logs []*raft.Log
				for range rng.IntN(200) {
					size := rng.IntN(300)
					if rng.IntN(40) == 0 {
						size = rng.IntN(100_000)
					}
					logs = append(logs, &raft.Log{Index: next, Term: 1, Data: make([]byte, size)})
					next++
				}
				require.NoError(t, store.StoreLogs(logs))
			}
			require.NoError(t, store.Close())
			require.NoError(t, view(path, func(*bbolt.Tx) error { return nil }))
		}
		requireSoundAnyOrder(t, path, rng)
	}
}

// requireSoundAnyOrder writes and takes out keys anywhere, as nobody does with a log.
func requireSoundAnyOrder(t *testing.T, path string, rng *rand.Rand) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoSync: true})
	require.NoError(t, err)
	for range 60 {
		require.NoError(t, db.Update(func(tx *bbolt.Tx) error {
			logs := tx.Bucket([]byte("logs"))
			for range rng.IntN(400) {
				key := binary.BigEndian.AppendUint64(nil, rng.Uint64N(3000))
				if rng.IntN(2) == 0 {
					require.NoError(t, logs.Delete(key))
				} else {
					require.NoError(t, logs.Put(key, make([]byte, rng.IntN(2000))))
				}
			}
			return nil
		}))
		require.NoError(t, db.View(func(tx *bbolt.Tx) error { return checkPages(tx, path) }))
	}
	require.NoError(t, db.Close())
}

// TestPagesOfOthers: a page in the place of another is told, though each makes sense, and so is a bucket in a bucket.
func TestPagesOfOthers(t *testing.T) {
	for name, tc := range map[string]struct {
		damage func(page []byte) bool
		told   string
	}{
		"two pages have changed places": {func(page []byte) bool {
			if binary.NativeEndian.Uint16(page[8:]) != pageBranch || binary.NativeEndian.Uint16(page[10:]) < 2 {
				return false
			}
			first, second := page[pageHead+8:pageHead+pageElem], page[pageHead+pageElem+8:pageHead+2*pageElem]
			for i := range first {
				first[i], second[i] = second[i], first[i]
			}
			return true
		}, "its keys are out of order"},
		"an entry is a bucket": {func(page []byte) bool {
			if binary.NativeEndian.Uint16(page[8:]) != pageLeaf || binary.NativeEndian.Uint16(page[10:]) < 4 {
				return false // the root's has two
			}
			page[pageHead] = 1
			return true
		}, "makes no sense"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "raft.db")
			store, err := openBolt(path, 0, func(*raft.Log) {})
			require.NoError(t, err)
			var logs []*raft.Log
			for i := range uint64(100) {
				logs = append(logs, &raft.Log{Index: i + 1, Term: 1, Data: make([]byte, 200)})
			}
			require.NoError(t, store.StoreLogs(logs))
			require.NoError(t, store.Close())
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			size, damaged := os.Getpagesize(), 0
			for at := 2 * size; at+size <= len(b); at += size {
				if tc.damage(b[at : at+size]) {
					damaged++
				}
			}
			require.Positive(t, damaged)
			require.NoError(t, os.WriteFile(path, b, 0o600))
			_, err = openBolt(path, 0, func(*raft.Log) {})
			require.ErrorContains(t, err, tc.told)
		})
	}
}
