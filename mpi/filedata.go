package mpi

import (
	"slices"
	"strings"

	"github.com/godwit-run/godwit/mpi/abi"
	"github.com/godwit-run/godwit/mpi/layout"
)

// How an access names its place: by an offset, by the individual or by the shared pointer, or by that in the order of ranks.
type fileWay struct {
	name       string // what follows MPI_File_read
	explicit   bool
	pointer    uint8
	collective bool
	starts     bool // it has a nonblocking form
	splits     bool // it has a split form
}

func fileWays() []fileWay {
	return []fileWay{
		{name: "", starts: true},
		{name: "_all", collective: true, starts: true, splits: true},
		{name: "_at", explicit: true, starts: true},
		{name: "_at_all", explicit: true, collective: true, starts: true, splits: true},
		{name: "_shared", pointer: pointerShared, starts: true},
		{name: "_ordered", pointer: pointerOrdered, collective: true, splits: true},
	}
}

type (
	dataArgs struct {
		buf      address
		count    count
		datatype handle
	}
	fileDataArgs struct {
		fh handle
		dataArgs
	}
	fileDataAtArgs struct {
		fh     handle
		offset int64
		dataArgs
	}
)

// fileData are the arguments of an access, whatever its form.
type fileData struct {
	fh     handle
	offset int64
	dataArgs
}

func (a fileDataArgs) data() fileData   { return fileData{fh: a.fh, dataArgs: a.dataArgs} }
func (a fileDataAtArgs) data() fileData { return fileData(a) }

type namesData interface{ data() fileData }

// fileDataCalls are all accesses to data (MPI 5.0 section 14.4).
func fileDataCalls() []entry {
	var calls []entry
	for _, way := range fileWays() {
		for _, write := range [...]bool{false, true} {
			if way.explicit {
				calls = append(calls, fileForms[fileDataAtArgs](way, write)...)
			} else {
				calls = append(calls, fileForms[fileDataArgs](way, write)...)
			}
		}
	}
	return calls
}

type withStatus[T namesData] struct {
	own    T
	status address
}

type withRequest[T namesData] struct {
	own     T
	request address
}

type fileEndArgs struct {
	fh     handle
	_      address `mpi:"buf"`
	status address
}

// fileForms are the blocking, nonblocking and split calls of one access.
func fileForms[T namesData](way fileWay, write bool) []entry {
	verb := pick(write, "write", "read")
	name := "MPI_File_" + verb + way.name
	calls := []entry{{name: name, impl: bind(func(p *Proc, a withStatus[T]) error {
		return p.accessFile(way, write, a.own.data(), a.status)
	})}}
	if way.starts {
		calls = append(calls, entry{name: "MPI_File_i" + verb + way.name, impl: bind(func(p *Proc, a withRequest[T]) error {
			return p.startFile(way, write, a.own.data(), a.request)
		})})
	}
	if way.splits {
		calls = append(calls,
			entry{name: name + "_begin", impl: bind(func(p *Proc, a T) error { return p.beginSplit(way, write, a.data()) })},
			entry{name: name + "_end", impl: bind(func(p *Proc, a fileEndArgs) error { return p.endSplit(a) })})
	}
	return calls
}

// operation checks an access and makes it, without beginning it. The individual pointer is moved by advance, when it has begun.
func (p *Proc) operation(f *file, way fileWay, write bool, a fileData) (o *fileOp, advance int64, err error) {
	switch {
	case write && f.amode&abi.ModeRdonly != 0:
		return nil, 0, abi.Fail(abi.ErrReadOnly, "%s is open for reading only", f.name)
	case !write && f.amode&abi.ModeWronly != 0:
		return nil, 0, abi.Fail(abi.ErrAccess, "%s is open for writing only", f.name)
	case f.amode&abi.ModeSequential != 0 && way.pointer == pointerGiven:
		return nil, 0, f.sequential()
	}
	t, err := p.committed(a.datatype)
	if err != nil {
		return nil, 0, err
	}
	user, err := p.elements(a.buf, a.count, t)
	if err != nil {
		return nil, 0, err
	}
	v := &f.view
	o = &fileOp{file: f, write: write, collective: way.collective, pointer: way.pointer, buf: user}
	n := int64(user.Len)
	if converts(v.rep) {
		if n, err = p.converted(o, t, user, a); err != nil {
			return nil, 0, err
		}
	}
	if n%v.unit != 0 {
		return nil, 0, abi.Fail(abi.ErrType, "the data takes %d bytes in the file, which is no whole number of etypes of %d", n, v.unit)
	}
	switch {
	case way.pointer != pointerGiven:
		return o, 0, nil
	case way.explicit:
		o.from, err = v.bytesAt(a.offset)
	default:
		advance = n / v.unit
		o.from, err = v.bytesAt(f.at)
	}
	if err == nil {
		err = v.reaches(o.from, n)
	}
	return o, advance, err
}

