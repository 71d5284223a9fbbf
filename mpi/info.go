package mpi

import (
	"slices"
	"strconv"
	"strings"

	"github.com/godwit-run/godwit/mpi/abi"
)

// info is a set of hints: keys with values, in the order they were added (MPI 5.0 chapter 10).
type info struct{ pairs [][2]string }

func (x *info) find(key string) int {
	return slices.IndexFunc(x.pairs, func(kv [2]string) bool { return kv[0] == key })
}

func (x *info) set(key, value string) {
	if i := x.find(key); i >= 0 {
		x.pairs[i][1] = value
		return
	}
	x.pairs = append(x.pairs, [2]string{key, value})
}

func (x *info) clone() *info {
	if x == nil {
		return &info{}
	}
	return &info{pairs: slices.Clone(x.pairs)}
}

// known lists the hints of the standard for communicators and windows. What is not among them is ignored, as hints may be,
// and not given back (MPI 5.0 sections 7.4.4 and 12.2.7).
var known = map[string]bool{ //nolint:gochecknoglobals // an immutable lookup table
	"mpi_assert_no_any_tag": true, "mpi_assert_no_any_source": true, "mpi_assert_exact_length": true,
	"mpi_assert_allow_overtaking": true, "mpi_assert_strict_persistent_collective_ordering": true,
	"no_locks": true, "accumulate_ordering": true, "accumulate_ops": true, "same_size": true, "same_disp_unit": true,
	"alloc_shared_noncontig": true, "mpi_accumulate_granularity": true, "mpi_minimum_memory_alignment": true,
	"mpi_hw_resource_type": true, "mpi_assert_memory_alloc_kinds": true,
}

// heeded returns the hints that are known.
func (x *info) heeded() *info {
	y := &info{}
	if x != nil {
		for _, kv := range x.pairs {
			if known[kv[0]] {
				y.pairs = append(y.pairs, kv)
			}
		}
	}
	return y
}

// infoCalls are the functions of chapter 10.
func infoCalls() []entry {
	return []entry{
		{name: "MPI_Info_create", any: true, impl: bind(func(p *Proc, a infoArgs) error { return p.giveInfo(&info{}, a.info) })},
		{name: "MPI_Info_create_env", any: true, impl: bind(callInfoEnv)},
		{name: "MPI_Info_dup", any: true, impl: bind(callInfoDup)},
		{name: "MPI_Info_free", any: true, impl: bind(callInfoFree)},
		{name: "MPI_Info_set", any: true, impl: bind(callInfoSet)},
		{name: "MPI_Info_delete", any: true, impl: bind(callInfoDelete)},
		{name: "MPI_Info_get", any: true, impl: bind(callInfoGet)},
		{name: "MPI_Info_get_string", any: true, impl: bind(callInfoGetString)},
		{name: "MPI_Info_get_valuelen", any: true, impl: bind(callInfoValuelen)},
		{name: "MPI_Info_get_nkeys", any: true, impl: bind(callInfoNkeys)},
		{name: "MPI_Info_get_nthkey", any: true, impl: bind(callInfoNthkey)},
		{name: "MPI_Comm_set_info", impl: bind(callCommSetInfo)},
		{name: "MPI_Comm_get_info", impl: bind(callCommGetInfo)},
	}
}

// environment is MPI_INFO_ENV: what the library knows of the start of this process (MPI 5.0 section 11.2.1). Keys of what nobody asked for, such
// as arch and file, are not there.
func (p *Proc) environment() *info {
	x := &info{}
	if run, _ := p.w.cfg.programOf(p.rank); run.Command != "" {
		x.set("command", infoValue(run.Command))
		x.set("argv", infoValue(strings.Join(run.Args, " ")))
		x.set("maxprocs", strconv.Itoa(run.Ranks))
	}
	x.set("thread_level", "MPI_THREAD_SERIALIZED")
	return x
}

// infoValue cuts what is longer than a value may be.
func infoValue(s string) string { return s[:min(len(s), abi.MaxInfoVal-1)] }

