/* io_data: access by offsets and by individual pointers, in all forms. */
#include "io.h"

enum { N = 50 };

TEST(io_data_at, 1, "MPI-5.0 section 14.4.2",
     "MPI_File_read_at MPI_File_write_at MPI_File_iread_at MPI_File_iwrite_at MPI_File_read_at_c MPI_File_write_at_c "
     "MPI_File_iread_at_c MPI_File_iwrite_at_c") {
  MPI_File file = io_open("io_data_at.tmp");
  int out[N], in[N];
  MPI_Status status;
  MPI_Request request;
  io_fill(out, N, rank);
  CHECK_INT(MPI_File_write_at(file, 4 * N * rank, out, N, MPI_INT, &status), MPI_SUCCESS);
  CHECK_INT(io_count(&status, MPI_INT), N);
  MPI_File_sync(file);
  MPI_Barrier(comm);
  int next = (rank + 1) % size;
  CHECK_INT(MPI_File_read_at(file, 4 * N * next, in, N, MPI_INT, &status), MPI_SUCCESS);
  CHECK_INT(io_count(&status, MPI_INT), N);
  for (int i = 0; i < N; i++) IO_IS(in[i], next, i);
  MPI_Barrier(comm);
  io_fill(out, N, rank + 1000);
  MPI_File_iwrite_at(file, 4 * N * rank, out, N, MPI_INT, &request);
  MPI_Wait(&request, &status);
  CHECK(request == MPI_REQUEST_NULL);
  CHECK_INT(io_count(&status, MPI_INT), N);
  memset(in, 0, sizeof in);
  MPI_File_iread_at(file, 4 * N * rank, in, N, MPI_INT, &request);
  for (int flag = 0; !flag;) MPI_Test(&request, &flag, &status);
  CHECK_INT(io_count(&status, MPI_INT), N);
  for (int i = 0; i < N; i++) IO_IS(in[i], rank + 1000, i);
  MPI_File_read_at(file, 4 * N * size - 8, in, N, MPI_INT, &status);
  CHECK_INT(io_count(&status, MPI_INT), 2);
#if MPI_SINCE(4, 0)
  io_fill(out, N, rank + 2000);
  MPI_File_write_at_c(file, 4 * N * rank, out, N, MPI_INT, &status);
  MPI_File_read_at_c(file, 4 * N * rank, in, N, MPI_INT, &status);
  IO_IS(in[N - 1], rank + 2000, N - 1);
  MPI_File_iwrite_at_c(file, 4 * N * rank, in, N / 2, MPI_INT, &request);
  MPI_Wait(&request, &status);
  MPI_File_iread_at_c(file, 4 * N * rank, in, N, MPI_INT, &request);
  MPI_Wait(&request, &status);
  CHECK_INT(io_count(&status, MPI_INT), N);
#endif
  CHECK_CLASS(MPI_File_read_at(file, -1, in, N, MPI_INT, &status), MPI_ERR_ARG);
  CHECK_CLASS(MPI_File_read_at(file, 0, in, -1, MPI_INT, &status), MPI_ERR_COUNT);
  io_close(&file);
}

