/* group_sets: groups as ordered sets, against operations on plain arrays (MPI-5.0 section 7.3). */
#include "conformance.h"

enum { MOST = 64 };

/* A list of world ranks, which a group is compared with. */
struct list {
  int n, ranks[MOST];
};

static MPI_Group world_group(void) {
  MPI_Group g;
  MPI_Comm_group(comm, &g);
  return g;
}

static int holds(const struct list *l, int r) {
  for (int i = 0; i < l->n; i++)
    if (l->ranks[i] == r) return 1;
  return 0;
}

static void add(struct list *l, int r) { l->ranks[l->n++] = r; }

/* check_group checks members and order, and frees the group. */
static void check_group(MPI_Group g, const struct list *want) {
  MPI_Group world = world_group();
  int n = -1, me = -1, my = MPI_UNDEFINED;
  MPI_Group_size(g, &n);
  CHECK_INT(n, want->n);
  MPI_Group_rank(g, &me);
  for (int i = 0; i < n; i++) {
    int r = -1;
    MPI_Group_translate_ranks(g, 1, &i, world, &r);
    CHECK_INT(r, want->ranks[i]);
    if (r == rank) my = i;
  }
  CHECK_INT(me, my);
  MPI_Group_free(&g);
  CHECK(g == MPI_GROUP_NULL);
  MPI_Group_free(&world);
}

static MPI_Group make(const struct list *l) {
  MPI_Group world = world_group(), g;
  MPI_Group_incl(world, l->n, l->ranks, &g);
  MPI_Group_free(&world);
  return g;
}

/* sample makes different lists, in an order that is not that of the ranks. */
static struct list sample(int seed) {
  struct list l = {0, {0}};
  for (int i = size - 1; i >= 0; i--) {
    int r = (i * 5 + seed) % size;
    if ((r + seed) % 3 != 0 && !holds(&l, r)) add(&l, r);
  }
  return l;
}

TEST(group_sets_incl, 1, "MPI-5.0 section 7.3.2",
     "MPI_Group_incl MPI_Group_size MPI_Group_rank MPI_Group_translate_ranks") {
  for (int seed = 0; seed < 6; seed++) {
    struct list l = sample(seed);
    check_group(make(&l), &l);
  }
}

TEST(group_sets_excl, 1, "MPI-5.0 section 7.3.2", "MPI_Group_excl MPI_GROUP_EMPTY") {
  MPI_Group world = world_group(), g;
  for (int seed = 0; seed < 6; seed++) {
    struct list out = sample(seed), left = {0, {0}};
    for (int r = 0; r < size; r++)
      if (!holds(&out, r)) add(&left, r);
    MPI_Group_excl(world, out.n, out.ranks, &g);
    if (left.n == 0) CHECK(g == MPI_GROUP_EMPTY);
    check_group(g, &left);
  }
  MPI_Group_incl(world, 0, NULL, &g);
  CHECK(g == MPI_GROUP_EMPTY);
  int n = -1;
  MPI_Group_size(MPI_GROUP_EMPTY, &n);
  CHECK_INT(n, 0);
  MPI_Group_free(&world);
}

/* First all of the first group, then what the second adds, in its order. */
TEST(group_sets_union, 1, "MPI-5.0 section 7.3.2", "MPI_Group_union") {
  for (int seed = 0; seed < 6; seed++) {
    struct list a = sample(seed), b = sample(seed + 1), want = a;
    for (int i = 0; i < b.n; i++)
      if (!holds(&a, b.ranks[i])) add(&want, b.ranks[i]);
    MPI_Group ga = make(&a), gb = make(&b), g;
    MPI_Group_union(ga, gb, &g);
    check_group(g, &want);
    MPI_Group_free(&ga);
    MPI_Group_free(&gb);
  }
}

/* The order of both is that of the first group. */
TEST(group_sets_intersection, 1, "MPI-5.0 section 7.3.2", "MPI_Group_intersection MPI_Group_difference") {
  for (int seed = 0; seed < 6; seed++) {
    struct list a = sample(seed), b = sample(seed + 1), both = {0, {0}}, rest = {0, {0}};
    for (int i = 0; i < a.n; i++) add(holds(&b, a.ranks[i]) ? &both : &rest, a.ranks[i]);
    MPI_Group ga = make(&a), gb = make(&b), g;
    MPI_Group_intersection(ga, gb, &g);
    check_group(g, &both);
    MPI_Group_difference(ga, gb, &g);
    check_group(g, &rest);
    MPI_Group_difference(ga, ga, &g);
    CHECK(g == MPI_GROUP_EMPTY);
    MPI_Group_free(&ga);
    MPI_Group_free(&gb);
  }
}

