/*
 * bigmem [MIB [ROUNDS]]: fills MIB MiB (default 16) with numbers that do not repeat, goes through
 * ROUNDS rounds (default 100) of Sendrecv round the ring and Barrier, changing one page a round, then
 * checks every word. Rank 0 prints a checksum over all ranks.
 */
#include <mpi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { PAGE = 4096 / sizeof(uint64_t) };

static uint64_t word(uint64_t i, int rank) {
  uint64_t x = i * 0x9e3779b97f4a7c15ull + (uint64_t)rank;
  x ^= x >> 31;
  return x * 0xbf58476d1ce4e5b9ull;
}

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  int rank, size;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  size_t words = (size_t)(argc > 1 ? atoi(argv[1]) : 16) << 17;
  int rounds = argc > 2 ? atoi(argv[2]) : 100;

  uint64_t *data = malloc(words * sizeof *data + 1);
  if (data == NULL) {
    fprintf(stderr, "bigmem: rank %d: out of memory\n", rank);
    MPI_Abort(MPI_COMM_WORLD, 3);
  }
  for (size_t i = 0; i < words; i++) data[i] = word(i, rank);
  size_t pages = words / PAGE;
  for (int round = 0; round < rounds && pages > 0; round++) {
    uint64_t out = data[(size_t)round % words], in = 0;
    MPI_Sendrecv(&out, 1, MPI_UINT64_T, (rank + 1) % size, 7, &in, 1, MPI_UINT64_T,
                 (rank + size - 1) % size, 7, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    data[(size_t)round % pages * PAGE] += in;
    MPI_Barrier(MPI_COMM_WORLD);
  }
  uint64_t sum = 0, total = 0;
  for (size_t i = 0; i < words; i++) {
    if (i % PAGE != 0 && data[i] != word(i, rank)) {
      fprintf(stderr, "bigmem: rank %d: word %zu is damaged\n", rank, i);
      MPI_Abort(MPI_COMM_WORLD, 4);
    }
    sum = sum * 31 + data[i];
  }
  MPI_Reduce(&sum, &total, 1, MPI_UINT64_T, MPI_SUM, 0, MPI_COMM_WORLD);
  if (rank == 0) {
    printf("bigmem %zu words, %d rounds: checksum %016llx\n", words, rounds,
           (unsigned long long)total);
  }
  free(data);
  MPI_Finalize();
  return 0;
}
