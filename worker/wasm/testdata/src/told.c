/* A program that is told, by SIGTERM, that it is to end: its argument says what it does then, and where it is. Each of its ranks is by itself. */
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t told;
static int rank;

static void notes(int number) { told = number; }
static void prints(int number) {
  printf("caught ");
  told = number;
}
static void leaves(int number) { exit(number); }
static void says(int number) {
  printf("was told %d\n", number);
  exit(1);
}
static void sends(int number) { MPI_Send(&number, 1, MPI_INT, rank, 1, MPI_COMM_WORLD); }
static void aborts(int number) { MPI_Abort(MPI_COMM_WORLD, number + 1); }

static void receives(void) {
  int got = 0;
  printf("receives\n");
  fflush(stdout);
  MPI_Recv(&got, 1, MPI_INT, rank, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  printf("has received %d\n", got);
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "nothing";
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  if (strcmp(what, "leaves") == 0) {
    signal(SIGTERM, leaves);
    receives();
  } else if (strcmp(what, "sends") == 0) {
    signal(SIGTERM, sends);
    receives();
  } else if (strcmp(what, "aborts") == 0) {
    signal(SIGTERM, aborts);
    receives();
  } else if (strcmp(what, "ignores") == 0) {
    signal(SIGTERM, SIG_IGN);
    receives();
  } else if (strcmp(what, "another") == 0) {
    signal(SIGUSR1, notes);
    receives();
  } else if (strcmp(what, "sleeps") == 0) {
    signal(SIGTERM, notes);
    printf("sleeps\n");
    fflush(stdout);
    while (!told) sleep(1000);
  } else if (strcmp(what, "prints") == 0) {
    signal(SIGTERM, notes);
    for (; !told; usleep(1000)) {
      printf("prints\n");
      fflush(stdout);
    }
  } else if (strcmp(what, "lines") == 0) {
    signal(SIGTERM, prints);
    for (int step = 0; !told; step++) {
      for (time_t end = clock(); clock() < end + 1000;) continue;
      printf("step %d\n", step);
      fflush(stdout);
    }
  } else if (strcmp(what, "reads") == 0) {
    signal(SIGTERM, says);
    printf("reads\n");
    fflush(stdout);
    if (getchar() != EOF) return 1;
  } else {
    receives();
  }
  printf("was told %d\n", (int)told);
  MPI_Finalize();
  return 0;
}
