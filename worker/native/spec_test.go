//go:build linux && amd64

package native

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// few are the files whose tests run without GODWIT_SPEC, which names others, or all.
const few = "address call_indirect conversions float_exprs memory_grow simd_i16x8_arith2 table_grow traps"

// specDir is where the core tests of the specification are: as modules and what is to come of them, in wazero's source.
func specDir(t testing.TB) string {
	needsClang(t)
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	require.NoError(t, err)
	dir := filepath.Join(strings.TrimSpace(string(out)), "internal", "integration_test", "spectest", "v2", "testdata")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("wazero's source has no tests of the specification: %v", err)
	}
	return dir
}

type specCommand struct {
	Type     string
	Line     int
	Name     string
	Filename string
	As       string
	Action   struct {
		Type, Field, Module string
		Args                []specValue
	}
	Expected []specValue
	Text     string
}

type specValue struct {
	Type     string
	LaneType string `json:"lane_type"`
	Value    any
}

// want is a word of a stack, or which NaNs it may be.
type want struct {
	bits, mask uint64
}

func (v specValue) lanes() (texts []string, bits int) {
	if v.Type == "v128" {
		for _, l := range v.Value.([]any) {
			texts = append(texts, l.(string))
		}
		n, _ := strconv.Atoi(v.LaneType[1:])
		return texts, n
	}
	text, _ := v.Value.(string)
	if strings.HasSuffix(v.Type, "32") {
		return []string{text}, 32
	}
	return []string{text}, 64
}

// words are what a value is on a stack.
func (v specValue) words() []want {
	texts, bits := v.lanes()
	out := make([]want, (len(texts)*bits+63)/64)
	for i := range out {
		out[i].mask = ^uint64(0)
	}
	for i, text := range texts {
		w := &out[i*bits/64]
		shift := i * bits % 64
		all := ^uint64(0) >> (64 - bits)
		switch {
		case text == "null" || text == "":
		case v.Type == "externref":
			n, _ := strconv.ParseUint(text, 10, 64)
			w.bits = n + 1
		case strings.HasPrefix(text, "nan:"):
			exponent, quiet := uint64(0x7f800000), uint64(0x400000)
			if bits == 64 {
				exponent, quiet = 0x7ff0000000000000, 0x8000000000000
			}
			w.bits |= (exponent | quiet) << shift
			w.mask &^= (all &^ (exponent | quiet)) << shift
			if text == "nan:canonical" {
				w.mask |= (quiet - 1) << shift
			}
		default:
			n, err := strconv.ParseUint(text, 10, 64)
			if err != nil {
				s, err := strconv.ParseInt(text, 10, 64)
				if err != nil {
					panic(err)
				}
				n = uint64(s)
			}
			w.bits |= n & all << shift
		}
	}
	return out
}

// guestMemory is a memory of a test's.
type guestMemory struct {
	bytes []byte // all of its address space
	open  uint64
}

func (m *guestMemory) Reallocate(size uint64) []byte {
	if size > 1<<32 {
		return nil
	}
	if size > m.open && unix.Mprotect(m.bytes[:size], unix.PROT_READ|unix.PROT_WRITE) != nil {
		return nil
	}
	m.open = max(m.open, size)
	return m.bytes[:size]
}