TEST(io_data_individual, 1, "MPI-5.0 section 14.4.3",
     "MPI_File_read MPI_File_write MPI_File_iread MPI_File_iwrite MPI_File_seek MPI_File_get_position MPI_File_read_c "
     "MPI_File_write_c MPI_File_iread_c MPI_File_iwrite_c") {
  MPI_File file = io_open("io_data_individual.tmp");
  int out[N], in[N];
  MPI_Offset at = -1;
  MPI_Status status;
  MPI_Request requests[2];
  io_fill(out, N, rank);
  MPI_File_set_view(file, 0, MPI_INT, MPI_INT, "native", MPI_INFO_NULL);
  MPI_File_seek(file, N * rank, MPI_SEEK_SET);
  MPI_File_iwrite(file, out, 10, MPI_INT, &requests[0]);
  MPI_File_iwrite(file, out + 10, N - 11, MPI_INT, &requests[1]);
  MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
  MPI_File_write(file, out + N - 1, 1, MPI_INT, &status);
  MPI_File_get_position(file, &at);
  CHECK_INT(at, N * (rank + 1));
  MPI_File_seek(file, -N, MPI_SEEK_CUR);
  MPI_File_iread(file, in, 20, MPI_INT, &requests[0]);
  MPI_File_get_position(file, &at);
  CHECK_INT(at, N * rank + 20);
  MPI_Wait(&requests[0], &status);
  CHECK_INT(io_count(&status, MPI_INT), 20);
  MPI_File_read(file, in + 20, N - 20, MPI_INT, &status);
  for (int i = 0; i < N; i++) IO_IS(in[i], rank, i);
  MPI_Barrier(comm);
  MPI_File_seek(file, -1, MPI_SEEK_END);
  MPI_File_get_position(file, &at);
  CHECK_INT(at, N * size - 1);
  MPI_File_read(file, in, 1, MPI_INT, &status);
  IO_IS(in[0], size - 1, N - 1);
  MPI_File_read(file, in, 1, MPI_INT, &status);
  CHECK_INT(io_count(&status, MPI_INT), 0);
  CHECK_CLASS(MPI_File_seek(file, -1, MPI_SEEK_SET), MPI_ERR_ARG);
  CHECK_CLASS(MPI_File_seek(file, 0, 12345), MPI_ERR_ARG);
#if MPI_SINCE(4, 0)
  MPI_Barrier(comm);
  MPI_File_seek(file, N * rank, MPI_SEEK_SET);
  MPI_File_write_c(file, out, N, MPI_INT, &status);
  MPI_File_seek(file, N * rank, MPI_SEEK_SET);
  MPI_File_iwrite_c(file, out, N, MPI_INT, &requests[0]);
  MPI_Wait(&requests[0], &status);
  MPI_File_seek(file, N * rank, MPI_SEEK_SET);
  MPI_File_read_c(file, in, N / 2, MPI_INT, &status);
  MPI_File_iread_c(file, in + N / 2, N / 2, MPI_INT, &requests[0]);
  MPI_Wait(&requests[0], &status);
  for (int i = 0; i < N; i++) IO_IS(in[i], rank, i);
#endif
  io_close(&file);
}

/* View of blocks of 3 ints, rank by rank: pieces that are small, and many. */
static void interleave(MPI_File file, MPI_Offset disp) {
  MPI_Datatype block, filetype;
  MPI_Type_contiguous(3, MPI_INT, &block);
  MPI_Type_create_resized(block, 0, 12 * size, &filetype);
  MPI_Type_commit(&filetype);
  MPI_File_set_view(file, disp + 12 * rank, MPI_INT, filetype, "native", MPI_INFO_NULL);
  MPI_Type_free(&block);
  MPI_Type_free(&filetype);
}

TEST(io_data_all, 1, "MPI-5.0 section 14.4.3",
     "MPI_File_read_all MPI_File_write_all MPI_File_iread_all MPI_File_iwrite_all MPI_File_read_at_all "
     "MPI_File_write_at_all MPI_File_iread_at_all MPI_File_iwrite_at_all") {
  MPI_File file = io_open("io_data_all.tmp");
  enum { M = 3000 };
  int *out = new_ints(M, 0), *in = new_ints(M, 0);
  MPI_Status status;
  MPI_Request requests[3];
  interleave(file, 40);
  io_fill(out, M, rank);
  CHECK_INT(MPI_File_write_all(file, out, M, MPI_INT, &status), MPI_SUCCESS);
  CHECK_INT(io_count(&status, MPI_INT), M);
  CHECK_INT(MPI_File_read_at_all(file, 1, in, M - 1, MPI_INT, &status), MPI_SUCCESS);
  CHECK_INT(io_count(&status, MPI_INT), M - 1);
  for (int i = 0; i < M - 1; i++) IO_IS(in[i], rank, i + 1);
  /* Beyond the end there is nothing. */
  MPI_File_read_at_all(file, M - 4, in, 9, MPI_INT, &status);
  CHECK_INT(io_count(&status, MPI_INT), 4);
  /* Several under way, and not all ranks have anything to do. */
  io_fill(out, M, rank + 50);
  MPI_File_iwrite_at_all(file, 0, out, 300, MPI_INT, &requests[0]);
  MPI_File_iwrite_at_all(file, 300, out + 300, rank % 2 ? 600 : 0, MPI_INT, &requests[1]);
  MPI_File_seek(file, 0, MPI_SEEK_SET);
  memset(in, 0, M * sizeof *in);
  MPI_File_iread_all(file, in, 900, MPI_INT, &requests[2]);
  MPI_Waitall(3, requests, MPI_STATUSES_IGNORE);
  for (int i = 0; i < 900; i++) IO_IS(in[i], i < 300 || rank % 2 ? rank + 50 : rank, i);
  MPI_File_seek(file, 900, MPI_SEEK_SET);
  MPI_File_iwrite_all(file, out + 900, M - 900, MPI_INT, &requests[0]);
  MPI_File_iread_at_all(file, 900, in, M - 900, MPI_INT, &requests[1]);
  for (int flag = 0; !flag;) MPI_Testall(2, requests, &flag, MPI_STATUSES_IGNORE);
  for (int i = 0; i < M - 900; i++) IO_IS(in[i], rank + 50, i + 900);
  free(out);
  free(in);
  io_close(&file);
}

