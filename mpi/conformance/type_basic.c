/* type_basic: the predefined datatypes: sizes, extents, names, and what they carry (MPI-5.0 section 3.2.2). */
#include "conformance.h"

#include <complex.h>
#include <stdbool.h>
#include <wchar.h>

struct basic {
  const char *name;
  MPI_Datatype type;
  size_t bytes;
};

/* basics calls f for each predefined C datatype. */
static void basics(void (*f)(const struct basic *)) {
  const struct basic all[] = {
      {"MPI_CHAR", MPI_CHAR, sizeof(char)},
      {"MPI_SIGNED_CHAR", MPI_SIGNED_CHAR, sizeof(signed char)},
      {"MPI_UNSIGNED_CHAR", MPI_UNSIGNED_CHAR, sizeof(unsigned char)},
      {"MPI_BYTE", MPI_BYTE, 1},
      {"MPI_PACKED", MPI_PACKED, 1},
      {"MPI_WCHAR", MPI_WCHAR, sizeof(wchar_t)},
      {"MPI_SHORT", MPI_SHORT, sizeof(short)},
      {"MPI_UNSIGNED_SHORT", MPI_UNSIGNED_SHORT, sizeof(unsigned short)},
      {"MPI_INT", MPI_INT, sizeof(int)},
      {"MPI_UNSIGNED", MPI_UNSIGNED, sizeof(unsigned)},
      {"MPI_LONG", MPI_LONG, sizeof(long)},
      {"MPI_UNSIGNED_LONG", MPI_UNSIGNED_LONG, sizeof(unsigned long)},
      {"MPI_LONG_LONG", MPI_LONG_LONG, sizeof(long long)},
      {"MPI_UNSIGNED_LONG_LONG", MPI_UNSIGNED_LONG_LONG, sizeof(unsigned long long)},
      {"MPI_FLOAT", MPI_FLOAT, sizeof(float)},
      {"MPI_DOUBLE", MPI_DOUBLE, sizeof(double)},
      {"MPI_LONG_DOUBLE", MPI_LONG_DOUBLE, sizeof(long double)},
      {"MPI_C_BOOL", MPI_C_BOOL, sizeof(bool)},
      {"MPI_INT8_T", MPI_INT8_T, 1},
      {"MPI_INT16_T", MPI_INT16_T, 2},
      {"MPI_INT32_T", MPI_INT32_T, 4},
      {"MPI_INT64_T", MPI_INT64_T, 8},
      {"MPI_UINT8_T", MPI_UINT8_T, 1},
      {"MPI_UINT16_T", MPI_UINT16_T, 2},
      {"MPI_UINT32_T", MPI_UINT32_T, 4},
      {"MPI_UINT64_T", MPI_UINT64_T, 8},
      {"MPI_AINT", MPI_AINT, sizeof(MPI_Aint)},
      {"MPI_COUNT", MPI_COUNT, sizeof(MPI_Count)},
      {"MPI_OFFSET", MPI_OFFSET, sizeof(MPI_Offset)},
      {"MPI_C_COMPLEX", MPI_C_COMPLEX, sizeof(float complex)},
      {"MPI_C_FLOAT_COMPLEX", MPI_C_FLOAT_COMPLEX, sizeof(float complex)},
      {"MPI_C_DOUBLE_COMPLEX", MPI_C_DOUBLE_COMPLEX, sizeof(double complex)},
      {"MPI_C_LONG_DOUBLE_COMPLEX", MPI_C_LONG_DOUBLE_COMPLEX, sizeof(long double complex)},
  };
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) f(&all[i]);
}

static void check_size(const struct basic *b) {
  int bytes = -1;
  MPI_Count bytes_x = -1, lb_x = -1, extent_x = -1;
  MPI_Aint lb = -1, extent = -1;
  MPI_Type_size(b->type, &bytes);
  CHECK_INT(bytes, b->bytes);
  MPI_Type_get_extent(b->type, &lb, &extent);
  CHECK_INT(lb, 0);
  CHECK_INT(extent, b->bytes);
  MPI_Type_get_true_extent(b->type, &lb, &extent);
  CHECK_INT(lb, 0);
  CHECK_INT(extent, b->bytes);
  MPI_Type_size_x(b->type, &bytes_x);
  CHECK_INT(bytes_x, b->bytes);
  MPI_Type_get_extent_x(b->type, &lb_x, &extent_x);
  CHECK(lb_x == 0 && extent_x == (MPI_Count)b->bytes);
}

