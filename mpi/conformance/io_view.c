/* io_view: views, and data in other representations. */
#include <stdio.h>
#include "io.h"

TEST(io_view_default, 1, "MPI-5.0 section 14.3", "MPI_File_get_view MPI_File_get_byte_offset MPI_File_get_type_extent") {
  MPI_File file = io_open("io_view_default.tmp");
  MPI_Offset disp = -1;
  MPI_Datatype etype, filetype;
  MPI_Aint extent = 0;
  char rep[MPI_MAX_DATAREP_STRING] = "";
  MPI_File_get_view(file, &disp, &etype, &filetype, rep);
  CHECK_INT(disp, 0);
  CHECK(etype == MPI_BYTE && filetype == MPI_BYTE);
  CHECK_STR(rep, "native");
  MPI_File_get_byte_offset(file, 77, &disp);
  CHECK_INT(disp, 77);
  MPI_File_get_type_extent(file, MPI_DOUBLE, &extent);
  CHECK_INT(extent, 8);
  io_close(&file);
}

/* Each rank sees every size-th block of two ints, behind a header. */
TEST(io_view_strided, 1, "MPI-5.0 section 14.3", "MPI_File_set_view MPI_File_get_view MPI_File_get_byte_offset") {
  MPI_File file = io_open("io_view_strided.tmp");
  MPI_Datatype blocks, filetype, etype, got;
  MPI_Offset disp, at;
  char rep[MPI_MAX_DATAREP_STRING];
  enum { N = 20 };
  int out[N], in[N], *all = new_ints(N * size, -1), combiner, k;
  MPI_Status status;
  MPI_Type_contiguous(2, MPI_INT, &blocks);
  MPI_Type_create_resized(blocks, 0, 8 * size, &filetype);
  MPI_Type_commit(&filetype);
  MPI_Type_free(&blocks);
  CHECK_INT(MPI_File_set_view(file, 100 + 8 * rank, MPI_INT, filetype, "native", MPI_INFO_NULL), MPI_SUCCESS);
  MPI_Type_free(&filetype); /* the view has it */
  MPI_File_get_view(file, &disp, &etype, &got, rep);
  CHECK_INT(disp, 100 + 8 * rank);
  CHECK(etype == MPI_INT && got != MPI_DATATYPE_NULL);
  MPI_Type_get_envelope(got, &k, &k, &k, &combiner);
  CHECK_INT(combiner, MPI_COMBINER_RESIZED);
  MPI_Type_free(&got);
  MPI_File_get_byte_offset(file, 5, &at);
  CHECK_INT(at, 100 + 8 * rank + 2 * 8 * size + 4);
  io_fill(out, N, rank);
  CHECK_INT(MPI_File_write(file, out, N, MPI_INT, &status), MPI_SUCCESS);
  CHECK_INT(io_count(&status, MPI_INT), N);
  MPI_File_get_position(file, &at);
  CHECK_INT(at, N);
  MPI_File_seek(file, -N, MPI_SEEK_CUR);
  MPI_File_read(file, in, N, MPI_INT, &status);
  for (int i = 0; i < N; i++) IO_IS(in[i], rank, i);
  MPI_Barrier(comm);
  MPI_File_set_view(file, 100, MPI_INT, MPI_INT, "native", MPI_INFO_NULL);
  MPI_File_get_position(file, &at);
  CHECK_INT(at, 0);
  MPI_File_read_all(file, all, N * size, MPI_INT, &status);
  CHECK_INT(io_count(&status, MPI_INT), N * size);
  for (int i = 0; i < N * size; i++) IO_IS(all[i], i / 2 % size, i / (2 * size) * 2 + i % 2);
  free(all);
  io_close(&file);
}