TEST(io_data_split, 1, "MPI-5.0 section 14.4.5",
     "MPI_File_read_all_begin MPI_File_read_all_end MPI_File_write_all_begin MPI_File_write_all_end "
     "MPI_File_read_at_all_begin MPI_File_read_at_all_end MPI_File_write_at_all_begin MPI_File_write_at_all_end") {
  MPI_File file = io_open("io_data_split.tmp");
  int out[N], in[N], sum = 0;
  MPI_Status status;
  interleave(file, 0);
  io_fill(out, N, rank);
  CHECK_INT(MPI_File_write_all_begin(file, out, N, MPI_INT), MPI_SUCCESS);
  CHECK_CLASS(MPI_File_write_at_all_end(file, out, &status), MPI_ERR_OTHER);
  MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, comm);
  CHECK_INT(sum, size * (size - 1) / 2);
  CHECK_INT(MPI_File_write_all_end(file, out, &status), MPI_SUCCESS);
  CHECK_INT(io_count(&status, MPI_INT), N);
  MPI_File_seek(file, 0, MPI_SEEK_SET);
  MPI_File_read_all_begin(file, in, N, MPI_INT);
  MPI_File_read_all_end(file, in, &status);
  CHECK_INT(io_count(&status, MPI_INT), N);
  for (int i = 0; i < N; i++) IO_IS(in[i], rank, i);
  io_fill(out, N, rank + 9);
  MPI_File_write_at_all_begin(file, 5, out, N, MPI_INT);
  MPI_File_write_at_all_end(file, out, &status);
  MPI_File_read_at_all_begin(file, 5, in, N, MPI_INT);
  MPI_File_read_at_all_end(file, in, &status);
  for (int i = 0; i < N; i++) IO_IS(in[i], rank + 9, i);
  io_close(&file);
}

#if MPI_SINCE(4, 0)
TEST(io_data_all_large, 1, "MPI-5.0 section 14.4",
     "MPI_File_read_all_c MPI_File_write_all_c MPI_File_iread_all_c MPI_File_iwrite_all_c MPI_File_read_at_all_c "
     "MPI_File_write_at_all_c MPI_File_iread_at_all_c MPI_File_iwrite_at_all_c MPI_File_read_all_begin_c "
     "MPI_File_write_all_begin_c MPI_File_read_at_all_begin_c MPI_File_write_at_all_begin_c MPI_File_get_type_extent_c") {
  MPI_File file = io_open("io_data_all_large.tmp");
  int out[N], in[N];
  MPI_Status status;
  MPI_Request request;
  MPI_Count extent = 0;
  interleave(file, 0);
  MPI_File_get_type_extent_c(file, MPI_DOUBLE, &extent);
  CHECK_INT(extent, 8);
  io_fill(out, N, rank);
  MPI_File_write_all_c(file, out, N, MPI_INT, &status);
  MPI_File_read_at_all_c(file, 0, in, N, MPI_INT, &status);
  for (int i = 0; i < N; i++) IO_IS(in[i], rank, i);
  io_fill(out, N, rank + 1);
  MPI_File_write_at_all_c(file, 0, out, N, MPI_INT, &status);
  MPI_File_seek(file, 0, MPI_SEEK_SET);
  MPI_File_read_all_c(file, in, N, MPI_INT, &status);
  IO_IS(in[N - 1], rank + 1, N - 1);
  io_fill(out, N, rank + 2);
  MPI_File_iwrite_at_all_c(file, 0, out, N, MPI_INT, &request);
  MPI_Wait(&request, &status);
  MPI_File_seek(file, 0, MPI_SEEK_SET);
  MPI_File_iread_all_c(file, in, N, MPI_INT, &request);
  MPI_Wait(&request, &status);
  IO_IS(in[N - 1], rank + 2, N - 1);
  MPI_File_iwrite_all_c(file, out, N, MPI_INT, &request);
  MPI_Wait(&request, &status);
  MPI_File_iread_at_all_c(file, N, in, N, MPI_INT, &request);
  MPI_Wait(&request, &status);
  IO_IS(in[N - 1], rank + 2, N - 1);
  MPI_File_write_at_all_begin_c(file, 0, in, N, MPI_INT);
  MPI_File_write_at_all_end(file, in, &status);
  MPI_File_read_at_all_begin_c(file, 0, in, N, MPI_INT);
  MPI_File_read_at_all_end(file, in, &status);
  MPI_File_seek(file, 0, MPI_SEEK_SET);
  MPI_File_write_all_begin_c(file, in, N, MPI_INT);
  MPI_File_write_all_end(file, in, &status);
  MPI_File_seek(file, 0, MPI_SEEK_SET);
  MPI_File_read_all_begin_c(file, in, N, MPI_INT);
  MPI_File_read_all_end(file, in, &status);
  CHECK_INT(io_count(&status, MPI_INT), N);
  IO_IS(in[N - 1], rank + 2, N - 1);
  io_close(&file);
}
#endif

