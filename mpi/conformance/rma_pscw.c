/* rma_pscw: epochs between groups: post, start, complete, wait (MPI-5.0 section 12.5.2). */
#include "conformance.h"

static MPI_Group group_of(int n, const int *ranks) {
  MPI_Group all, g;
  MPI_Comm_group(comm, &all);
  MPI_Group_incl(all, n, ranks, &g);
  MPI_Group_free(&all);
  return g;
}

/* Each rank shows its window to its left, and writes to its right: a chain of pairs, no fence. */
TEST(rma_pscw_ring, 1, "MPI-5.0 section 12.5.2", "MPI_Win_post MPI_Win_start MPI_Win_complete MPI_Win_wait MPI_Put") {
  int right = (rank + 1) % size, left = (rank + size - 1) % size, mine[2] = {-1, -1};
  MPI_Group to = group_of(1, &right), from = group_of(1, &left);
  MPI_Win win;
  MPI_Win_create(mine, sizeof mine, sizeof(int), MPI_INFO_NULL, comm, &win);
  for (int round = 0; round < 10; round++) {
    int out[2] = {value(rank, round), round};
    MPI_Win_post(from, 0, win);
    MPI_Win_start(to, 0, win);
    MPI_Put(out, 2, MPI_INT, right, 0, 2, MPI_INT, win);
    MPI_Win_complete(win);
    MPI_Win_wait(win);
    CHECK_INT(mine[0], value(left, round));
    CHECK_INT(mine[1], round);
  }
  MPI_Win_free(&win);
  MPI_Group_free(&to);
  MPI_Group_free(&from);
}

/* One writes to many; the many only show their windows. */
TEST(rma_pscw_one_to_many, 2, "MPI-5.0 section 12.5.2", "MPI_Win_post MPI_Win_start MPI_Accumulate MPI_Get") {
  int *others = new_ints(size, 0), n = 0, root = size - 1, *mine = new_ints(1, rank), in[17], three = 3;
  for (int p = 0; p < size; p++)
    if (p != root) others[n++] = p;
  MPI_Group many = group_of(n, others), one = group_of(1, &root);
  MPI_Win win;
  MPI_Win_create(mine, sizeof *mine, sizeof *mine, MPI_INFO_NULL, comm, &win);
  if (rank == root) {
    MPI_Win_start(many, 0, win);
    for (int i = 0; i < n; i++) MPI_Get(&in[i], 1, MPI_INT, others[i], 0, 1, MPI_INT, win);
    MPI_Win_complete(win);
    for (int i = 0; i < n; i++) CHECK_INT(in[i], others[i]);
    MPI_Win_start(many, 0, win);
    for (int i = 0; i < n; i++) MPI_Accumulate(&three, 1, MPI_INT, others[i], 0, 1, MPI_INT, MPI_SUM, win);
    MPI_Win_complete(win);
  } else {
    MPI_Win_post(one, 0, win);
    MPI_Win_wait(win);
    CHECK_INT(*mine, rank);
    MPI_Win_post(one, 0, win);
    MPI_Win_wait(win);
    CHECK_INT(*mine, rank + 3);
  }
  MPI_Win_free(&win);
  MPI_Group_free(&many);
  MPI_Group_free(&one);
  free(others);
  free(mine);
}

/* Many write to one; a rank that takes no part makes no call. */
TEST(rma_pscw_many_to_one, 3, "MPI-5.0 section 12.5.2", "MPI_Win_test MPI_Win_post MPI_Win_start MPI_Put") {
  int *writers = new_ints(size, 0), n = 0, root = 0, bystander = size / 2, *mine = new_ints(size, -1), flag = 0;
  for (int p = 1; p < size; p++)
    if (p != bystander) writers[n++] = p;
  MPI_Group many = group_of(n, writers), one = group_of(1, &root);
  MPI_Win win;
  MPI_Win_create(mine, (MPI_Aint)sizeof(int) * size, sizeof(int), MPI_INFO_NULL, comm, &win);
  if (rank == root) {
    MPI_Win_post(many, 0, win);
    while (!flag) MPI_Win_test(win, &flag);
    for (int p = 0; p < size; p++) CHECK_INT(mine[p], p == root || p == bystander ? -1 : value(p, 1));
  } else if (rank != bystander) {
    int x = value(rank, 1);
    MPI_Win_start(one, 0, win);
    MPI_Put(&x, 1, MPI_INT, root, rank, 1, MPI_INT, win);
    MPI_Win_complete(win);
  }
  MPI_Win_free(&win);
  MPI_Group_free(&many);
  MPI_Group_free(&one);
  free(writers);
  free(mine);
}

/* Empty groups make empty epochs. */
TEST(rma_pscw_empty, 1, "MPI-5.0 section 12.5.2", "MPI_GROUP_EMPTY MPI_Win_post MPI_Win_start") {
  int x = 0;
  MPI_Win win;
  MPI_Win_create(&x, sizeof x, 1, MPI_INFO_NULL, comm, &win);
  MPI_Win_post(MPI_GROUP_EMPTY, 0, win);
  MPI_Win_start(MPI_GROUP_EMPTY, 0, win);
  MPI_Win_complete(win);
  MPI_Win_wait(win);
  MPI_Win_free(&win);
}

CHAPTER(rma_pscw, &rma_pscw_ring, &rma_pscw_one_to_many, &rma_pscw_many_to_one, &rma_pscw_empty)
