//go:build linux && amd64

package native

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
)

// generator makes modules of one function: instructions at random, each of which takes its operands from locals and leaves what it makes in one.
type generator struct {
	random *rand.Rand
	code   []byte
}

// locals are four of each type.
const localTypes = "iiiijjjjffffddddvvvv"

func (g *generator) local(t valueType) uint32 {
	return uint32(strings.IndexByte(localTypes, byte(t)) + g.random.IntN(4)) //nolint:gosec // small
}

func (g *generator) put(op byte, immediates ...uint32) {
	g.code = append(g.code, op)
	for _, i := range immediates {
		g.code = binary.AppendUvarint(g.code, uint64(i))
	}
}

// operation adds an instruction: its code, and what follows it.
func (g *generator) operation(o operation, code ...byte) {
	for _, t := range []byte(o.takes) {
		g.put(opLocalGet, g.local(valueType(t)))
	}
	g.code = append(g.code, code...)
	g.put(opLocalSet, g.local(o.gives))
}

// numbers says whether a type is one of numbers, or of vectors, in which they may be.
func numbers(types string) bool { return strings.ContainsAny(types, "fd") }

// scalar adds an instruction without memory. Where NaNs differ the engines may, which is said in DESIGN.md: so none is made that could tell two apart.
func (g *generator) scalar() {
	for {
		i := g.random.IntN(len(scalarOperations))
		o := scalarOperations[i]
		code := firstScalar + i
		signs := slices.Contains([]int{0x8b, 0x8c, 0x98, 0x99, 0x9a, 0xa6}, code)
		traps := strings.Contains(o.source, "(I, ") && g.random.IntN(20) > 0
		if traps || signs || numbers(string(rune(o.gives))) && strings.Contains(o.source, "_bits") {
			continue
		}
		g.operation(o, byte(code)) //nolint:gosec // of a byte
		return
	}
}

// vector adds an instruction on vectors of integers.
func (g *generator) vector(codes []uint32) {
	code := codes[g.random.IntN(len(codes))]
	o := vectorOperations[code]
	b := binary.AppendUvarint([]byte{opVector}, uint64(code))
	if code >= 21 && code <= 34 {
		lanes := map[bool]int{true: 2, false: 16}[code > 26]
		b = append(b, byte(g.random.IntN(min(lanes, 16)))) //nolint:gosec // small
		if code <= 26 && code >= 24 {
			b[len(b)-1] &= 7
		}
	}
	g.operation(o, b...)
}

// access adds a load or a store inside of the memory, or now and then a store outside: a load there that nobody needs may not trap.
func (g *generator) access() {
	i := g.random.IntN(len(accesses))
	a := accesses[i]
	if numbers(string(rune(a.value))) && !a.store {
		return
	}
	g.put(opLocalGet, g.local(typeI32))
	if !a.store || g.random.IntN(400) > 0 {
		g.code = append(g.code, opI32Const, 0xff, 0x1f, 0x71) // and 0xfff
	}
	if a.store {
		g.put(opLocalGet, g.local(a.value))
	}
	g.put(byte(firstAccess+i), 0, uint32(g.random.IntN(1<<12))) //nolint:gosec // small
	if !a.store {
		g.put(opLocalSet, g.local(a.value))
	}
}

// integerVectors are the codes of instructions on vectors of integers alone.
func integerVectors() []uint32 {
	var out []uint32
	for code, o := range vectorOperations {
		if !numbers(o.takes+string(rune(o.gives))) && !strings.Contains(o.source, "f32") && !strings.Contains(o.source, "f64") && !strings.Contains(o.source, "vabs") &&
			!strings.Contains(o.source, "vneg") && !strings.Contains(o.source, "vm") && !strings.Contains(o.source, "pm") && !strings.Contains(o.source, "vtrunc") &&
			!strings.Contains(o.source, "mote") {
			out = append(out, code)
		}
	}
	slices.Sort(out)
	return out
}

func vectorOf(items ...string) string { return string(rune(len(items))) + strings.Join(items, "") }

