/* What the C that the translator makes of a module is made of. Every function of a guest is given its instance, which lies right before its memory. */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed char s8;
typedef short s16;
typedef int s32;
typedef long long s64;
typedef float f32;
typedef double f64;
typedef unsigned __int128 u128;

#define INLINE static inline __attribute__((always_inline))
#define VECTOR(type, name) typedef type name __attribute__((vector_size(16)))
VECTOR(u8, u8x16); VECTOR(s8, s8x16); VECTOR(u16, u16x8); VECTOR(s16, s16x8); VECTOR(u32, u32x4); VECTOR(s32, s32x4);
VECTOR(u64, u64x2); VECTOR(s64, s64x2); VECTOR(f32, f32x4); VECTOR(f64, f64x2);
#define HALF(type, name) typedef type name __attribute__((vector_size(8)))
HALF(u8, u8x8); HALF(s8, s8x8); HALF(u16, u16x4); HALF(s16, s16x4); HALF(u32, u32x2); HALF(s32, s32x2); HALF(f32, f32x2);
typedef u64x2 v128;

/* The first of it is known to Go (context.go) and to its assembly. */
struct instance {
  u64 host[2], guest[7];
  u64 code, index;
  u64 *args;
  u64 fault[2];
  void (*leave)(struct instance *);
  u64 bytes; /* of memory */
};

struct function {
  void *code;
  void (*call)(void *, struct instance *, u64 *);
  u64 type;
};

struct table {
  struct function **at;
  u64 n;
};

#define MEMORY 65536 /* from an instance to its memory */
#define TABLES 256
#define MEM(I, a) ((u8 *)(I) + MEMORY + (a))
#define TABLE(I, k) ((struct table *)((u8 *)(I) + TABLES) + (k))
#define GLOBAL(I, type, at) (*(type *)((u8 *)(I) + (at)))

enum { DONE, CALL, TRAP, FAULT, SERVICE };
enum { UNREACHABLE, OUT_OF_BOUNDS, TABLE_ACCESS, CALL_TYPE, DIVIDE, OVERFLOW, CONVERSION };
enum { GROW, MEMORY_INIT, DATA_DROP, TABLE_INIT, ELEM_DROP, TABLE_COPY, TABLE_GROW, TABLE_FILL };

/* trap ends the guest. It has a frame, whose caller is where the guest was. */
static __attribute__((noinline, cold, noreturn, unused)) void trap(struct instance *I, u64 why) {
  I->code = TRAP;
  I->index = why;
  I->leave(I);
  __builtin_unreachable();
}
#define TRAP_IF(c, why) do { if (__builtin_expect(!!(c), 0)) trap(I, why); } while (0)

static __attribute__((noinline, unused)) void to_host(struct instance *I, u64 code, u64 index, u64 *args) {
  I->code = code;
  I->index = index;
  I->args = args;
  I->leave(I);
}

void *memcpy(void *, const void *, unsigned long);
void *memmove(void *, const void *, unsigned long);
void *memset(void *, int, unsigned long);

/* What follows of a value is not computed before. */
#define HIDE(v) __asm__("" : "+x"(v))

/* Each round of a loop that may wait for what others write looks at the memory anew. */
#define AGAIN() __asm__ volatile("" ::: "memory")

/* What follows of a value is not computed before. */
#define HIDE(v) __asm__("" : "+x"(v))

/* Each round of a loop looks at the memory anew: others write to it, to share it or to say that the rank is to stop. */
#define AGAIN() __asm__ volatile("" ::: "memory")

/* Loads are of three kinds: one that is made even if nobody looks at what it loads, for it may trap; plain ones, of which clang makes vectors; and one that is made
   each time, for others write there. */
