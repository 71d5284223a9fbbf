/* io.h: what the tests of files share. They work in the current directory, and leave nothing there. */
#ifndef IO_H
#define IO_H

#include "conformance.h"

/* The name of the running test's file. */
extern const char *io_name;

/* Opens the file on all ranks of comm, new and empty, for reading and writing; it is deleted when it is closed. */
MPI_File io_open(const char *name);

/* Closes it. */
void io_close(MPI_File *file);

/* Fills n ints with those that rank r writes. */
void io_fill(int *buf, int n, int r);

/* Checks that element i of rank r's is what is there. */
#define IO_IS(got, r, i) CHECK_INT(got, value(r, i))

/* How many items of a type a status has. */
int io_count(const MPI_Status *status, MPI_Datatype type);

#endif
