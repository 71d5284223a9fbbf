/* The vector instructions, by the compiler's vectors, so that they are the same on every processor. */
#define CONVERT __builtin_convertvector
#define SHUFFLE __builtin_shufflevector
#define LOW2(v) SHUFFLE(v, v, 0, 1)
#define LOW4(v) SHUFFLE(v, v, 0, 1, 2, 3)
#define LOW8(v) SHUFFLE(v, v, 0, 1, 2, 3, 4, 5, 6, 7)
#define HIGH2(v) SHUFFLE(v, v, 2, 3)
#define HIGH4(v) SHUFFLE(v, v, 4, 5, 6, 7)
#define HIGH8(v) SHUFFLE(v, v, 8, 9, 10, 11, 12, 13, 14, 15)
#define EVEN4(v) SHUFFLE(v, v, 0, 2, 4, 6)
#define ODD4(v) SHUFFLE(v, v, 1, 3, 5, 7)
#define EVEN8(v) SHUFFLE(v, v, 0, 2, 4, 6, 8, 10, 12, 14)
#define ODD8(v) SHUFFLE(v, v, 1, 3, 5, 7, 9, 11, 13, 15)

#define SPLAT8(x) ((v128)(((u8x16){} + (u8)(x))))
#define SPLAT16(x) ((v128)(((u16x8){} + (u16)(x))))
#define SPLAT32(x) ((v128)((u32x4){x, x, x, x}))
#define SPLAT64(x) ((v128){x, x})
INLINE v128 splat_f32(f32 x) { return (v128)(f32x4){x, x, x, x}; }
INLINE v128 splat_f64(f64 x) { return (v128)(f64x2){x, x}; }

/* The same three kinds of those that load less than a vector. */
#define EXTENDED(kind, name, as, half, wide) \
  INLINE v128 kind##name(struct instance *I, u64 a) { u64 v = kind##load_i64(I, a); half h; __builtin_memcpy(&h, &v, 8); return (v128)CONVERT(h, wide); }
#define PARTS(kind) \
  EXTENDED(kind, load_8x8_s, s8, s8x8, s16x8) EXTENDED(kind, load_8x8_u, u8, u8x8, u16x8) EXTENDED(kind, load_16x4_s, s16, s16x4, s32x4) \
  EXTENDED(kind, load_16x4_u, u16, u16x4, u32x4) EXTENDED(kind, load_32x2_s, s32, s32x2, s64x2) EXTENDED(kind, load_32x2_u, u32, u32x2, u64x2) \
  INLINE v128 kind##load_splat8(struct instance *I, u64 a) { u32 v = kind##load_i32_8u(I, a); return SPLAT8(v); } \
  INLINE v128 kind##load_splat16(struct instance *I, u64 a) { u32 v = kind##load_i32_16u(I, a); return SPLAT16(v); } \
  INLINE v128 kind##load_splat32(struct instance *I, u64 a) { u32 v = kind##load_i32(I, a); return SPLAT32(v); } \
  INLINE v128 kind##load_splat64(struct instance *I, u64 a) { u64 v = kind##load_i64(I, a); return SPLAT64(v); } \
  INLINE v128 kind##load_zero32(struct instance *I, u64 a) { return (v128){kind##load_i32(I, a), 0}; } \
  INLINE v128 kind##load_zero64(struct instance *I, u64 a) { return (v128){kind##load_i64(I, a), 0}; }
PARTS()
PARTS(plain_)
PARTS(fresh_)

/* One lane: the type of its vector, and of what it becomes. */
#define LANE(v, vec, k) (((vec)(v))[k])
#define REPLACE(v, vec, k, x) ({ vec r_ = (vec)(v); r_[k] = (x); (v128)r_; })

