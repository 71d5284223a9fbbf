package mpi

import (
	"strings"

	"github.com/godwit-run/godwit/mpi/abi"
)

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
		{name: "MPI_Session_init", impl: bind(callSessionInit), any: true},
		{name: "MPI_Session_finalize", impl: bind(callSessionFinalize), any: true},
		{name: "MPI_Session_get_num_psets", impl: bind(callSessionNumPsets), any: true},
		{name: "MPI_Session_get_nth_pset", impl: bind(callSessionNthPset), any: true},
		{name: "MPI_Session_get_pset_info", impl: bind(callSessionPsetInfo), any: true},
		{name: "MPI_Session_get_info", impl: bind(callSessionInfo), any: true},
		{name: "MPI_Group_from_session_pset", impl: bind(callGroupFromPset), any: true},
		{name: "MPI_Comm_create_from_group", impl: bind(callCommFromGroup), any: true},
	}
}

func (p *Proc) session(handle uint32) (*session, error) {
	if s := p.sessions.get(handle); s != nil {
		return s, nil
	}
	return nil, abi.Fail(abi.ErrSession, "session %#x is not known", handle)
}

type sessionInitArgs struct {
	info, errhandler handle
	session          address
}

// callSessionInit makes a session. Communication inside sessions needs no MPI_Init: the rank counts as initialized for as
// long as it has a session.
func callSessionInit(p *Proc, a sessionInitArgs) error {
	if _, err := p.hints(a.info); err != nil {
		return err
	}
	h, err := p.errhandler(a.errhandler)
	if err != nil {
		return err
	}
	if _, err := p.handles(a.session, 1); err != nil {
		return err
	}
	s := &session{errhandler: h}
	if s.handle, err = p.sessions.add(s, p.w.cfg.MaxObjects); err != nil {
		return err
	}
	return p.putWord(a.session, s.handle)
}

type sessionFinalizeArgs struct{ session address }

func callSessionFinalize(p *Proc, a sessionFinalizeArgs) error {
	h, err := p.word(a.session)
	if err != nil {
		return err
	}
	if _, err := p.session(h); err != nil {
		return err
	}
	p.sessions.drop(h)
	p.askAcks()
	return p.putWord(a.session, abi.SessionNull)
}

type sessionNumPsetsArgs struct {
	session    handle
	_          handle `mpi:"info"`
	npsetNames address
}

func callSessionNumPsets(p *Proc, a sessionNumPsetsArgs) error {
	s, err := p.session(a.session)
	if err != nil {
		return err
	}
	return s.raise(p.putInt(a.npsetNames, len(processSets)))
}

type sessionNthPsetArgs struct {
	session           handle
	_                 handle `mpi:"info"`
	n                 int
	psetLen, psetName address
}

// callSessionNthPset stores at most the length that is given, and gives the length that is needed.
func callSessionNthPset(p *Proc, a sessionNthPsetArgs) error {
	s, err := p.session(a.session)
	if err != nil {
		return err
	}
	n := a.n
	if n < 0 || n >= len(processSets) {
		return s.raise(abi.Fail(abi.ErrArg, "process set %d of %d", n, len(processSets)))
	}
	room, err := p.word(a.psetLen)
	if err == nil && int32(room) > 0 {
		err = p.putText(a.psetName, processSets[n], int(room)-1)
	}
	if err != nil {
		return s.raise(err)
	}
	return s.raise(p.putInt(a.psetLen, len(processSets[n])+1))
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
	return nil, abi.Fail(abi.ErrArg, "process set %q is not known: there are %v", name, processSets)
}

type sessionPsetInfoArgs struct {
	session        handle
	psetName, info address
}

func callSessionPsetInfo(p *Proc, a sessionPsetInfoArgs) error {
	s, err := p.session(a.session)
	if err != nil {
		return err
	}
	g, err := p.processSet(a.psetName)
	if err != nil {
		return s.raise(err)
	}
	x := &info{}
	x.set("mpi_size", decimal(len(g.ranks)))
	return s.raise(p.giveInfo(x, a.info))
}

type sessionInfoArgs struct {
	session  handle
	infoUsed address
}

func callSessionInfo(p *Proc, a sessionInfoArgs) error {
	s, err := p.session(a.session)
	if err != nil {
		return err
	}
	x := &info{}
	x.set("thread_level", "MPI_THREAD_SERIALIZED")
	return s.raise(p.giveInfo(x, a.infoUsed))
}

type groupFromPsetArgs struct {
	session            handle
	psetName, newgroup address
}

func callGroupFromPset(p *Proc, a groupFromPsetArgs) error {
	s, err := p.session(a.session)
	if err != nil {
		return err
	}
	g, err := p.processSet(a.psetName)
	if err != nil {
		return s.raise(err)
	}
	return s.raise(p.giveGroup(g.ranks, a.newgroup))
}

type commFromGroupArgs struct {
	group      handle
	stringtag  address
	_          handle `mpi:"info"`
	errhandler handle
	newcomm    address
}

// callCommFromGroup makes a communicator of a group (MPI 5.0 section 7.4.2). The tag string becomes a tag.
func callCommFromGroup(p *Proc, a commFromGroupArgs) error {
	h, err := p.errhandler(a.errhandler)
	if err != nil {
		return err
	}
	return (&callError{handler: h}).raise(p.commFromGroup(a, h))
}

// commFromGroup makes it; its error handler takes the errors of that, too.
func (p *Proc) commFromGroup(a commFromGroupArgs, h *errhandler) error {
	g, err := p.group(a.group)
	if err != nil {
		return err
	}
	text, err := p.cString(a.stringtag, 1024)
	if err == nil {
		_, err = p.handles(a.newcomm, 1)
	}
	if err != nil {
		return err
	}
	if !g.has(p.rank) {
		return p.giveComm(nil, a.newcomm)
	}
	id, err := p.agree(p.world, g, int(checksum(text)%abi.TagUB))
	if err != nil {
		return err
	}
	d, err := p.newComm(p.world, id, &group{ranks: g.ranks}, nil)
	if err != nil {
		return err
	}
	d.errhandler = h
	return p.giveComm(d, a.newcomm)
}
