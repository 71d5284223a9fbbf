/* comm_inter: two groups that face each other (MPI-5.0 section 7.6). */
#include "conformance.h"

TEST(comm_inter_create, 2, "MPI-5.0 section 7.6.2",
     "MPI_Intercomm_create MPI_Comm_test_inter MPI_Comm_remote_size MPI_Comm_remote_group") {
  MPI_Comm local, inter = even_odd_intercomm(&local);
  int flag = -1, n = -1, me = -1, far = -1, even = rank % 2 == 0;
  MPI_Comm_test_inter(inter, &flag);
  CHECK_INT(flag, 1);
  MPI_Comm_test_inter(local, &flag);
  CHECK_INT(flag, 0);
  MPI_Comm_size(inter, &n);
  CHECK_INT(n, even ? (size + 1) / 2 : size / 2);
  MPI_Comm_rank(inter, &me);
  CHECK_INT(me, rank / 2);
  MPI_Comm_remote_size(inter, &far);
  CHECK_INT(far, size - n);
  MPI_Group world, remote, here;
  MPI_Comm_group(comm, &world);
  MPI_Comm_remote_group(inter, &remote);
  MPI_Comm_group(inter, &here);
  for (int p = 0; p < far; p++) {
    int r = -1;
    MPI_Group_translate_ranks(remote, 1, &p, world, &r);
    CHECK_INT(r, 2 * p + even);
  }
  MPI_Group_rank(here, &n);
  CHECK_INT(n, me);
  MPI_Group_free(&world);
  MPI_Group_free(&remote);
  MPI_Group_free(&here);
  MPI_Comm_free(&inter);
  MPI_Comm_free(&local);
}

/* Destinations and sources are ranks of the other side. */
TEST(comm_inter_messages, 2, "MPI-5.0 section 7.6", "MPI_Send MPI_Recv MPI_Probe MPI_ANY_SOURCE") {
  MPI_Comm local, inter = even_odd_intercomm(&local);
  int far, me;
  MPI_Comm_remote_size(inter, &far);
  MPI_Comm_rank(inter, &me);
  MPI_Request *requests = allocate((size_t)far * sizeof *requests);
  int *out = new_ints(far, 0);
  for (int p = 0; p < far; p++) {
    out[p] = value(rank, p);
    MPI_Isend(&out[p], 1, MPI_INT, p, me, inter, &requests[p]);
  }
  for (int i = 0; i < far; i++) {
    int in = -1;
    MPI_Status status;
    MPI_Probe(MPI_ANY_SOURCE, MPI_ANY_TAG, inter, &status);
    int p = status.MPI_SOURCE;
    CHECK_STATUS(&status, p, p, MPI_INT, 1);
    MPI_Recv(&in, 1, MPI_INT, p, p, inter, &status);
    CHECK_STATUS(&status, p, p, MPI_INT, 1);
    CHECK_INT(in, value(2 * p + (rank % 2 == 0), me));
  }
  MPI_Waitall(far, requests, MPI_STATUSES_IGNORE);
  free(requests);
  free(out);
  MPI_Comm_free(&inter);
  MPI_Comm_free(&local);
}

/* Merging orders the side that says high after the other. */
TEST(comm_inter_merge, 2, "MPI-5.0 section 7.6.2", "MPI_Intercomm_merge") {
  for (int high_even = 0; high_even < 2; high_even++) {
    MPI_Comm local, inter = even_odd_intercomm(&local), merged;
    int even = rank % 2 == 0, evens = (size + 1) / 2, odds = size / 2, me = -1, n = -1, flag = -1, sum = 0;
    MPI_Intercomm_merge(inter, even == high_even, &merged);
    MPI_Comm_rank(merged, &me);
    MPI_Comm_size(merged, &n);
    CHECK_INT(n, size);
    CHECK_INT(me, rank / 2 + (even == high_even ? (even ? odds : evens) : 0));
    MPI_Comm_test_inter(merged, &flag);
    CHECK_INT(flag, 0);
    MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, merged);
    CHECK_INT(sum, size * (size - 1) / 2);
    MPI_Comm_free(&merged);
    MPI_Comm_free(&inter);
    MPI_Comm_free(&local);
  }
}

