/* The conversions of mpi.h for programs that call them without it. */
#define GODWIT_CONVERSION __attribute__((weak))
#include <mpi.h>
