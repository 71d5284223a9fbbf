/*
 * files [MIB [ROUNDS [DIRECTORY]]]: each rank's MIB MiB (default 64 3), written to a file in a directory and read back by collective calls: in one piece a rank,
 * and interleaved in pieces of 16 KiB and of 256 bytes. Rank 0 prints the bytes of all ranks in a second for each, the best of the rounds, and a sum of what
 * was read, which is exact. The file is in the kernel's cache: nothing is synced, and what is measured is the way to there.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int rank, size;
static char name[4096] = "files.tmp";

static double slowest(double mine) {
  double all = 0.0;
  MPI_Allreduce(&mine, &all, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  return all;
}

/* measure moves n bytes a rank, in pieces of so many bytes, and returns the sum of what was read. */
static double measure(const char *what, unsigned *buf, int n, int piece, int rounds) {
  MPI_File file;
  MPI_Datatype block, filetype;
  MPI_Status status;
  int words = n / (int)sizeof *buf, got = 0;
  double write = 1e9, read = 1e9, sum = 0.0;
  if (MPI_File_open(MPI_COMM_WORLD, name, MPI_MODE_CREATE | MPI_MODE_RDWR | MPI_MODE_DELETE_ON_CLOSE, MPI_INFO_NULL,
                    &file) != MPI_SUCCESS)
    MPI_Abort(MPI_COMM_WORLD, 3);
  MPI_Type_contiguous(piece, MPI_BYTE, &block);
  MPI_Type_create_resized(block, 0, (MPI_Aint)piece * size, &filetype);
  MPI_Type_commit(&filetype);
  if (piece == n) MPI_File_set_view(file, (MPI_Offset)rank * n, MPI_BYTE, MPI_BYTE, "native", MPI_INFO_NULL);
  else MPI_File_set_view(file, (MPI_Offset)rank * piece, MPI_BYTE, filetype, "native", MPI_INFO_NULL);
  for (int k = 0; k < rounds; k++) {
    for (int i = 0; i < words; i++) buf[i] = (unsigned)i * 2654435761u + (unsigned)rank;
    MPI_Barrier(MPI_COMM_WORLD);
    double start = MPI_Wtime();
    MPI_File_write_at_all(file, 0, buf, n, MPI_BYTE, &status);
    double took = slowest(MPI_Wtime() - start);
    if (took < write) write = took;
    memset(buf, 0, (size_t)n);
    MPI_Barrier(MPI_COMM_WORLD);
    start = MPI_Wtime();
    MPI_File_read_at_all(file, 0, buf, n, MPI_BYTE, &status);
    took = slowest(MPI_Wtime() - start);
    if (took < read) read = took;
    MPI_Get_count(&status, MPI_BYTE, &got);
    if (got != n) MPI_Abort(MPI_COMM_WORLD, 4);
    for (int i = 0; i < words; i++)
      if (buf[i] != (unsigned)i * 2654435761u + (unsigned)rank) MPI_Abort(MPI_COMM_WORLD, 5);
  }
  for (int i = 0; i < words; i++) sum += buf[i] % 1000;
  MPI_File_close(&file);
  MPI_Type_free(&block);
  MPI_Type_free(&filetype);
  if (rank == 0) {
    printf("write_all%s %d %.4g GB/s\n", what, piece, (double)n * size / write / 1e9);
    printf("read_all%s %d %.4g GB/s\n", what, piece, (double)n * size / read / 1e9);
  }
  return sum;
}

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  int n = (argc > 1 ? atoi(argv[1]) : 64) << 20, rounds = argc > 2 ? atoi(argv[2]) : 3;
  if (argc > 3) snprintf(name, sizeof name, "%s/files.tmp", argv[3]);
  if (n < 1 || rounds < 1) MPI_Abort(MPI_COMM_WORLD, 3);
  unsigned *buf = malloc((size_t)n);
  if (buf == NULL) MPI_Abort(MPI_COMM_WORLD, 3);
  double mine = 0.0, total = 0.0;
  mine += measure("_contiguous", buf, n, n, rounds);
  mine += measure("_interleaved", buf, n, 16 << 10, rounds);
  mine += measure("_interleaved", buf, n, 256, rounds);
  MPI_Reduce(&mine, &total, 1, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
  if (rank == 0) printf("files %d %.15g checksum\n", n, total);
  free(buf);
  MPI_Finalize();
  return 0;
}