TEST(type_basic_sizes, 1, "MPI-5.0 section 5.1.7", "MPI_Type_size MPI_Type_get_extent MPI_Type_get_true_extent") {
  basics(check_size);
}

/* Two names of one type may share a handle, and its name. */
static void check_name(const struct basic *b) {
  char name[MPI_MAX_OBJECT_NAME];
  int length = -1;
  MPI_Type_get_name(b->type, name, &length);
  CHECK_INT(strlen(name), length);
  if (b->type == MPI_C_FLOAT_COMPLEX && strcmp(name, "MPI_C_FLOAT_COMPLEX") == 0) return;
  if (b->type == MPI_C_COMPLEX && strcmp(name, "MPI_C_COMPLEX") == 0) return;
  if (b->type == MPI_LONG_LONG && strcmp(name, "MPI_LONG_LONG_INT") == 0) return;
  CHECK_STR(name, b->name);
}

TEST(type_basic_names, 1, "MPI-5.0 section 7.8", "MPI_Type_get_name") { basics(check_name); }

static void check_envelope(const struct basic *b) {
  int integers = -1, addresses = -1, types = -1, combiner = -1;
  MPI_Type_get_envelope(b->type, &integers, &addresses, &types, &combiner);
  CHECK_INT(combiner, MPI_COMBINER_NAMED);
  CHECK(integers == 0 && addresses == 0 && types == 0);
}

TEST(type_basic_envelopes, 1, "MPI-5.0 section 5.1.13", "MPI_Type_get_envelope MPI_COMBINER_NAMED") {
  basics(check_envelope);
}

/* All bytes arrive as they are, whatever they would mean as a number, but for the padding of long doubles. */
static void exchange(const struct basic *b) {
  enum { N = 9 };
  if (b->type == MPI_PACKED || b->type == MPI_LONG_DOUBLE || b->type == MPI_C_LONG_DOUBLE_COMPLEX) return;
  unsigned char out[N * 32], in[N * 32 + 1];
  int right = (rank + 1) % size, left = (rank + size - 1) % size, bytes = N * (int)b->bytes;
  for (int i = 0; i < bytes; i++) out[i] = (unsigned char)(b->type == MPI_C_BOOL ? i % 2 : (rank * 7 + i * 37) % 128);
  memset(in, 255, sizeof in);
  MPI_Status status;
  MPI_Sendrecv(out, N, b->type, right, 0, in, N, b->type, left, 0, comm, &status);
  CHECK_STATUS(&status, left, 0, b->type, N);
  for (int i = 0; i < bytes; i++) CHECK_INT(in[i], b->type == MPI_C_BOOL ? i % 2 : (left * 7 + i * 37) % 128);
  CHECK_INT(in[bytes], 255);
}

TEST(type_basic_exchange, 1, "MPI-5.0 section 3.2.2", "MPI_Sendrecv MPI_Datatype") { basics(exchange); }

TEST(type_basic_long_double, 1, "MPI-5.0 section 3.2.2", "MPI_LONG_DOUBLE MPI_C_LONG_DOUBLE_COMPLEX") {
  long double out[2] = {1.0L / 3 + rank, -7.5L}, in[2] = {0, 0};
  int right = (rank + 1) % size, left = (rank + size - 1) % size;
  MPI_Sendrecv(out, 2, MPI_LONG_DOUBLE, right, 0, in, 2, MPI_LONG_DOUBLE, left, 0, comm, MPI_STATUS_IGNORE);
  CHECK(in[0] == 1.0L / 3 + left && in[1] == -7.5L);
  in[0] = in[1] = 0;
  MPI_Sendrecv(out, 1, MPI_C_LONG_DOUBLE_COMPLEX, right, 0, in, 1, MPI_C_LONG_DOUBLE_COMPLEX, left, 0, comm,
               MPI_STATUS_IGNORE);
  CHECK(in[0] == 1.0L / 3 + left && in[1] == -7.5L);
}