// newInstance makes an instance with a memory, until the test ends.
func newInstance(t testing.TB, o *Object, host HostFunc) (*Instance, error) {
	space, err := unix.Mmap(-1, 0, Span, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	require.NoError(t, err)
	i, err := o.New(space, &guestMemory{bytes: space[MemoryAt:]}, 0, host)
	t.Cleanup(func() {
		if i != nil {
			require.NoError(t, i.Close())
		}
		require.NoError(t, unix.Munmap(space))
	})
	return i, err
}

// specRun runs the commands of one file.
type specRun struct {
	t          *testing.T
	objects    map[string]*Object // by file; nil: not supported
	named      map[string]*Instance
	registered map[string]*Instance
	last       *Instance
	asserted   int
	skipped    int
}

// compileAll compiles the modules of a file, two at a time.
func compileAll(t *testing.T, dir string, commands []specCommand) map[string]*Object {
	var mu sync.Mutex
	objects := map[string]*Object{}
	work := make(chan string, len(commands))
	for _, c := range commands {
		if c.Filename != "" && (c.Type == "module" || c.Type == "assert_uninstantiable" || c.Type == "assert_trap") {
			work <- c.Filename
		}
	}
	close(work)
	var running sync.WaitGroup
	for range 2 {
		running.Go(func() {
			for file := range work {
				wasm, err := os.ReadFile(filepath.Join(dir, file))
				var object []byte
				var o *Object
				if err == nil {
					object, err = Compiler{O: cmp.Or(os.Getenv("GODWIT_SPEC_O"), "-O1"), Workers: 1}.Compile(t.Context(), wasm)
				}
				if err == nil {
					o, err = Load(wasm, object)
				}
				if err != nil && !strings.Contains(err.Error(), errUnsupported.Error()) {
					t.Errorf("%s: %v", file, err)
				}
				mu.Lock()
				objects[file] = o
				mu.Unlock()
			}
		})
	}
	running.Wait()
	t.Cleanup(func() {
		for _, o := range objects {
			if o != nil {
				require.NoError(t, o.Close())
			}
		}
	})
	return objects
}

// instantiate makes an instance of a file's module; nil: it is not supported.
func (r *specRun) instantiate(file string) (*Instance, error) {
	o := r.objects[file]
	if o == nil { // it may have changed what it imports
		clear(r.named)
		clear(r.registered)
		return nil, nil //nolint:nilnil // said above
	}
	functions := make([]*Function, len(o.module.imports))
	for i, f := range o.module.imports {
		if f.module == "spectest" {
			continue
		}
		if from := r.registered[f.module]; from != nil {
			functions[i] = from.Function(f.name)
		}
		if functions[i] == nil {
			return nil, nil //nolint:nilnil // as above
		}
	}
	i, err := newInstance(r.t, o, func(ctx context.Context, index int, stack []uint64) {
		if f := functions[index]; f != nil {
			if err := f.CallWithStack(ctx, stack); err != nil {
				panic(err)
			}
		}
	})
	if err == nil {
		err = i.Start(r.t.Context())
	}
	return i, err
}

func (r *specRun) of(name string) *Instance {
	if name == "" {
		return r.last
	}
	return r.named[name]
}

// act does an action, and returns the words that came of it.
func (r *specRun) act(c specCommand) ([]uint64, bool, error) {
	i := r.of(c.Action.Module)
	if i == nil {
		return nil, false, nil
	}
	if c.Action.Type == "get" {
		g, ok := i.Global(c.Action.Field)
		require.True(r.t, ok)
		return g.words[:], true, nil
	}
	f := i.Function(c.Action.Field)
	require.NotNil(r.t, f, "line %d: %s", c.Line, c.Action.Field)
	var stack []uint64
	for _, a := range c.Action.Args {
		for _, w := range a.words() {
			stack = append(stack, w.bits)
		}
	}
	stack = append(stack, make([]uint64, 40)...)
	err := f.CallWithStack(r.t.Context(), stack)
	return stack, true, err
}

var specTraps = map[string]string{
	"out of bounds memory access": trapBounds, "indirect call type mismatch": trapCallType, "indirect call": trapCallType,
	"undefined element": trapTable, "undefined": trapTable, "out of bounds table access": trapTable, "integer overflow": trapOverflow,
	"invalid conversion to integer": trapConversion, "integer divide by zero": trapDivide, "unreachable": trapUnreachable,
}

func (r *specRun) trapped(c specCommand, err error) {
	text := specTraps[c.Text]
	if strings.HasPrefix(c.Text, "uninitialized") {
		text = trapTable
	}
	if c.Type == "assert_exhaustion" {
		text = trapStack
	}
	var trap *Trap
	if !errors.As(err, &trap) || trap.Why != text {
		r.t.Errorf("line %d: %q, want %q", c.Line, err, c.Text)
	}
}

func (r *specRun) command(c specCommand) {
	switch c.Type {
	case "module":
		i, err := r.instantiate(c.Filename)
		require.NoError(r.t, err, "line %d", c.Line)
		r.last = i
		if c.Name != "" {
			r.named[c.Name] = i
		}
		if i == nil {
			r.skipped++
		}
	case "register":
		r.registered[c.As] = r.of(c.Name)
	case "assert_return", "action":
		got, ok, err := r.act(c)
		if !ok {
			r.skipped++
			return
		}
		r.asserted++
		if err != nil {
			r.t.Errorf("line %d: %v", c.Line, err)
			return
		}
		at := 0
		for _, e := range c.Expected {
			for _, w := range e.words() {
				if got[at]&w.mask != w.bits {
					r.t.Errorf("line %d: %s: word %d is %#x, want %#x (%v)", c.Line, c.Action.Field, at, got[at], w.bits, e.Value)
				}
				at++
			}
		}
	case "assert_trap", "assert_exhaustion", "assert_uninstantiable":
		var err error
		var ok bool
		if c.Filename != "" {
			var i *Instance
			i, err = r.instantiate(c.Filename)
			ok = i != nil || err != nil
		} else {
			_, ok, err = r.act(c)
		}
		if !ok {
			r.skipped++
			return
		}
		r.asserted++
		r.trapped(c, err)
	}
}

// The core tests of the specification. Those of modules that import memories, tables or globals are skipped: guests import functions only.
func TestSpecification(t *testing.T) {
	dir := specDir(t)
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	require.NoError(t, err)
	only := strings.Fields(cmp.Or(os.Getenv("GODWIT_SPEC"), few))
	asserted, skipped := 0, 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		if !slices.Contains(only, name) && only[0] != "all" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			bytes, err := os.ReadFile(file)
			require.NoError(t, err)
			var all struct{ Commands []specCommand }
			require.NoError(t, json.Unmarshal(bytes, &all))
			r := &specRun{t: t, objects: compileAll(t, dir, all.Commands), named: map[string]*Instance{}, registered: map[string]*Instance{}}
			for _, c := range all.Commands {
				r.command(c)
			}
			asserted, skipped = asserted+r.asserted, skipped+r.skipped
		})
	}
	t.Logf("%d assertions, %d skipped", asserted, skipped)
	require.Greater(t, asserted, 10*skipped)
}
