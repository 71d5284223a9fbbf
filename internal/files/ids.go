package files

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"

	apiv1 "github.com/godwit-run/godwit/api/v1"
)

// A file that comes from another host has another inode there. Programs know it by the number that it had where it was made: what they have seen of a file
// stays true, whichever host is the home.

// idsName is the file of a home that has these numbers.
const idsName = "ids"

// movesShift is where the number of a file that was made at a later home has the count of moves, so that no two files have one number.
const movesShift = 48

// ids are the numbers of the files that have come from another host. Nil: none has.
type ids struct {
	moves uint64
	pairs []idPair // by inode
}

type idPair struct{ inode, id uint64 }

func byInode(p idPair, inode uint64) int {
	switch {
	case p.inode < inode:
		return -1
	case p.inode > inode:
		return 1
	}
	return 0
}

// of is the number of the file that has an inode.
func (i *ids) of(inode uint64) uint64 {
	if i == nil {
		return inode
	}
	if at, ok := slices.BinarySearchFunc(i.pairs, inode, byInode); ok {
		return i.pairs[at].id
	}
	return inode ^ i.moves<<movesShift
}

// save writes them for others who open the home.
func (i *ids) save(home string) error {
	slices.SortFunc(i.pairs, func(a, b idPair) int { return byInode(a, b.inode) })
	f, err := os.OpenFile(filepath.Join(home, idsName), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], i.moves)
	_, err = w.Write(b[:8])
	for _, p := range i.pairs {
		binary.LittleEndian.PutUint64(b[:], p.inode)
		binary.LittleEndian.PutUint64(b[8:], p.id)
		if err == nil {
			_, err = w.Write(b[:])
		}
	}
	return errors.Join(err, w.Flush(), f.Close())
}

// loadIDs reads those of a home; nil: nothing there has come from another host.
func loadIDs(home string) (*ids, error) {
	f, err := os.Open(filepath.Join(home, idsName))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	r := bufio.NewReader(f)
	var b [16]byte
	if _, err := io.ReadFull(r, b[:8]); err != nil {
		return nil, err
	}
	i := &ids{moves: binary.LittleEndian.Uint64(b[:])}
	for {
		if _, err := io.ReadFull(r, b[:]); errors.Is(err, io.EOF) {
			return i, nil
		} else if err != nil {
			return nil, err
		}
		i.pairs = append(i.pairs, idPair{binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:])})
	}
}

// OpenHome opens the two directories of an app that has its home in dir.
func OpenHome(dir string) (trees [2]*Local, err error) {
	known, err := loadIDs(dir)
	if err != nil {
		return trees, err
	}
	for i, part := range []string{apiv1.HomeKept, apiv1.HomeScratch} {
		tree, err := OpenLocal(filepath.Join(dir, part), false)
		if err != nil {
			if i == 1 {
				err = errors.Join(err, trees[0].Close())
			}
			return trees, err
		}
		tree.ids = known
		trees[i] = tree
	}
	return trees, nil
}