func (p *Proc) info(handle uint32) (*info, error) {
	if handle == abi.InfoEnv {
		return p.environment(), nil
	}
	if x := p.infos.get(handle); x != nil {
		return x, nil
	}
	return nil, abi.Fail(abi.ErrInfo, "info %#x is not known", handle)
}

// hints returns the info of a parameter where MPI_INFO_NULL is none.
func (p *Proc) hints(handle uint32) (*info, error) {
	if handle == abi.InfoNull {
		return &info{}, nil
	}
	return p.info(handle)
}

func (p *Proc) giveInfo(x *info, out uint32) error {
	if _, err := p.handles(out, 1); err != nil {
		return err
	}
	h, err := addTo(p, &p.infos, x)
	if err != nil {
		return err
	}
	return p.putWord(out, h)
}

func (p *Proc) infoKey(ptr uint32) (string, error) {
	key, err := p.cString(ptr, 1<<16)
	if key = strings.TrimSpace(key); err == nil && (key == "" || len(key) >= abi.MaxInfoKey) {
		err = abi.Fail(abi.ErrInfoKey, "a key has 1 to %d bytes", abi.MaxInfoKey-1)
	}
	return key, err
}

type infoEnvArgs struct {
	_    int     `mpi:"argc"`
	_    address `mpi:"argv"`
	info address
}

func callInfoEnv(p *Proc, a infoEnvArgs) error {
	return p.giveInfo(p.environment(), a.info)
}

type infoDupArgs struct {
	info    handle
	newinfo address
}

func callInfoDup(p *Proc, a infoDupArgs) error {
	x, err := p.info(a.info)
	if err != nil {
		return err
	}
	return p.giveInfo(x.clone(), a.newinfo)
}

type infoFreeArgs struct{ info address }

func callInfoFree(p *Proc, a infoFreeArgs) error {
	h, err := p.word(a.info)
	if err != nil {
		return err
	}
	if p.infos.get(h) == nil {
		return abi.Fail(abi.ErrInfo, "info %#x is not known", h)
	}
	dropFrom(p, &p.infos, h)
	return p.putWord(a.info, abi.InfoNull)
}

type infoSetArgs struct {
	info       handle
	key, value address
}

func callInfoSet(p *Proc, a infoSetArgs) error {
	x := p.infos.get(a.info)
	if x == nil {
		return abi.Fail(abi.ErrInfo, "info %#x is not known, or cannot be changed", a.info)
	}
	key, err := p.infoKey(a.key)
	if err != nil {
		return err
	}
	value, err := p.cString(a.value, 1<<16)
	if err != nil {
		return err
	}
	if value = strings.TrimSpace(value); len(value) >= abi.MaxInfoVal {
		return abi.Fail(abi.ErrInfoValue, "a value has at most %d bytes", abi.MaxInfoVal-1)
	}
	if x.find(key) < 0 && len(x.pairs) >= p.w.cfg.MaxObjects {
		return abi.Fail(abi.ErrInfo, "more than %d keys", p.w.cfg.MaxObjects)
	}
	return p.recost(x, int64(len(key)+len(value))+infoCost, func() { x.set(key, value) })
}

func callInfoDelete(p *Proc, a infoKeyArgs) error {
	x := p.infos.get(a.info)
	if x == nil {
		return abi.Fail(abi.ErrInfo, "info %#x is not known, or cannot be changed", a.info)
	}
	key, err := p.infoKey(a.key)
	if err != nil {
		return err
	}
	i := x.find(key)
	if i < 0 {
		return abi.Fail(abi.ErrInfoNoKey, "key %q is not there", key)
	}
	return p.recost(x, 0, func() { x.pairs = slices.Delete(x.pairs, i, i+1) })
}

type infoKeyArgs struct {
	info handle
	key  address
}

// infoEntry finds an info and the index of a key in it, -1 if it is not there.
func (p *Proc) infoEntry(a infoKeyArgs) (*info, int, error) {
	x, err := p.info(a.info)
	if err != nil {
		return nil, 0, err
	}
	key, err := p.infoKey(a.key)
	if err != nil {
		return nil, 0, err
	}
	return x, x.find(key), nil
}

