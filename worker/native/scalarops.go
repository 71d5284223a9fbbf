package native

// operation is an instruction that takes values and makes one: their types, and an expression of C in which $0, $1 and $2 stand for them and $k for an
// immediate.
type operation struct {
	takes  string
	gives  valueType // 0: nothing
	source string
}

// scalarOperations are the instructions from firstScalar on, in the order of their codes (the specification, 5.4).
const firstScalar = 0x45

var scalarOperations = buildScalars() //nolint:gochecknoglobals // an immutable list

func buildScalars() []operation {
	var out []operation
	add := func(takes string, gives valueType, sources ...string) {
		for _, s := range sources {
			out = append(out, operation{takes, gives, s})
		}
	}
	integers := func(t, signed string) {
		add(t, typeI32, "!$0")
		add(
			t+t, typeI32, "$0 == $1", "$0 != $1", "("+signed+")$0 < ("+signed+")$1", "$0 < $1", "("+signed+")$0 > ("+signed+")$1", "$0 > $1",
			"("+signed+")$0 <= ("+signed+")$1", "$0 <= $1", "("+signed+")$0 >= ("+signed+")$1", "$0 >= $1",
		)
	}
	integers("i", "s32")
	integers("j", "s64")
	comparisons := []string{"$0 == $1", "$0 != $1", "$0 < $1", "$0 > $1", "$0 <= $1", "$0 >= $1"}
	add("ff", typeI32, comparisons...)
	add("dd", typeI32, comparisons...)
	arithmetic := func(t, signed, prefix, mask, popcount string) {
		add(t, valueType(t[0]), prefix+"_clz($0)", prefix+"_ctz($0)", popcount)
		add(
			t+t, valueType(t[0]), "$0 + $1", "$0 - $1", "$0 * $1", prefix+"_div_s(I, $0, $1)", prefix+"_div_u(I, $0, $1)", prefix+"_rem_s(I, $0, $1)", prefix+"_rem_u(I, $0, $1)",
			"$0 & $1", "$0 | $1", "$0 ^ $1", "$0 << ($1 & "+mask+")", "("+signed+")$0 >> ($1 & "+mask+")", "$0 >> ($1 & "+mask+")", prefix+"_rotl($0, $1)", prefix+"_rotr($0, $1)",
		)
	}
	arithmetic("i", "s32", "i32", "31", "__builtin_popcount($0)")
	arithmetic("j", "s64", "i64", "63", "__builtin_popcountll($0)")
	numbers := func(t, prefix, suffix string) {
		add(t, valueType(t[0]), "__builtin_fabs"+suffix+"($0)", "-$0", "__builtin_ceil"+suffix+"($0)", "__builtin_floor"+suffix+"($0)", "__builtin_trunc"+suffix+"($0)",
			"__builtin_roundeven"+suffix+"($0)", "__builtin_sqrt"+suffix+"($0)")
		add(t+t, valueType(t[0]), "$0 + $1", "$0 - $1", "$0 * $1", "$0 / $1", prefix+"_min($0, $1)", prefix+"_max($0, $1)", "__builtin_copysign"+suffix+"($0, $1)")
	}
	numbers("f", "f32", "f")
	numbers("d", "f64", "")
	conversions(add)
	return out
}

// conversions are the last of the scalar instructions.
func conversions(add func(takes string, gives valueType, sources ...string)) {
	add("j", typeI32, "$0")
	add("f", typeI32, "trunc_i32_f32_s(I, $0)", "trunc_i32_f32_u(I, $0)")
	add("d", typeI32, "trunc_i32_f64_s(I, $0)", "trunc_i32_f64_u(I, $0)")
	add("i", typeI64, "(s64)(s32)$0", "$0")
	add("f", typeI64, "trunc_i64_f32_s(I, $0)", "trunc_i64_f32_u(I, $0)")
	add("d", typeI64, "trunc_i64_f64_s(I, $0)", "trunc_i64_f64_u(I, $0)")
	for _, t := range []valueType{typeF32, typeF64} {
		add("i", t, "(s32)$0", "$0")
		add("j", t, "(s64)$0", "$0")
		if t == typeF32 {
			add("d", t, "(f32)$0")
		}
	}
	add("f", typeF64, "(f64)$0")
	add("f", typeI32, "bits_f32($0)")
	add("d", typeI64, "bits_f64($0)")
	add("i", typeF32, "f32_bits($0)")
	add("j", typeF64, "f64_bits($0)")
	add("i", typeI32, "(s32)(s8)$0", "(s32)(s16)$0")
	add("j", typeI64, "(s64)(s8)$0", "(s64)(s16)$0", "(s64)(s32)$0")
}

// saturating are the conversions behind 0xfc, in the order of their codes.
var saturating = []operation{ //nolint:gochecknoglobals // an immutable list
	{"f", typeI32, "trunc_sat_i32_f32_s($0)"},
	{"f", typeI32, "trunc_sat_i32_f32_u($0)"},
	{"d", typeI32, "trunc_sat_i32_f64_s($0)"},
	{"d", typeI32, "trunc_sat_i32_f64_u($0)"},
	{"f", typeI64, "trunc_sat_i64_f32_s($0)"},
	{"f", typeI64, "trunc_sat_i64_f32_u($0)"},
	{"d", typeI64, "trunc_sat_i64_f64_s($0)"},
	{"d", typeI64, "trunc_sat_i64_f64_u($0)"},
}

// access is a load or store: what follows is in the header by this name.
type access struct {
	name  string
	value valueType
	store bool
}

// accesses are the loads and stores from firstAccess on.
const firstAccess = 0x28

var accesses = []access{ //nolint:gochecknoglobals // an immutable list
	{"load_i32", typeI32, false},
	{"load_i64", typeI64, false},
	{"load_f32", typeF32, false},
	{"load_f64", typeF64, false},
	{"load_i32_8s", typeI32, false},
	{"load_i32_8u", typeI32, false},
	{"load_i32_16s", typeI32, false},
	{"load_i32_16u", typeI32, false},
	{"load_i64_8s", typeI64, false},
	{"load_i64_8u", typeI64, false},
	{"load_i64_16s", typeI64, false},
	{"load_i64_16u", typeI64, false},
	{"load_i64_32s", typeI64, false},
	{"load_i64_32u", typeI64, false},
	{"store_i32", typeI32, true},
	{"store_i64", typeI64, true},
	{"store_f32", typeF32, true},
	{"store_f64", typeF64, true},
	{"store_i32_8", typeI32, true},
	{"store_i32_16", typeI32, true},
	{"store_i64_8", typeI64, true},
	{"store_i64_16", typeI64, true},
	{"store_i64_32", typeI64, true},
}