#define KEEP_R(v) __asm__ volatile("" ::"r"(v))
#define KEEP_X(v) __asm__ volatile("" ::"x"(v))
#define LOAD(name, as, type, keep) \
  INLINE type name(struct instance *I, u64 a) { as v; __builtin_memcpy(&v, MEM(I, a), sizeof v); keep(v); return (type)v; } \
  INLINE type plain_##name(struct instance *I, u64 a) { as v; __builtin_memcpy(&v, MEM(I, a), sizeof v); return (type)v; } \
  INLINE type fresh_##name(struct instance *I, u64 a) { typedef as __attribute__((aligned(1))) loose_; return (type) * (const volatile loose_ *)MEM(I, a); }
#define STORE(name, as, type) \
  INLINE void name(struct instance *I, u64 a, type x) { as v = (as)x; __builtin_memcpy(MEM(I, a), &v, sizeof v); }
LOAD(load_i32, u32, u32, KEEP_R) LOAD(load_i64, u64, u64, KEEP_R) LOAD(load_f32, f32, f32, KEEP_X) LOAD(load_f64, f64, f64, KEEP_X)
LOAD(load_i32_8s, s8, s32, KEEP_R) LOAD(load_i32_8u, u8, u32, KEEP_R) LOAD(load_i32_16s, s16, s32, KEEP_R) LOAD(load_i32_16u, u16, u32, KEEP_R)
LOAD(load_i64_8s, s8, s64, KEEP_R) LOAD(load_i64_8u, u8, u64, KEEP_R) LOAD(load_i64_16s, s16, s64, KEEP_R) LOAD(load_i64_16u, u16, u64, KEEP_R)
LOAD(load_i64_32s, s32, s64, KEEP_R) LOAD(load_i64_32u, u32, u64, KEEP_R) LOAD(load_v128, v128, v128, KEEP_X)
STORE(store_i32, u32, u32) STORE(store_i64, u64, u64) STORE(store_f32, f32, f32) STORE(store_f64, f64, f64) STORE(store_v128, v128, v128)
STORE(store_i32_8, u8, u32) STORE(store_i32_16, u16, u32) STORE(store_i64_8, u8, u64) STORE(store_i64_16, u16, u64) STORE(store_i64_32, u32, u64)

INLINE u32 memory_grow(struct instance *I, u32 n) { u64 a[1] = {n}; to_host(I, SERVICE, GROW, a); return a[0]; }
INLINE void memory_copy(struct instance *I, u32 d, u32 s, u32 n) {
  TRAP_IF((u64)d + n > I->bytes || (u64)s + n > I->bytes, OUT_OF_BOUNDS);
  memmove(MEM(I, (u64)d), MEM(I, (u64)s), n);
}
INLINE void memory_fill(struct instance *I, u32 d, u32 v, u32 n) {
  TRAP_IF((u64)d + n > I->bytes, OUT_OF_BOUNDS);
  memset(MEM(I, (u64)d), (u8)v, n);
}
INLINE u64 service3(struct instance *I, u64 what, u64 x, u64 y, u64 d, u64 s, u64 n) {
  u64 a[5] = {x, y, d, s, n};
  to_host(I, SERVICE, what, a);
  return a[0];
}
INLINE u64 table_get(struct instance *I, u32 k, u32 i) { TRAP_IF(i >= TABLE(I, k)->n, TABLE_ACCESS); return (u64)TABLE(I, k)->at[i]; }
INLINE void table_set(struct instance *I, u32 k, u32 i, u64 v) { TRAP_IF(i >= TABLE(I, k)->n, TABLE_ACCESS); TABLE(I, k)->at[i] = (struct function *)v; }
INLINE void *indirect(struct instance *I, u32 k, u32 i, u64 type) {
  TRAP_IF(i >= TABLE(I, k)->n, TABLE_ACCESS);
  struct function *f = TABLE(I, k)->at[i];
  TRAP_IF(!f, TABLE_ACCESS);
  TRAP_IF(f->type != type, CALL_TYPE);
  return f->code;
}

INLINE u32 bits_f32(f32 x) { u32 v; __builtin_memcpy(&v, &x, 4); return v; }
INLINE u64 bits_f64(f64 x) { u64 v; __builtin_memcpy(&v, &x, 8); return v; }
INLINE f32 f32_bits(u32 x) { f32 v; __builtin_memcpy(&v, &x, 4); return v; }
INLINE f64 f64_bits(u64 x) { f64 v; __builtin_memcpy(&v, &x, 8); return v; }