/* Leaders other than the first, and sides of one and of all others. */
TEST(comm_inter_leaders, 2, "MPI-5.0 section 7.6.2", "MPI_Intercomm_create MPI_Allgather") {
  MPI_Comm local, inter;
  int alone = size / 2, n, far = 0;
  MPI_Comm_split(comm, rank == alone, rank, &local);
  MPI_Comm_size(local, &n);
  /* The many are led by their last, which is the world's last but for alone. */
  int last = alone == size - 1 ? size - 2 : size - 1;
  MPI_Intercomm_create(local, n - 1, comm, rank == alone ? last : alone, 5, &inter);
  MPI_Comm_remote_size(inter, &far);
  CHECK_INT(far, rank == alone ? size - 1 : 1);
  int *all = new_ints(far, -1);
  MPI_Allgather(&rank, 1, MPI_INT, all, 1, MPI_INT, inter);
  for (int p = 0, r = 0; p < far; p++, r++) {
    if (rank == alone && r == alone) r++;
    CHECK_INT(all[p], rank == alone ? r : alone);
  }
  free(all);
  MPI_Comm_free(&inter);
  MPI_Comm_free(&local);
}

/* A duplicate has a context of its own, and the same groups. */
TEST(comm_inter_dup, 2, "MPI-5.0 section 7.4.2", "MPI_Comm_dup MPI_Comm_compare") {
  MPI_Comm local, inter = even_odd_intercomm(&local), copy;
  int result = -1, far;
  MPI_Comm_dup(inter, &copy);
  MPI_Comm_compare(inter, copy, &result);
  CHECK_INT(result, MPI_CONGRUENT);
  MPI_Comm_compare(inter, local, &result);
  CHECK_INT(result, MPI_UNEQUAL);
  MPI_Comm_remote_size(copy, &far);
  int me, a = 1, b = 2, in = -1;
  MPI_Comm_rank(inter, &me);
  if (me < far) { /* pairs of ranks that face each other */
    MPI_Request requests[2];
    MPI_Isend(&a, 1, MPI_INT, me, 0, inter, &requests[0]);
    MPI_Isend(&b, 1, MPI_INT, me, 0, copy, &requests[1]);
    MPI_Recv(&in, 1, MPI_INT, me, 0, copy, MPI_STATUS_IGNORE);
    CHECK_INT(in, 2);
    MPI_Recv(&in, 1, MPI_INT, me, 0, inter, MPI_STATUS_IGNORE);
    CHECK_INT(in, 1);
    MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
  }
  MPI_Comm_free(&copy);
  MPI_Comm_free(&inter);
  MPI_Comm_free(&local);
}

/* Splitting divides both sides by color at once; a color that one side lacks makes no communicator. */
TEST(comm_inter_split, 4, "MPI-5.0 section 7.4.2", "MPI_Comm_split MPI_COMM_NULL") {
  MPI_Comm local, inter = even_odd_intercomm(&local), part;
  int me, color, even = rank % 2 == 0;
  MPI_Comm_rank(inter, &me);
  color = me == 0 ? 0 : even ? 1 : 2; /* 0 is on both sides, 1 and 2 on one each */
  MPI_Comm_split(inter, color, 0, &part);
  if (color == 0) {
    CHECK(part != MPI_COMM_NULL);
    int n = -1, far = -1, flag = 0;
    MPI_Comm_test_inter(part, &flag);
    CHECK_INT(flag, 1);
    MPI_Comm_size(part, &n);
    MPI_Comm_remote_size(part, &far);
    CHECK(n == 1 && far == 1);
    MPI_Comm_free(&part);
  } else {
    CHECK(part == MPI_COMM_NULL);
  }
  MPI_Comm_free(&inter);
  MPI_Comm_free(&local);
}

TEST(comm_inter_errors, 1, "MPI-5.0 section 9.4", "MPI_Intercomm_merge MPI_Intercomm_create MPI_ERR_COMM") {
  errors_return_everywhere();
  MPI_Comm c;
  CHECK_CLASS(MPI_Intercomm_merge(comm, 0, &c), MPI_ERR_COMM);
  CHECK_CLASS(MPI_Intercomm_create(MPI_COMM_NULL, 0, comm, 0, 0, &c), MPI_ERR_COMM);
}

CHAPTER(comm_inter, &comm_inter_create, &comm_inter_messages, &comm_inter_merge, &comm_inter_leaders, &comm_inter_dup,
        &comm_inter_split, &comm_inter_errors)
