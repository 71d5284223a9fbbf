package native

import "strings"

// vectorLoads are the loads of vectors by their codes.
var vectorLoads = []string{ //nolint:gochecknoglobals // an immutable list
	"load_v128", "load_8x8_s", "load_8x8_u", "load_16x4_s", "load_16x4_u", "load_32x2_s", "load_32x2_u", "load_splat8", "load_splat16", "load_splat32", "load_splat64",
}

// lanes has how the lanes of vectors are named, by their bits: unsigned and signed vectors, and what a lane is loaded and stored by.
type laneKind struct {
	bits           int
	unsigned, sign string
	load, store    string
	value          valueType
}

var laneKinds = []laneKind{ //nolint:gochecknoglobals // an immutable list
	{8, "u8x16", "s8x16", "load_i32_8u", "store_i32_8", typeI32},
	{16, "u16x8", "s16x8", "load_i32_16u", "store_i32_16", typeI32},
	{32, "u32x4", "s32x4", "load_i32", "store_i32", typeI32},
	{64, "u64x2", "s64x2", "load_i64", "store_i64", typeI64},
}

// vectorOperations are the instructions behind 0xfd that take nothing but values and the number of a lane, by their codes.
var vectorOperations = buildVectors() //nolint:gochecknoglobals // an immutable list

// vectorTable collects them.
type vectorTable map[uint32]operation

// put adds instructions with successive codes from code on. An empty source is a code that is not used.
func (t vectorTable) put(code uint32, takes string, gives valueType, sources ...string) {
	for i, s := range sources {
		if s != "" {
			t[code+uint32(i)] = operation{takes, gives, s}
		}
	}
}

// typed writes U, S and N in the sources of instructions as the vectors of a lane, and its bits.
func (l laneKind) typed(sources ...string) []string {
	bits := map[int]string{8: "8", 16: "16", 32: "32", 64: "64"}[l.bits]
	replace := strings.NewReplacer("@U", l.unsigned, "@S", l.sign, "@N", bits)
	out := make([]string, len(sources))
	for i, s := range sources {
		out[i] = replace.Replace(s)
	}
	return out
}

func buildVectors() vectorTable {
	t := vectorTable{}
	t.put(14, "vv", typeV128, "swizzle($0, $1)")
	t.put(15, "i", typeV128, "SPLAT8($0)", "SPLAT16($0)", "SPLAT32($0)")
	t.put(18, "j", typeV128, "SPLAT64($0)")
	t.put(19, "f", typeV128, "splat_f32($0)")
	t.put(20, "d", typeV128, "splat_f64($0)")
	t.lanes()
	t.comparisons()
	t.put(77, "v", typeV128, "~$0")
	t.put(78, "vv", typeV128, "$0 & $1", "$0 & ~$1", "$0 | $1", "$0 ^ $1")
	t.put(82, "vvv", typeV128, "bitselect($0, $1, $2)")
	t.put(83, "v", typeI32, "any_true($0)")
	t.put(94, "v", typeV128, "demote($0)", "promote($0)")
	for i, base := range []uint32{96, 128, 160, 192} {
		t.integers(base, laneKinds[i])
	}
	t.eights()
	t.sixteens()
	t.thirtyTwos()
	t.sixtyFours()
	t.floats()
	return t
}

func (t vectorTable) lanes() {
	t.put(21, "v", typeI32, "(s32)LANE($0, s8x16, $k)", "LANE($0, u8x16, $k)")
	t.put(23, "vi", typeV128, "REPLACE($0, u8x16, $k, $1)")
	t.put(24, "v", typeI32, "(s32)LANE($0, s16x8, $k)", "LANE($0, u16x8, $k)")
	t.put(26, "vi", typeV128, "REPLACE($0, u16x8, $k, $1)")
	t.put(27, "v", typeI32, "LANE($0, u32x4, $k)")
	t.put(28, "vi", typeV128, "REPLACE($0, u32x4, $k, $1)")
	t.put(29, "v", typeI64, "LANE($0, u64x2, $k)")
	t.put(30, "vj", typeV128, "REPLACE($0, u64x2, $k, $1)")
	t.put(31, "v", typeF32, "LANE($0, f32x4, $k)")
	t.put(32, "vf", typeV128, "REPLACE($0, f32x4, $k, $1)")
	t.put(33, "v", typeF64, "LANE($0, f64x2, $k)")
	t.put(34, "vd", typeV128, "REPLACE($0, f64x2, $k, $1)")
}