/* MPI_BYTE is the one type that matches none but itself and is used for raw memory. */
TEST(type_basic_bytes, 1, "MPI-5.0 section 3.3.1", "MPI_BYTE MPI_Sendrecv") {
  struct {
    char c;
    double d;
    short s[3];
  } out, in;
  memset(&out, 0, sizeof out);
  memset(&in, 0, sizeof in);
  out.c = 'x', out.d = rank + 0.25, out.s[2] = 77;
  int right = (rank + 1) % size, left = (rank + size - 1) % size;
  MPI_Sendrecv(&out, sizeof out, MPI_BYTE, right, 0, &in, sizeof in, MPI_BYTE, left, 0, comm, MPI_STATUS_IGNORE);
  CHECK(in.c == 'x' && in.d == left + 0.25 && in.s[2] == 77);
}

/* The types for MPI_MINLOC and MPI_MAXLOC are laid out like C structs (MPI-5.0 section 6.9.4). */
TEST(type_basic_pairs, 1, "MPI-5.0 section 6.9.4", "MPI_FLOAT_INT MPI_DOUBLE_INT MPI_LONG_INT MPI_SHORT_INT MPI_2INT") {
  struct float_int {
    float v;
    int i;
  };
  struct double_int {
    double v;
    int i;
  };
  struct long_int {
    long v;
    int i;
  };
  struct short_int {
    short v;
    int i;
  };
  struct long_double_int {
    long double v;
    int i;
  };
  const struct {
    MPI_Datatype type;
    size_t bytes, extent;
  } all[] = {
      {MPI_FLOAT_INT, sizeof(float) + sizeof(int), sizeof(struct float_int)},
      {MPI_DOUBLE_INT, sizeof(double) + sizeof(int), sizeof(struct double_int)},
      {MPI_LONG_INT, sizeof(long) + sizeof(int), sizeof(struct long_int)},
      {MPI_SHORT_INT, sizeof(short) + sizeof(int), sizeof(struct short_int)},
      {MPI_LONG_DOUBLE_INT, sizeof(long double) + sizeof(int), sizeof(struct long_double_int)},
      {MPI_2INT, 2 * sizeof(int), 2 * sizeof(int)},
  };
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    int bytes;
    MPI_Aint lb, extent;
    MPI_Type_size(all[i].type, &bytes);
    CHECK_INT(bytes, all[i].bytes);
    MPI_Type_get_extent(all[i].type, &lb, &extent);
    CHECK_INT(lb, 0);
    CHECK_INT(extent, all[i].extent);
  }
  struct short_int out[2] = {{(short)rank, 5}, {-3, 6}}, in[2] = {{0, 0}, {0, 0}};
  int right = (rank + 1) % size, left = (rank + size - 1) % size;
  MPI_Sendrecv(out, 2, MPI_SHORT_INT, right, 0, in, 2, MPI_SHORT_INT, left, 0, comm, MPI_STATUS_IGNORE);
  CHECK(in[0].v == left && in[0].i == 5 && in[1].v == -3 && in[1].i == 6);
}

/* match returns the predefined type of a size and class; freeing it is not allowed. */
TEST(type_basic_match_size, 1, "MPI-5.0 section 19.1.5", "MPI_Type_match_size") {
  MPI_Datatype type = MPI_DATATYPE_NULL;
  int bytes = 0;
  MPI_Type_match_size(MPI_TYPECLASS_REAL, 8, &type);
  MPI_Type_size(type, &bytes);
  CHECK_INT(bytes, 8);
  MPI_Type_match_size(MPI_TYPECLASS_INTEGER, 4, &type);
  MPI_Type_size(type, &bytes);
  CHECK_INT(bytes, 4);
  MPI_Type_match_size(MPI_TYPECLASS_COMPLEX, 16, &type);
  MPI_Type_size(type, &bytes);
  CHECK_INT(bytes, 16);
}

CHAPTER(type_basic, &type_basic_sizes, &type_basic_names, &type_basic_envelopes, &type_basic_exchange,
        &type_basic_long_double, &type_basic_bytes, &type_basic_pairs, &type_basic_match_size)
