// A program all of whose ranks trap at once, some calls deep, in functions whose names are as long as those of templates.
#include <mpi.h>

#define PASTE(a, b) a##b
#define JOIN(a, b) PASTE(a, b)
#define N1 deep_in_a_very_long_name_of_a_function_that_calls_itself
#define N2 JOIN(N1, N1)
#define N4 JOIN(N2, N2)
#define N8 JOIN(N4, N4)
#define N16 JOIN(N8, N8)
#define N32 JOIN(N16, N16)

__attribute__((noinline)) static int N32(volatile int *left) {
  if (*left == 0) {
    __builtin_trap();
  }
  *left -= 1;
  return N32(left) + *left;
}

int main(int argc, char **argv) {
  volatile int left = 40;
  MPI_Init(&argc, &argv);
  MPI_Barrier(MPI_COMM_WORLD);
  int n = N32(&left);
  MPI_Finalize();
  return n;
}