// converted gives an access the data as the file has it, or room for that.
func (p *Proc) converted(o *fileOp, t *layout.Type, user layout.Span, a fileData) (int64, error) {
	v := &o.file.view
	inFile, err := p.inFile(v.rep, t)
	if err != nil {
		return 0, err
	}
	n := layout.Times(a.count, inFile.Size)
	if n >= 1<<32 {
		return 0, abi.Fail(abi.ErrCount, "%d elements take %d bytes in the file", a.count, n)
	}
	if err := p.room(2*n + int64(user.Len)); err != nil {
		return 0, err
	}
	o.conv = &conversion{user: user, addr: a.buf, typ: t, count: a.count}
	if o.write {
		o.buf, err = p.toFile(v.rep, o.conv, n)
	} else {
		o.buf = layout.Span{Host: &layout.Buffer{Bytes: make([]byte, n)}, Len: uint32(n)}
	}
	return n, err
}

// launchFile checks and begins an access, unless why says that it may not be. What one rank alone may not do of a collective access the others do not wait for.
func (p *Proc) launchFile(f *file, way fileWay, write bool, a fileData, internal bool, why error) ([]uint32, error) {
	if way.collective {
		why = firstError(why, f.busy())
	}
	var o *fileOp
	var r *request
	advance := int64(0)
	if why == nil {
		o, advance, why = p.operation(f, way, write, a)
	}
	if why == nil {
		r, why = p.enqueueFile(o, internal)
	}
	if why != nil {
		return nil, p.refuseFile(f, way, write, why)
	}
	f.at += advance
	return []uint32{r.index}, p.progress()
}

// refuseFile has this rank take part in a collective access that it cannot make: it has no data in it, and does not wait for its end.
func (p *Proc) refuseFile(f *file, way fileWay, write bool, why error) error {
	if !way.collective || f.comm().size() == 1 || raised(why) == nil {
		return why
	}
	r, err := p.enqueueFile(&fileOp{file: f, write: write, collective: true, pointer: way.pointer}, true)
	if err == nil {
		r.orphan = true
		err = p.progress()
	}
	if err != nil && raised(err) == nil {
		return err
	}
	return why
}

// accessFile makes a blocking access.
func (p *Proc) accessFile(way fileWay, write bool, a fileData, status address) error {
	f, err := p.file(a.fh)
	if err != nil {
		return err
	}
	reqs, err := p.once(func() ([]uint32, error) {
		return p.launchFile(f, way, write, a, true, p.statuses(status, 1))
	})
	if err != nil {
		return f.on(err)
	}
	return p.endAccess(f, reqs, status)
}

// endAccess waits for an access, and stores its status.
func (p *Proc) endAccess(f *file, reqs []uint32, status address) error {
	if err := p.finish(reqs); err != nil {
		return err
	}
	r := p.request(reqs[0])
	if r == nil || r.io == nil {
		return f.on(abi.Fail(abi.ErrIntern, "the captured state does not fit the call"))
	}
	o := r.io
	p.putStatus(p.self, status, r.result)
	p.conclude(reqs[0])
	return o.failure()
}

// startFile makes a nonblocking access.
func (p *Proc) startFile(way fileWay, write bool, a fileData, out address) error {
	f, err := p.file(a.fh)
	if err != nil {
		return err
	}
	var why error
	if _, err := p.handles(out, 1); err != nil || out == 0 {
		why = abi.Fail(abi.ErrArg, "request is no pointer to an MPI_Request")
	}
	reqs, err := p.launchFile(f, way, write, a, false, why)
	if err != nil {
		return f.on(err)
	}
	return f.on(p.putWord(out, baseRequest+reqs[0]))
}

// beginSplit begins a split collective access.
func (p *Proc) beginSplit(way fileWay, write bool, a fileData) error {
	f, err := p.file(a.fh)
	if err != nil {
		return err
	}
	reqs, err := p.launchFile(f, way, write, a, true, nil)
	if err != nil {
		return f.on(err)
	}
	f.split = &split{request: reqs[0], begin: p.running.call.Name}
	return nil
}

// endSplit ends the split collective access that is under way.
func (p *Proc) endSplit(a fileEndArgs) error {
	f, err := p.file(a.fh)
	if err != nil {
		return err
	}
	if err := p.statuses(a.status, 1); err != nil {
		return f.on(err)
	}
	base := strings.TrimSuffix(p.running.call.Name, "_end")
	s := f.split
	if s == nil || strings.TrimSuffix(strings.TrimSuffix(s.begin, "_c"), "_begin") != base {
		return f.on(abi.Fail(abi.ErrOther, "%s_begin was not called before", base))
	}
	if err := p.wait(func() bool { r := p.request(s.request); return r == nil || r.done }); err != nil {
		return err
	}
	f.split = nil
	return p.endAccess(f, slices.Clip([]uint32{s.request}), a.status)
}
