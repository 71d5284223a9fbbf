/*
 * hostile HOW: what a program may do that its host must survive.
 *   stack N: the stack pointer is N when the library calls the program back
 *   types: one function serves as an operation and as an error handler, which take different numbers of parameters
 */
#include <mpi.h>
#include <stdlib.h>
#include <string.h>

static int copy(MPI_Comm c, int k, void *extra, void *in, void *out, int *flag) {
  (void)c, (void)k, (void)extra, (void)in, (void)out;
  *flag = 0;
  return 0;
}

static void operate(void *in, void *inout, int *n, MPI_Datatype *type) { (void)in, (void)inout, (void)n, (void)type; }

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  if (argc > 2 && !strcmp(argv[1], "stack")) {
    int key;
    MPI_Comm_create_keyval(copy, MPI_COMM_NULL_DELETE_FN, &key, NULL);
    MPI_Comm_set_attr(MPI_COMM_WORLD, key, NULL);
    unsigned at = (unsigned)strtoul(argv[2], NULL, 0);
    __asm__ volatile("local.get %0\n global.set __stack_pointer" ::"r"(at));
    MPI_Comm_dup(MPI_COMM_WORLD, (MPI_Comm *)1024);
  }
  if (argc > 1 && !strcmp(argv[1], "types")) {
    MPI_Op op;
    MPI_Errhandler handler;
    int one = 1, two = 2;
    MPI_Op_create(operate, 1, &op);
    MPI_Reduce_local(&one, &two, 1, MPI_INT, op);
    MPI_Comm_create_errhandler((MPI_Comm_errhandler_function *)operate, &handler);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, handler);
    MPI_Send(&one, 1, MPI_INT, 99, 0, MPI_COMM_WORLD);
  }
  MPI_Finalize();
  return 0;
}
