package mpi

import "github.com/godwit-run/godwit/mpi/abi"

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
		{name: "MPI_T_init_thread", any: true, impl: bindValue(callToolInit)},
		{name: "MPI_T_finalize", any: true, impl: bindValue(callToolFinalize)},
		{name: "MPI_T_pvar_session_create", any: true, impl: toolWord(toolSession).as("word", "session")},
		{name: "MPI_T_pvar_session_free", any: true, impl: toolWord(0).as("word", "session")},
	}
	for name, number := range map[string]string{
		"cvar_get_num": "num_cvar", "pvar_get_num": "num_pvar", "category_get_num": "num_cat", "event_get_num": "num_events",
		"source_get_num": "num_sources", "category_changed": "update_number",
	} {
		calls = append(calls, entry{name: "MPI_T_" + name, any: true, impl: toolWord(0).as("word", number)})
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
			calls = append(calls, entry{name: "MPI_T_" + name, any: true, impl: bindBlind(func(p *Proc) (uint64, error) {
				if p.tools == 0 {
					return toolNotInitialized, nil
				}
				return code, nil
			})})
		}
	}
	return calls
}

type toolWordArgs struct{ word address }

// toolWord makes a call that stores a word, between MPI_T_init_thread and MPI_T_finalize.
func toolWord(v uint32) body {
	return bindValue(func(p *Proc, a toolWordArgs) (uint64, error) {
		if p.tools == 0 {
			return toolNotInitialized, nil
		}
		return uint64(errorClass(p.putWord(a.word, v))), nil
	})
}

type toolInitArgs struct {
	required int
	provided address
}

// callToolInit may be called several times, each with its own MPI_T_finalize.
func callToolInit(p *Proc, a toolInitArgs) (uint64, error) {
	p.tools++
	return uint64(errorClass(p.putInt(a.provided, min(max(a.required, abi.ThreadSingle), abi.ThreadSerialized)))), nil
}

func callToolFinalize(p *Proc, _ noArgs) (uint64, error) {
	if p.tools == 0 {
		return toolNotInitialized, nil
	}
	p.tools--
	return abi.Success, nil
}