/* A matrix of blocks, one a rank, each in memory with a frame around it. */
TEST(io_view_subarray, 1, "MPI-5.0 section 14.3", "MPI_File_set_view MPI_File_write_all MPI_File_read_all") {
  enum { ROWS = 6, COLS = 5 };
  MPI_File file = io_open("io_view_subarray.tmp");
  MPI_Datatype filetype, memory;
  int sizes[2] = {ROWS, COLS * size}, part[2] = {ROWS, COLS}, start[2] = {0, COLS * rank};
  int frame[2] = {ROWS + 2, COLS + 2}, inner[2] = {1, 1};
  int buf[ROWS + 2][COLS + 2], back[ROWS + 2][COLS + 2];
  MPI_Status status;
  MPI_Type_create_subarray(2, sizes, part, start, MPI_ORDER_C, MPI_INT, &filetype);
  MPI_Type_create_subarray(2, frame, part, inner, MPI_ORDER_C, MPI_INT, &memory);
  MPI_Type_commit(&filetype);
  MPI_Type_commit(&memory);
  for (int i = 0; i < ROWS + 2; i++)
    for (int k = 0; k < COLS + 2; k++) buf[i][k] = value(rank, 100 * i + k), back[i][k] = -1;
  MPI_File_set_view(file, 0, MPI_INT, filetype, "native", MPI_INFO_NULL);
  CHECK_INT(MPI_File_write_all(file, buf, 1, memory, &status), MPI_SUCCESS);
  CHECK_INT(io_count(&status, memory), 1);
  MPI_File_seek(file, 0, MPI_SEEK_SET);
  CHECK_INT(MPI_File_read_all(file, back, 1, memory, &status), MPI_SUCCESS);
  CHECK_INT(io_count(&status, MPI_INT), ROWS * COLS);
  for (int i = 0; i < ROWS + 2; i++)
    for (int k = 0; k < COLS + 2; k++) {
      int inside = i >= 1 && i <= ROWS && k >= 1 && k <= COLS;
      CHECK_INT(back[i][k], inside ? value(rank, 100 * i + k) : -1);
    }
  MPI_Barrier(comm);
  MPI_File_set_view(file, 0, MPI_INT, MPI_INT, "native", MPI_INFO_NULL);
  for (int r = 0; r < size; r++) {
    int x = -1;
    MPI_File_read_at(file, 2 * COLS * size + COLS * r + 3, &x, 1, MPI_INT, &status);
    IO_IS(x, r, 304);
  }
  MPI_Type_free(&filetype);
  MPI_Type_free(&memory);
  io_close(&file);
}

/* What lies between a rank's pieces is not touched. */
TEST(io_view_holes, 1, "MPI-5.0 section 14.4", "MPI_File_write MPI_File_write_all") {
  MPI_File file = io_open("io_view_holes.tmp");
  enum { N = 64 };
  MPI_Datatype filetype, one;
  int *before = new_ints(3 * N * size, 77), *after = new_ints(3 * N * size, 0), out[N];
  if (rank == 0) MPI_File_write_at(file, 0, before, 3 * N * size, MPI_INT, MPI_STATUS_IGNORE);
  MPI_Barrier(comm);
  MPI_Type_contiguous(1, MPI_INT, &one);
  MPI_Type_create_resized(one, 0, 12 * size, &filetype);
  MPI_Type_commit(&filetype);
  MPI_Type_free(&one);
  for (int together = 0; together < 2; together++) {
    io_fill(out, N, rank + 100 * together);
    MPI_File_set_view(file, 12 * rank + 4 * together, MPI_INT, filetype, "native", MPI_INFO_NULL);
    if (together) MPI_File_write_all(file, out, N, MPI_INT, MPI_STATUS_IGNORE);
    else MPI_File_write(file, out, N, MPI_INT, MPI_STATUS_IGNORE);
    MPI_Barrier(comm);
  }
  MPI_File_set_view(file, 0, MPI_BYTE, MPI_BYTE, "native", MPI_INFO_NULL);
  MPI_File_read_at_all(file, 0, after, 3 * N * size, MPI_INT, MPI_STATUS_IGNORE);
  for (int i = 0; i < 3 * N * size; i++) {
    int which = i % 3, r = i / 3 % size;
    CHECK_INT(after[i], which == 2 ? 77 : value(r + 100 * which, i / (3 * size)));
  }
  MPI_Type_free(&filetype);
  free(before);
  free(after);
  io_close(&file);
}