func (t vectorTable) comparisons() {
	for i, base := range []uint32{35, 45, 55} {
		t.put(base, "vv", typeV128, laneKinds[i].typed("(v128)((@U)$0 == (@U)$1)", "(v128)((@U)$0 != (@U)$1)", "(v128)((@S)$0 < (@S)$1)", "(v128)((@U)$0 < (@U)$1)",
			"(v128)((@S)$0 > (@S)$1)", "(v128)((@U)$0 > (@U)$1)", "(v128)((@S)$0 <= (@S)$1)", "(v128)((@U)$0 <= (@U)$1)", "(v128)((@S)$0 >= (@S)$1)", "(v128)((@U)$0 >= (@U)$1)")...)
	}
	for i, f := range []string{"f32x4", "f64x2"} {
		kind := laneKind{unsigned: f}
		t.put(uint32(65+6*i), "vv", typeV128, kind.typed("(v128)((@U)$0 == (@U)$1)", "(v128)((@U)$0 != (@U)$1)", "(v128)((@U)$0 < (@U)$1)", "(v128)((@U)$0 > (@U)$1)",
			"(v128)((@U)$0 <= (@U)$1)", "(v128)((@U)$0 >= (@U)$1)")...)
	}
	t.put(214, "vv", typeV128, laneKinds[3].typed("(v128)((@U)$0 == (@U)$1)", "(v128)((@U)$0 != (@U)$1)", "(v128)((@S)$0 < (@S)$1)", "(v128)((@S)$0 > (@S)$1)",
		"(v128)((@S)$0 <= (@S)$1)", "(v128)((@S)$0 >= (@S)$1)")...)
}

// integers are those that vectors of all integers have, at the same distance from base.
func (t vectorTable) integers(base uint32, l laneKind) {
	t.put(base, "v", typeV128, l.typed("(v128)ABS((@S)$0)", "(v128)-(@U)$0")...)
	t.put(base+3, "v", typeI32, l.typed("all_true@N($0)", "bitmask@N($0)")...)
	t.put(base+11, "vi", typeV128, l.typed("shl@N($0, $1)", "shr_s@N($0, $1)", "shr_u@N($0, $1)")...)
	t.put(base+14, "vv", typeV128, l.typed("(v128)((@U)$0 + (@U)$1)")...)
	t.put(base+17, "vv", typeV128, l.typed("(v128)((@U)$0 - (@U)$1)")...)
	if l.bits < 64 {
		t.put(base+22, "vv", typeV128, l.typed("(v128)MIN((@S)$0, (@S)$1)", "(v128)MIN((@U)$0, (@U)$1)", "(v128)MAX((@S)$0, (@S)$1)", "(v128)MAX((@U)$0, (@U)$1)")...)
	}
	if l.bits > 8 {
		t.put(base+21, "vv", typeV128, l.typed("(v128)((@U)$0 * (@U)$1)")...)
	}
	if l.bits < 32 {
		t.put(base+15, "vv", typeV128, l.typed("(v128)ADD_SAT((@S)$0, (@S)$1)", "(v128)ADD_SAT((@U)$0, (@U)$1)")...)
		t.put(base+18, "vv", typeV128, l.typed("(v128)SUB_SAT((@S)$0, (@S)$1)", "(v128)SUB_SAT((@U)$0, (@U)$1)")...)
		t.put(base+27, "vv", typeV128, l.typed("avgr@N($0, $1)")...)
	}
}

func (t vectorTable) eights() {
	t.put(98, "v", typeV128, "popcnt8($0)")
	t.put(101, "vv", typeV128, "narrow_16_s($0, $1)", "narrow_16_u($0, $1)")
	t.put(124, "v", typeV128, "PAIRWISE8($0, s8x16, s16x8)", "PAIRWISE8($0, u8x16, u16x8)", "PAIRWISE16($0, s16x8, s32x4)", "PAIRWISE16($0, u16x8, u32x4)")
}

