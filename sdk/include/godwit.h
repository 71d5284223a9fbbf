/*
 * godwit.h: what a guest may ask of Godwit itself, beyond MPI.
 *
 * Each function is an import of WebAssembly module "godwit_v1". A signature never changes: what must
 * differ gets a new name.
 */
#ifndef GODWIT_H_INCLUDED
#define GODWIT_H_INCLUDED

#ifdef __cplusplus
extern "C" {
#endif

/*
 * godwit_migration_point marks a place where this rank may be stopped and moved to another host, as
 * every MPI call does. Put it into loops that compute for seconds without an MPI call. It costs some
 * tens of nanoseconds when no migration is wanted, needs no MPI_Init, and returns in the same state
 * wherever the rank then is.
 */
void godwit_migration_point(void)
    __attribute__((__import_module__("godwit_v1"), __import_name__("godwit_migration_point")));

#ifdef __cplusplus
}
#endif

#endif /* GODWIT_H_INCLUDED */
