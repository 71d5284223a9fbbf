package mpi

// The tool information interface (MPI 5.0 chapter 15). There are no variables, categories or events: tools that ask are told
// so, and whatever names one is an error. These functions return their error codes, and call no error handler.
const (
	toolNotInitialized = 1003
	toolInvalidIndex   = 1007
	toolInvalidHandle  = 1010
	toolInvalidName    = 1011
)

// toolSession is the handle of every performance session: they hold nothing.
const toolSession = 1

// toolCalls are the functions of the chapter.
func toolCalls() []entry {
	calls := []entry{
		{name: "MPI_T_init_thread", any: true, impl: callToolInit},
		{name: "MPI_T_finalize", any: true, impl: callToolFinalize},
		{name: "MPI_T_pvar_session_create", any: true, impl: tool(func(p *Proc, a args) error { return p.putWord(a.u32(0), toolSession) })},
		{name: "MPI_T_pvar_session_free", any: true, impl: tool(func(p *Proc, a args) error { return p.putWord(a.u32(0), 0) })},
	}
	for _, name := range []string{"cvar_get_num", "pvar_get_num", "category_get_num", "event_get_num", "source_get_num", "category_changed"} {
		calls = append(calls, entry{name: "MPI_T_" + name, any: true, impl: tool(func(p *Proc, a args) error { return p.putInt(a.u32(0), 0) })})
	}
	for code, names := range map[uint64][]string{
		toolInvalidIndex: {
			"enum_get_info", "enum_get_item", "cvar_get_info", "cvar_handle_alloc", "pvar_get_info", "pvar_handle_alloc",
			"category_get_info", "category_get_cvars", "category_get_pvars", "category_get_categories",
		},
		toolInvalidName: {"cvar_get_index", "pvar_get_index", "category_get_index", "event_get_index"},
		toolInvalidHandle: {
			"cvar_handle_free", "cvar_read", "cvar_write", "pvar_handle_free", "pvar_start", "pvar_stop", "pvar_read", "pvar_write",
			"pvar_reset", "pvar_readreset",
		},
	} {
		for _, name := range names {
			calls = append(calls, entry{name: "MPI_T_" + name, any: true, impl: func(p *Proc, _ args) (uint64, error) {
				if p.tools == 0 {
					return toolNotInitialized, nil
				}
				return code, nil
			}})
		}
	}
	return calls
}

// tool makes a call that works only between MPI_T_init_thread and MPI_T_finalize.
func tool(f func(p *Proc, a args) error) func(*Proc, args) (uint64, error) {
	return func(p *Proc, a args) (uint64, error) {
		if p.tools == 0 {
			return toolNotInitialized, nil
		}
		return uint64(errorClass(f(p, a))), nil
	}
}

// callToolInit may be called several times, each with its own MPI_T_finalize.
func callToolInit(p *Proc, a args) (uint64, error) {
	p.tools++
	return uint64(errorClass(p.putInt(a.u32(1), min(max(a.int(0), threadSingle), threadSerialized)))), nil
}

func callToolFinalize(p *Proc, _ args) (uint64, error) {
	if p.tools == 0 {
		return toolNotInitialized, nil
	}
	p.tools--
	return success, nil
}
