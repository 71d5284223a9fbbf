/* op_predefined: each predefined operation on each type the standard allows (MPI-5.0 section 6.9.2). */
#include "conformance.h"

#include <complex.h>
#include <stdbool.h>

/*
 * REDUCTION defines a function that reduces N elements of a C type over all ranks, and compares them with a loop of its
 * own in rank order. Element i of rank r is (T)(operand(r, i)), small enough for products over 17 ranks not to overflow
 * in ways that matter: integers wrap alike on both sides when they are unsigned, and signed ones stay in range.
 */
enum { N = 11 };

static int operand(int r, int i) { return i == 3 ? 0 : (r * 5 + i * 3) % 7 % 3 + (r % 5 == i % 5); }

#define REDUCTION(name, T, fold)                              \
  static void name(MPI_Datatype type, MPI_Op op) {            \
    T out[N], in[N];                                          \
    for (int i = 0; i < N; i++) out[i] = (T)operand(rank, i); \
    for (int i = 0; i < N; i++) in[i] = (T)9;                 \
    MPI_Allreduce(out, in, N, type, op, comm);                \
    for (int i = 0; i < N; i++) {                             \
      T a = (T)operand(0, i);                                 \
      for (int r = 1; r < size; r++) {                        \
        T b = (T)operand(r, i);                               \
        a = (T)(fold);                                        \
      }                                                       \
      CHECK(in[i] == a);                                      \
    }                                                         \
  }

