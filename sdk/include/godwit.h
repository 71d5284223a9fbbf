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

/*
 * godwit_host_name writes the name of the machine that this rank is on now, at most size bytes of it and no zero behind them, and returns
 * its whole length; 0 if it has none. gethostname and uname tell it too. It is another after a move.
 */
unsigned godwit_host_name(char *name, unsigned size)
    __attribute__((__import_module__("godwit_v1"), __import_name__("godwit_host_name")));

#ifdef __cplusplus
}
#endif

#endif /* GODWIT_H_INCLUDED */
