/* type_struct: structs of different types, and absolute addresses (MPI-5.0 sections 5.1.2 and 5.1.5). */
#include "conformance.h"

struct particle {
  char kind;
  double position[3];
  int id;
  short tags[2];
  float mass;
};

static MPI_Datatype particle_type(void) {
  const int lengths[] = {1, 3, 1, 2, 1};
  const MPI_Aint at[] = {offsetof(struct particle, kind), offsetof(struct particle, position),
                         offsetof(struct particle, id), offsetof(struct particle, tags),
                         offsetof(struct particle, mass)};
  const MPI_Datatype types[] = {MPI_CHAR, MPI_DOUBLE, MPI_INT, MPI_SHORT, MPI_FLOAT};
  MPI_Datatype unsized, type;
  MPI_Type_create_struct(5, lengths, at, types, &unsized);
  MPI_Type_create_resized(unsized, 0, sizeof(struct particle), &type);
  MPI_Type_free(&unsized);
  MPI_Type_commit(&type);
  return type;
}

static struct particle particle(int r, int i) {
  struct particle p;
  memset(&p, 0, sizeof p);
  p.kind = (char)('a' + (r + i) % 26);
  for (int d = 0; d < 3; d++) p.position[d] = r + i * 0.5 + d * 100;
  p.id = value(r, i);
  p.tags[0] = (short)i;
  p.tags[1] = (short)-r;
  p.mass = (float)i / 4;
  return p;
}

static void check_particle(const struct particle *p, int r, int i) {
  struct particle want = particle(r, i);
  CHECK_INT(p->kind, want.kind);
  for (int d = 0; d < 3; d++) CHECK(p->position[d] == want.position[d]);
  CHECK_INT(p->id, want.id);
  CHECK(p->tags[0] == want.tags[0] && p->tags[1] == want.tags[1]);
  CHECK(p->mass == want.mass);
}

TEST(type_struct_array, 1, "MPI-5.0 section 5.1.2", "MPI_Type_create_struct MPI_Type_create_resized") {
  enum { N = 1000 };
  MPI_Datatype type = particle_type();
  struct particle *out = allocate(N * sizeof *out), *in = allocate(N * sizeof *in);
  int bytes, right = (rank + 1) % size, left = (rank + size - 1) % size;
  MPI_Type_size(type, &bytes);
  CHECK_INT(bytes, 1 + 3 * sizeof(double) + sizeof(int) + 2 * sizeof(short) + sizeof(float));
  for (int i = 0; i < N; i++) out[i] = particle(rank, i);
  MPI_Status status;
  MPI_Sendrecv(out, N, type, right, 0, in, N, type, left, 0, comm, &status);
  CHECK_STATUS(&status, left, 0, type, N);
  for (int i = 0; i < N; i++) check_particle(&in[i], left, i);
  int elements;
  MPI_Get_elements(&status, type, &elements);
  CHECK_INT(elements, 8 * N);
  MPI_Type_free(&type);
  free(out);
  free(in);
}

TEST(type_struct_collectives, 1, "MPI-5.0 section 5.1.2",
     "MPI_Allgather MPI_Bcast MPI_Alltoall MPI_Type_create_struct") {
  MPI_Datatype type = particle_type();
  struct particle *all = allocate((size_t)size * sizeof *all), *to = allocate((size_t)size * sizeof *to);
  struct particle mine = particle(rank, 3), cast = particle(rank, 9);
  MPI_Allgather(&mine, 1, type, all, 1, type, comm);
  for (int p = 0; p < size; p++) check_particle(&all[p], p, 3);
  MPI_Bcast(&cast, 1, type, size - 1, comm);
  check_particle(&cast, size - 1, 9);
  for (int p = 0; p < size; p++) to[p] = particle(rank, p);
  MPI_Alltoall(to, 1, type, all, 1, type, comm);
  for (int p = 0; p < size; p++) check_particle(&all[p], p, rank);
  MPI_Type_free(&type);
  free(all);
  free(to);
}

/* A message may be taken apart by a type with the same signature and another layout. */
TEST(type_struct_signature, 1, "MPI-5.0 section 3.3.1", "MPI_Type_create_struct MPI_Sendrecv") {
  struct {
    int i;
    double d;
  } out = {rank, rank + 0.5};
  struct {
    double d[3];
    int i[3];
  } in = {{0, 0, 0}, {0, 0, 0}};
  const int ones[] = {1, 1};
  const MPI_Datatype types[] = {MPI_INT, MPI_DOUBLE};
  MPI_Aint base, out_at[2], in_at[2];
  MPI_Datatype out_type, in_type;
  MPI_Get_address(&out, &base);
  MPI_Get_address(&out.i, &out_at[0]);
  MPI_Get_address(&out.d, &out_at[1]);
  for (int i = 0; i < 2; i++) out_at[i] = MPI_Aint_diff(out_at[i], base);
  MPI_Get_address(&in, &base);
  MPI_Get_address(&in.i[1], &in_at[0]);
  MPI_Get_address(&in.d[2], &in_at[1]);
  for (int i = 0; i < 2; i++) in_at[i] = MPI_Aint_diff(in_at[i], base);
  MPI_Type_create_struct(2, ones, out_at, types, &out_type);
  MPI_Type_create_struct(2, ones, in_at, types, &in_type);
  MPI_Type_commit(&out_type);
  MPI_Type_commit(&in_type);
  int right = (rank + 1) % size, left = (rank + size - 1) % size;
  MPI_Sendrecv(&out, 1, out_type, right, 0, &in, 1, in_type, left, 0, comm, MPI_STATUS_IGNORE);
  CHECK(in.i[1] == left && in.d[2] == left + 0.5);
  CHECK(in.i[0] == 0 && in.i[2] == 0 && in.d[0] == 0 && in.d[1] == 0);
  MPI_Type_free(&out_type);
  MPI_Type_free(&in_type);
}

