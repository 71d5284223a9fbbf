/* comm_split: parts of a communicator by color and key (MPI-5.0 section 7.4.2). */
#include "conformance.h"

/* check_members checks that rank i of a communicator is this rank of comm, and that it carries messages. */
static void check_members(MPI_Comm c, int n, const int *want) {
  int m = -1, me = -1, *all = new_ints(size, -1);
  MPI_Comm_size(c, &m);
  MPI_Comm_rank(c, &me);
  CHECK_INT(m, n);
  CHECK_INT(want[me], rank);
  MPI_Allgather(&rank, 1, MPI_INT, all, 1, MPI_INT, c);
  for (int i = 0; i < n; i++) CHECK_INT(all[i], want[i]);
  int in = -1;
  MPI_Sendrecv(&rank, 1, MPI_INT, (me + 1) % n, 1, &in, 1, MPI_INT, (me + n - 1) % n, 1, c, MPI_STATUS_IGNORE);
  CHECK_INT(in, want[(me + n - 1) % n]);
  free(all);
}

TEST(comm_split_colors, 1, "MPI-5.0 section 7.4.2", "MPI_Comm_split") {
  for (int colors = 1; colors <= 4; colors++) {
    MPI_Comm part;
    int *want = new_ints(size, -1), n = 0;
    for (int r = rank % colors; r < size; r += colors) want[n++] = r;
    MPI_Comm_split(comm, rank % colors * 10, 0, &part); /* equal keys: ordered by old rank */
    check_members(part, n, want);
    MPI_Comm_free(&part);
    CHECK(part == MPI_COMM_NULL);
    free(want);
  }
}

TEST(comm_split_keys, 1, "MPI-5.0 section 7.4.2", "MPI_Comm_split") {
  MPI_Comm turned;
  int *want = new_ints(size, -1), n = 0;
  for (int r = size - 1; r >= 0; r--) want[n++] = r;
  MPI_Comm_split(comm, 5, -3 * rank, &turned); /* keys may be negative */
  check_members(turned, size, want);
  MPI_Comm_free(&turned);
  n = 0;
  for (int key = 0; key < 3; key++) /* ties among equal keys go by old rank */
    for (int r = 0; r < size; r++)
      if ((r * 2) % 3 == key) want[n++] = r;
  MPI_Comm_split(comm, 0, rank * 2 % 3, &turned);
  check_members(turned, size, want);
  MPI_Comm_free(&turned);
  free(want);
}

TEST(comm_split_undefined, 1, "MPI-5.0 section 7.4.2", "MPI_Comm_split MPI_UNDEFINED") {
  MPI_Comm part;
  int in = rank % 3 != 1, *want = new_ints(size, -1), n = 0;
  for (int r = 0; r < size; r++)
    if (r % 3 != 1) want[n++] = r;
  MPI_Comm_split(comm, in ? 0 : MPI_UNDEFINED, rank, &part);
  CHECK((part == MPI_COMM_NULL) == !in);
  if (in) {
    check_members(part, n, want);
    MPI_Comm_free(&part);
  }
  free(want);
}

/* Splits of splits, down to single ranks, while others still talk. */
TEST(comm_split_halves, 1, "MPI-5.0 section 7.4.2", "MPI_Comm_split MPI_Comm_free") {
  MPI_Comm now, next;
  int n = size, me = rank, from = 0;
  MPI_Comm_dup(comm, &now);
  while (n > 1) {
    int half = (n + 1) / 2, upper = me >= half, sum = 0;
    MPI_Comm_split(now, upper, me, &next);
    MPI_Comm_free(&now);
    now = next;
    from += upper ? half : 0;
    MPI_Comm_size(now, &n);
    MPI_Comm_rank(now, &me);
    MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, now);
    CHECK_INT(sum, n * from + n * (n - 1) / 2);
  }
  CHECK_INT(from, rank);
  MPI_Comm_free(&now);
}

/* Who can share memory is up to the machine: all that is checked is that it divides the ranks, in order. */
TEST(comm_split_shared, 1, "MPI-5.0 section 7.4.2", "MPI_Comm_split_type MPI_COMM_TYPE_SHARED") {
  MPI_Comm node;
  int n = 0, me = -1, total = 0, first;
  MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &node);
  MPI_Comm_size(node, &n);
  MPI_Comm_rank(node, &me);
  int *members = new_ints(n, -1), lead = me == 0 ? n : 0;
  MPI_Allgather(&rank, 1, MPI_INT, members, 1, MPI_INT, node);
  CHECK_INT(members[me], rank);
  for (int i = 1; i < n; i++) CHECK(members[i - 1] < members[i]);
  MPI_Allreduce(&lead, &total, 1, MPI_INT, MPI_SUM, comm);
  CHECK_INT(total, size);
  first = members[0];
  MPI_Bcast(&first, 1, MPI_INT, 0, node);
  CHECK_INT(first, members[0]);
  MPI_Comm_free(&node);
  MPI_Comm_split_type(comm, MPI_UNDEFINED, rank, MPI_INFO_NULL, &node);
  CHECK(node == MPI_COMM_NULL);
  free(members);
}

/* Many one after another: contexts come back. */
TEST(comm_split_many, 1, "MPI-5.0 section 7.4.3", "MPI_Comm_split MPI_Comm_free") {
  for (int i = 0; i < 50; i++) {
    MPI_Comm part;
    int n = 0, all = 0;
    MPI_Comm_split(comm, (rank + i) % 2, rank, &part);
    MPI_Comm_size(part, &n);
    MPI_Allreduce(&n, &all, 1, MPI_INT, MPI_MAX, part);
    CHECK_INT(all, n);
    MPI_Comm_free(&part);
  }
}

CHAPTER(comm_split, &comm_split_colors, &comm_split_keys, &comm_split_undefined, &comm_split_halves, &comm_split_shared,
        &comm_split_many)
