/*
 * layout.h: checks a datatype against a plain list of where its ints lie.
 *
 * check_layout sends n items of a type of ints from a buffer to the next rank, which receives them once as plain ints
 * and once with the same type, and checks the values one by one; it also packs and unpacks them.
 */
#ifndef LAYOUT_H
#define LAYOUT_H

#include "conformance.h"

/* at[i] is the index, in ints from the buffer's start, of the i-th int of one item; an item has n of them. */
struct layout {
  MPI_Datatype type;
  int n;
  const int *at;
  int lb, extent;           /* in ints */
  int true_lb, true_extent; /* in ints */
};

void check_layout(const struct layout *l);

#endif
