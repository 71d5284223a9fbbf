package layout

import (
	"math"
	"runtime"
)

// A result has the same bits on every processor, for a rank may move between the calls that make it. Two things differ: some processors add a product without rounding it
// first, which the conversions here forbid; and what is no number, where an operation makes it, has a sign of the processor's. amd64's counts, where nothing is done.

// ownNaN says whether this machine's processor makes other NaNs than amd64's.
const ownNaN = runtime.GOARCH != "amd64"

func sum[T number](l, r T) T {
	v := l + r
	if ownNaN && v != v {
		return notNumber(l, r)
	}
	return v
}

func difference[T number](l, r T) T {
	v := l - r
	if ownNaN && v != v {
		return notNumber(l, r)
	}
	return v
}

func product[T number](l, r T) T {
	v := T(l * r)
	if ownNaN && v != v {
		return notNumber(l, r)
	}
	return v
}

// notNumber is what amd64 gives where the result is no number: the first operand that is none, or one that it makes.
func notNumber[T number](l, r T) T {
	switch {
	case l != l:
		return l
	case r != r:
		return r
	}
	return T(math.Float64frombits(madeNaN))
}

const madeNaN = 0xfff8 << 48