// module makes one. Its function has all locals as parameters, in a loop of three rounds, and returns the first of each type.
func (g *generator) module() []byte {
	types := map[byte]string{'i': "\x7f", 'j': "\x7e", 'f': "\x7d", 'd': "\x7c", 'v': "\x7b"}
	var params []string
	for _, t := range []byte(localTypes) {
		params = append(params, types[t])
	}
	codes := integerVectors()
	counter := uint32(len(localTypes))
	g.put(opLoop, 0x40)
	for range 60 + g.random.IntN(100) {
		switch g.random.IntN(4) {
		case 0, 1:
			g.scalar()
		case 2:
			g.vector(codes)
		case 3:
			g.access()
		}
	}
	g.put(opLocalGet, counter)
	g.code = append(g.code, opI32Const, 1, opI32Add)
	g.put(opLocalTee, counter)
	g.code = append(g.code, opI32Const, 3, 0x48) // less
	g.put(opBrIf, 0)
	g.put(opEnd)
	for i := range 5 {
		g.put(opLocalGet, uint32(4*i)) //nolint:gosec // small
	}
	g.put(opEnd)
	section := func(id byte, content string) string {
		return string([]byte{id}) + string(binary.AppendUvarint(nil, uint64(len(content)))) + content
	}
	body := "\x01\x01\x7f" + string(g.code)
	return []byte("\x00asm\x01\x00\x00\x00" +
		section(1, "\x01\x60"+vectorOf(params...)+vectorOf("\x7f", "\x7e", "\x7d", "\x7c", "\x7b")) + section(3, "\x01\x00") + section(5, "\x01\x00\x01") +
		section(7, "\x02\x01f\x00\x00\x01m\x02\x00") + section(10, "\x01"+string(binary.AppendUvarint(nil, uint64(len(body))))+body))
}

// arguments are for all locals.
func (g *generator) arguments() []uint64 {
	var out []uint64
	number := func() float64 {
		special := []float64{0, math.Copysign(0, -1), 1, -1, math.Inf(1), math.Inf(-1), 0.5, 1 << 31, -1 << 31, 1 << 32, 1 << 63, math.MaxFloat32, math.SmallestNonzeroFloat64}
		if g.random.IntN(3) == 0 {
			return special[g.random.IntN(len(special))]
		}
		return (g.random.Float64() - 0.5) * math.Pow(2, float64(g.random.IntN(80)-20))
	}
	for _, t := range []byte(localTypes) {
		bits := g.random.Uint64() >> (8 * g.random.IntN(8))
		switch valueType(t) {
		case typeI32:
			bits = uint64(uint32(bits)) //nolint:gosec // cut
		case typeF32:
			bits = uint64(math.Float32bits(float32(number())))
		case typeF64:
			bits = math.Float64bits(number())
		case typeV128:
			out = append(out, g.random.Uint64())
		}
		out = append(out, bits)
	}
	return out
}

// TestAsWazero has modules made at random do the same in both engines: results, bit for bit, memory, and traps.
func TestAsWazero(t *testing.T) {
	needsClang(t)
	seed := rand.Uint64()
	if text := os.Getenv("GODWIT_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	rounds := 12
	if text := os.Getenv("GODWIT_ROUNDS"); text != "" {
		var err error
		rounds, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	trapped := map[string]int{}
	for round := range rounds {
		t.Logf("GODWIT_SEED=%d", seed+uint64(round))                          //nolint:gosec // small
		compareOnce(t, rand.New(rand.NewPCG(seed+uint64(round), 0)), trapped) //nolint:gosec // no secret
		if t.Failed() {
			return
		}
	}
	t.Logf("ends: %v", slices.Sorted(maps.Keys(trapped)))
}

func compareOnce(t *testing.T, random *rand.Rand, ends map[string]int) {
	ctx := t.Context()
	g := &generator{random: random}
	wasm := g.module()
	r := wazero.NewRuntime(ctx)
	defer r.Close(ctx) //nolint:errcheck // of a test
	other, err := r.Instantiate(ctx, wasm)
	require.NoError(t, err)
	object, err := Compiler{O: []string{"-O1", "-O3"}[random.IntN(2)]}.Compile(ctx, wasm)
	require.NoError(t, err)
	o, err := Load(wasm, object)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, o.Close()) })
	i, err := newInstance(t, o, nil)
	require.NoError(t, err)
	for range 20 {
		arguments := g.arguments()
		want, got := slices.Clone(arguments), slices.Clone(arguments)
		wantErr := other.ExportedFunction("f").CallWithStack(ctx, want)
		gotErr := i.Function("f").CallWithStack(ctx, got)
		end := "done"
		if wantErr != nil {
			var trap *Trap
			end, _, _ = strings.Cut(strings.TrimPrefix(wantErr.Error(), "wasm error: "), "\n")
			require.True(t, errors.As(gotErr, &trap), "wazero has %q, and %v here", end, gotErr)
			require.Equal(t, end, trap.Why)
			ends[end]++
			return // what a trap leaves behind is not the same: stores may have been made in another order
		}
		ends[end]++
		require.NoError(t, gotErr)
		require.Equal(t, want[:6], got[:6], fmt.Sprintf("%#x", arguments))
		memory, _ := other.Memory().Read(0, 1<<16)
		require.Equal(t, memory, i.accessible())
	}
}