// putText stores at most limit bytes of a string and a NUL.
func (p *Proc) putText(ptr uint32, text string, limit int) error {
	text = text[:min(len(text), max(limit, 0))]
	s, err := p.guest(ptr, uint64(len(text)+1))
	if err != nil {
		return argError(err)
	}
	b := p.bytes(s)
	b[copy(b, text)] = 0
	return nil
}

type infoGetArgs struct {
	infoKeyArgs
	valuelen    int
	value, flag address
}

func callInfoGet(p *Proc, a infoGetArgs) error {
	x, i, err := p.infoEntry(a.infoKeyArgs)
	if err != nil {
		return err
	}
	if a.valuelen < 0 {
		return abi.Fail(abi.ErrArg, "valuelen is %d", a.valuelen)
	}
	if i >= 0 {
		if err := p.putText(a.value, x.pairs[i][1], a.valuelen); err != nil {
			return err
		}
	}
	return p.putInt(a.flag, truth(i >= 0))
}

type infoGetStringArgs struct {
	infoKeyArgs
	buflen, value, flag address
}

// callInfoGetString takes the size of the buffer and gives the size of the value, both with the NUL (section 10.2).
func callInfoGetString(p *Proc, a infoGetStringArgs) error {
	x, i, err := p.infoEntry(a.infoKeyArgs)
	if err != nil {
		return err
	}
	room, err := p.word(a.buflen)
	if err != nil {
		return err
	}
	if i >= 0 {
		if int32(room) > 0 {
			if err := p.putText(a.value, x.pairs[i][1], int(int32(room))-1); err != nil {
				return err
			}
		}
		if err := p.putInt(a.buflen, len(x.pairs[i][1])+1); err != nil {
			return err
		}
	}
	return p.putInt(a.flag, truth(i >= 0))
}

type infoValuelenArgs struct {
	infoKeyArgs
	valuelen, flag address
}

func callInfoValuelen(p *Proc, a infoValuelenArgs) error {
	x, i, err := p.infoEntry(a.infoKeyArgs)
	if err != nil {
		return err
	}
	if i >= 0 {
		if err := p.putInt(a.valuelen, len(x.pairs[i][1])); err != nil {
			return err
		}
	}
	return p.putInt(a.flag, truth(i >= 0))
}

type infoNkeysArgs struct {
	info  handle
	nkeys address
}

func callInfoNkeys(p *Proc, a infoNkeysArgs) error {
	x, err := p.info(a.info)
	if err != nil {
		return err
	}
	return p.putInt(a.nkeys, len(x.pairs))
}

type infoNthkeyArgs struct {
	info handle
	n    int
	key  address
}

func callInfoNthkey(p *Proc, a infoNthkeyArgs) error {
	x, err := p.info(a.info)
	if err != nil {
		return err
	}
	if a.n < 0 || a.n >= len(x.pairs) {
		return abi.Fail(abi.ErrArg, "key %d of %d", a.n, len(x.pairs))
	}
	return p.putText(a.key, x.pairs[a.n][0], abi.MaxInfoKey-1)
}

type commSetInfoArgs struct{ comm, info handle }

func callCommSetInfo(p *Proc, a commSetInfoArgs) error {
	c, err := p.comm(a.comm)
	if err != nil {
		return err
	}
	x, err := p.hints(a.info)
	if err != nil {
		return c.on(err)
	}
	if c.info == nil {
		c.info = &info{}
	}
	for _, kv := range x.heeded().pairs {
		c.info.set(kv[0], kv[1])
	}
	return nil
}

type commGetInfoArgs struct {
	comm     handle
	infoUsed address
}

func callCommGetInfo(p *Proc, a commGetInfoArgs) error {
	c, err := p.comm(a.comm)
	if err != nil {
		return err
	}
	return c.on(p.giveInfo(c.info.clone(), a.infoUsed))
}