TEST(group_sets_ranges, 1, "MPI-5.0 section 7.3.2", "MPI_Group_range_incl MPI_Group_range_excl") {
  MPI_Group world = world_group(), g;
  int ranges[3][3] = {{size - 1, 0, -2}, {0, 0, 1}, {0, 0, 5}};
  struct list want = {0, {0}}, rest = {0, {0}};
  for (int r = size - 1; r >= 0; r -= 2) add(&want, r);
  for (int r = 0; r < size; r++)
    if (!holds(&want, r)) add(&rest, r);
  MPI_Group_range_incl(world, 1, ranges, &g);
  check_group(g, &want);
  MPI_Group_range_excl(world, 1, ranges, &g);
  check_group(g, &rest);
  MPI_Group_range_incl(world, 0, NULL, &g);
  CHECK(g == MPI_GROUP_EMPTY);
  if (size >= 5) { /* the step need not hit the last: 1, 3; then 4 down to 4 */
    int two[2][3] = {{1, 4, 2}, {4, 3, -5}};
    struct list l = {3, {1, 3, 4}};
    MPI_Group_range_incl(world, 2, two, &g);
    check_group(g, &l);
  }
  MPI_Group_free(&world);
}

TEST(group_sets_compare, 1, "MPI-5.0 section 7.3.1", "MPI_Group_compare MPI_IDENT MPI_SIMILAR MPI_UNEQUAL") {
  MPI_Group world = world_group(), same, turned, less;
  int result = -1, down[1][3] = {{size - 1, 0, -1}}, none[1] = {0};
  MPI_Comm_group(MPI_COMM_WORLD, &same);
  MPI_Group_range_incl(world, 1, down, &turned);
  MPI_Group_excl(world, 1, none, &less);
  MPI_Group_compare(world, same, &result);
  CHECK_INT(result, MPI_IDENT);
  MPI_Group_compare(world, turned, &result);
  CHECK_INT(result, size == 1 ? MPI_IDENT : MPI_SIMILAR);
  MPI_Group_compare(world, less, &result);
  CHECK_INT(result, MPI_UNEQUAL);
  MPI_Group_compare(MPI_GROUP_EMPTY, MPI_GROUP_EMPTY, &result);
  CHECK_INT(result, MPI_IDENT);
  MPI_Group_free(&world);
  MPI_Group_free(&same);
  MPI_Group_free(&turned);
  if (less != MPI_GROUP_EMPTY) MPI_Group_free(&less);
}

TEST(group_sets_translate, 1, "MPI-5.0 section 7.3.1", "MPI_Group_translate_ranks MPI_PROC_NULL MPI_UNDEFINED") {
  struct list l = sample(2);
  MPI_Group world = world_group(), g = make(&l);
  int *in = new_ints(size + 1, 0), *out = new_ints(size + 1, -7);
  for (int r = 0; r < size; r++) in[r] = r;
  in[size] = MPI_PROC_NULL;
  MPI_Group_translate_ranks(world, size + 1, in, g, out);
  for (int r = 0; r < size; r++) {
    int want = MPI_UNDEFINED;
    for (int i = 0; i < l.n; i++)
      if (l.ranks[i] == r) want = i;
    CHECK_INT(out[r], want);
  }
  CHECK_INT(out[size], MPI_PROC_NULL);
  MPI_Group_free(&world);
  MPI_Group_free(&g);
  free(in);
  free(out);
}

TEST(group_sets_errors, 1, "MPI-5.0 section 9.4", "MPI_Group_incl MPI_Group_size MPI_ERR_RANK MPI_ERR_GROUP") {
  errors_return_everywhere();
  MPI_Group world = world_group(), g;
  int n, out[1] = {size};
  CHECK_CLASS(MPI_Group_incl(world, 1, out, &g), MPI_ERR_RANK);
  CHECK_CLASS(MPI_Group_excl(world, 1, out, &g), MPI_ERR_RANK);
  CHECK_CLASS(MPI_Group_size(MPI_GROUP_NULL, &n), MPI_ERR_GROUP);
  MPI_Group_free(&world);
}

CHAPTER(group_sets, &group_sets_incl, &group_sets_excl, &group_sets_union, &group_sets_intersection, &group_sets_ranges,
        &group_sets_compare, &group_sets_translate, &group_sets_errors)
