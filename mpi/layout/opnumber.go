package layout

import (
	"math"
	"math/big"

	"github.com/godwit-run/godwit/mpi/abi"
)

// complexes does MPI_SUM and MPI_PROD on complex numbers of two floats each.
func complexes[T float32 | float64](op uint32, dst, left, right []byte) {
	if op == abi.OpSum {
		arithmetic[T](op, dst, left, right) // of each part
		return
	}
	l, _ := view[T](left)
	r, _ := view[T](right)
	d, copied := view[T](dst)
	r, d = r[:len(l)], d[:len(l)]
	for i := 0; i+1 < len(l); i += 2 {
		a, b, x, y := float64(l[i]), float64(l[i+1]), float64(r[i]), float64(r[i+1])
		d[i], d[i+1] = T(difference(product(a, x), product(b, y))), T(sum(product(a, y), product(b, x)))
	}
	if copied {
		copy(dst, raw(d))
	}
}

// combinePairs does MPI_MINLOC and MPI_MAXLOC; of equal values the lower index wins (MPI 5.0 section 6.9.4).
func combinePairs(op uint32, t *Type, dst, left, right []byte) {
	value, index := t.Pair()
	if value == nil {
		return
	}
	size, v := int(t.Size), int(value.Size)
	for i := 0; i+size <= len(dst); i += size {
		l, r := left[i:i+size], right[i:i+size]
		c := compare(value, l[:v], r[:v])
		if op == abi.OpMaxloc {
			c = -c
		}
		if c > 0 || (c == 0 && compare(index, l[v:], r[v:]) > 0) {
			l = r
		}
		copy(dst[i:i+size], l)
	}
}

// compare orders two elements of a basic type.
func compare(t *Type, a, b []byte) int {
	switch t.Class {
	case FloatType:
		x, y := float(t, a), float(t, b)
		return truth(x > y) - truth(x < y)
	case QuadType:
		x, y := toQuad(a), toQuad(b)
		if x.nan || y.nan {
			return 0
		}
		return x.cmp(y)
	case UnsignedType:
		x, y := unsigned(a[:t.Size]), unsigned(b[:t.Size])
		return truth(x > y) - truth(x < y)
	default:
		x, y := signed(a[:t.Size]), signed(b[:t.Size])
		return truth(x > y) - truth(x < y)
	}
}

func float(t *Type, b []byte) float64 {
	if t.Size == 4 {
		return float64(math.Float32frombits(order.Uint32(b)))
	}
	return math.Float64frombits(order.Uint64(b))
}

func unsigned(b []byte) uint64 {
	var v uint64
	for i := len(b) - 1; i >= 0; i-- {
		v = v<<8 | uint64(b[i])
	}
	return v
}

func signed(b []byte) int64 {
	shift := 64 - 8*len(b)
	return int64(unsigned(b)<<shift) >> shift
}

// quad is an IEEE binary128 number, wasm32's long double: sign, and either not a number, infinite or finite.
type quad struct {
	nan, inf, neg bool
	abs           *big.Float // of a finite one; precision 113
}

const (
	quadPrecision = 113
	quadBias      = 16383
	quadExponent  = 0x7fff
)

// toQuad decodes 16 bytes, little-endian.
func toQuad(b []byte) quad {
	lo, hi := order.Uint64(b), order.Uint64(b[8:])
	q := quad{neg: hi>>63 == 1, abs: new(big.Float).SetPrec(quadPrecision)}
	exponent := int(hi >> 48 & quadExponent)
	mantissa := new(big.Int).SetUint64(hi & (1<<48 - 1))
	mantissa.Lsh(mantissa, 64).Or(mantissa, new(big.Int).SetUint64(lo))
	if exponent == quadExponent {
		q.inf, q.nan = mantissa.Sign() == 0, mantissa.Sign() != 0
		return q
	}
	if exponent > 0 {
		mantissa.SetBit(mantissa, 112, 1)
	} else {
		exponent = 1
	}
	q.abs.SetInt(mantissa)
	q.abs.SetMantExp(q.abs, exponent-quadBias-112)
	return q
}