/* Rounds of more than a buffer, by few aggregators, and by none. */
TEST(io_data_hints, 1, "MPI-5.0 section 14.2.8", "MPI_File_write_all MPI_File_read_all MPI_File_set_info") {
  MPI_File file = io_open("io_data_hints.tmp");
  static const char *const hints[][3] = {{"1", "65536", "enable"}, {"2", "65536", "automatic"}, {"64", "4194304", "disable"}};
  enum { M = 60000 };
  int *out = new_ints(M, 0), *in = new_ints(M, 0);
  MPI_Status status;
  for (int h = 0; h < 3; h++) {
    const int m = h == 2 ? 1000 : M; /* without aggregators each int is an access of its own */
    MPI_Info info;
    interleave(file, 0);
    MPI_Info_create(&info);
    MPI_Info_set(info, "cb_nodes", hints[h][0]);
    MPI_Info_set(info, "cb_buffer_size", hints[h][1]);
    MPI_Info_set(info, "romio_cb_write", hints[h][2]);
    MPI_Info_set(info, "romio_cb_read", hints[h][2]);
    MPI_File_set_info(file, info);
    MPI_Info_free(&info);
    io_fill(out, m, rank + 10 * h);
    memset(in, 0, m * sizeof *in);
    MPI_File_write_all(file, out, m, MPI_INT, &status);
    CHECK_INT(io_count(&status, MPI_INT), m);
    MPI_Barrier(comm);
    MPI_File_read_at_all(file, 0, in, m, MPI_INT, &status);
    CHECK_INT(io_count(&status, MPI_INT), m);
    for (int i = 0; i < m; i++)
      if (in[i] != value(rank + 10 * h, i)) IO_IS(in[i], rank + 10 * h, i);
    MPI_Barrier(comm);
  }
  free(out);
  free(in);
  io_close(&file);
}

/* Each access is seen whole, or not at all. */
TEST(io_data_atomic, 2, "MPI-5.0 section 14.6", "MPI_File_set_atomicity MPI_File_get_atomicity MPI_File_sync") {
  MPI_File file = io_open("io_data_atomic.tmp");
  MPI_Datatype filetype;
  int flag = -1, out[N], in[N];
  MPI_Status status;
  MPI_Request request;
  MPI_File_get_atomicity(file, &flag);
  CHECK_INT(flag, 0);
  CHECK_INT(MPI_File_set_atomicity(file, 1), MPI_SUCCESS);
  MPI_File_get_atomicity(file, &flag);
  CHECK_INT(flag, 1);
  MPI_Type_vector(N, 1, 3, MPI_INT, &filetype);
  MPI_Type_commit(&filetype);
  MPI_File_set_view(file, 0, MPI_INT, filetype, "native", MPI_INFO_NULL);
  for (int i = 0; i < N; i++) out[i] = rank;
  if (rank == 0) MPI_File_write_at(file, 0, out, N, MPI_INT, &status);
  MPI_Barrier(comm);
  for (int round = 0; round < 5; round++) {
    if (rank % 2) MPI_File_write_at(file, 0, out, N, MPI_INT, &status);
    MPI_File_read_at(file, 0, in, N, MPI_INT, &status);
    CHECK_INT(io_count(&status, MPI_INT), N);
    for (int i = 1; i < N; i++) CHECK_INT(in[i], in[0]);
    MPI_File_iwrite_at(file, 0, out, N, MPI_INT, &request);
    MPI_Wait(&request, &status);
    MPI_File_iread_at(file, 0, in, N, MPI_INT, &request);
    MPI_Wait(&request, &status);
    for (int i = 1; i < N; i++) CHECK_INT(in[i], in[0]);
  }
  MPI_File_write_at_all(file, 0, out, N, MPI_INT, &status);
  MPI_File_read_at_all(file, 0, in, N, MPI_INT, &status);
  for (int i = 1; i < N; i++) CHECK_INT(in[i], in[0]);
  MPI_File_sync(file);
  MPI_File_set_atomicity(file, 0);
  MPI_Type_free(&filetype);
  io_close(&file);
}

