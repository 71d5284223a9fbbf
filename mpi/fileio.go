package mpi

import (
	"github.com/godwit-run/godwit/mpi/layout"
)

// What is not in one piece in the file is written piece by piece, so that nobody's data in between is touched; reads take what lies between near pieces along.
const (
	mostScratch = 4 << 20  // bytes that are packed, or read at once for several pieces
	nearPieces  = 16 << 10 // bytes between two pieces that cost less than another call
	mostPieces  = 4 << 10  // that are read at once
)

// medium is a file with a view, for one access.
type medium struct {
	file  File
	view  *placing
	sieve bool // what is read may be more than what is wanted
}

// writeSpan writes a span's data to a place in the view.
func (m *medium) writeSpan(from int64, s layout.Span, mem []byte, scratch []byte) error {
	for off := uint32(0); off < s.Len; {
		part := s.Part(off, uint32(min(uint64(s.Len-off), uint64(len(scratch)))))
		if s.Type == nil {
			part = s
		}
		data := part.In(mem)
		if s.Type != nil {
			data = scratch[:part.Len]
			part.Pack(data, mem)
		}
		if err := m.write(from+int64(off), data); err != nil {
			return err
		}
		off += part.Len
	}
	return nil
}

// write writes data to a place in the view.
func (m *medium) write(from int64, data []byte) (err error) {
	m.view.runs(from, int64(len(data)), func(at, n int64) bool {
		_, err = m.file.WriteAt(data[:n], at)
		data = data[n:]
		return err == nil
	})
	return err
}

// readSpan reads a span's data from a place in the view, up to the file's end, and returns how many bytes it has got.
func (m *medium) readSpan(from int64, s layout.Span, mem []byte, scratch []byte) (got int64, err error) {
	for off := uint32(0); off < s.Len; {
		part := s.Part(off, uint32(min(uint64(s.Len-off), uint64(len(scratch)))))
		if s.Type == nil {
			part = s
		}
		data := part.In(mem)
		if s.Type != nil {
			data = scratch[:part.Len]
		}
		n, err := m.read(from+int64(off), data)
		got += n
		if s.Type != nil {
			part.Unpack(mem, data[:n])
		}
		if err != nil || n < int64(part.Len) {
			return got, err
		}
		off += part.Len
	}
	return got, nil
}

// read reads from a place in the view on.
func (m *medium) read(from int64, data []byte) (int64, error) {
	s := sieve{medium: m, data: data}
	m.view.runs(from, int64(len(data)), s.add)
	s.flush()
	return s.got, s.err
}

// sieve reads pieces that are near to each other at once.
type sieve struct {
	*medium
	data   []byte // where the next piece goes
	pieces []int64
	lo, hi int64  // what they lie in
	block  []byte // memory for that
	got    int64  // bytes of pieces that were read
	ended  bool   // the file has, or there was an error
	err    error
}

// add notes a piece, and reads those before if it is far from them.
func (s *sieve) add(at, n int64) bool {
	if len(s.pieces) > 0 && (!s.sieve() || at < s.hi || at-s.hi > nearPieces || at+n-s.lo > mostScratch || len(s.pieces) >= 2*mostPieces) {
		s.flush()
	}
	if len(s.pieces) == 0 {
		s.lo = at
	}
	s.pieces = append(s.pieces, at, n)
	s.hi = at + n
	return !s.ended
}

func (s *sieve) sieve() bool { return s.medium.sieve }

// flush reads the pieces.
func (s *sieve) flush() {
	if len(s.pieces) == 0 || s.ended {
		return
	}
	if len(s.pieces) == 2 {
		n := s.pieces[1]
		got, err := readFull(s.file, s.data[:n], s.lo)
		s.taken(int64(got), n)
		s.err = err
		s.ended = s.ended || err != nil
		s.pieces = s.pieces[:0]
		return
	}
	size := s.hi - s.lo
	if int64(cap(s.block)) < size {
		s.block = make([]byte, size)
	}
	read, err := readFull(s.file, s.block[:size], s.lo)
	block := s.block[:read]
	for i := 0; i < len(s.pieces) && !s.ended; i += 2 {
		at, n := s.pieces[i]-s.lo, s.pieces[i+1]
		got := copy(s.data[:n], block[min(at, int64(len(block))):])
		s.taken(int64(got), n)
	}
	s.err = err
	s.ended = s.ended || err != nil
	s.pieces = s.pieces[:0]
}

// taken notes that got bytes of a piece of n are there.
func (s *sieve) taken(got, n int64) {
	s.got += got
	s.data = s.data[n:]
	s.ended = got < n
}

// scratchIO is memory for parts of a file.
func (p *Proc) scratchIO(s layout.Span) []byte {
	n := min(int(s.Len), mostScratch)
	if s.Type == nil {
		n = 0
	}
	if n > cap(p.ioMemory) {
		p.ioMemory = make([]byte, n)
	}
	return p.ioMemory[:n]
}

// access does an operation's own part of the file's data, without the others.
func (p *Proc) access(o *fileOp) error {
	f := o.file
	if o.buf.Len == 0 {
		return nil
	}
	opened, err := p.opened(f)
	if err != nil {
		return err
	}
	_, off := f.switched(hintDSRead)
	m := &medium{file: opened, view: &f.view.placing, sieve: !off}
	mem, scratch := p.memory(o.buf), p.scratchIO(o.buf)
	p.away(func() {
		if o.write {
			err = m.writeSpan(o.from, o.buf, mem, scratch)
			return
		}
		o.done, err = m.readSpan(o.from, o.buf, mem, scratch)
	})
	if o.write {
		f.unsynced = true
		if err == nil {
			o.done = int64(o.buf.Len)
		}
	}
	return fileFault(f.name, err)
}