INLINE v128 swizzle(v128 a, v128 b) {
#ifdef __SSSE3__
  u8x16 i = (u8x16)b;
  u8x16 over = (u8x16)(i > 15) & 0x80;
  typedef char c8x16 __attribute__((vector_size(16)));
  return (v128)__builtin_ia32_pshufb128((c8x16)a, (c8x16)(i | over));
#else
  u8x16 v = (u8x16)a, i = (u8x16)b, r;
  for (int k = 0; k < 16; k++) r[k] = i[k] < 16 ? v[i[k]] : 0;
  return (v128)r;
#endif
}
INLINE v128 bitselect(v128 a, v128 b, v128 c) { return (a & c) | (b & ~c); }
INLINE u32 any_true(v128 a) { return (a[0] | a[1]) != 0; }
#define ALL_TRUE(name, vec) INLINE u32 name(v128 a) { v128 z = (v128)((vec)a == 0); return (z[0] | z[1]) == 0; }
ALL_TRUE(all_true8, u8x16) ALL_TRUE(all_true16, u16x8) ALL_TRUE(all_true32, u32x4) ALL_TRUE(all_true64, u64x2)
#ifdef __SSE2__
typedef char mask8 __attribute__((vector_size(16)));
INLINE u32 bitmask8(v128 a) { return (u32)__builtin_ia32_pmovmskb128((mask8)a); }
INLINE u32 bitmask32(v128 a) { return (u32)__builtin_ia32_movmskps((f32x4)a); }
INLINE u32 bitmask64(v128 a) { return (u32)__builtin_ia32_movmskpd((f64x2)a); }
#else
#define BITMASK(name, vec, n) INLINE u32 name(v128 a) { u32 r = 0; for (int k = 0; k < n; k++) r |= (u32)(((vec)a)[k] < 0) << k; return r; }
BITMASK(bitmask8, s8x16, 16) BITMASK(bitmask32, s32x4, 4) BITMASK(bitmask64, s64x2, 2)
#endif
INLINE v128 narrow_16_s(v128 a, v128 b);
INLINE u32 bitmask16(v128 a) { return bitmask8(narrow_16_s(a, (v128){0, 0})); }

INLINE v128 popcnt8(v128 a) {
  u8x16 v = (u8x16)a;
  v = v - ((v >> 1) & 0x55);
  v = (v & 0x33) + ((v >> 2) & 0x33);
  return (v128)((v + (v >> 4)) & 0x0f);
}
#define CLAMP(v, type, least, most) __builtin_elementwise_max(__builtin_elementwise_min((type)(v), (type){} + (most)), (type){} + (least))
INLINE v128 narrow_16_s(v128 a, v128 b) {
  s16x8 x = CLAMP(a, s16x8, -128, 127), y = CLAMP(b, s16x8, -128, 127);
  return (v128)SHUFFLE((s8x16)x, (s8x16)y, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
}
INLINE v128 narrow_16_u(v128 a, v128 b) {
  s16x8 x = CLAMP(a, s16x8, 0, 255), y = CLAMP(b, s16x8, 0, 255);
  return (v128)SHUFFLE((s8x16)x, (s8x16)y, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
}
INLINE v128 narrow_32_s(v128 a, v128 b) {
  s32x4 x = CLAMP(a, s32x4, -32768, 32767), y = CLAMP(b, s32x4, -32768, 32767);
  return (v128)SHUFFLE((s16x8)x, (s16x8)y, 0, 2, 4, 6, 8, 10, 12, 14);
}
INLINE v128 narrow_32_u(v128 a, v128 b) {
  s32x4 x = CLAMP(a, s32x4, 0, 65535), y = CLAMP(b, s32x4, 0, 65535);
  return (v128)SHUFFLE((s16x8)x, (s16x8)y, 0, 2, 4, 6, 8, 10, 12, 14);
}

INLINE v128 shl8(v128 a, u32 k) { return (v128)((u8x16)a << (u8)(k & 7)); }
INLINE v128 shr_s8(v128 a, u32 k) { return (v128)((s8x16)a >> (s8)(k & 7)); }
INLINE v128 shr_u8(v128 a, u32 k) { return (v128)((u8x16)a >> (u8)(k & 7)); }
INLINE v128 shl16(v128 a, u32 k) { return (v128)((u16x8)a << (u16)(k & 15)); }
INLINE v128 shr_s16(v128 a, u32 k) { return (v128)((s16x8)a >> (s16)(k & 15)); }
INLINE v128 shr_u16(v128 a, u32 k) { return (v128)((u16x8)a >> (u16)(k & 15)); }
INLINE v128 shl32(v128 a, u32 k) { return (v128)((u32x4)a << (k & 31)); }
INLINE v128 shr_s32(v128 a, u32 k) { return (v128)((s32x4)a >> (s32)(k & 31)); }
INLINE v128 shr_u32(v128 a, u32 k) { return (v128)((u32x4)a >> (k & 31)); }
INLINE v128 shl64(v128 a, u32 k) { return a << (u64)(k & 63); }
INLINE v128 shr_s64(v128 a, u32 k) { return (v128)((s64x2)a >> (s64)(k & 63)); }
INLINE v128 shr_u64(v128 a, u32 k) { return a >> (u64)(k & 63); }

#define MIN __builtin_elementwise_min
#define MAX __builtin_elementwise_max
#define ABS __builtin_elementwise_abs
#define ADD_SAT __builtin_elementwise_add_sat
#define SUB_SAT __builtin_elementwise_sub_sat

typedef u16 u16x16 __attribute__((vector_size(32)));
typedef u32 u32x8 __attribute__((vector_size(32)));
typedef s32 s32x8 __attribute__((vector_size(32)));
INLINE v128 avgr8(v128 a, v128 b) { return (v128)CONVERT((CONVERT((u8x16)a, u16x16) + CONVERT((u8x16)b, u16x16) + 1) >> 1, u8x16); }
INLINE v128 avgr16(v128 a, v128 b) { return (v128)CONVERT((CONVERT((u16x8)a, u32x8) + CONVERT((u16x8)b, u32x8) + 1) >> 1, u16x8); }
INLINE v128 q15mulr(v128 a, v128 b) {
  s32x8 p = (CONVERT((s16x8)a, s32x8) * CONVERT((s16x8)b, s32x8) + 0x4000) >> 15;
  return (v128)CONVERT(MIN(p, (s32x8){} + 32767), s16x8);
}
INLINE v128 dot(v128 a, v128 b) {
  s32x8 p = CONVERT((s16x8)a, s32x8) * CONVERT((s16x8)b, s32x8);
  return (v128)(SHUFFLE(p, p, 0, 2, 4, 6) + SHUFFLE(p, p, 1, 3, 5, 7));
}
#define EXTEND(part, v, from, to) ((v128)CONVERT(part((from)(v)), to))
#define EXTMUL(part, a, b, from, to) ((v128)(CONVERT(part((from)(a)), to) * CONVERT(part((from)(b)), to)))
#define PAIRWISE8(a, from, to) ((v128)(CONVERT(EVEN8((from)(a)), to) + CONVERT(ODD8((from)(a)), to)))
#define PAIRWISE16(a, from, to) ((v128)(CONVERT(EVEN4((from)(a)), to) + CONVERT(ODD4((from)(a)), to)))

/* Least and most of numbers, step by step as wazero makes them on amd64: so are the NaNs. */
#define FLOAT_VECTORS(n, f, u, keep) \
  INLINE v128 vmin##n(v128 av, v128 bv) { \
    f a = (f)av, b = (f)bv; \
    u x = (u)(a < b) & (u)a | ~(u)(a < b) & (u)b, y = (u)(b < a) & (u)b | ~(u)(b < a) & (u)a, nan = ~((u)(a == a) & (u)(b == b)); \
    return (v128)(~(nan >> keep) & (x | y | nan)); \
  } \
  INLINE v128 vmax##n(v128 av, v128 bv) { \
    f a = (f)av, b = (f)bv; \
    u x = (u)(b > a) & (u)b | ~(u)(b > a) & (u)a, y = (u)(a > b) & (u)a | ~(u)(a > b) & (u)b, differ = x ^ y, both = y | differ; \
    u nan = ~(u)((f)both == (f)both); \
    return (v128)(~(nan >> keep) & (u)((f)both - (f)differ)); \
  } \
  INLINE v128 pmin##n(v128 av, v128 bv) { f a = (f)av, b = (f)bv; u c = (u)(b < a); return (v128)((c & (u)b) | (~c & (u)a)); } \
  INLINE v128 pmax##n(v128 av, v128 bv) { f a = (f)av, b = (f)bv; u c = (u)(b > a); return (v128)((c & (u)b) | (~c & (u)a)); } \
  INLINE v128 vabs##n(v128 a) { return (v128)((u)a & (((u){} - 1) >> 1)); } \
  INLINE v128 vneg##n(v128 a) { return (v128)((u)a ^ ~(((u){} - 1) >> 1)); }