/* What one rank may not do the others do without it. */
TEST(io_data_one_fails, 2, "MPI-5.0 section 14.7", "MPI_File_write_all MPI_File_iwrite_at_all MPI_File_write_all_begin") {
  MPI_File file = io_open("io_data_one_fails.tmp");
  MPI_Datatype raw, strip, filetype;
  MPI_Request request;
  int out[N], in[N], code;
  MPI_Type_contiguous(2, MPI_INT, &raw);
  MPI_Type_contiguous(1, MPI_INT, &strip);
  MPI_Type_create_resized(strip, 0, 4 * size, &filetype);
  MPI_Type_free(&strip);
  MPI_Type_commit(&filetype);
  MPI_File_set_view(file, 4 * rank, MPI_INT, filetype, "native", MPI_INFO_NULL);
  for (int at = 0; at < size; at++) {
    MPI_Datatype type = rank == at ? raw : MPI_INT;
    for (int way = 0; way < 4; way++) {
      io_fill(out, N, rank + 10 * way + at);
      MPI_File_seek(file, 0, MPI_SEEK_SET);
      if (way == 0) {
        code = MPI_File_write_all(file, out, N, type, MPI_STATUS_IGNORE);
      } else if (way == 1) {
        code = MPI_File_write_at_all(file, rank == at ? -1 : 0, out, N, MPI_INT, MPI_STATUS_IGNORE);
      } else if (way == 2) {
        code = MPI_File_iwrite_at_all(file, 0, out, N, type, &request);
        if (code == MPI_SUCCESS) code = MPI_Wait(&request, MPI_STATUS_IGNORE);
      } else {
        code = MPI_File_write_all_begin(file, out, N, type);
        if (code == MPI_SUCCESS) code = MPI_File_write_all_end(file, out, MPI_STATUS_IGNORE);
      }
      if (rank == at) CHECK(code != MPI_SUCCESS);
      if (rank != at) CHECK_INT(code, MPI_SUCCESS);
      MPI_Barrier(comm);
      MPI_File_read_at(file, 0, in, N, MPI_INT, MPI_STATUS_IGNORE);
      if (rank != at)
        for (int i = 0; i < N; i++) IO_IS(in[i], rank + 10 * way + at, i);
      MPI_Barrier(comm);
    }
  }
  MPI_Type_free(&raw);
  MPI_Type_free(&filetype);
  io_close(&file);
}

TEST(io_data_errors, 1, "MPI-5.0 section 14.4", "MPI_File_read MPI_File_close") {
  MPI_File file = io_open("io_data_errors.tmp"), none = MPI_FILE_NULL;
  int x = 0;
  MPI_Datatype raw;
  MPI_Offset at;
  CHECK_CLASS(MPI_File_read(none, &x, 1, MPI_INT, MPI_STATUS_IGNORE), MPI_ERR_FILE);
  CHECK_CLASS(MPI_File_get_size(none, &at), MPI_ERR_FILE);
  MPI_Type_contiguous(2, MPI_INT, &raw);
  CHECK_CLASS(MPI_File_read(file, &x, 1, raw, MPI_STATUS_IGNORE), MPI_ERR_TYPE);
  MPI_Type_free(&raw);
  MPI_File_set_view(file, 0, MPI_INT, MPI_INT, "native", MPI_INFO_NULL);
  CHECK_CLASS2(MPI_File_write(file, &x, 3, MPI_BYTE, MPI_STATUS_IGNORE), MPI_ERR_TYPE, MPI_ERR_IO);
  CHECK_INT(MPI_File_write(file, NULL, 0, MPI_INT, MPI_STATUS_IGNORE), MPI_SUCCESS);
  io_close(&file);
}

#if MPI_SINCE(4, 0)
CHAPTER(io_data, &io_data_at, &io_data_individual, &io_data_all, &io_data_split, &io_data_all_large, &io_data_hints,
        &io_data_atomic, &io_data_errors, &io_data_one_fails)
#else
CHAPTER(io_data, &io_data_at, &io_data_individual, &io_data_all, &io_data_split, &io_data_hints, &io_data_atomic,
        &io_data_errors, &io_data_one_fails)
#endif