#define ARITHMETIC(suffix, T)                       \
  REDUCTION(sum_##suffix, T, a + b)                 \
  REDUCTION(prod_##suffix, T, (a) * (b))            \
  REDUCTION(max_##suffix, T, a > b ? a : b)         \
  REDUCTION(min_##suffix, T, a < b ? a : b)         \
  static void arithmetic_##suffix(MPI_Datatype t) { \
    sum_##suffix(t, MPI_SUM);                       \
    prod_##suffix(t, MPI_PROD);                     \
    max_##suffix(t, MPI_MAX);                       \
    min_##suffix(t, MPI_MIN);                       \
  }

#define LOGICAL(suffix, T)                                                      \
  REDUCTION(land_##suffix, T, (a) && (b))                                       \
  REDUCTION(lor_##suffix, T, a || b)                                            \
  REDUCTION(lxor_##suffix, T, !a != !b)                                         \
  static void logical_##suffix(MPI_Datatype t) {                                \
    if (size == 1) return; /* one operand comes back as it is, not as 0 or 1 */ \
    land_##suffix(t, MPI_LAND);                                                 \
    lor_##suffix(t, MPI_LOR);                                                   \
    lxor_##suffix(t, MPI_LXOR);                                                 \
  }

#define BITWISE(suffix, T)                       \
  REDUCTION(band_##suffix, T, (a) & (b))         \
  REDUCTION(bor_##suffix, T, a | b)              \
  REDUCTION(bxor_##suffix, T, a ^ b)             \
  static void bitwise_##suffix(MPI_Datatype t) { \
    band_##suffix(t, MPI_BAND);                  \
    bor_##suffix(t, MPI_BOR);                    \
    bxor_##suffix(t, MPI_BXOR);                  \
  }

#define INTEGER(suffix, T)                       \
  ARITHMETIC(suffix, T)                          \
  LOGICAL(suffix, T)                             \
  BITWISE(suffix, T)                             \
  static void integer_##suffix(MPI_Datatype t) { \
    arithmetic_##suffix(t);                      \
    logical_##suffix(t);                         \
    bitwise_##suffix(t);                         \
  }

INTEGER(schar, signed char)
INTEGER(uchar, unsigned char)
INTEGER(short, short)
INTEGER(ushort, unsigned short)
INTEGER(int, int)
INTEGER(uint, unsigned)
INTEGER(long, long)
INTEGER(ulong, unsigned long)
INTEGER(llong, long long)
INTEGER(ullong, unsigned long long)
ARITHMETIC(float, float)
ARITHMETIC(double, double)
ARITHMETIC(ldouble, long double)
LOGICAL(bool, bool)
BITWISE(byte, unsigned char)
REDUCTION(sum_cfloat, float complex, a + b)
REDUCTION(prod_cfloat, float complex, (a) * (b))
REDUCTION(sum_cdouble, double complex, a + b)
REDUCTION(prod_cdouble, double complex, (a) * (b))

TEST(op_predefined_integers, 1, "MPI-5.0 section 6.9.2",
     "MPI_SUM MPI_PROD MPI_MAX MPI_MIN MPI_LAND MPI_LOR MPI_LXOR MPI_BAND MPI_BOR MPI_BXOR") {
  integer_short(MPI_SHORT);
  integer_ushort(MPI_UNSIGNED_SHORT);
  integer_int(MPI_INT);
  integer_uint(MPI_UNSIGNED);
  integer_long(MPI_LONG);
  integer_ulong(MPI_UNSIGNED_LONG);
  integer_llong(MPI_LONG_LONG);
  integer_ullong(MPI_UNSIGNED_LONG_LONG);
}

TEST(op_predefined_chars, 1, "MPI-5.0 section 6.9.2", "MPI_SIGNED_CHAR MPI_UNSIGNED_CHAR") {
  integer_schar(MPI_SIGNED_CHAR);
  integer_uchar(MPI_UNSIGNED_CHAR);
}

TEST(op_predefined_sized, 1, "MPI-5.0 section 6.9.2", "MPI_INT8_T MPI_UINT16_T MPI_INT64_T") {
  integer_schar(MPI_INT8_T);
  integer_uchar(MPI_UINT8_T);
  integer_short(MPI_INT16_T);
  integer_ushort(MPI_UINT16_T);
  integer_int(MPI_INT32_T);
  integer_uint(MPI_UINT32_T);
  integer_llong(MPI_INT64_T);
  integer_ullong(MPI_UINT64_T);
}

TEST(op_predefined_floats, 1, "MPI-5.0 section 6.9.2", "MPI_FLOAT MPI_DOUBLE MPI_LONG_DOUBLE") {
  arithmetic_float(MPI_FLOAT);
  arithmetic_double(MPI_DOUBLE);
  arithmetic_ldouble(MPI_LONG_DOUBLE);
}

TEST(op_predefined_complex, 1, "MPI-5.0 section 6.9.2", "MPI_C_FLOAT_COMPLEX MPI_C_DOUBLE_COMPLEX MPI_SUM MPI_PROD") {
  sum_cfloat(MPI_C_FLOAT_COMPLEX, MPI_SUM);
  prod_cfloat(MPI_C_FLOAT_COMPLEX, MPI_PROD);
  sum_cdouble(MPI_C_DOUBLE_COMPLEX, MPI_SUM);
  prod_cdouble(MPI_C_DOUBLE_COMPLEX, MPI_PROD);
}

/* With imaginary parts: i to the power of the number of ranks. */
TEST(op_predefined_imaginary, 1, "MPI-5.0 section 6.9.2", "MPI_C_DOUBLE_COMPLEX MPI_PROD") {
  double out[2] = {0, 1}, in[2] = {9, 9};
  const double want[4][2] = {{1, 0}, {0, 1}, {-1, 0}, {0, -1}};
  MPI_Allreduce(out, in, 1, MPI_C_DOUBLE_COMPLEX, MPI_PROD, comm);
  CHECK(in[0] == want[size % 4][0] && in[1] == want[size % 4][1]);
}

TEST(op_predefined_bool, 1, "MPI-5.0 section 6.9.2", "MPI_C_BOOL MPI_LAND MPI_LOR MPI_LXOR") {
  logical_bool(MPI_C_BOOL);
}

TEST(op_predefined_byte, 1, "MPI-5.0 section 6.9.2", "MPI_BYTE MPI_BAND MPI_BOR MPI_BXOR") { bitwise_byte(MPI_BYTE); }

/* Multi-language types count as integers in reductions (MPI-5.0 section 6.9.2). */
TEST(op_predefined_aint, 1, "MPI-5.0 section 6.9.2", "MPI_AINT MPI_OFFSET MPI_COUNT") {
  MPI_Aint a = rank + 1, a_max = 0;
  MPI_Offset o = 1 << (rank % 10), o_or = 0;
  MPI_Count c = (MPI_Count)rank << 33, c_sum = 0;
  MPI_Allreduce(&a, &a_max, 1, MPI_AINT, MPI_MAX, comm);
  CHECK_INT(a_max, size);
  MPI_Allreduce(&o, &o_or, 1, MPI_OFFSET, MPI_BOR, comm);
  CHECK_INT(o_or, (1 << (size < 10 ? size : 10)) - 1);
  MPI_Allreduce(&c, &c_sum, 1, MPI_COUNT, MPI_SUM, comm);
  CHECK_INT(c_sum, ((MPI_Count)size * (size - 1) / 2) << 33);
}

/* Extreme values: no detour through a narrower or a signed type. */
TEST(op_predefined_extremes, 1, "MPI-5.0 section 6.9.2", "MPI_MAX MPI_MIN MPI_SUM") {
  int64_t l = rank == size - 1 ? INT64_MIN : 0, l_min = 0;
  signed char c = (signed char)(rank == 0 ? -128 : 127), c_min = 0;
  double tiny = rank == 0 ? -1e-308 : 1e308, d_min = 0;
  MPI_Allreduce(&l, &l_min, 1, MPI_INT64_T, MPI_MIN, comm);
  CHECK(l_min == INT64_MIN);
  MPI_Allreduce(&c, &c_min, 1, MPI_SIGNED_CHAR, MPI_MIN, comm);
  CHECK_INT(c_min, -128);
  MPI_Allreduce(&tiny, &d_min, 1, MPI_DOUBLE, MPI_MIN, comm);
  CHECK(d_min == -1e-308);
}

TEST(op_predefined_unsigned, 1, "MPI-5.0 section 6.9.2", "MPI_MAX MPI_MIN MPI_UNSIGNED MPI_UINT64_T MPI_UINT8_T") {
  unsigned u = rank == 0 ? UINT32_MAX : 5, u_max = 0;
  uint64_t w = rank == 0 ? UINT64_MAX : 1, w_max = 0;
  uint8_t b = rank == 0 ? 255 : 1, b_max = 0;
  MPI_Allreduce(&u, &u_max, 1, MPI_UNSIGNED, MPI_MAX, comm);
  CHECK_INT(u_max, UINT32_MAX);
  MPI_Allreduce(&w, &w_max, 1, MPI_UINT64_T, MPI_MAX, comm);
  CHECK(w_max == UINT64_MAX);
  MPI_Allreduce(&b, &b_max, 1, MPI_UINT8_T, MPI_MAX, comm);
  CHECK_INT(b_max, 255);
}

/* LOCATION: the pair types, where each rank has value (rank * 5 + i) % 4, so that there are ties; the lower index wins.
 */
#define LOCATION(name, T)                                                                         \
  static void name(MPI_Datatype type) {                                                           \
    struct {                                                                                      \
      T v;                                                                                        \
      int i;                                                                                      \
    } out[N], least[N], most[N];                                                                  \
    for (int k = 0; k < N; k++) out[k].v = (T)((rank * 5 + k) % 4 - 2), out[k].i = rank * 10 + k; \
    MPI_Allreduce(out, least, N, type, MPI_MINLOC, comm);                                         \
    MPI_Allreduce(out, most, N, type, MPI_MAXLOC, comm);                                          \
    for (int k = 0; k < N; k++) {                                                                 \
      int low = 0, high = 0;                                                                      \
      for (int r = 1; r < size; r++) {                                                            \
        if ((r * 5 + k) % 4 < (low * 5 + k) % 4) low = r;                                         \
        if ((r * 5 + k) % 4 > (high * 5 + k) % 4) high = r;                                       \
      }                                                                                           \
      CHECK(least[k].v == (T)((low * 5 + k) % 4 - 2));                                            \
      CHECK_INT(least[k].i, low * 10 + k);                                                        \
      CHECK(most[k].v == (T)((high * 5 + k) % 4 - 2));                                            \
      CHECK_INT(most[k].i, high * 10 + k);                                                        \
    }                                                                                             \
  }

LOCATION(location_float, float)
LOCATION(location_double, double)
LOCATION(location_long, long)
LOCATION(location_short, short)
LOCATION(location_ldouble, long double)
LOCATION(location_int, int)

TEST(op_predefined_loc, 1, "MPI-5.0 section 6.9.4", "MPI_MINLOC MPI_MAXLOC MPI_DOUBLE_INT MPI_2INT MPI_SHORT_INT") {
  location_float(MPI_FLOAT_INT);
  location_double(MPI_DOUBLE_INT);
  location_long(MPI_LONG_INT);
  location_short(MPI_SHORT_INT);
  location_ldouble(MPI_LONG_DOUBLE_INT);
  location_int(MPI_2INT);
}

/* In a tie the lower index wins, even where the higher comes from the lower rank. */
TEST(op_predefined_loc_tie, 1, "MPI-5.0 section 6.9.4", "MPI_MINLOC MPI_MAXLOC MPI_Scan MPI_Reduce") {
  struct {
    int v, i;
  } out = {5, 1000 - rank}, in = {0, 0};
  MPI_Allreduce(&out, &in, 1, MPI_2INT, MPI_MAXLOC, comm);
  CHECK(in.v == 5 && in.i == 1000 - (size - 1));
  MPI_Allreduce(&out, &in, 1, MPI_2INT, MPI_MINLOC, comm);
  CHECK(in.v == 5 && in.i == 1000 - (size - 1));
  MPI_Scan(&out, &in, 1, MPI_2INT, MPI_MINLOC, comm);
  CHECK(in.v == 5 && in.i == 1000 - rank);
  out.v = rank == size / 2 ? -7 : 0;
  MPI_Reduce(&out, &in, 1, MPI_2INT, MPI_MINLOC, size - 1, comm);
  if (rank == size - 1) CHECK(in.v == -7 && in.i == 1000 - size / 2);
}

/* The same through the other reductions: not only allreduce knows the types. */
TEST(op_predefined_everywhere, 1, "MPI-5.0 section 6.9",
     "MPI_Reduce MPI_Scan MPI_Exscan MPI_Reduce_scatter_block MPI_Reduce_local") {
  double d = rank + 0.5, total = 0, upto = 0, *all = allocate((size_t)size * sizeof *all), mine = 0;
  MPI_Reduce(&d, &total, 1, MPI_DOUBLE, MPI_SUM, 0, comm);
  if (rank == 0) CHECK(total == size * (size - 1) / 2 + size * 0.5);
  MPI_Scan(&d, &upto, 1, MPI_DOUBLE, MPI_MAX, comm);
  CHECK(upto == d);
  unsigned char bit = (unsigned char)(1 << rank % 8), bits = 0;
  MPI_Exscan(&bit, &bits, 1, MPI_BYTE, MPI_BOR, comm);
  if (rank > 0) CHECK_INT(bits, rank < 8 ? (1 << rank) - 1 : 255);
  for (int p = 0; p < size; p++) all[p] = rank * 1.0 - p;
  MPI_Reduce_scatter_block(all, &mine, 1, MPI_DOUBLE, MPI_MIN, comm);
  CHECK(mine == -rank);
  short a = 3, b = 4;
  MPI_Reduce_local(&a, &b, 1, MPI_SHORT, MPI_PROD);
  CHECK_INT(b, 12);
  struct { double v; int i; } far[2] = {{1, 10}, {5, 11}}, near[2] = {{2, 20}, {4, 21}};
  MPI_Reduce_local(far, near, 2, MPI_DOUBLE_INT, MPI_MAXLOC);
  CHECK(near[0].v == 2 && near[0].i == 20 && near[1].v == 5 && near[1].i == 11);
  free(all);
}

CHAPTER(op_predefined, &op_predefined_integers, &op_predefined_chars, &op_predefined_sized, &op_predefined_floats,
        &op_predefined_complex, &op_predefined_imaginary, &op_predefined_bool, &op_predefined_byte, &op_predefined_aint,
        &op_predefined_extremes, &op_predefined_unsigned, &op_predefined_loc, &op_predefined_loc_tie,
        &op_predefined_everywhere)