TEST(io_view_errors, 1, "MPI-5.0 section 14.3", "MPI_File_set_view") {
  MPI_File file = io_open("io_view_errors.tmp");
  MPI_Datatype back, three;
  int lengths[2] = {1, 1}, places[2] = {3, 0};
  CHECK_CLASS(MPI_File_set_view(file, 0, MPI_INT, MPI_INT, "no such representation", MPI_INFO_NULL),
              MPI_ERR_UNSUPPORTED_DATAREP);
  CHECK_CLASS2(MPI_File_set_view(file, -5, MPI_INT, MPI_INT, "native", MPI_INFO_NULL), MPI_ERR_DISP, MPI_ERR_ARG);
  CHECK_CLASS2(MPI_File_set_view(file, MPI_DISPLACEMENT_CURRENT, MPI_INT, MPI_INT, "native", MPI_INFO_NULL), MPI_ERR_DISP,
               MPI_ERR_ARG);
  MPI_Type_contiguous(3, MPI_SHORT, &three);
  MPI_Type_commit(&three);
  CHECK_CLASS2(MPI_File_set_view(file, 0, MPI_INT, three, "native", MPI_INFO_NULL), MPI_ERR_TYPE, MPI_ERR_ARG);
  MPI_Type_indexed(2, lengths, places, MPI_INT, &back);
  MPI_Type_commit(&back);
  CHECK_CLASS2(MPI_File_set_view(file, 0, MPI_INT, back, "native", MPI_INFO_NULL), MPI_ERR_TYPE, MPI_ERR_ARG);
  MPI_Type_free(&three);
  MPI_Type_free(&back);
  io_close(&file);
}

TEST(io_view_external32, 1, "MPI-5.0 section 14.5.2", "MPI_File_set_view MPI_File_get_type_extent") {
  MPI_File file = io_open("io_view_external32.tmp");
  struct pair {
    double d;
    int i;
  } out[3], in[3];
  MPI_Datatype members[2] = {MPI_DOUBLE, MPI_INT}, type;
  int lengths[2] = {1, 1};
  MPI_Aint places[2] = {offsetof(struct pair, d), offsetof(struct pair, i)}, extent = 0;
  unsigned char raw[12];
  MPI_Status status;
  MPI_Type_create_struct(2, lengths, places, members, &type);
  MPI_Type_commit(&type);
  MPI_File_set_view(file, 0, MPI_BYTE, MPI_BYTE, "external32", MPI_INFO_NULL);
  MPI_File_get_type_extent(file, MPI_SHORT, &extent);
  CHECK_INT(extent, 2);
  for (int i = 0; i < 3; i++) out[i].d = 1.5 + i + rank, out[i].i = 0x01020304 + i;
  memset(in, 0, sizeof in);
  CHECK_INT(MPI_File_write_at_all(file, 36 * rank, out, 3, type, &status), MPI_SUCCESS);
  CHECK_INT(io_count(&status, type), 3);
  CHECK_INT(MPI_File_read_at_all(file, 36 * rank, in, 3, type, &status), MPI_SUCCESS);
  CHECK_INT(io_count(&status, type), 3);
  for (int i = 0; i < 3; i++) CHECK(in[i].d == out[i].d && in[i].i == out[i].i);
  MPI_File_set_view(file, 0, MPI_BYTE, MPI_BYTE, "native", MPI_INFO_NULL);
  MPI_File_read_at(file, 0, raw, 12, MPI_BYTE, &status);
  CHECK(raw[0] == 0x3f && raw[1] == 0xf8 && raw[7] == 0); /* 1.5 */
  CHECK(raw[8] == 1 && raw[9] == 2 && raw[10] == 3 && raw[11] == 4);
  MPI_Barrier(comm);
  /* Part of a file that ends early. */
  MPI_File_set_view(file, 0, MPI_INT, MPI_INT, "external32", MPI_INFO_NULL);
  MPI_File_set_size(file, 20);
  int few[9] = {0};
  MPI_File_read_at(file, 2, few, 9, MPI_INT, &status);
  CHECK_INT(io_count(&status, MPI_INT), 3);
  CHECK_INT(few[0], 0x01020304);
  MPI_Type_free(&type);
  io_close(&file);
}

