/* type_external: the bytes of "external32": big-endian, of fixed sizes, without padding (MPI-5.0 sections 5.3
 * and 14.5.2). */
#include "conformance.h"

static void check_bytes(const void *data, int n, MPI_Datatype type, const unsigned char *want, int bytes) {
  unsigned char packed[64], back[64];
  MPI_Aint position = 0, needed = -1;
  MPI_Pack_external_size("external32", n, type, &needed);
  CHECK_INT(needed, bytes);
  memset(packed, 0xee, sizeof packed);
  MPI_Pack_external("external32", data, n, type, packed, sizeof packed, &position);
  CHECK_INT(position, bytes);
  for (int i = 0; i < bytes; i++) CHECK_INT(packed[i], want[i]);
  CHECK_INT(packed[bytes], 0xee);
  MPI_Aint extent, lb;
  MPI_Type_get_extent(type, &lb, &extent);
  position = 0;
  MPI_Unpack_external("external32", packed, bytes, &position, back, n, type);
  CHECK_INT(position, bytes);
  CHECK(memcmp(back, data, (size_t)(n * extent)) == 0);
}

TEST(type_external_integers, 1, "MPI-5.0 section 14.5.2",
     "MPI_Pack_external MPI_Unpack_external MPI_Pack_external_size") {
  const int32_t i[] = {1, -2, 0x01020304};
  check_bytes(i, 3, MPI_INT32_T, (const unsigned char[]){0, 0, 0, 1, 255, 255, 255, 254, 1, 2, 3, 4}, 12);
  check_bytes(i, 3, MPI_INT, (const unsigned char[]){0, 0, 0, 1, 255, 255, 255, 254, 1, 2, 3, 4}, 12);
  const int64_t l[] = {-2, 0x0102030405060708};
  check_bytes(l, 2, MPI_INT64_T,
              (const unsigned char[]){255, 255, 255, 255, 255, 255, 255, 254, 1, 2, 3, 4, 5, 6, 7, 8}, 16);
  const short s[] = {0x0102, -1};
  check_bytes(s, 2, MPI_SHORT, (const unsigned char[]){1, 2, 255, 255}, 4);
  const unsigned char b[] = {7, 200};
  check_bytes(b, 2, MPI_BYTE, b, 2);
  check_bytes("ab", 2, MPI_CHAR, (const unsigned char[]){'a', 'b'}, 2);
}

TEST(type_external_reals, 1, "MPI-5.0 section 14.5.2", "MPI_Pack_external MPI_FLOAT MPI_DOUBLE") {
  const float f[] = {1.0f, -2.5f};
  check_bytes(f, 2, MPI_FLOAT, (const unsigned char[]){0x3f, 0x80, 0, 0, 0xc0, 0x20, 0, 0}, 8);
  const double d[] = {1.0, -2.5};
  check_bytes(d, 2, MPI_DOUBLE, (const unsigned char[]){0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 0xc0, 0x04, 0, 0, 0, 0, 0, 0},
              16);
}

/* Sizes are those of the format, not of the machine: the table says 4 for long (MPI-5.0 section 14.5.2). */
TEST(type_external_long, 1, "MPI-5.0 section 14.5.2", "MPI_Pack_external MPI_LONG MPI_UNSIGNED_LONG") {
  const long l[] = {-2, 0x01020304};
  check_bytes(l, 2, MPI_LONG, (const unsigned char[]){255, 255, 255, 254, 1, 2, 3, 4}, 8);
}

TEST(type_external_sizes, 1, "MPI-5.0 section 14.5.2", "MPI_Pack_external_size") {
  const struct {
    MPI_Datatype type;
    int bytes;
  } all[] = {
      {MPI_BYTE, 1},
      {MPI_CHAR, 1},
      {MPI_SIGNED_CHAR, 1},
      {MPI_UNSIGNED_CHAR, 1},
      {MPI_WCHAR, 2},
      {MPI_SHORT, 2},
      {MPI_UNSIGNED_SHORT, 2},
      {MPI_INT, 4},
      {MPI_UNSIGNED, 4},
      {MPI_UNSIGNED_LONG, 4},
      {MPI_LONG_LONG, 8},
      {MPI_UNSIGNED_LONG_LONG, 8},
      {MPI_FLOAT, 4},
      {MPI_DOUBLE, 8},
      {MPI_LONG_DOUBLE, 16},
      {MPI_C_BOOL, 1},
      {MPI_INT8_T, 1},
      {MPI_UINT16_T, 2},
      {MPI_INT32_T, 4},
      {MPI_UINT64_T, 8},
      {MPI_AINT, 8},
      {MPI_OFFSET, 8},
      {MPI_COUNT, 8},
      {MPI_C_FLOAT_COMPLEX, 8},
      {MPI_C_DOUBLE_COMPLEX, 16},
      {MPI_C_LONG_DOUBLE_COMPLEX, 32},
  };
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    MPI_Aint bytes = -1;
    MPI_Pack_external_size("external32", 3, all[i].type, &bytes);
    CHECK_INT(bytes, 3 * all[i].bytes);
  }
}

/* Derived types lose their gaps; pieces follow one another. */
TEST(type_external_derived, 1, "MPI-5.0 section 5.3", "MPI_Pack_external MPI_Type_create_struct") {
  struct {
    char c;
    int32_t i;
    short s;
  } out = {'x', 0x0a0b0c0d, -3}, in = {0, 0, 0};
  MPI_Aint at[3] = {0, 0, 0}, base, position = 0, needed;
  MPI_Get_address(&out, &base);
  MPI_Get_address(&out.c, &at[0]);
  MPI_Get_address(&out.i, &at[1]);
  MPI_Get_address(&out.s, &at[2]);
  for (int k = 0; k < 3; k++) at[k] = MPI_Aint_diff(at[k], base);
  const int ones[] = {1, 1, 1};
  const MPI_Datatype types[] = {MPI_CHAR, MPI_INT32_T, MPI_SHORT};
  MPI_Datatype t;
  MPI_Type_create_struct(3, ones, at, types, &t);
  MPI_Type_commit(&t);
  MPI_Pack_external_size("external32", 1, t, &needed);
  CHECK_INT(needed, 7);
  unsigned char packed[16];
  int32_t last = 9;
  MPI_Pack_external("external32", &out, 1, t, packed, sizeof packed, &position);
  CHECK_INT(position, 7);
  MPI_Pack_external("external32", &last, 1, MPI_INT32_T, packed, sizeof packed, &position);
  CHECK_INT(position, 11);
  const unsigned char want[] = {'x', 10, 11, 12, 13, 255, 253, 0, 0, 0, 9};
  for (int k = 0; k < 11; k++) CHECK_INT(packed[k], want[k]);
  position = 0;
  MPI_Unpack_external("external32", packed, 11, &position, &in, 1, t);
  CHECK(in.c == 'x' && in.i == 0x0a0b0c0d && in.s == -3);
  last = 0;
  MPI_Unpack_external("external32", packed, 11, &position, &last, 1, MPI_INT32_T);
  CHECK_INT(last, 9);
  MPI_Type_free(&t);
}

CHAPTER(type_external, &type_external_integers, &type_external_reals, &type_external_long, &type_external_sizes,
        &type_external_derived)
