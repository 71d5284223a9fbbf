/* since41: what MPI-4.1 brought. */
#include "conformance.h"

#if MPI_SINCE(4, 1)

TEST(since41_status, 1, "MPI-5.0 section 3.2.5",
     "MPI_Status_set_source MPI_Status_get_source MPI_Status_set_tag MPI_Status_get_tag MPI_Status_set_error "
     "MPI_Status_get_error") {
  MPI_Status status;
  int got = -1;
  memset(&status, 0, sizeof status);
  MPI_Status_set_source(&status, 5);
  MPI_Status_set_tag(&status, 6);
  MPI_Status_set_error(&status, MPI_ERR_OTHER);
  MPI_Status_get_source(&status, &got);
  CHECK(got == 5 && status.MPI_SOURCE == 5);
  MPI_Status_get_tag(&status, &got);
  CHECK(got == 6 && status.MPI_TAG == 6);
  MPI_Status_get_error(&status, &got);
  CHECK(got == MPI_ERR_OTHER && status.MPI_ERROR == MPI_ERR_OTHER);
}

/* Asking about several requests completes none of them. */
TEST(since41_get_status, 1, "MPI-5.0 section 3.7.6",
     "MPI_Request_get_status_any MPI_Request_get_status_all MPI_Request_get_status_some") {
  int in[2] = {-1, -1}, out = value(rank, 1), flag = 1, index = -1, count = -1, indices[2];
  MPI_Request requests[2];
  MPI_Status status, statuses[2];
  MPI_Irecv(&in[0], 1, MPI_INT, rank, 0, comm, &requests[0]);
  MPI_Irecv(&in[1], 1, MPI_INT, rank, 1, comm, &requests[1]);
  MPI_Request_get_status_any(2, requests, &index, &flag, &status);
  CHECK_INT(flag, 0);
  MPI_Send(&out, 1, MPI_INT, rank, 1, comm);
  while (!flag) MPI_Request_get_status_any(2, requests, &index, &flag, &status);
  CHECK_INT(index, 1);
  CHECK_STATUS(&status, rank, 1, MPI_INT, 1);
  CHECK(requests[1] != MPI_REQUEST_NULL);
  MPI_Request_get_status_some(2, requests, &count, indices, statuses);
  CHECK(count == 1 && indices[0] == 1);
  MPI_Request_get_status_all(2, requests, &flag, statuses);
  CHECK_INT(flag, 0);
  MPI_Send(&out, 1, MPI_INT, rank, 0, comm);
  while (!flag) MPI_Request_get_status_all(2, requests, &flag, statuses);
  CHECK_STATUS(&statuses[0], rank, 0, MPI_INT, 1);
  MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
  CHECK(in[0] == out && in[1] == out);
}

/* A communicator's own buffer goes before the process's, and may be as large as it takes. */
TEST(since41_comm_buffer, 1, "MPI-5.0 section 3.6",
     "MPI_Comm_attach_buffer MPI_Comm_detach_buffer MPI_Comm_flush_buffer MPI_BUFFER_AUTOMATIC") {
  int out[100], in[100], bytes = 0, right = (rank + 1) % size, left = (rank + size - 1) % size, room = 0;
  void *detached = NULL;
  MPI_Pack_size(100, MPI_INT, comm, &room);
  room += MPI_BSEND_OVERHEAD;
  void *buffer = allocate((size_t)room);
  for (int i = 0; i < 100; i++) out[i] = value(rank, i);
  MPI_Comm_attach_buffer(comm, buffer, room);
  MPI_Bsend(out, 100, MPI_INT, right, 0, comm);
  MPI_Recv(in, 100, MPI_INT, left, 0, comm, MPI_STATUS_IGNORE);
  for (int i = 0; i < 100; i++) CHECK_INT(in[i], value(left, i));
  MPI_Comm_flush_buffer(comm);
  MPI_Comm_detach_buffer(comm, &detached, &bytes);
  CHECK(detached == buffer && bytes == room);
  free(buffer);
  MPI_Comm_attach_buffer(comm, MPI_BUFFER_AUTOMATIC, 0);
  for (int i = 0; i < 20; i++) MPI_Bsend(out, 100, MPI_INT, right, i, comm);
  for (int i = 19; i >= 0; i--) MPI_Recv(in, 100, MPI_INT, left, i, comm, MPI_STATUS_IGNORE);
  MPI_Comm_detach_buffer(comm, &detached, &bytes);
  CHECK(detached == MPI_BUFFER_AUTOMATIC);
}

TEST(since41_buffer_flush, 1, "MPI-5.0 section 3.6", "MPI_Buffer_flush MPI_Buffer_iflush") {
  int out = value(rank, 1), in = -1, bytes = 4096, right = (rank + 1) % size, left = (rank + size - 1) % size;
  void *buffer = allocate((size_t)bytes), *detached = NULL;
  MPI_Request request;
  MPI_Buffer_attach(buffer, bytes);
  MPI_Bsend(&out, 1, MPI_INT, right, 0, comm);
  MPI_Recv(&in, 1, MPI_INT, left, 0, comm, MPI_STATUS_IGNORE);
  MPI_Buffer_flush();
  CHECK_INT(in, value(left, 1));
  MPI_Bsend(&out, 1, MPI_INT, right, 1, comm);
  MPI_Buffer_iflush(&request);
  MPI_Recv(&in, 1, MPI_INT, left, 1, comm, MPI_STATUS_IGNORE);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  MPI_Buffer_detach(&detached, &bytes);
  CHECK(detached == buffer);
  free(buffer);
}

/* What was added to the error classes and codes can be taken away again, last first. */
TEST(since41_remove_errors, 1, "MPI-5.0 section 9.5",
     "MPI_Remove_error_class MPI_Remove_error_code MPI_Remove_error_string") {
  int class, code, length = -1;
  char text[MPI_MAX_ERROR_STRING];
  MPI_Add_error_class(&class);
  MPI_Add_error_code(class, &code);
  MPI_Add_error_string(code, "soon gone");
  MPI_Remove_error_string(code);
  MPI_Error_string(code, text, &length);
  CHECK_STR(text, "");
  MPI_Remove_error_code(code);
  MPI_Remove_error_class(class);
}

TEST(since41_value_index, 1, "MPI-5.0 section 6.9.4", "MPI_Type_get_value_index") {
  MPI_Datatype t = MPI_DATATYPE_NULL;
  MPI_Type_get_value_index(MPI_DOUBLE, MPI_INT, &t);
  CHECK(t == MPI_DOUBLE_INT);
  MPI_Type_get_value_index(MPI_INT, MPI_INT, &t);
  CHECK(t == MPI_2INT);
}

CHAPTER(since41, &since41_status, &since41_get_status, &since41_comm_buffer, &since41_buffer_flush,
        &since41_remove_errors, &since41_value_index)
#else
NO_CHAPTER(since41)
#endif
