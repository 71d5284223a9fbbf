package raftnode

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"

	"go.etcd.io/bbolt"
)

// pages looks at the pages of a bbolt file, as a file. bbolt goes where they lead, through its memory map, which may be out of it or in a
// circle, and does so in a goroutine whose panic nobody could catch when it opens the file for writing.
type pages struct {
	file *os.File
	size int64  // of a page
	seen []bool // by number, of those that may be in use
	buf  []byte // of read
}

// checkPages returns nil if what tx can reach is one tree of pages, whose keys are in order. Only the root has buckets.
func checkPages(tx *bbolt.Tx, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	st, err := f.Stat()
	if err != nil {
		return err
	}
	p := &pages{file: f, size: int64(tx.DB().Info().PageSize)}
	p.seen = make([]bool, min(tx.Size(), st.Size())/p.size)
	return p.tree(uint64(tx.Cursor().Bucket().Root()), nil, nil, true)
}

// The layout of bbolt's pages. Numbers are in the order of the machine.
const (
	pageHead   = 16 // number 8, kind 2, count 2, further pages 4
	pageElem   = 16 // of a branch: at 4, key's length 4, page 8; of a leaf: kind 4, at 4, key's length 4, value's length 4
	pageBranch = 1
	pageLeaf   = 2
	bucketHead = 16 // page 8, sequence 8
)

// tree looks at a page and at what is below it, whose keys are from least on and below most, nil being no bound.
func (p *pages) tree(number uint64, least, most []byte, root bool) error {
	if number < 2 || number >= uint64(len(p.seen)) {
		return fmt.Errorf("page %d is not there", number)
	}
	page, err := p.read(number, 0)
	if err != nil {
		return err
	}
	further := uint64(binary.NativeEndian.Uint32(page[12:]))
	if binary.NativeEndian.Uint64(page) != number || number+further >= uint64(len(p.seen)) {
		return fmt.Errorf("page %d is none", number)
	}
	for i := number; i <= number+further; i++ {
		if p.seen[i] {
			return fmt.Errorf("page %d is in two places", i)
		}
		p.seen[i] = true
	}
	if further > 0 {
		if page, err = p.read(number, further); err != nil {
			return err
		}
	}
	if root || binary.NativeEndian.Uint16(page[8:]) == pageBranch {
		page = bytes.Clone(page) // others are read while it is looked at
	}
	if err := p.elements(page, least, most, root); err != nil {
		return fmt.Errorf("page %d: %w", number, err)
	}
	return nil
}

// read reads a page and so many further ones. They are there until the next read.
func (p *pages) read(number, further uint64) ([]byte, error) {
	p.buf = slices.Grow(p.buf[:0], int(further+1)*int(p.size))[:int(further+1)*int(p.size)]
	_, err := p.file.ReadAt(p.buf, int64(number)*p.size)
	return p.buf, err
}

var errElement = errors.New("what is in it makes no sense")

// elements looks at what is in a page: keys and values follow each other without a gap.
func (p *pages) elements(page, least, most []byte, root bool) error {
	if len(page) < pageHead {
		return errElement
	}
	kind, count := binary.NativeEndian.Uint16(page[8:]), int(binary.NativeEndian.Uint16(page[10:]))
	if kind != pageLeaf && (kind != pageBranch || count == 0) {
		return errElement
	}
	next := uint64(pageHead + count*pageElem)
	var kept []element // of which there is more to see
	for i := range count {
		at := pageHead + i*pageElem
		if at+pageElem > len(page) {
			return errElement
		}
		e := elementAt(page[at:], kind)
		end := next + e.keySize + e.valueSize
		if uint64(at)+e.from != next || end > uint64(len(page)) || kind == pageLeaf && e.bucket != root {
			return errElement
		}
		e.key, e.value = page[next:][:e.keySize], page[next+e.keySize:end]
		if i > 0 && bytes.Compare(least, e.key) >= 0 || bytes.Compare(e.key, least) < 0 || most != nil && bytes.Compare(e.key, most) >= 0 {
			return errors.New("its keys are out of order")
		}
		if least, next = e.key, end; root || kind == pageBranch {
			kept = append(kept, e)
		}
	}
	for i, e := range kept {
		until := most
		if i+1 < len(kept) {
			until = kept[i+1].key
		}
		var err error
		if kind == pageBranch {
			err = p.tree(e.below, e.key, until, root)
		} else {
			err = p.bucket(e.value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// element is what a page says of something in it.
type element struct {
	from, keySize, valueSize uint64
	bucket                   bool   // of a leaf
	below                    uint64 // of a branch
	key, value               []byte
}

func elementAt(b []byte, kind uint16) element {
	number := func(at int) uint64 { return uint64(binary.NativeEndian.Uint32(b[at:])) }
	if kind == pageBranch {
		return element{from: number(0), keySize: number(4), below: binary.NativeEndian.Uint64(b[8:])}
	}
	return element{bucket: number(0) != 0, from: number(4), keySize: number(8), valueSize: number(12)}
}

// bucket looks at a bucket, which lies in a tree of its own, or is small and lies in its value.
func (p *pages) bucket(value []byte) error {
	if len(value) < bucketHead {
		return errElement
	}
	if number := binary.NativeEndian.Uint64(value); number != 0 {
		return p.tree(number, nil, nil, false)
	}
	inline := value[bucketHead:]
	if len(inline) >= pageHead && binary.NativeEndian.Uint16(inline[8:]) != pageLeaf {
		return errElement
	}
	return p.elements(inline, nil, nil, false)
}
