package executor

import "github.com/godwit-run/godwit/mpi"

// landBytes is from how long a payload on it is tried to read it straight to its place.
const landBytes = 32 << 10

// landing is a frame whose payload is read straight to its place.
type landing struct {
	head [mpi.HeaderBytes]byte
	size int // of the payload; 0: none is under way
	at   int // so much is there
}

// taker is who takes what comes over direct connections.
type taker interface {
	// offer gives a frame to its rank, unless that is in a long call.
	offer(frame []byte) bool
	// deliver gives it, however long that takes.
	deliver(frame []byte)
	// land is mpi.World's Land.
	land(head []byte, size, at int, wait bool, read func(place []byte) int) (n int, how mpi.Landing)
}

// goOnLanding reads on with a payload that is on its way to its place. If there is none, or it has none any more, that is LandNone. Holds reading.
func (d *direct) goOnLanding(t taker, wait bool) mpi.Landing {
	l := &d.landing
	if l.size == 0 {
		return mpi.LandNone
	}
	n, how := t.land(l.head[:], l.size, l.at, wait, d.land)
	switch l.at += n; {
	case how == mpi.LandNone:
		d.skip, l.size = l.size-l.at, 0
	case l.at == l.size:
		l.size = 0
	}
	return how
}

// beginLanding has the payload of a frame of which only the begin is in the buffer, at at, read straight to its place, if that is worth it and possible. It returns how
// many bytes of the buffer are done with.
func (d *direct) beginLanding(t taker, at, size int) int {
	size -= mpi.HeaderBytes
	begin := d.buf[at+4 : d.have]
	if size < landBytes || len(begin) < mpi.HeaderBytes {
		return 0
	}
	l := &d.landing
	copy(l.head[:], begin)
	d.moved = begin[mpi.HeaderBytes:]
	n, how := t.land(l.head[:], size, 0, false, d.move)
	d.moved = nil
	if how != mpi.Landed {
		return 0
	}
	l.size, l.at = size, n
	return 4 + mpi.HeaderBytes + n
}

// moveTo moves what the buffer has of a payload to its place.
func (d *direct) moveTo(place []byte) int { return copy(place, d.moved) }
