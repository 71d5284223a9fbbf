/* io: what the tests of files share. */
#include "io.h"

const char *io_name = "";

MPI_File io_open(const char *name) {
  MPI_File file = MPI_FILE_NULL;
  io_name = name;
  if (rank == 0) MPI_File_delete(name, MPI_INFO_NULL); /* of a run that has failed */
  MPI_Barrier(comm);
  CHECK_INT(MPI_File_open(comm, name, MPI_MODE_CREATE | MPI_MODE_EXCL | MPI_MODE_RDWR | MPI_MODE_DELETE_ON_CLOSE,
                          MPI_INFO_NULL, &file),
            MPI_SUCCESS);
  CHECK(file != MPI_FILE_NULL);
  return file;
}

void io_close(MPI_File *file) {
  MPI_File gone;
  CHECK_INT(MPI_File_close(file), MPI_SUCCESS);
  CHECK(*file == MPI_FILE_NULL);
  MPI_Barrier(comm);
  CHECK_CLASS(MPI_File_open(MPI_COMM_SELF, io_name, MPI_MODE_RDONLY, MPI_INFO_NULL, &gone), MPI_ERR_NO_SUCH_FILE);
}

void io_fill(int *buf, int n, int r) {
  for (int i = 0; i < n; i++) buf[i] = value(r, i);
}

int io_count(const MPI_Status *status, MPI_Datatype type) {
  int n = -1;
  MPI_Get_count(status, type, &n);
  return n;
}
