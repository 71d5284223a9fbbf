/* io_shared: the shared pointer. */
#include "io.h"

/* Every rank writes so many ints of its own, in parts; each part is somewhere, and whole. */
TEST(io_shared_write, 1, "MPI-5.0 section 14.4.4",
     "MPI_File_write_shared MPI_File_iwrite_shared MPI_File_read_shared MPI_File_iread_shared "
     "MPI_File_get_position_shared MPI_File_seek_shared") {
  enum { PARTS = 6, LENGTH = 5 };
  MPI_File file = io_open("io_shared_write.tmp");
  int total = PARTS * LENGTH * size, part[LENGTH], *all = new_ints(total, -1), *seen = new_ints(size * PARTS, 0);
  MPI_Offset at = -1;
  MPI_Status status;
  MPI_Request request;
  MPI_File_set_view(file, 12, MPI_INT, MPI_INT, "native", MPI_INFO_NULL);
  for (int k = 0; k < PARTS; k++) {
    for (int i = 0; i < LENGTH; i++) part[i] = 1000 * rank + 10 * k + i;
    if (k % 2) {
      MPI_File_iwrite_shared(file, part, LENGTH, MPI_INT, &request);
      MPI_Wait(&request, &status);
    } else {
      MPI_File_write_shared(file, part, LENGTH, MPI_INT, &status);
    }
    CHECK_INT(io_count(&status, MPI_INT), LENGTH);
  }
  MPI_Barrier(comm);
  MPI_File_get_position_shared(file, &at);
  CHECK_INT(at, total);
  MPI_File_read_at(file, 0, all, total, MPI_INT, &status);
  CHECK_INT(io_count(&status, MPI_INT), total);
  for (int i = 0; i < total; i += LENGTH) {
    int r = all[i] / 1000, k = all[i] % 1000 / 10;
    CHECK(r >= 0 && r < size && k < PARTS);
    CHECK_INT(seen[r * PARTS + k]++, 0);
    for (int j = 0; j < LENGTH; j++) CHECK_INT(all[i + j], 1000 * r + 10 * k + j);
  }
  CHECK_INT(MPI_File_seek_shared(file, 0, MPI_SEEK_SET), MPI_SUCCESS);
  int mine = 0;
  for (int k = 0; k < PARTS; k++) {
    if (k % 2) {
      MPI_File_iread_shared(file, part, LENGTH, MPI_INT, &request);
      MPI_Wait(&request, &status);
    } else {
      MPI_File_read_shared(file, part, LENGTH, MPI_INT, &status);
    }
    CHECK_INT(io_count(&status, MPI_INT), LENGTH);
    for (int j = 1; j < LENGTH; j++) CHECK_INT(part[j], part[0] + j);
    mine += part[0];
  }
  int sum = 0, want = 0;
  MPI_Allreduce(&mine, &sum, 1, MPI_INT, MPI_SUM, comm);
  for (int i = 0; i < total; i += LENGTH) want += all[i];
  CHECK_INT(sum, want);
  MPI_File_seek_shared(file, -3, MPI_SEEK_END);
  MPI_File_get_position_shared(file, &at);
  CHECK_INT(at, total - 3);
  free(all);
  free(seen);
  io_close(&file);
}

/* In the order of ranks, each as much as it likes. */
TEST(io_shared_ordered, 1, "MPI-5.0 section 14.4.4",
     "MPI_File_write_ordered MPI_File_read_ordered MPI_File_write_ordered_begin MPI_File_write_ordered_end "
     "MPI_File_read_ordered_begin MPI_File_read_ordered_end") {
  MPI_File file = io_open("io_shared_ordered.tmp");
  int n = rank + 1, before = rank * (rank + 1) / 2, all = size * (size + 1) / 2;
  int *out = new_ints(n, 0), *in = new_ints(n, 0);
  MPI_Status status;
  MPI_Offset at;
  MPI_File_set_view(file, 0, MPI_INT, MPI_INT, "native", MPI_INFO_NULL);
  for (int round = 0; round < 4; round++) {
    io_fill(out, n, rank + 100 * round);
    if (round % 2) {
      MPI_File_write_ordered_begin(file, out, n, MPI_INT);
      MPI_File_write_ordered_end(file, out, &status);
    } else {
      MPI_File_write_ordered(file, out, n, MPI_INT, &status);
    }
    CHECK_INT(io_count(&status, MPI_INT), n);
  }
  MPI_File_get_position_shared(file, &at);
  CHECK_INT(at, 4 * all);
  for (int round = 0; round < 4; round++) {
    MPI_File_read_at(file, all * round + before, in, n, MPI_INT, &status);
    for (int i = 0; i < n; i++) IO_IS(in[i], rank + 100 * round, i);
  }
  MPI_File_seek_shared(file, 0, MPI_SEEK_SET);
  for (int round = 0; round < 4; round++) {
    if (round % 2) {
      MPI_File_read_ordered_begin(file, in, n, MPI_INT);
      MPI_File_read_ordered_end(file, in, &status);
    } else {
      MPI_File_read_ordered(file, in, n, MPI_INT, &status);
    }
    CHECK_INT(io_count(&status, MPI_INT), n);
    for (int i = 0; i < n; i++) IO_IS(in[i], rank + 100 * round, i);
  }
  free(out);
  free(in);
  io_close(&file);
}

#if MPI_SINCE(4, 0)
TEST(io_shared_large, 1, "MPI-5.0 section 14.4.4",
     "MPI_File_write_shared_c MPI_File_iwrite_shared_c MPI_File_read_shared_c MPI_File_iread_shared_c "
     "MPI_File_write_ordered_c MPI_File_read_ordered_c MPI_File_write_ordered_begin_c MPI_File_read_ordered_begin_c") {
  MPI_File file = io_open("io_shared_large.tmp");
  int x = value(rank, 3), y = 0;
  MPI_Status status;
  MPI_Request request;
  MPI_File_write_ordered_c(file, &x, 1, MPI_INT, &status);
  MPI_File_write_ordered_begin_c(file, &x, 1, MPI_INT);
  MPI_File_write_ordered_end(file, &x, &status);
  MPI_File_seek_shared(file, 0, MPI_SEEK_SET);
  MPI_File_read_ordered_c(file, &y, 1, MPI_INT, &status);
  CHECK_INT(y, x);
  MPI_File_read_ordered_begin_c(file, &y, 1, MPI_INT);
  MPI_File_read_ordered_end(file, &y, &status);
  CHECK_INT(y, x);
  MPI_Barrier(comm);
  MPI_File_write_shared_c(file, &x, 1, MPI_INT, &status);
  MPI_File_iwrite_shared_c(file, &x, 1, MPI_INT, &request);
  MPI_Wait(&request, &status);
  MPI_File_seek_shared(file, 0, MPI_SEEK_SET);
  MPI_File_read_shared_c(file, &y, 1, MPI_INT, &status);
  CHECK_INT(io_count(&status, MPI_INT), 1);
  MPI_File_iread_shared_c(file, &y, 1, MPI_INT, &request);
  MPI_Wait(&request, &status);
  CHECK_INT(io_count(&status, MPI_INT), 1);
  io_close(&file);
}
CHAPTER(io_shared, &io_shared_write, &io_shared_ordered, &io_shared_large)
#else
CHAPTER(io_shared, &io_shared_write, &io_shared_ordered)
#endif
