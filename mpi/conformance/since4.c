/* since4: what else MPI-4.0 brought. */
#include "conformance.h"

#if MPI_SINCE(4, 0)

TEST(since4_isendrecv, 1, "MPI-5.0 section 3.11", "MPI_Isendrecv MPI_Isendrecv_replace") {
  enum { N = 2000 };
  int out[N], in[N], right = (rank + 1) % size, left = (rank + size - 1) % size;
  MPI_Request requests[2];
  int both[3] = {rank, 1, 2};
  for (int i = 0; i < N; i++) out[i] = value(rank, i);
  MPI_Isendrecv(out, N, MPI_INT, right, 1, in, N, MPI_INT, left, 1, comm, &requests[0]);
  MPI_Isendrecv_replace(both, 3, MPI_INT, left, 2, right, 2, comm, &requests[1]);
  MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
  for (int i = 0; i < N; i++) CHECK_INT(in[i], value(left, i));
  CHECK_INT(both[0], right);
}

/* The status is that of the receive. */
TEST(since4_isendrecv_status, 1, "MPI-5.0 section 3.11", "MPI_Isendrecv MPI_Isendrecv_replace MPI_Wait") {
  int out[3] = {rank, 2, 3}, in[5], right = (rank + 1) % size, left = (rank + size - 1) % size;
  MPI_Request request;
  MPI_Status status;
  MPI_Isendrecv(out, 3, MPI_INT, right, 1, in, 5, MPI_INT, left, 1, comm, &request);
  MPI_Wait(&request, &status);
  CHECK_STATUS(&status, left, 1, MPI_INT, 3);
  MPI_Isendrecv_replace(out, 3, MPI_INT, left, 2, right, 2, comm, &request);
  MPI_Wait(&request, &status);
  CHECK_STATUS(&status, right, 2, MPI_INT, 3);
}

TEST(since4_info_string, 1, "MPI-5.0 chapter 10", "MPI_Info_get_string MPI_Info_create_env") {
  MPI_Info info;
  char got[8] = "?";
  int length = 8, flag = 0;
  MPI_Info_create(&info);
  MPI_Info_set(info, "k", "0123456789");
  MPI_Info_get_string(info, "k", &length, got, &flag);
  CHECK_INT(flag, 1);
  CHECK_INT(length, 11); /* what it would need, the zero included */
  CHECK_STR(got, "0123456");
  length = 0;
  MPI_Info_get_string(info, "k", &length, got, &flag); /* asks for the length only */
  CHECK(flag && length == 11);
  length = 8;
  MPI_Info_get_string(info, "absent", &length, got, &flag);
  CHECK_INT(flag, 0);
  MPI_Info_free(&info);
  MPI_Info_create_env(0, NULL, &info);
  CHECK(info != MPI_INFO_NULL);
  MPI_Info_free(&info);
}

TEST(since4_idup_with_info, 1, "MPI-5.0 section 7.4.2", "MPI_Comm_idup_with_info") {
  MPI_Comm copy;
  MPI_Request request;
  int one = 1, sum = 0;
  MPI_Comm_idup_with_info(comm, MPI_INFO_NULL, &copy, &request);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  MPI_Allreduce(&one, &sum, 1, MPI_INT, MPI_SUM, copy);
  CHECK_INT(sum, size);
  MPI_Comm_free(&copy);
}

/* Parts of one message, made ready in an order of their own. */
TEST(since4_partitioned, 2, "MPI-5.0 section 4.2",
     "MPI_Psend_init MPI_Precv_init MPI_Pready MPI_Pready_range MPI_Parrived") {
  enum { PARTS = 6, N = 50 };
  if (rank > 1) return;
  int data[PARTS * N];
  MPI_Request request;
  if (rank == 0) MPI_Psend_init(data, PARTS, N, MPI_INT, 1, 3, comm, MPI_INFO_NULL, &request);
  if (rank == 1) MPI_Precv_init(data, PARTS, N, MPI_INT, 0, 3, comm, MPI_INFO_NULL, &request);
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < PARTS * N; i++) data[i] = rank == 0 ? value(round, i) : -1;
    MPI_Start(&request);
    if (rank == 0) {
      int list[2] = {4, 0};
      MPI_Pready(5, request);
      MPI_Pready_range(1, 3, request);
      MPI_Pready_list(2, list, request);
    } else {
      int flag = 0;
      while (!flag) MPI_Parrived(request, 4, &flag);
      CHECK_INT(data[4 * N], value(round, 4 * N));
    }
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    for (int i = 0; i < PARTS * N; i++) CHECK_INT(data[i], value(round, i));
  }
  MPI_Request_free(&request);
}

TEST(since4_errors_abort, 1, "MPI-5.0 section 9.3", "MPI_ERRORS_ABORT MPI_Comm_get_errhandler") {
  MPI_Errhandler h;
  MPI_Comm_set_errhandler(comm, MPI_ERRORS_ABORT);
  MPI_Comm_get_errhandler(comm, &h);
  CHECK(h == MPI_ERRORS_ABORT);
  MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
}

CHAPTER(since4, &since4_isendrecv, &since4_isendrecv_status, &since4_info_string, &since4_idup_with_info,
        &since4_partitioned, &since4_errors_abort)
#else
NO_CHAPTER(since4)
#endif