/* Absolute addresses: the parts lie in unrelated places, on the stack and on the heap. */
TEST(type_struct_bottom, 1, "MPI-5.0 section 5.1.5", "MPI_BOTTOM MPI_Get_address MPI_Aint_add") {
  int on_stack[3] = {value(rank, 0), value(rank, 1), value(rank, 2)}, in[3] = {0, 0, 0};
  double *on_heap = allocate(2 * sizeof *on_heap), in_d[2] = {0, 0};
  on_heap[1] = rank + 0.125;
  MPI_Aint out_at[2], in_at[2];
  MPI_Get_address(on_stack, &out_at[0]);
  MPI_Get_address(on_heap, &out_at[1]);
  out_at[1] = MPI_Aint_add(out_at[1], sizeof(double));
  MPI_Get_address(in, &in_at[0]);
  MPI_Get_address(&in_d[1], &in_at[1]);
  const int lengths[] = {3, 1};
  const MPI_Datatype types[] = {MPI_INT, MPI_DOUBLE};
  MPI_Datatype out_type, in_type;
  MPI_Type_create_struct(2, lengths, out_at, types, &out_type);
  MPI_Type_create_struct(2, lengths, in_at, types, &in_type);
  MPI_Type_commit(&out_type);
  MPI_Type_commit(&in_type);
  int right = (rank + 1) % size, left = (rank + size - 1) % size;
  MPI_Request requests[2];
  MPI_Irecv(MPI_BOTTOM, 1, in_type, left, 0, comm, &requests[0]);
  MPI_Isend(MPI_BOTTOM, 1, out_type, right, 0, comm, &requests[1]);
  MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
  for (int i = 0; i < 3; i++) CHECK_INT(in[i], value(left, i));
  CHECK(in_d[1] == left + 0.125 && in_d[0] == 0);
  MPI_Type_free(&out_type);
  MPI_Type_free(&in_type);
  free(on_heap);
}

/* The extent of a struct is rounded up to the strictest alignment of its parts (MPI-5.0 section 5.1.6). */
TEST(type_struct_epsilon, 1, "MPI-5.0 section 5.1.6", "MPI_Type_create_struct MPI_Type_get_extent") {
  struct padded {
    double d;
    char c;
  };
  const int ones[] = {1, 1};
  const MPI_Aint at[] = {0, offsetof(struct padded, c)};
  const MPI_Datatype types[] = {MPI_DOUBLE, MPI_CHAR};
  MPI_Datatype type;
  MPI_Aint lb = -1, extent = -1;
  MPI_Type_create_struct(2, ones, at, types, &type);
  MPI_Type_get_extent(type, &lb, &extent);
  CHECK_INT(lb, 0);
  CHECK_INT(extent, sizeof(struct padded));
  MPI_Type_get_true_extent(type, &lb, &extent);
  CHECK_INT(lb, 0);
  CHECK_INT(extent, sizeof(double) + 1);
  MPI_Type_free(&type);
}

/* A struct of nothing is a message of nothing. */
TEST(type_struct_empty, 1, "MPI-5.0 section 5.1.2", "MPI_Type_create_struct MPI_Type_size") {
  MPI_Datatype type;
  int bytes = -1, x = 5;
  MPI_Type_create_struct(0, NULL, NULL, NULL, &type);
  MPI_Type_commit(&type);
  MPI_Type_size(type, &bytes);
  CHECK_INT(bytes, 0);
  MPI_Status status;
  MPI_Sendrecv(&x, 3, type, rank, 0, &x, 3, type, rank, 0, comm, &status);
  int n = -1;
  MPI_Get_count(&status, MPI_BYTE, &n);
  CHECK_INT(n, 0);
  MPI_Type_free(&type);
}

/* Structs may nest derived types: an array of strided columns beside a counter. */
TEST(type_struct_nested, 1, "MPI-5.0 section 5.1.2", "MPI_Type_create_struct MPI_Type_vector") {
  struct table {
    int rows;
    double cells[4][3];
  } out, in;
  MPI_Datatype column, type;
  MPI_Type_vector(4, 1, 3, MPI_DOUBLE, &column);
  const int ones[] = {1, 1};
  const MPI_Aint at[] = {offsetof(struct table, rows), offsetof(struct table, cells) + sizeof(double)};
  const MPI_Datatype types[] = {MPI_INT, column};
  MPI_Type_create_struct(2, ones, at, types, &type);
  MPI_Type_free(&column);
  MPI_Type_commit(&type);
  memset(&in, 0, sizeof in);
  out.rows = 4 + rank;
  for (int i = 0; i < 12; i++) out.cells[i / 3][i % 3] = rank * 100 + i;
  int right = (rank + 1) % size, left = (rank + size - 1) % size;
  MPI_Sendrecv(&out, 1, type, right, 0, &in, 1, type, left, 0, comm, MPI_STATUS_IGNORE);
  CHECK_INT(in.rows, 4 + left);
  for (int i = 0; i < 12; i++) CHECK(in.cells[i / 3][i % 3] == (i % 3 == 1 ? left * 100 + i : 0));
  MPI_Type_free(&type);
}

CHAPTER(type_struct, &type_struct_array, &type_struct_collectives, &type_struct_signature, &type_struct_bottom,
        &type_struct_epsilon, &type_struct_empty, &type_struct_nested)