static int converted;

static int twice_extent(MPI_Datatype type, MPI_Aint *extent, void *state) {
  MPI_Aint lb;
  (void)state;
  MPI_Type_get_extent(type, &lb, extent);
  *extent *= 2;
  return MPI_SUCCESS;
}

/* In the file each int stands twice. */
static int twice_write(void *user, MPI_Datatype type, int count, void *file, MPI_Offset position, void *state) {
  int *from = user, *to = file;
  (void)type;
  converted += *(int *)state;
  for (int i = 0; i < count; i++) to[2 * i] = to[2 * i + 1] = from[i + position];
  return MPI_SUCCESS;
}

static int twice_read(void *user, MPI_Datatype type, int count, void *file, MPI_Offset position, void *state) {
  int *to = user, *from = file;
  (void)type;
  converted += *(int *)state;
  for (int i = 0; i < count; i++) to[i + position] = from[2 * i] == from[2 * i + 1] ? from[2 * i] : -1;
  return MPI_SUCCESS;
}

TEST(io_view_register, 1, "MPI-5.0 section 14.5.3", "MPI_Register_datarep") {
  MPI_File file = io_open("io_view_register.tmp");
  static int one = 1;
  int out[4], in[4] = {0}, raw[8];
  MPI_Aint extent = 0;
  MPI_Status status;
  static int runs; /* what is registered stays so, and this may run again */
  char name[32];
  sprintf(name, "twice-%d", runs++);
  CHECK_INT(MPI_Register_datarep(name, twice_read, twice_write, twice_extent, &one), MPI_SUCCESS);
  CHECK_CLASS(MPI_Register_datarep(name, twice_read, twice_write, twice_extent, &one), MPI_ERR_DUP_DATAREP);
  CHECK_CLASS(MPI_Register_datarep("native", twice_read, twice_write, twice_extent, &one), MPI_ERR_DUP_DATAREP);
  CHECK_INT(MPI_File_set_view(file, 0, MPI_INT, MPI_INT, name, MPI_INFO_NULL), MPI_SUCCESS);
  MPI_File_get_type_extent(file, MPI_INT, &extent);
  CHECK_INT(extent, 8);
  converted = 0;
  io_fill(out, 4, rank);
  CHECK_INT(MPI_File_write_at(file, 4 * rank, out, 4, MPI_INT, &status), MPI_SUCCESS);
  CHECK_INT(io_count(&status, MPI_INT), 4);
  CHECK_INT(MPI_File_read_at(file, 4 * rank, in, 4, MPI_INT, &status), MPI_SUCCESS);
  CHECK_INT(io_count(&status, MPI_INT), 4);
  CHECK(converted >= 2);
  for (int i = 0; i < 4; i++) IO_IS(in[i], rank, i);
  MPI_File_set_view(file, 0, MPI_INT, MPI_INT, "native", MPI_INFO_NULL);
  MPI_File_read_at(file, 8 * rank, raw, 8, MPI_INT, &status);
  for (int i = 0; i < 8; i++) IO_IS(raw[i], rank, i / 2);
  io_close(&file);
}

CHAPTER(io_view, &io_view_default, &io_view_strided, &io_view_subarray, &io_view_holes, &io_view_errors,
        &io_view_external32, &io_view_register)
