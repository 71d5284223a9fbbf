/* p2p_errors: misuse that a library finds before anything is sent, and the class it is reported with (MPI-5.0
 * section 9.4). */
#include "conformance.h"

TEST(p2p_errors_rank, 1, "MPI-5.0 section 9.4", "MPI_Send MPI_Recv MPI_ERR_RANK") {
  errors_return(comm);
  int x = 0, flag;
  MPI_Request request;
  MPI_Message message;
  CHECK_CLASS(MPI_Send(&x, 1, MPI_INT, size, 0, comm), MPI_ERR_RANK);
  CHECK_CLASS(MPI_Send(&x, 1, MPI_INT, -99, 0, comm), MPI_ERR_RANK);
  CHECK_CLASS(MPI_Send(&x, 1, MPI_INT, MPI_ANY_SOURCE, 0, comm), MPI_ERR_RANK);
  CHECK_CLASS(MPI_Isend(&x, 1, MPI_INT, size, 0, comm, &request), MPI_ERR_RANK);
  CHECK_CLASS(MPI_Ssend(&x, 1, MPI_INT, size + 7, 0, comm), MPI_ERR_RANK);
  CHECK_CLASS(MPI_Recv(&x, 1, MPI_INT, size, 0, comm, MPI_STATUS_IGNORE), MPI_ERR_RANK);
  CHECK_CLASS(MPI_Irecv(&x, 1, MPI_INT, -99, 0, comm, &request), MPI_ERR_RANK);
  CHECK_CLASS(MPI_Probe(size, 0, comm, MPI_STATUS_IGNORE), MPI_ERR_RANK);
  CHECK_CLASS(MPI_Iprobe(size, 0, comm, &flag, MPI_STATUS_IGNORE), MPI_ERR_RANK);
  CHECK_CLASS(MPI_Mprobe(size, 0, comm, &message, MPI_STATUS_IGNORE), MPI_ERR_RANK);
  CHECK_CLASS(MPI_Send_init(&x, 1, MPI_INT, size, 0, comm, &request), MPI_ERR_RANK);
  CHECK_CLASS(MPI_Recv_init(&x, 1, MPI_INT, size, 0, comm, &request), MPI_ERR_RANK);
  CHECK_CLASS(MPI_Sendrecv(&x, 1, MPI_INT, size, 0, &x, 0, MPI_INT, MPI_PROC_NULL, 0, comm, MPI_STATUS_IGNORE),
              MPI_ERR_RANK);
}

TEST(p2p_errors_tag, 1, "MPI-5.0 section 9.4", "MPI_Send MPI_Recv MPI_ERR_TAG") {
  errors_return(comm);
  int x = 0;
  MPI_Request request;
  CHECK_CLASS(MPI_Send(&x, 1, MPI_INT, rank, -7, comm), MPI_ERR_TAG);
  CHECK_CLASS(MPI_Send(&x, 1, MPI_INT, rank, MPI_ANY_TAG, comm), MPI_ERR_TAG);
  CHECK_CLASS(MPI_Isend(&x, 1, MPI_INT, rank, -7, comm, &request), MPI_ERR_TAG);
  CHECK_CLASS(MPI_Recv(&x, 1, MPI_INT, rank, -7, comm, MPI_STATUS_IGNORE), MPI_ERR_TAG);
  CHECK_CLASS(MPI_Irecv(&x, 1, MPI_INT, rank, -7, comm, &request), MPI_ERR_TAG);
  CHECK_CLASS(MPI_Probe(rank, -7, comm, MPI_STATUS_IGNORE), MPI_ERR_TAG);
}

TEST(p2p_errors_count, 1, "MPI-5.0 section 9.4", "MPI_Send MPI_Recv MPI_ERR_COUNT") {
  errors_return(comm);
  int x = 0;
  MPI_Request request;
  CHECK_CLASS(MPI_Send(&x, -1, MPI_INT, rank, 0, comm), MPI_ERR_COUNT);
  CHECK_CLASS(MPI_Isend(&x, -1, MPI_INT, rank, 0, comm, &request), MPI_ERR_COUNT);
  CHECK_CLASS(MPI_Recv(&x, -1, MPI_INT, rank, 0, comm, MPI_STATUS_IGNORE), MPI_ERR_COUNT);
  CHECK_CLASS(MPI_Irecv(&x, -5, MPI_INT, rank, 0, comm, &request), MPI_ERR_COUNT);
  CHECK_CLASS(MPI_Send_init(&x, -1, MPI_INT, rank, 0, comm, &request), MPI_ERR_COUNT);
}