func (t vectorTable) sixteens() {
	t.put(130, "vv", typeV128, "q15mulr($0, $1)")
	t.put(133, "vv", typeV128, "narrow_32_s($0, $1)", "narrow_32_u($0, $1)")
	t.put(135, "v", typeV128, "EXTEND(LOW8, $0, s8x16, s16x8)", "EXTEND(HIGH8, $0, s8x16, s16x8)", "EXTEND(LOW8, $0, u8x16, u16x8)", "EXTEND(HIGH8, $0, u8x16, u16x8)")
	t.put(156, "vv", typeV128, "EXTMUL(LOW8, $0, $1, s8x16, s16x8)", "EXTMUL(HIGH8, $0, $1, s8x16, s16x8)", "EXTMUL(LOW8, $0, $1, u8x16, u16x8)", "EXTMUL(HIGH8, $0, $1, u8x16, u16x8)")
}

func (t vectorTable) thirtyTwos() {
	t.put(167, "v", typeV128, "EXTEND(LOW4, $0, s16x8, s32x4)", "EXTEND(HIGH4, $0, s16x8, s32x4)", "EXTEND(LOW4, $0, u16x8, u32x4)", "EXTEND(HIGH4, $0, u16x8, u32x4)")
	t.put(186, "vv", typeV128, "dot($0, $1)", "", "EXTMUL(LOW4, $0, $1, s16x8, s32x4)", "EXTMUL(HIGH4, $0, $1, s16x8, s32x4)", "EXTMUL(LOW4, $0, $1, u16x8, u32x4)", "EXTMUL(HIGH4, $0, $1, u16x8, u32x4)")
}

func (t vectorTable) sixtyFours() {
	t.put(199, "v", typeV128, "EXTEND(LOW2, $0, s32x4, s64x2)", "EXTEND(HIGH2, $0, s32x4, s64x2)", "EXTEND(LOW2, $0, u32x4, u64x2)", "EXTEND(HIGH2, $0, u32x4, u64x2)")
	t.put(220, "vv", typeV128, "EXTMUL(LOW2, $0, $1, s32x4, s64x2)", "EXTMUL(HIGH2, $0, $1, s32x4, s64x2)", "EXTMUL(LOW2, $0, $1, u32x4, u64x2)", "EXTMUL(HIGH2, $0, $1, u32x4, u64x2)")
}

func (t vectorTable) floats() {
	round := func(f string) []string {
		return laneKind{unsigned: f}.typed("(v128)__builtin_elementwise_ceil((@U)$0)", "(v128)__builtin_elementwise_floor((@U)$0)", "(v128)__builtin_elementwise_trunc((@U)$0)",
			"(v128)__builtin_elementwise_roundeven((@U)$0)")
	}
	t.put(103, "v", typeV128, round("f32x4")...)
	wide := round("f64x2")
	for i, code := range []uint32{116, 117, 122, 148} {
		t.put(code, "v", typeV128, wide[i])
	}
	for i, f := range []laneKind{{unsigned: "f32x4", bits: 32}, {unsigned: "f64x2", bits: 64}} {
		base := uint32(224 + 12*i)
		t.put(base, "v", typeV128, f.typed("vabs@N($0)", "vneg@N($0)", "", "(v128)__builtin_elementwise_sqrt((@U)$0)")...)
		t.put(base+4, "vv", typeV128, f.typed("(v128)((@U)$0 + (@U)$1)", "(v128)((@U)$0 - (@U)$1)", "(v128)((@U)$0 * (@U)$1)", "(v128)((@U)$0 / (@U)$1)",
			"vmin@N($0, $1)", "vmax@N($0, $1)", "pmin@N($0, $1)", "pmax@N($0, $1)")...)
	}
	t.put(248, "v", typeV128, "vtrunc_s32($0)", "vtrunc_u32($0)", "(v128)CONVERT((s32x4)$0, f32x4)", "(v128)CONVERT((u32x4)$0, f32x4)", "vtrunc_s64($0)", "vtrunc_u64($0)",
		"(v128)CONVERT(LOW2((s32x4)$0), f64x2)", "(v128)CONVERT(LOW2((u32x4)$0), f64x2)")
}
