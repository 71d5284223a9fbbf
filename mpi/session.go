package mpi

import "strings"

// session is an MPI session (MPI 5.0 section 11.3). All sessions of a rank share one library: they are only handles.
type session struct {
	handle     uint32
	errhandler *errhandler
}

// The process sets that every session has (MPI 5.0 section 11.3.2).
var processSets = [...]string{"mpi://WORLD", "mpi://SELF"} //nolint:gochecknoglobals // an immutable list

// sessionCalls are the functions about sessions.
func sessionCalls() []entry {
	return []entry{
		{name: "MPI_Session_init", impl: callSessionInit, any: true},
		{name: "MPI_Session_finalize", impl: callSessionFinalize, any: true},
		{name: "MPI_Session_get_num_psets", impl: callSessionNumPsets, any: true},
		{name: "MPI_Session_get_nth_pset", impl: callSessionNthPset, any: true},
		{name: "MPI_Session_get_pset_info", impl: callSessionPsetInfo, any: true},
		{name: "MPI_Session_get_info", impl: callSessionInfo, any: true},
		{name: "MPI_Group_from_session_pset", impl: callGroupFromPset, any: true},
		{name: "MPI_Comm_create_from_group", impl: callCommFromGroup, any: true},
	}
}

func (p *Proc) session(handle uint32) (*session, error) {
	if s := p.sessions.get(handle); s != nil {
		return s, nil
	}
	return nil, fail(errSession, "session %#x is not known", handle)
}

// callSessionInit makes a session. Communication inside sessions needs no MPI_Init: the rank counts as initialized for as
// long as it has a session.
func callSessionInit(p *Proc, a args) (uint64, error) {
	if _, err := p.hints(a.u32(0)); err != nil {
		return 0, err
	}
	h, err := p.errhandler(a.u32(1))
	if err != nil {
		return 0, err
	}
	if _, err := p.handles(a.u32(2), 1); err != nil {
		return 0, err
	}
	s := &session{errhandler: h}
	if s.handle, err = p.sessions.add(s, p.w.cfg.MaxObjects); err != nil {
		return 0, err
	}
	return success, p.putWord(a.u32(2), s.handle)
}

func callSessionFinalize(p *Proc, a args) (uint64, error) {
	h, err := p.word(a.u32(0))
	if err != nil {
		return 0, err
	}
	if _, err := p.session(h); err != nil {
		return 0, err
	}
	p.sessions.drop(h)
	p.askAcks()
	return success, p.putWord(a.u32(0), sessionNull)
}

func callSessionNumPsets(p *Proc, a args) (uint64, error) {
	if _, err := p.session(a.u32(0)); err != nil {
		return 0, err
	}
	return success, p.putInt(a.u32(2), len(processSets))
}

// callSessionNthPset stores at most the length that is given, and gives the length that is needed.
func callSessionNthPset(p *Proc, a args) (uint64, error) {
	s, err := p.session(a.u32(0))
	if err != nil {
		return 0, err
	}
	n := a.int(2)
	if n < 0 || n >= len(processSets) {
		return 0, (&callError{session: s}).raise(fail(errArg, "process set %d of %d", n, len(processSets)))
	}
	room, err := p.word(a.u32(3))
	if err != nil {
		return 0, err
	}
	if int32(room) > 0 {
		if err := p.putText(a.u32(4), processSets[n], int(room)-1); err != nil {
			return 0, err
		}
	}
	return success, p.putInt(a.u32(3), len(processSets[n])+1)
}

// processSet finds the ranks of a set by its name.
func (p *Proc) processSet(ptr uint32) (*group, error) {
	name, err := p.cString(ptr, 1024)
	if err != nil {
		return nil, err
	}
	switch { // names are URIs: case does not count
	case strings.EqualFold(name, processSets[0]):
		return p.world.group, nil
	case strings.EqualFold(name, processSets[1]):
		return p.self.group, nil
	}
	return nil, fail(errArg, "process set %q is not known: there are %v", name, processSets)
}

func callSessionPsetInfo(p *Proc, a args) (uint64, error) {
	s, err := p.session(a.u32(0))
	if err != nil {
		return 0, err
	}
	g, err := p.processSet(a.u32(1))
	if err != nil {
		return 0, (&callError{session: s}).raise(err)
	}
	x := &info{}
	x.set("mpi_size", decimal(len(g.ranks)))
	return success, p.giveInfo(x, a.u32(2))
}

func callSessionInfo(p *Proc, a args) (uint64, error) {
	if _, err := p.session(a.u32(0)); err != nil {
		return 0, err
	}
	x := &info{}
	x.set("thread_level", "MPI_THREAD_SERIALIZED")
	return success, p.giveInfo(x, a.u32(1))
}

func callGroupFromPset(p *Proc, a args) (uint64, error) {
	s, err := p.session(a.u32(0))
	if err != nil {
		return 0, err
	}
	g, err := p.processSet(a.u32(1))
	if err != nil {
		return 0, (&callError{session: s}).raise(err)
	}
	return p.giveGroup(g.ranks, a.u32(2))
}

// callCommFromGroup makes a communicator of a group (MPI 5.0 section 7.4.2). The tag string becomes a tag.
func callCommFromGroup(p *Proc, a args) (uint64, error) {
	g, err := p.group(a.u32(0))
	if err != nil {
		return 0, err
	}
	text, err := p.cString(a.u32(1), 1024)
	if err != nil {
		return 0, err
	}
	h, err := p.errhandler(a.u32(3))
	if err != nil {
		return 0, err
	}
	if _, err := p.handles(a.u32(4), 1); err != nil {
		return 0, err
	}
	if !g.has(p.rank) {
		return p.giveComm(nil, a.u32(4))
	}
	id, err := p.agree(p.world, g, int(checksum(text)%tagUB))
	if err != nil {
		return 0, err
	}
	d, err := p.newComm(p.world, id, &group{ranks: g.ranks}, nil)
	if err != nil {
		return 0, err
	}
	d.errhandler = h
	return p.giveComm(d, a.u32(4))
}