TEST(p2p_errors_type, 1, "MPI-5.0 section 9.4", "MPI_Send MPI_Recv MPI_ERR_TYPE") {
  errors_return(comm);
  int x = 0;
  MPI_Request request;
  CHECK_CLASS(MPI_Send(&x, 1, MPI_DATATYPE_NULL, rank, 0, comm), MPI_ERR_TYPE);
  CHECK_CLASS(MPI_Recv(&x, 1, MPI_DATATYPE_NULL, rank, 0, comm, MPI_STATUS_IGNORE), MPI_ERR_TYPE);
  CHECK_CLASS(MPI_Irecv(&x, 1, MPI_DATATYPE_NULL, rank, 0, comm, &request), MPI_ERR_TYPE);
  MPI_Datatype uncommitted;
  MPI_Type_contiguous(1, MPI_INT, &uncommitted);
  CHECK_CLASS(MPI_Send(&x, 1, uncommitted, rank, 0, comm), MPI_ERR_TYPE);
  CHECK_CLASS(MPI_Recv(&x, 1, uncommitted, rank, 0, comm, MPI_STATUS_IGNORE), MPI_ERR_TYPE);
  MPI_Type_free(&uncommitted);
}

TEST(p2p_errors_comm, 1, "MPI-5.0 section 9.4", "MPI_Send MPI_Recv MPI_ERR_COMM") {
  int x = 0;
  MPI_Request request;
  errors_return_everywhere();
  CHECK_CLASS(MPI_Send(&x, 1, MPI_INT, rank, 0, MPI_COMM_NULL), MPI_ERR_COMM);
  CHECK_CLASS(MPI_Irecv(&x, 1, MPI_INT, rank, 0, MPI_COMM_NULL, &request), MPI_ERR_COMM);
  CHECK_CLASS(MPI_Comm_rank(MPI_COMM_NULL, &x), MPI_ERR_COMM);
}

TEST(p2p_errors_buffer, 1, "MPI-5.0 section 9.4", "MPI_Send MPI_Recv MPI_ERR_BUFFER MPI_BOTTOM") {
  errors_return(comm);
  MPI_Request request;
  CHECK_CLASS(MPI_Send(NULL, 1, MPI_INT, rank, 0, comm), MPI_ERR_BUFFER);
  CHECK_CLASS(MPI_Irecv(NULL, 1, MPI_INT, rank, 0, comm, &request), MPI_ERR_BUFFER);
  /* With no data, a null buffer is fine. */
  MPI_Isend(NULL, 0, MPI_INT, rank, 0, comm, &request);
  MPI_Recv(NULL, 0, MPI_INT, rank, 0, comm, MPI_STATUS_IGNORE);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
}

/* After an error that was returned, the communicator works as before. */
TEST(p2p_errors_goes_on, 1, "MPI-5.0 section 9.3", "MPI_ERRORS_RETURN MPI_Sendrecv") {
  errors_return(comm);
  int in = -1, out = value(rank, 6), right = (rank + 1) % size, left = (rank + size - 1) % size;
  for (int i = 0; i < 10; i++) {
    CHECK_CLASS(MPI_Send(&out, 1, MPI_INT, size + i, 0, comm), MPI_ERR_RANK);
    MPI_Sendrecv(&out, 1, MPI_INT, right, i, &in, 1, MPI_INT, left, i, comm, MPI_STATUS_IGNORE);
    CHECK_INT(in, value(left, 6));
  }
}

CHAPTER(p2p_errors, &p2p_errors_rank, &p2p_errors_tag, &p2p_errors_count, &p2p_errors_type, &p2p_errors_comm,
        &p2p_errors_buffer, &p2p_errors_goes_on)