// put encodes a number; what is too small for a normal number is rounded to a subnormal one.
func (q quad) put(b []byte) {
	var lo, hi uint64
	switch {
	case q.nan:
		hi = quadExponent<<48 | 1<<47
	case q.inf:
		hi = quadExponent << 48
	case q.abs.Sign() != 0:
		exponent := q.abs.MantExp(nil) - 1 // abs = 1.x * 2^exponent
		biased := exponent + quadBias
		scaled := new(big.Float).SetPrec(quadPrecision)
		scaled.SetMantExp(q.abs, 112-max(exponent, 1-quadBias))
		scaled.Add(scaled, big.NewFloat(0.5))
		m, _ := scaled.Int(nil)
		if biased >= quadExponent {
			hi = quadExponent << 48
			break
		}
		if biased > 0 {
			m.SetBit(m, 112, 0)
			hi = uint64(biased) << 48
		}
		lo = new(big.Int).And(m, new(big.Int).SetUint64(math.MaxUint64)).Uint64()
		hi += new(big.Int).Rsh(m, 64).Uint64()
	}
	if q.neg {
		hi |= 1 << 63
	}
	order.PutUint64(b, lo)
	order.PutUint64(b[8:], hi)
}

// value is a finite number with its sign.
func (q quad) value() *big.Float {
	v := new(big.Float).SetPrec(quadPrecision).Set(q.abs)
	if q.neg {
		v.Neg(v)
	}
	return v
}

func finite(v *big.Float) quad {
	return quad{neg: v.Signbit(), abs: new(big.Float).SetPrec(quadPrecision).Abs(v)}
}

func (q quad) cmp(r quad) int {
	rank := func(x quad) int { return truth(x.inf) * (1 - 2*truth(x.neg)) }
	if q.inf || r.inf {
		return rank(q) - rank(r)
	}
	return q.value().Cmp(r.value())
}

func (q quad) add(r quad) quad {
	switch {
	case q.nan || r.nan || (q.inf && r.inf && q.neg != r.neg):
		return quad{nan: true}
	case q.inf:
		return q
	case r.inf:
		return r
	}
	return finite(new(big.Float).SetPrec(quadPrecision).Add(q.value(), r.value()))
}

func (q quad) mul(r quad) quad {
	zero := func(x quad) bool { return !x.inf && !x.nan && x.abs.Sign() == 0 }
	switch {
	case q.nan || r.nan || (q.inf && zero(r)) || (r.inf && zero(q)):
		return quad{nan: true}
	case q.inf || r.inf:
		return quad{inf: true, neg: q.neg != r.neg}
	}
	return finite(new(big.Float).SetPrec(quadPrecision).Mul(q.value(), r.value()))
}

// holds is C's meaning of truth.
func (q quad) holds() bool { return q.nan || q.inf || q.abs.Sign() != 0 }

func (q quad) negated() quad {
	q.neg = !q.neg
	return q
}

// combineQuads computes with long doubles and complex numbers of them.
func combineQuads(op uint32, t *Type, dst, left, right []byte) {
	size := int(t.Size)
	for i := 0; i+size <= len(dst); i += size {
		l, r, d := left[i:], right[i:], dst[i:]
		if t.Class == QuadComplexType {
			a, b, x, y := toQuad(l), toQuad(l[16:]), toQuad(r), toQuad(r[16:])
			re, im := a.add(x), b.add(y)
			if op == abi.OpProd {
				re, im = a.mul(x).add(b.mul(y).negated()), a.mul(y).add(b.mul(x))
			}
			re.put(d)
			im.put(d[16:])
			continue
		}
		a, b := toQuad(l), toQuad(r)
		switch op {
		case abi.OpSum:
			a = a.add(b)
		case abi.OpProd:
			a = a.mul(b)
		case abi.OpMin:
			a = pick(!b.nan && (a.nan || b.cmp(a) < 0), b, a)
		case abi.OpMax:
			a = pick(!b.nan && (a.nan || b.cmp(a) > 0), b, a)
		case abi.OpLand, abi.OpLor, abi.OpLxor:
			a = finite(big.NewFloat(float64(truth(logical(op, a.holds(), b.holds())))))
		}
		a.put(d)
	}
}
