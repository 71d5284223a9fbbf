/* comm_create: communicators from groups and from other communicators (MPI-5.0 section 7.4.2). */
#include "conformance.h"

static MPI_Group some_ranks(int step) {
  MPI_Group world, g;
  int range[1][3] = {{size - 1, 0, -step}};
  MPI_Comm_group(comm, &world);
  MPI_Group_range_incl(world, 1, range, &g);
  MPI_Group_free(&world);
  return g;
}

static void check_like(MPI_Comm c, MPI_Group g) {
  MPI_Group of;
  int result = -1, n, sum = 0;
  MPI_Comm_group(c, &of);
  MPI_Group_compare(of, g, &result);
  CHECK_INT(result, MPI_IDENT);
  MPI_Group_free(&of);
  int one = 1;
  MPI_Comm_size(c, &n);
  MPI_Allreduce(&one, &sum, 1, MPI_INT, MPI_SUM, c);
  CHECK_INT(sum, n);
}

TEST(comm_create_group_of_all, 1, "MPI-5.0 section 7.4.2", "MPI_Comm_create") {
  for (int step = 1; step <= 3; step++) {
    MPI_Group g = some_ranks(step);
    MPI_Comm c = MPI_COMM_WORLD;
    int me;
    MPI_Group_rank(g, &me);
    MPI_Comm_create(comm, g, &c);
    CHECK((c == MPI_COMM_NULL) == (me == MPI_UNDEFINED));
    if (c != MPI_COMM_NULL) {
      check_like(c, g);
      MPI_Comm_free(&c);
    }
    MPI_Group_free(&g);
  }
}

/* Disjoint groups in one call: each rank names its own. */
TEST(comm_create_disjoint, 1, "MPI-5.0 section 7.4.2", "MPI_Comm_create") {
  MPI_Group world, g;
  MPI_Comm c;
  int range[1][3] = {{rank % 2, size - 1, 2}};
  MPI_Comm_group(comm, &world);
  MPI_Group_range_incl(world, 1, range, &g);
  MPI_Comm_create(comm, g, &c);
  check_like(c, g);
  MPI_Comm_free(&c);
  MPI_Group_free(&g);
  MPI_Group_free(&world);
}

/* Only the group takes part: the other ranks talk about something else, and get to the end. */
TEST(comm_create_group, 2, "MPI-5.0 section 7.4.2", "MPI_Comm_create_group") {
  MPI_Group g = some_ranks(2);
  MPI_Comm c;
  int me, n;
  MPI_Group_rank(g, &me);
  MPI_Group_size(g, &n);
  if (me != MPI_UNDEFINED) {
    MPI_Comm_create_group(comm, g, 13, &c);
    check_like(c, g);
    MPI_Comm again;
    MPI_Comm_create_group(c, g, 0, &again); /* of a communicator that is itself new */
    check_like(again, g);
    MPI_Comm_free(&again);
    MPI_Comm_free(&c);
  } else {
    int out = rank, in = -1;
    MPI_Sendrecv(&out, 1, MPI_INT, rank, 13, &in, 1, MPI_INT, MPI_ANY_SOURCE, 13, comm, MPI_STATUS_IGNORE);
    CHECK_INT(in, rank);
  }
  MPI_Group_free(&g);
}

/* Two groups that overlap make theirs with different tags, one after the other. */
TEST(comm_create_group_tags, 3, "MPI-5.0 section 7.4.2", "MPI_Comm_create_group") {
  MPI_Group world, low, high;
  MPI_Comm c;
  int half = size / 2, below[1][3] = {{0, half, 1}}, above[1][3] = {{half, size - 1, 1}};
  MPI_Comm_group(comm, &world);
  MPI_Group_range_incl(world, 1, below, &low);
  MPI_Group_range_incl(world, 1, above, &high);
  if (rank <= half) {
    MPI_Comm_create_group(comm, low, 1, &c);
    check_like(c, low);
    MPI_Comm_free(&c);
  }
  if (rank >= half) {
    MPI_Comm_create_group(comm, high, 2, &c);
    check_like(c, high);
    MPI_Comm_free(&c);
  }
  MPI_Group_free(&world);
  MPI_Group_free(&low);
  MPI_Group_free(&high);
}

