package raftnode

import (
	"fmt"
	"sync/atomic"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
)

// boltFile is an open raft.db. Nothing that is read from it or written to it ends the process (guarded).
type boltFile struct {
	bolt *raftboltdb.BoltStore
	// broken is set by a read or write that left bbolt's locks as they were: nobody may wait for them.
	broken atomic.Bool
}

// openFile opens a raft.db whose pages have been looked at.
func openFile(path string, options bbolt.Options) (*boltFile, error) {
	bolt, err := raftboltdb.New(raftboltdb.Options{Path: path, BoltOptions: &options})
	return &boltFile{bolt: bolt}, err
}

// errBroken is the error of a read or write after one that broke off within bbolt, which has told why.
var errBroken = fmt.Errorf("%w: an earlier read or write broke off", ErrStore)

// do reads or writes, if nothing has broken off before.
func (b *boltFile) do(f func() error) error {
	if b.broken.Load() {
		return errBroken
	}
	whole := false
	err := guarded(func() error {
		err := f()
		whole = true
		return err
	})
	if !whole {
		b.broken.Store(true)
	}
	return err
}

// Close frees the file, but for one that something broke off in: bbolt would wait for itself. That stays as it is until the process ends.
func (b *boltFile) Close() error {
	if b.broken.Load() {
		return nil
	}
	return b.do(b.bolt.Close)
}

// The methods below are those of raft.LogStore and raft.StableStore.

func (b *boltFile) FirstIndex() (index uint64, err error) {
	err = b.do(func() error { index, err = b.bolt.FirstIndex(); return err })
	return index, err
}

func (b *boltFile) LastIndex() (index uint64, err error) {
	err = b.do(func() error { index, err = b.bolt.LastIndex(); return err })
	return index, err
}

func (b *boltFile) GetLog(index uint64, log *raft.Log) error {
	return b.do(func() error { return b.bolt.GetLog(index, log) })
}

func (b *boltFile) StoreLog(log *raft.Log) error { return b.StoreLogs([]*raft.Log{log}) }

func (b *boltFile) StoreLogs(logs []*raft.Log) error {
	return b.do(func() error { return b.bolt.StoreLogs(logs) })
}

func (b *boltFile) DeleteRange(first, last uint64) error {
	return b.do(func() error { return b.bolt.DeleteRange(first, last) })
}

func (b *boltFile) Set(key, value []byte) error {
	return b.do(func() error { return b.bolt.Set(key, value) })
}

func (b *boltFile) SetUint64(key []byte, value uint64) error {
	return b.do(func() error { return b.bolt.SetUint64(key, value) })
}

func (b *boltFile) Get(key []byte) (value []byte, err error) {
	err = b.do(func() error { value, err = b.bolt.Get(key); return err })
	return value, err
}

func (b *boltFile) GetUint64(key []byte) (value uint64, err error) {
	err = b.do(func() error { value, err = b.bolt.GetUint64(key); return err })
	return value, err
}