FLOAT_VECTORS(32, f32x4, u32x4, 10)
FLOAT_VECTORS(64, f64x2, u64x2, 13)

INLINE v128 demote(v128 a) { f32x2 h = CONVERT((f64x2)a, f32x2); return (v128)SHUFFLE(h, (f32x2){0, 0}, 0, 1, 2, 3); }
INLINE v128 promote(v128 a) { return (v128)CONVERT(LOW2((f32x4)a), f64x2); }
#define LANES4(f, type) { f(((type)a)[0]), f(((type)a)[1]), f(((type)a)[2]), f(((type)a)[3]) }
INLINE v128 vtrunc_s32(v128 a) { return (v128)(u32x4)LANES4(trunc_sat_i32_f32_s, f32x4); }
INLINE v128 vtrunc_u32(v128 a) { return (v128)(u32x4)LANES4(trunc_sat_i32_f32_u, f32x4); }
INLINE v128 vtrunc_s64(v128 a) { return (v128)(u32x4){trunc_sat_i32_f64_s(((f64x2)a)[0]), trunc_sat_i32_f64_s(((f64x2)a)[1]), 0, 0}; }
INLINE v128 vtrunc_u64(v128 a) { return (v128)(u32x4){trunc_sat_i32_f64_u(((f64x2)a)[0]), trunc_sat_i32_f64_u(((f64x2)a)[1]), 0, 0}; }