TEST(comm_create_compare, 1, "MPI-5.0 section 7.4.1", "MPI_Comm_compare MPI_CONGRUENT MPI_SIMILAR MPI_UNEQUAL") {
  MPI_Comm same, turned, part;
  int result = -1;
  MPI_Comm_dup(comm, &same);
  MPI_Comm_split(comm, 0, -rank, &turned);
  MPI_Comm_split(comm, rank, 0, &part);
  MPI_Comm_compare(comm, comm, &result);
  CHECK_INT(result, MPI_IDENT);
  MPI_Comm_compare(comm, same, &result);
  CHECK_INT(result, MPI_CONGRUENT);
  MPI_Comm_compare(comm, turned, &result);
  CHECK_INT(result, size == 1 ? MPI_CONGRUENT : MPI_SIMILAR);
  MPI_Comm_compare(comm, part, &result);
  CHECK_INT(result, size == 1 ? MPI_CONGRUENT : MPI_UNEQUAL);
  MPI_Comm_free(&same);
  MPI_Comm_free(&turned);
  MPI_Comm_free(&part);
}

TEST(comm_create_idup, 1, "MPI-5.0 section 7.4.2", "MPI_Comm_idup") {
  MPI_Comm copies[3];
  MPI_Request requests[3];
  for (int i = 0; i < 3; i++) MPI_Comm_idup(comm, &copies[i], &requests[i]);
  int x = rank, in = -1; /* messages and collectives go on meanwhile */
  MPI_Sendrecv(&x, 1, MPI_INT, (rank + 1) % size, 0, &in, 1, MPI_INT, (rank + size - 1) % size, 0, comm,
               MPI_STATUS_IGNORE);
  CHECK_INT(in, (rank + size - 1) % size);
  MPI_Barrier(comm);
  MPI_Waitall(3, requests, MPI_STATUSES_IGNORE);
  for (int i = 2; i >= 0; i--) {
    int result = -1, sum = 0;
    MPI_Comm_compare(comm, copies[i], &result);
    CHECK_INT(result, MPI_CONGRUENT);
    MPI_Allreduce(&x, &sum, 1, MPI_INT, MPI_SUM, copies[i]);
    CHECK_INT(sum, size * (size - 1) / 2);
    MPI_Comm_free(&copies[i]);
  }
}

/* Freeing marks it: what was pending still comes through (MPI-5.0 section 7.4.3). */
TEST(comm_create_free_pending, 2, "MPI-5.0 section 7.4.3", "MPI_Comm_free MPI_Irecv MPI_Isend") {
  MPI_Comm copy;
  int in = -1, out = value(rank, 5), right = (rank + 1) % size, left = (rank + size - 1) % size;
  MPI_Request requests[2];
  MPI_Comm_dup(comm, &copy);
  MPI_Irecv(&in, 1, MPI_INT, left, 0, copy, &requests[0]);
  MPI_Isend(&out, 1, MPI_INT, right, 0, copy, &requests[1]);
  MPI_Comm_free(&copy);
  MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
  CHECK_INT(in, value(left, 5));
}

TEST(comm_create_many, 1, "MPI-5.0 section 7.4.2", "MPI_Comm_dup MPI_Comm_free") {
  enum { MANY = 30 };
  MPI_Comm all[MANY];
  for (int i = 0; i < MANY; i++) MPI_Comm_dup(i == 0 ? comm : all[i - 1], &all[i]);
  for (int i = MANY - 1; i >= 0; i -= 2) MPI_Comm_free(&all[i]);
  for (int i = 0; i < MANY; i += 2) {
    int x = rank == i % size ? i : -1;
    MPI_Bcast(&x, 1, MPI_INT, i % size, all[i]);
    CHECK_INT(x, i);
    MPI_Comm_free(&all[i]);
  }
}

TEST(comm_create_errors, 1, "MPI-5.0 section 9.4", "MPI_Comm_free MPI_Comm_dup MPI_ERR_COMM MPI_ERR_GROUP") {
  errors_return_everywhere();
  MPI_Comm c = MPI_COMM_NULL;
  CHECK_CLASS(MPI_Comm_free(&c), MPI_ERR_COMM);
  CHECK_CLASS(MPI_Comm_dup(MPI_COMM_NULL, &c), MPI_ERR_COMM);
  CHECK_CLASS(MPI_Comm_split(MPI_COMM_NULL, 0, 0, &c), MPI_ERR_COMM);
  CHECK_CLASS(MPI_Comm_create(comm, MPI_GROUP_NULL, &c), MPI_ERR_GROUP);
  c = MPI_COMM_WORLD;
  CHECK_CLASS(MPI_Comm_free(&c), MPI_ERR_COMM);
}

CHAPTER(comm_create, &comm_create_group_of_all, &comm_create_disjoint, &comm_create_group, &comm_create_group_tags,
        &comm_create_compare, &comm_create_idup, &comm_create_free_pending, &comm_create_many, &comm_create_errors)
