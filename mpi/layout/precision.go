package layout

import "github.com/godwit-run/godwit/mpi/abi"

// F90Base is the smallest predefined type with the precision that a combiner's numbers ask for, 0 if there is none.
func F90Base(combiner int, v []int64) uint32 {
	if combiner == abi.CombinerF90Integer {
		switch r := v[0]; {
		case r <= 2:
			return 0x2c1
		case r <= 4:
			return 0x2c9
		case r <= 9:
			return 0x2d1
		case r <= 18:
			return 0x2d9
		}
		return 0
	}
	digits, exponent := v[0], v[1]
	if digits == abi.Undefined {
		digits = 0
	}
	if exponent == abi.Undefined {
		exponent = 0
	}
	isReal := combiner == abi.CombinerF90Real
	switch {
	case digits <= 6 && exponent <= 37:
		return pick[uint32](isReal, 0x210, 0x212)
	case digits <= 15 && exponent <= 307:
		return pick[uint32](isReal, 0x214, 0x216)
	case digits <= 33 && exponent <= 4931:
		return pick[uint32](isReal, 0x220, 0x224)
	}
	return 0
}
