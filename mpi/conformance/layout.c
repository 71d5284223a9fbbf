/* layout: sends ints by a datatype and compares them, one by one, with where they should have been. */
#include "layout.h"

enum { ITEMS = 3, EDGE = 64 };

/* Room for all items, with an edge on both sides for negative lower bounds. */
static int room(const struct layout *l) {
  int span = (l->extent > 0 ? l->extent : -l->extent) * (ITEMS - 1);
  int reach = (l->true_lb > 0 ? l->true_lb : -l->true_lb) + l->true_extent;
  return 2 * (EDGE + span + reach);
}

static int middle(const struct layout *l) { return room(l) / 2; }

static void check_extents(const struct layout *l) {
  int unit = sizeof(int), bytes = -1;
  MPI_Aint lb = -1, extent = -1;
  MPI_Type_size(l->type, &bytes);
  CHECK_INT(bytes, l->n * unit);
  MPI_Type_get_extent(l->type, &lb, &extent);
  CHECK_INT(lb, l->lb * unit);
  CHECK_INT(extent, l->extent * unit);
  MPI_Type_get_true_extent(l->type, &lb, &extent);
  CHECK_INT(lb, l->true_lb * unit);
  CHECK_INT(extent, l->true_extent * unit);
}

/* check_filled checks that exactly the items' ints, and in order, are value(from, 0), value(from, 1), ... and all
 * others -1. */
static void check_filled(const struct layout *l, const int *data, int from) {
  int *want = new_ints(room(l), -1);
  for (int item = 0; item < ITEMS; item++)
    for (int i = 0; i < l->n; i++) want[middle(l) + item * l->extent + l->at[i]] = value(from, item * l->n + i);
  for (int i = 0; i < room(l); i++) CHECK_INT(data[i], want[i]);
  free(want);
}

static void check_packed(const struct layout *l, int *data) {
  int bytes = 0, position = 0, total = ITEMS * l->n;
  MPI_Pack_size(ITEMS, l->type, comm, &bytes);
  CHECK(bytes >= total * (int)sizeof(int));
  char *packed = allocate((size_t)bytes);
  MPI_Pack(data + middle(l), ITEMS, l->type, packed, bytes, &position, comm);
  CHECK(position <= bytes);
  int *back = new_ints(room(l), -1), end = position;
  position = 0;
  MPI_Unpack(packed, end, &position, back + middle(l), ITEMS, l->type, comm);
  CHECK_INT(position, end);
  check_filled(l, back, rank);
  free(back);
  free(packed);
}

void check_layout(const struct layout *l) {
  int right = (rank + 1) % size, left = (rank + size - 1) % size, total = ITEMS * l->n;
  int *out = new_ints(room(l), -1), *in = new_ints(room(l), -1), *plain = new_ints(total + 1, -1);
  MPI_Status status;
  check_extents(l);
  for (int item = 0; item < ITEMS; item++)
    for (int i = 0; i < l->n; i++) out[middle(l) + item * l->extent + l->at[i]] = value(rank, item * l->n + i);
  MPI_Sendrecv(out + middle(l), ITEMS, l->type, right, 1, plain, total + 1, MPI_INT, left, 1, comm, &status);
  CHECK_STATUS(&status, left, 1, MPI_INT, total);
  for (int i = 0; i < total; i++) CHECK_INT(plain[i], value(left, i));
  for (int i = 0; i < total; i++) plain[i] = value(rank, i);
  MPI_Sendrecv(plain, total, MPI_INT, right, 2, in + middle(l), ITEMS, l->type, left, 2, comm, &status);
  if (l->n > 0) CHECK_STATUS(&status, left, 2, l->type, ITEMS);
  check_filled(l, in, left);
  for (int i = 0; i < room(l); i++) in[i] = -1;
  MPI_Sendrecv(out + middle(l), ITEMS, l->type, right, 3, in + middle(l), ITEMS, l->type, left, 3, comm, &status);
  check_filled(l, in, left);
  check_packed(l, out);
  free(out);
  free(in);
  free(plain);
}
