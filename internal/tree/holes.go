package tree

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Holes of sparse files are zeros in a tree, as what reads them gets them. They are not read here: the file system knows where they are.

// zeros are what holes are written from.
var zeros [256 << 10]byte //nolint:gochecknoglobals // a constant

// extent is where the data or the hole ends that a file has at a place, up to end. A file system that knows of no holes has data.
func extent(f *os.File, at, end int64) (to int64, hole bool) {
	data, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO), err == nil && data >= end:
		return end, true
	case err != nil:
		return end, false
	case data > at:
		return data, true
	}
	to, err = unix.Seek(int(f.Fd()), at, unix.SEEK_HOLE)
	if err != nil || to <= at || to > end {
		return end, false
	}
	return to, false
}

// blank says whether a part is a hole, as far as it goes.
func (p part) blank() bool {
	f, err := p.open()
	if err != nil {
		return false // who reads it finds that again
	}
	defer f.Close() //nolint:errcheck // only looked at
	st, err := f.Stat()
	if err != nil || st.Size() < p.at+p.size {
		return false
	}
	to, hole := extent(f, p.at, p.at+p.size)
	return hole && to == p.at+p.size
}

// copyTo writes the bytes of a part's file.
func (p part) copyTo(to io.Writer, f *os.File) error {
	for at, end := p.at, p.at+p.size; at < end; {
		st, err := f.Stat()
		if err != nil {
			return &UnreadError{p, err}
		}
		next, hole := extent(f, at, end)
		if st.Size() < next {
			return p.shorter()
		}
		if hole {
			if err := writeZeros(to, next-at); err != nil {
				return err
			}
			at = next
			continue
		}
		from := &noting{from: io.NewSectionReader(f, at, next-at)}
		n, err := io.Copy(to, from)
		switch {
		case from.err != nil:
			return &UnreadError{p, from.err}
		case err != nil:
			return err
		case n < next-at:
			return p.shorter()
		}
		at = next
	}
	return nil
}

func (p part) shorter() error { return fmt.Errorf("%w: %s has become shorter", ErrChanged, p.path) }

func writeZeros(to io.Writer, n int64) error {
	for n > 0 {
		done, err := to.Write(zeros[:min(n, int64(len(zeros)))])
		if n -= int64(done); err != nil {
			return err
		}
	}
	return nil
}