#define INTEGERS(n, u, s, least) \
  INLINE u i##n##_div_s(struct instance *I, u a, u b) { TRAP_IF(!b, DIVIDE); TRAP_IF(a == least && b == (u)-1, OVERFLOW); return (u)((s)a / (s)b); } \
  INLINE u i##n##_div_u(struct instance *I, u a, u b) { TRAP_IF(!b, DIVIDE); return a / b; } \
  INLINE u i##n##_rem_s(struct instance *I, u a, u b) { TRAP_IF(!b, DIVIDE); return b == (u)-1 ? 0 : (u)((s)a % (s)b); } \
  INLINE u i##n##_rem_u(struct instance *I, u a, u b) { TRAP_IF(!b, DIVIDE); return a % b; } \
  INLINE u i##n##_rotl(u a, u b) { b &= n - 1; return a << b | a >> (-b & (n - 1)); } \
  INLINE u i##n##_rotr(u a, u b) { b &= n - 1; return a >> b | a << (-b & (n - 1)); }
INTEGERS(32, u32, s32, 0x80000000u)
INTEGERS(64, u64, s64, 0x8000000000000000u)
INLINE u32 i32_clz(u32 a) { return a ? __builtin_clz(a) : 32; }
INLINE u32 i32_ctz(u32 a) { return a ? __builtin_ctz(a) : 32; }
INLINE u64 i64_clz(u64 a) { return a ? __builtin_clzll(a) : 64; }
INLINE u64 i64_ctz(u64 a) { return a ? __builtin_ctzll(a) : 64; }

/* Least and most of numbers: NaN is made by an addition, as wazero does on amd64, and -0 is less than 0. */
#define FLOATS(n) \
  INLINE f##n f##n##_min(f##n a, f##n b) { if (a != a || b != b) return a + b; return a == b ? f##n##_bits(bits_f##n(a) | bits_f##n(b)) : a < b ? a : b; } \
  INLINE f##n f##n##_max(f##n a, f##n b) { if (a != a || b != b) return a + b; return a == b ? f##n##_bits(bits_f##n(a) & bits_f##n(b)) : a > b ? a : b; }
FLOATS(32)
FLOATS(64)

/* Conversions to integers, which trap or saturate outside of (low, high). */
#define TRUNC(name, to, as, from, in, least, most) \
  INLINE to trunc_##name(struct instance *I, from x) { TRAP_IF(x != x, CONVERSION); TRAP_IF(!(in), OVERFLOW); return (to)(as)x; } \
  INLINE to trunc_sat_##name(from x) { if (in) return (to)(as)x; return x != x ? 0 : x < 0 ? (to)(least) : (to)(most); }
TRUNC(i32_f32_s, u32, s32, f32, x >= -0x1p31f && x < 0x1p31f, 0x80000000u, 0x7fffffffu)
TRUNC(i32_f32_u, u32, u32, f32, x > -1.0f && x < 0x1p32f, 0, -1)
TRUNC(i32_f64_s, u32, s32, f64, x > -2147483649.0 && x < 0x1p31, 0x80000000u, 0x7fffffffu)
TRUNC(i32_f64_u, u32, u32, f64, x > -1.0 && x < 0x1p32, 0, -1)
TRUNC(i64_f32_s, u64, s64, f32, x >= -0x1p63f && x < 0x1p63f, 0x8000000000000000u, 0x7fffffffffffffffu)
TRUNC(i64_f32_u, u64, u64, f32, x > -1.0f && x < 0x1p64f, 0, -1)
TRUNC(i64_f64_s, u64, s64, f64, x >= -0x1p63 && x < 0x1p63, 0x8000000000000000u, 0x7fffffffffffffffu)
TRUNC(i64_f64_u, u64, u64, f64, x > -1.0 && x < 0x1p64, 0, -1)
